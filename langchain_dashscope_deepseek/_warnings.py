"""How this package warns: what Python's default filter does, also under LangChain.

Core enters `warnings.catch_warnings` on each call, which makes Python forget what it has shown. So
what the filters show once is remembered here.
"""

from __future__ import annotations

import warnings

from langchain_dashscope_deepseek.errors import DashScopeWarning

_SHOWN: set[str] = set()
_ONCE = ("default", "once", "module")


def warn(text: str) -> None:
    """Warn, unless the text was shown and the filters want to see it once."""
    if text in _SHOWN and _action(text) in _ONCE:
        return
    _SHOWN.add(text)
    warnings.warn(text, DashScopeWarning, stacklevel=3)


def _action(text: str) -> str:
    """Find what the filters do with a text: the first one that fits decides."""
    for action, message, category, module, _ in warnings.filters:
        fits = message is None or message.match(text)
        if fits and module is None and issubclass(DashScopeWarning, category):
            return action
    return "default"
