"""How this package warns: what Python's default filter does, also under LangChain.

Core enters `warnings.catch_warnings` on each call, which makes Python forget what it has shown. So
what the filters show once is remembered here. And between a user's line and this package stand many
others, so the line is looked for.
"""

from __future__ import annotations

import sys
import threading
import warnings
from types import FrameType

from langchain_dashscope_deepseek.errors import DashScopeWarning

_SHOWN: set[str] = set()
_MOST_SHOWN = 10_000
_ONCE = ("default", "once", "module")

_IN_BETWEEN = frozenset(
    {
        *("langchain_dashscope_deepseek", "langchain", "langchain_core", "langchain_classic"),
        *("langchain_community", "langgraph", "deepagents", "pydantic", "copy", "pickle"),
        *("asyncio", "concurrent", "contextlib", "contextvars", "functools", "threading"),
        *("tenacity", "uvloop", "anyio", "nest_asyncio", "runpy", "selectors", "socketserver"),
        *("uvicorn", "starlette", "fastapi", "gunicorn"),
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
    frame = _frame_of_the_user(sys._getframe(1)) or _frame_of_the_main_thread()  # noqa: SLF001
    if frame is None:
        warnings.warn(text, DashScopeWarning, stacklevel=2)
        return
    module, registry = frame.f_globals.get("__name__", ""), None
    warnings.warn_explicit(
        text, DashScopeWarning, frame.f_code.co_filename, frame.f_lineno, module, registry
    )


def _frame_of_the_user(frame: FrameType | None) -> FrameType | None:
    """Find the first frame that is not of a library.

    Not `skip_file_prefixes`, which Python has from 3.12 on.
    """
    while frame is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] not in _IN_BETWEEN:
            return frame
        frame = frame.f_back
    return None


def _frame_of_the_main_thread() -> FrameType | None:
    """Find the user's line that waits: in a thread of `batch` the user has none."""
    ident = threading.main_thread().ident
    return _frame_of_the_user(sys._current_frames().get(ident or 0))  # noqa: SLF001


def _action(text: str) -> str:
    """Find what the filters do with a text: the first one that fits decides."""
    for action, message, category, module, _ in warnings.filters:
        fits = message is None or message.match(text)
        if fits and module is None and issubclass(DashScopeWarning, category):
            return action
    return "default"
