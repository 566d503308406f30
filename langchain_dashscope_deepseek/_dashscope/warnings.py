"""Warnings that follow Python's filters, also under LangChain.

`langchain_core` enters `warnings.catch_warnings` on each call, which makes Python forget what it
has shown: texts that the filters show once are remembered here.
"""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

import pydantic

from langchain_dashscope_deepseek.errors import DashScopeWarning

_ONCE = ("default", "once", "module")
_SHOWN: set[str] = set()
_MOST_SHOWN = 10_000

_LIBRARIES = tuple(
    str(Path(file).parents[above])
    for file, above in ((os.__file__, 0), (pydantic.__file__, 1), (__file__, 1))
)
"""Python's own files, installed packages and this one: a warning points at none of their lines."""


def warn(text: str) -> None:
    """Warn at the line that called the libraries (before Python 3.12: at ours)."""
    is_shown_once = _action(text) in _ONCE
    if is_shown_once and text in _SHOWN:
        return
    if is_shown_once and len(_SHOWN) < _MOST_SHOWN:
        _SHOWN.add(text)
    if sys.version_info >= (3, 12):
        warnings.warn(text, DashScopeWarning, skip_file_prefixes=_LIBRARIES)
    else:
        warnings.warn(text, DashScopeWarning, stacklevel=2)


def _action(text: str) -> str:
    """Return what the first filter that matches does."""
    for action, message, category, module, _ in warnings.filters:
        matches = message is None or message.match(text)
        if matches and module is None and issubclass(DashScopeWarning, category):
            return action
    return "default"
