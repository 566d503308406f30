"""Errors of httpx and httpcore become ours by one table.

Sends nothing. Such an error may hold the key and the prompt in its request or its text, which go no
further.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import httpx

from langchain_dashscope_deepseek._dashscope.protocol.reading import AnswerReader
from langchain_dashscope_deepseek._dashscope.protocol.redaction import LONGEST_MESSAGE, Redactor
from langchain_dashscope_deepseek._dashscope.protocol.refusals import advise
from langchain_dashscope_deepseek._dashscope.protocol.request import PreparedRequest
from langchain_dashscope_deepseek._dashscope.transport.connections import Connection
from langchain_dashscope_deepseek._dashscope.transport.endpoint import Endpoint
from langchain_dashscope_deepseek._dashscope.transport.retry import is_over
from langchain_dashscope_deepseek.errors import (
    DashScopeConnectionError,
    DashScopeDeadlineError,
    DashScopeError,
    DashScopeInputError,
    DashScopeInvalidRequestError,
    DashScopeServerError,
    DashScopeStreamCutError,
    DashScopeTimeoutError,
)

logger = logging.getLogger(__name__)

_TRANSLATED: Mapping[str, tuple[type[DashScopeError], str]] = {
    "ConnectTimeout": (DashScopeTimeoutError, "Connecting took too long"),
    "ReadTimeout": (DashScopeTimeoutError, "The head or the next byte took too long"),
    "WriteTimeout": (DashScopeTimeoutError, "Sending the request took too long"),
    "PoolTimeout": (DashScopeTimeoutError, "Waiting for a free connection took too long"),
    "InvalidURL": (DashScopeInputError, "base_url is no URL that can be asked"),
    "UnsupportedProtocol": (DashScopeInputError, "base_url must begin with https:// or http://"),
    "UnicodeError": (DashScopeInputError, "base_url or a header holds what HTTP cannot carry"),
    "LocalProtocolError": (DashScopeInputError, "A header holds what HTTP cannot carry"),
    "DecodingError": (DashScopeServerError, "An event hook read what cannot be unpacked"),
    "ProtocolError": (DashScopeConnectionError, ": it, or a proxy, does not speak HTTP"),
    "NetworkError": (DashScopeConnectionError, ""),
    "ProxyError": (DashScopeConnectionError, ""),
    "HTTPError": (DashScopeConnectionError, ""),
}
"""What errors of httpx and httpcore become, by the names of their classes and base classes.

Of a connection that failed the text goes on behind "No connection to the service".
"""


class Exchange(AbstractContextManager["Exchange"]):
    """One request and its answer: errors of HTTP become ours, and no others.

    Attributes:
        answer: Reads the answer, once its head has come.
    """

    def __init__(self, request: PreparedRequest, endpoint: Endpoint, until: float) -> None:
        """Begin a request, which must be over at a time."""
        self._request = request
        self._until = until
        self._max_answer_size = endpoint.max_answer_size
        self._redact = Redactor(endpoint.secrets)
        self.answer: AnswerReader | None = None

    def begin(self, response: httpx.Response, connection: Connection[Any]) -> AnswerReader:
        """Take the head of the answer, which came over a connection.

        Raises:
            DashScopeError: It redirects, or is compressed.
        """
        connection.response = response
        connection.deadline.end_head()
        # What replays recorded answers, as vcrpy does, gives one without a socket.
        is_of_socket = "network_stream" in response.extensions
        answer = AnswerReader(
            response.status_code,
            response.headers,
            self._max_answer_size,
            self._redact,
            connection.last_request_id if is_of_socket else None,
        )
        if response.is_redirect:
            location = response.headers.get("location")
            shown = self._redact(location or "")[:LONGEST_MESSAGE]
            where = f"to {shown!r}" if location else "and does not say where to"
            raise DashScopeInvalidRequestError(
                f"The server redirects {where}: set base_url",
                status_code=response.status_code,
                request_id=answer.header_id,
            )
        self.answer = answer
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("Response: HTTP %d, request_id %s", response.status_code, answer.header_id)
        encoding = response.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("", "identity") and not response.is_stream_consumed:
            answer.refuse_encoding(encoding)
        return answer

    def check_time(self) -> None:
        """Refuse to go on after the time that the call may take.

        Raises:
            DashScopeTimeoutError: It is over.
        """
        if is_over(self._until):
            raise self._took_too_long()

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        """Raise our error for one of HTTP; behind a whole answer there is none."""
        names = [] if error is None else _names_of(error)
        if error is None or not (isinstance(error, DashScopeError) or names):
            return False
        if self.answer is not None and self.answer.is_whole:
            # Trouble in what follows an answer must not lose it.
            logger.info("Ignored after the end of an answer: %s", type(error).__name__)
            return True
        if isinstance(error, DashScopeError):
            advise(error, self._request)
            return False
        if "RequestError" in names:
            # The failed request holds the key and the prompt; an exception lives long.
            error.request = httpx.Request("POST", "https://request.invalid")  # type: ignore[attr-defined]
        if "ProtocolError" in names:
            # h11 quotes the line that it could not read, which may be an echo of what was sent.
            error.args = ("(hidden)",)
            error.__cause__ = error.__context__ = None
        cause = None if "LocalProtocolError" in names else error
        # Not by a name of its own: its traceback would hold it, and with it the caller's streams.
        raise self._translate(error, names) from cause

    def _took_too_long(self) -> DashScopeDeadlineError:
        request_id = None if self.answer is None else self.answer.header_id
        text = "The call took longer than max_seconds allows"
        return DashScopeDeadlineError(text, request_id=request_id)

    def _translate(self, error: BaseException, names: Sequence[str]) -> DashScopeError:
        answer = self.answer
        if answer is not None and answer.status_code >= 400:  # noqa: PLR2004
            return answer.cut_error()
        if "TimeoutException" in names and is_over(self._until):
            return self._took_too_long()
        ours, text = next(_TRANSLATED[name] for name in names if name in _TRANSLATED)
        name = type(error).__name__
        request_id = None if answer is None else answer.header_id
        if ours is not DashScopeConnectionError:
            return ours(text, request_id=request_id)
        if answer is not None:
            msg = f"The connection broke within the answer ({name})"
            return DashScopeStreamCutError(msg, request_id=request_id)
        shown = self._redact(str(error))[:LONGEST_MESSAGE]
        detail = name if text else f"{name}: {shown}"
        return DashScopeConnectionError(f"No connection to the service{text} ({detail})")


def _names_of(error: BaseException) -> Sequence[str]:
    """Name the class of an error and its base classes; none if it is not of HTTP."""
    kinds = type(error).__mro__
    names = [kind.__name__ for kind in kinds if kind.__module__.startswith(_LIBRARIES)]
    return names if any(name in _TRANSLATED for name in names) else ()


_LIBRARIES = ("httpx", "httpcore", "builtins")
