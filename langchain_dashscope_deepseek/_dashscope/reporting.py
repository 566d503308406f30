"""Warnings, and log lines about a call.

They hold names, counts, seconds and codes, but no key, prompt or answer.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydantic

from langchain_dashscope_deepseek.errors import DashScopeError, DashScopeWarning

if TYPE_CHECKING:
    from langchain_dashscope_deepseek._dashscope.transport.retry import Attempts

logger = logging.getLogger("langchain_dashscope_deepseek")

_shown: set[str] = set()
_MOST_SHOWN = 10_000

# A warning names the first line outside these folders: standard library, packages, this package.
_LIBRARIES = tuple(
    str(Path(file).parents[above])
    for file, above in ((os.__file__, 0), (pydantic.__file__, 1), (__file__, 1))
)


def warn(text: str) -> None:
    """Warn, with the user's line that led to the call (before Python 3.12: one of this package).

    LangChain enters `warnings.catch_warnings` on each call, which resets Python's record of shown
    warnings. So texts that the filters show once are recorded here.
    """
    if _action(text) in ("default", "once", "module"):
        if text in _shown:
            return
        if len(_shown) < _MOST_SHOWN:
            _shown.add(text)
    if sys.version_info >= (3, 12):
        warnings.warn(text, DashScopeWarning, skip_file_prefixes=_LIBRARIES)
    else:
        warnings.warn(text, DashScopeWarning, stacklevel=2)


def _action(text: str) -> str:
    """Return the action of the first filter that matches, of those that are not for one module."""
    for action, message, category, module, _ in warnings.filters:
        matches = message is None or message.match(text)
        if matches and module is None and issubclass(DashScopeWarning, category):
            return action
    return "default"


GetFacts = Callable[[], tuple[float | None, str | None, str | None, Mapping[str, object] | None]]
"""Returns the time of the first packet, the request id, the finish_reason and the token counts of
an answer, if known."""


class CallLog(AbstractContextManager["CallLog"]):
    """Logs one call, with all its attempts, in one line: at INFO, or at WARNING if it failed."""

    def __init__(self, model: str, route: str) -> None:
        self._model, self._route = model, route
        self._began = time.monotonic()
        self._attempt: Attempts | None = None
        self._get_facts: GetFacts = lambda: (None, None, None, None)

    def begin(self, attempt: Attempts, route: str, get_facts: GetFacts) -> None:
        """Note the start of an attempt."""
        self._attempt, self._route, self._get_facts = attempt, route, get_facts

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        # A call that was cancelled or abandoned did not fail; it raises no `Exception`.
        level = logging.WARNING if isinstance(error, Exception) else logging.INFO
        if not logger.isEnabledFor(level):
            return
        now = time.monotonic()
        first_at, request_id, finish_reason, usage = self._get_facts()
        if isinstance(error, DashScopeError):
            request_id = error.request_id or request_id
            end = f"{type(error).__name__} (code {error.code}, HTTP {error.status_code})"
        elif error is not None:
            end = "abandoned" if isinstance(error, GeneratorExit) else type(error).__name__
        else:
            end = f"finish_reason {finish_reason}"
        counts = usage or {}
        logger.log(
            level,
            "%s on %s: %s, request_id %s, first packet %s s, total %.2f s, tokens %s in %s out, "
            "retries %d",
            self._model if self._model.isprintable() else repr(self._model),  # one line
            self._route,
            end,
            request_id,
            "-" if first_at is None else f"{first_at - self._began:.2f}",
            now - self._began,
            counts.get("input_tokens", "-"),
            counts.get("output_tokens", "-"),
            0 if self._attempt is None else self._attempt.retries,
        )


def log_request(body: Mapping[str, Any]) -> None:
    """Log the roles and the names of parameters of a request at DEBUG."""
    if logger.isEnabledFor(logging.DEBUG):
        roles = ",".join(message["role"] for message in body["input"]["messages"])
        names = ",".join(sorted(body["parameters"]))
        logger.debug("Request: roles %s, parameters %s", roles, names)
