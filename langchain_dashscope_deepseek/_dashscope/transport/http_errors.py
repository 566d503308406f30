"""Translates errors of httpx and httpcore by one table.

Such an error's `request` and the text of a protocol error may hold the key or the prompt.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager

import httpx

from langchain_dashscope_deepseek._dashscope.protocol.reading import AnswerReader
from langchain_dashscope_deepseek._dashscope.protocol.redaction import LONGEST_MESSAGE, REDACTED
from langchain_dashscope_deepseek._dashscope.protocol.refusals import advise
from langchain_dashscope_deepseek._dashscope.protocol.request import PreparedRequest
from langchain_dashscope_deepseek._dashscope.transport.endpoint import Endpoint
from langchain_dashscope_deepseek._dashscope.transport.retry import is_over
from langchain_dashscope_deepseek.errors import (
    DashScopeConnectionError,
    DashScopeDeadlineError,
    DashScopeError,
    DashScopeInputError,
    DashScopeServerError,
    DashScopeStreamCutError,
    DashScopeTimeoutError,
)

logger = logging.getLogger(__name__)

_LIBRARIES = ("httpx", "httpcore", "builtins")
_TRANSLATED: Mapping[str, tuple[type[DashScopeError], str]] = {
    "ConnectTimeout": (DashScopeTimeoutError, "Connecting took too long: check base_url and proxy"),
    "ReadTimeout": (DashScopeTimeoutError, "No data arrived in time"),
    "WriteTimeout": (DashScopeTimeoutError, "Sending the request took too long"),
    "PoolTimeout": (DashScopeTimeoutError, "No connection became free: send fewer calls at a time"),
    "InvalidURL": (DashScopeInputError, "base_url is not a valid URL"),
    "UnsupportedProtocol": (DashScopeInputError, "base_url must begin with https:// or http://"),
    "UnicodeError": (DashScopeInputError, "base_url or a header holds characters invalid in HTTP"),
    "LocalProtocolError": (DashScopeInputError, "A header that you set is not valid in HTTP"),
    "DecodingError": (DashScopeServerError, "An event hook failed to decompress a body"),
    "ProtocolError": (DashScopeConnectionError, ": it or a proxy sent no answer, or invalid HTTP"),
    "HTTPStatusError": (DashScopeInputError, "Your client's hook raises for a status: remove it"),
    "HTTPError": (DashScopeConnectionError, ""),
}
"""The error and its text for the name of a class of httpx, httpcore or Python; the first match in
the order of an error's base classes counts.

The text of a `DashScopeConnectionError` follows "No connection to the service".
"""


class translating_errors(AbstractContextManager["translating_errors"]):  # noqa: N801 - as in contextlib
    """Translates errors of httpx and httpcore; suppresses errors after the end of an answer."""

    def __init__(self, request: PreparedRequest, endpoint: Endpoint, until: float) -> None:
        self._request = request
        self._endpoint = endpoint  # with the key
        self._until = until
        self.reader: AnswerReader | None = None  # set when the head of the response has arrived

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        names = [] if error is None else _names_of(error)
        if error is None or not (names or isinstance(error, DashScopeError)):
            return False
        if self.reader is not None and self.reader.is_complete:
            logger.info("Ignored after the end of an answer: %s", type(error).__name__)
            return True
        if isinstance(error, DashScopeError):
            advise(error, self._request)
            return False
        if "HTTPError" in names:  # error.request holds the key and the prompt
            error.request = httpx.Request("POST", "https://request.invalid")  # type: ignore[attr-defined]
        if isinstance(error, httpx.HTTPStatusError):
            error.response = httpx.Response(error.response.status_code, request=error.request)
        if "ProtocolError" in names:  # h11 quotes data that it could not read or send
            error.args = (REDACTED,)
            error.__cause__ = error.__context__ = None
        # A local variable would form a cycle with the traceback, which keeps streams open.
        raise advise(self._translated(error, names), self._request) from error

    def _translated(self, error: BaseException, names: Sequence[str]) -> DashScopeError:
        reader = self.reader
        if reader is not None and reader.status_code >= 400:  # noqa: PLR2004
            return reader.cut_error()
        request_id = None if reader is None else reader.header_id
        if "TimeoutException" in names and is_over(self._until):
            text = "The call took longer than max_seconds allows"
            return DashScopeDeadlineError(text, request_id=request_id)
        kind, text = next(_TRANSLATED[name] for name in names if name in _TRANSLATED)
        if kind is not DashScopeConnectionError:
            return kind(text, request_id=request_id)
        name = type(error).__name__
        if reader is not None:
            msg = f"The connection broke within the answer ({name})"
            return DashScopeStreamCutError(msg, request_id=request_id)
        detail = name if text else f"{name}: {self._endpoint.redact(str(error))[:LONGEST_MESSAGE]}"
        return DashScopeConnectionError(f"No connection to the service{text} ({detail})")


def _names_of(error: BaseException) -> Sequence[str]:
    """Return the names of an error's class and base classes; none if it is not to be translated."""
    kinds = type(error).__mro__
    names = [kind.__name__ for kind in kinds if kind.__module__.startswith(_LIBRARIES)]
    return names if any(name in _TRANSLATED for name in names) else ()
