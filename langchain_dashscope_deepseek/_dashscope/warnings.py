"""How this package warns: what Python's default filter does, also under LangChain.

Core enters `warnings.catch_warnings` on each call, which makes Python forget what it has shown. So
what the filters show once is remembered here. And between a user's line and this package stand many
others, so the line is looked for.
"""

from __future__ import annotations

import sys
import warnings

from langchain_dashscope_deepseek.errors import DashScopeWarning

_SHOWN: set[str] = set()
_MOST_SHOWN = 10_000
_ONCE = ("default", "once", "module")

_IN_BETWEEN = frozenset(
    {
        *("langchain_dashscope_deepseek", "langchain", "langchain_core", "langchain_classic"),
        *("langchain_community", "langgraph", "deepagents", "pydantic", "copy", "pickle"),
        *("asyncio", "concurrent", "contextlib", "contextvars", "functools", "threading"),
        *("tenacity", "uvloop", "anyio", "nest_asyncio", "runpy"),
    }
)
"""Packages whose lines are not the user's."""


def warn(text: str) -> None:
    """Warn at the user's line, unless the text was shown and the filters want to see it once."""
    is_shown_once = _action(text) in _ONCE
    if text in _SHOWN and is_shown_once:
        return
    if len(_SHOWN) >= _MOST_SHOWN:
        _SHOWN.clear()
    if is_shown_once:  # what is ignored, or raised, was not shown
        _SHOWN.add(text)
    warnings.warn(text, DashScopeWarning, stacklevel=_level_of_the_user())


def _level_of_the_user() -> int:
    """Count the frames up to the first one that is not of a library, from `warn` on.

    Not `skip_file_prefixes`, which Python has from 3.12 on. In a thread of LangChain's the user has
    no frame; then Python names none.
    """
    frame, level = sys._getframe(1), 1  # noqa: SLF001 - inspect's own way
    while frame is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] not in _IN_BETWEEN:
            return level
        frame, level = frame.f_back, level + 1  # type: ignore[assignment]
    return level


def _action(text: str) -> str:
    """Find what the filters do with a text: the first one that fits decides."""
    for action, message, category, module, _ in warnings.filters:
        fits = message is None or message.match(text)
        if fits and module is None and issubclass(DashScopeWarning, category):
            return action
    return "default"
