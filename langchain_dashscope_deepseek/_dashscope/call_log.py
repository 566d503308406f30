"""What the log says of a call: one line at INFO, the shape of the wire at DEBUG.

Never a key, a prompt or an answer: names, counts, seconds and codes. Costs next to nothing where
nobody listens.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Protocol

from typing_extensions import Self

from langchain_dashscope_deepseek._dashscope.request import PreparedRequest
from langchain_dashscope_deepseek.capabilities import Route
from langchain_dashscope_deepseek.errors import DashScopeError

logger = logging.getLogger("langchain_dashscope_deepseek")


class Facts(Protocol):
    """What is known of an answer."""

    @property
    def facts(self) -> tuple[str | None, str | None, Mapping[str, object] | None]:
        """The request's id, the finish_reason and the token counts."""


class CallLog:
    """Follows one call, whatever attempts and routes it takes.

    Attributes:
        first: When the first packet of the last attempt came, by `time.monotonic`.
    """

    def __init__(self, request: PreparedRequest) -> None:
        """Begin a call."""
        self._request = request
        self._began = time.monotonic()
        self.first: float | None = None
        self._attempts = 0
        self._route: Route | None = None
        self._shown: Facts | None = None

    def attempt(self, route: Route, shown: Facts) -> None:
        """Note that the service is asked on a route."""
        self._attempts += route == self._route or self._route is None
        self._route, self._shown, self.first = route, shown, None
        if logger.isEnabledFor(logging.DEBUG):
            body = self._request.body
            logger.debug(
                "Request on the route %s: roles %s, parameters %s, streamed %s",
                route,
                ",".join(message["role"] for message in body["input"]["messages"]),
                ",".join(sorted(body["parameters"])),
                self._request.streamed,
            )

    def first_came(self) -> None:
        """Note the first packet of an answer."""
        self.first = time.monotonic()

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Say how the call ended."""
        if not logger.isEnabledFor(logging.INFO):
            return
        now = time.monotonic()
        request_id, finish_reason, usage = (
            (None, None, None) if self._shown is None else self._shown.facts
        )
        if isinstance(error, DashScopeError):
            request_id = error.request_id or request_id
            end = f"{type(error).__name__} (code {error.code}, HTTP {error.status_code})"
        elif error is not None:
            end = "dropped" if isinstance(error, GeneratorExit) else type(error).__name__
        else:
            end = f"finish_reason {finish_reason}"
        counts = usage or {}
        logger.info(
            "%s on %s: %s, request_id %s, first packet %s s, all %.2f s, tokens %s in %s out, "
            "retries %d",
            self._request.model,
            self._route,
            end,
            request_id,
            "-" if self.first is None else f"{self.first - self._began:.2f}",
            now - self._began,
            counts.get("input_tokens", "-"),
            counts.get("output_tokens", "-"),
            max(self._attempts - 1, 0),
        )
