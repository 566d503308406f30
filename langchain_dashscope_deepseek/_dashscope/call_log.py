"""What the log says of a call: one line at INFO, or at WARNING where it failed.

The shape of the wire is at DEBUG.

Never a key, a prompt or an answer: names, counts, seconds and codes. Costs next to nothing where
nobody listens.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

from langchain_dashscope_deepseek._dashscope.protocol.request import PreparedRequest
from langchain_dashscope_deepseek._dashscope.transport.retry import Attempts
from langchain_dashscope_deepseek.errors import DashScopeError

logger = logging.getLogger("langchain_dashscope_deepseek")


Facts = Callable[[], tuple[str | None, str | None, Mapping[str, object] | None]]
"""Gives what is known of an answer: the request's id, the finish_reason and the token counts."""


class CallLog(AbstractContextManager["CallLog"]):
    """Follows one call, whatever attempts and routes it takes.

    Attributes:
        first: When the first packet of the last attempt came, by `time.monotonic`.
    """

    def __init__(self, request: PreparedRequest) -> None:
        """Begin a call."""
        self._request = request
        self._began = time.monotonic()
        self.first: float | None = None
        self._attempt: Attempts | None = None
        self._facts: Facts = lambda: (None, None, None)

    def begin(self, attempt: Attempts, request: PreparedRequest, facts: Facts) -> None:
        """Note that an attempt begins, what it sends, and what tells of its answer."""
        self._attempt, self._request, self._facts, self.first = attempt, request, facts, None

    def first_came(self) -> None:
        """Note the first packet of an answer."""
        self.first = self.first or time.monotonic()

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Say how the call ended."""
        # A call that was cancelled or left did not fail: that is no `Exception`.
        level = logging.WARNING if isinstance(error, Exception) else logging.INFO
        if not logger.isEnabledFor(level):
            return
        now = time.monotonic()
        request_id, finish_reason, usage = self._facts()
        if isinstance(error, DashScopeError):
            request_id = error.request_id or request_id
            end = f"{type(error).__name__} (code {error.code}, HTTP {error.status_code})"
        elif error is not None:
            end = "dropped" if isinstance(error, GeneratorExit) else type(error).__name__
        else:
            end = f"finish_reason {finish_reason}"
        counts = usage or {}
        logger.log(
            level,
            "%s on %s: %s, request_id %s, first packet %s s, all %.2f s, tokens %s in %s out, "
            "retries %d",
            model if (model := self._request.model).isprintable() else repr(model),  # one line
            self._request.route,
            end,
            request_id,
            "-" if self.first is None else f"{self.first - self._began:.2f}",
            now - self._began,
            counts.get("input_tokens", "-"),
            counts.get("output_tokens", "-"),
            0 if self._attempt is None else self._attempt.failures,
        )


def log_request(request: PreparedRequest) -> None:
    """Say what is asked, without a word of it."""
    if logger.isEnabledFor(logging.DEBUG):
        logger.debug(
            "Request on the route %s: roles %s, parameters %s, streamed %s",
            request.route,
            ",".join(message["role"] for message in request.body["input"]["messages"]),
            ",".join(sorted(request.body["parameters"])),
            request.streamed,
        )
