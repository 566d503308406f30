"""Errors of httpx, and of the sockets below it, become ours by one table.

Asks nothing. A foreign error may hold the key and the prompt in its request, its text or its
frames: none of that goes further.
"""

from __future__ import annotations

import logging
import time
from contextlib import AbstractContextManager

import httpx

from langchain_dashscope_deepseek._dashscope.answers import AnswerReader
from langchain_dashscope_deepseek._dashscope.endpoint import Endpoint
from langchain_dashscope_deepseek._dashscope.redaction import LONGEST_MESSAGE, Redactor
from langchain_dashscope_deepseek._dashscope.request import PreparedRequest
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

_FOREIGN: tuple[tuple[type[Exception], type[DashScopeError], str], ...] = (
    (httpx.ConnectTimeout, DashScopeTimeoutError, "Connecting took too long"),
    (httpx.ReadTimeout, DashScopeTimeoutError, "The head or the next byte took too long"),
    (httpx.WriteTimeout, DashScopeTimeoutError, "Sending the request took too long"),
    (httpx.PoolTimeout, DashScopeTimeoutError, "Waiting for a free connection took too long"),
    (httpx.InvalidURL, DashScopeInputError, "base_url is no URL that can be asked"),
    (
        httpx.UnsupportedProtocol,
        DashScopeInputError,
        "base_url must begin with https:// or http://",
    ),
    (UnicodeError, DashScopeInputError, "base_url or a header holds what HTTP cannot carry"),
    (httpx.LocalProtocolError, DashScopeInputError, "A header holds what HTTP cannot carry"),
    (httpx.DecodingError, DashScopeServerError, "A hook of yours read what cannot be unpacked"),
)
"""Errors of httpx that always mean the same; any other is a connection that failed or broke."""

_MEANT = (DashScopeError, httpx.HTTPError, httpx.InvalidURL, UnicodeError)

_CLOCK = 0.01
"""Seconds by which the clock of a loop or of a system may be early."""


class Exchange(AbstractContextManager["Exchange"]):
    """One request and its answer: foreign errors become ours, and only the ones meant.

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

    def begin(self, response: httpx.Response) -> AnswerReader:
        """Take the head of the answer.

        Raises:
            DashScopeError: It redirects, or is compressed.
        """
        answer = AnswerReader(
            response.status_code, response.headers, self._max_answer_size, self._redact
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
        if self._is_over:
            raise self._took_too_long()

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        """Raise our error for a foreign one; behind a whole answer there is none."""
        if not isinstance(error, _MEANT):
            return False
        if self.answer is not None and self.answer.is_whole:
            # Trouble in what follows an answer must not lose it.
            logger.info("Ignored after the end of an answer: %s", type(error).__name__)
            return True
        if isinstance(error, DashScopeError):
            self._request.advise(error)
            return False
        if isinstance(error, httpx.RequestError):
            # The failed request holds the key and the prompt; an exception lives long.
            error.request = httpx.Request("POST", "https://request.invalid")
        if isinstance(error, httpx.ProtocolError):
            # h11 quotes the line that it could not read, which may be an echo of what was sent.
            error.args = ("(hidden)",)
            error.__cause__ = error.__context__ = None
        _strip(error)
        quotes_headers = isinstance(error, httpx.LocalProtocolError)
        # Not by a name of its own: its traceback would hold it, and with it the caller's streams.
        raise self._translate(error) from (None if quotes_headers else error)

    @property
    def _is_over(self) -> bool:
        return time.monotonic() >= self._until - _CLOCK

    def _took_too_long(self) -> DashScopeDeadlineError:
        request_id = None if self.answer is None else self.answer.header_id
        text = "The call took longer than max_seconds allows"
        return DashScopeDeadlineError(text, request_id=request_id)

    def _translate(self, error: Exception) -> DashScopeError:
        answer = self.answer
        if answer is not None and answer.status_code >= 400:  # noqa: PLR2004
            return answer.cut_error()
        name = type(error).__name__
        request_id = None if answer is None else answer.header_id
        if isinstance(error, httpx.TimeoutException) and self._is_over:
            return self._took_too_long()
        for theirs, ours, text in _FOREIGN:
            if isinstance(error, theirs):
                return ours(text, request_id=request_id)
        if answer is not None:
            msg = f"The connection broke within the answer ({name})"
            return DashScopeStreamCutError(msg, request_id=request_id)
        if isinstance(error, httpx.ProtocolError):
            msg = f"No connection to the service: it, or a proxy, does not speak HTTP ({name})"
            return DashScopeConnectionError(msg)
        shown = self._redact(str(error))[:LONGEST_MESSAGE]
        return DashScopeConnectionError(f"No connection to the service ({name}: {shown})")


def _strip(error: BaseException) -> None:
    """Take the frames out of a foreign error and of what caused it: they hold the headers.

    Who prints a traceback with its local variables, as rich does, would print the key.
    """
    seen: BaseException | None = error
    while seen is not None:
        seen.__traceback__ = None
        seen = seen.__cause__ or seen.__context__
