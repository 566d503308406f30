"""The only I/O and the only httpx: sends a prepared request and yields replies.

Nothing here knows LangChain or a single model. `Client` and `AsyncClient` are the same line by
line but for the awaiting; what they do besides reading bytes is in `_wire`, `_retry` and the
helpers below.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import aclosing, closing
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, TypeVar

import httpx
from httpx_sse import EventSource
from typing_extensions import Self

from langchain_dashscope_deepseek._request import PATH, PreparedRequest
from langchain_dashscope_deepseek._retry import Attempts, RetryPolicy
from langchain_dashscope_deepseek._version import __version__
from langchain_dashscope_deepseek._wire import Reply, ReplyReader
from langchain_dashscope_deepseek.errors import (
    DashScopeConnectionError,
    DashScopeError,
    DashScopeInputError,
    DashScopeInvalidRequestError,
    DashScopeNotFoundError,
    DashScopeServerError,
    DashScopeStreamCutError,
    DashScopeTimeoutError,
)

logger = logging.getLogger(__name__)

STREAM_TIMEOUT = httpx.Timeout(connect=10, read=300, write=60, pool=60)
"""Seconds, for streams. While a model thinks, events come every few seconds at most; five minutes
of silence is what the official client waits, and leaves room for a queue before the first byte."""

WHOLE_TIMEOUT = httpx.Timeout(connect=10, read=1800, write=60, pool=60)
"""Seconds, for answers in one piece, which send nothing until they are whole: the service holds
such a connection open for at least 1,800 seconds (its `x-dashscope-timeout`)."""

LIMITS = httpx.Limits(max_connections=1000, max_keepalive_connections=100)
"""Streams hold their connection for minutes: with httpx's 100, a busy server waits for itself."""


class Fold(Protocol):
    """Takes replies one by one; as a context manager it may keep them with an error."""

    def add(self, reply: Reply, /) -> None:
        """Take one reply."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        """End, perhaps by an error."""


AnyFold = TypeVar("AnyFold", bound=Fold)
AnyClient = TypeVar("AnyClient", httpx.Client, httpx.AsyncClient)


@dataclass(frozen=True)
class Endpoint:
    """Where requests go and what every one of them carries.

    Attributes:
        base_url: Ends in `/api/v1`.
        headers: Headers of every request, with the key. Kept out of the repr.
        timeout: Seconds for each phase, or `None` for the defaults above.
    """

    base_url: str
    headers: Mapping[str, str] = field(repr=False)
    timeout: httpx.Timeout | float | None = None

    def build(
        self, http: httpx.Client | httpx.AsyncClient, request: PreparedRequest
    ) -> httpx.Request:
        """Build the HTTP request. A client handed in needs no settings of its own."""
        if http.is_closed:
            msg = "The HTTP client that was handed in is closed: hand in an open one"
            raise DashScopeInputError(msg)
        by_default = STREAM_TIMEOUT if request.streamed else WHOLE_TIMEOUT
        return http.build_request(
            "POST",
            self.base_url.rstrip("/") + PATH,
            content=request.content(),
            headers={
                "User-Agent": f"langchain-dashscope-deepseek/{__version__}",
                "Content-Type": "application/json",
                "Accept": "text/event-stream" if request.streamed else "application/json",
                **({"X-DashScope-SSE": "enable"} if request.streamed else {}),
                **self.headers,
            },
            timeout=by_default if self.timeout is None else self.timeout,
        )


class Client:
    """Asks synchronously."""

    def __init__(self, http: httpx.Client, endpoint: Endpoint, policy: RetryPolicy) -> None:
        """Ask through this client."""
        self._http = http
        self._endpoint = endpoint
        self._policy = policy

    def fold(self, request: PreparedRequest, start: Callable[[], AnyFold]) -> AnyFold:
        """Fold all replies into one value; a failed attempt starts with a new one."""
        for attempt in Attempts(self._policy):
            with attempt, start() as fold, closing(self._replies(request)) as replies:
                for reply in replies:
                    fold.add(reply)
                return fold
        raise AssertionError  # pragma: no cover - the last attempt returns or raises

    def stream(self, request: PreparedRequest) -> Generator[Reply]:
        """Yield replies as they come; nothing is retried after the first one that shows."""
        for attempt in Attempts(self._policy):
            with attempt, closing(self._replies(request)) as replies:
                for reply in replies:
                    if reply.shows:
                        attempt.commit()
                    yield reply
                return

    def _replies(self, request: PreparedRequest) -> Generator[Reply]:
        """Make one attempt."""
        with _Exchange(request) as exchange:
            sent = self._endpoint.build(self._http, request)
            response = self._http.send(sent, stream=True, follow_redirects=False)
            with closing(response):
                reader = exchange.read(response)
                if exchange.has_events:
                    watched = _with_last_blank_line(response, reader)
                else:
                    content = response.read()
                    whole = reader.body(content)
                    if whole is not None:
                        yield whole
                        return
                    watched = _of_text(content)
                for event in EventSource(watched).iter_sse():
                    yield from reader.event(event.event, event.data)
                yield from reader.end()


class AsyncClient:
    """Asks asynchronously."""

    def __init__(self, http: httpx.AsyncClient, endpoint: Endpoint, policy: RetryPolicy) -> None:
        """Ask through this client."""
        self._http = http
        self._endpoint = endpoint
        self._policy = policy

    async def fold(self, request: PreparedRequest, start: Callable[[], AnyFold]) -> AnyFold:
        """Fold all replies into one value; a failed attempt starts with a new one."""
        async for attempt in Attempts(self._policy):
            with attempt, start() as fold:
                async with aclosing(self._replies(request)) as replies:
                    async for reply in replies:
                        fold.add(reply)
                    return fold
        raise AssertionError  # pragma: no cover - the last attempt returns or raises

    async def stream(self, request: PreparedRequest) -> AsyncGenerator[Reply]:
        """Yield replies as they come; nothing is retried after the first one that shows."""
        async for attempt in Attempts(self._policy):
            with attempt:
                async with aclosing(self._replies(request)) as replies:
                    async for reply in replies:
                        if reply.shows:
                            attempt.commit()
                        yield reply
                    return

    async def _replies(self, request: PreparedRequest) -> AsyncGenerator[Reply]:
        """Make one attempt."""
        with _Exchange(request) as exchange:
            sent = self._endpoint.build(self._http, request)
            response = await self._http.send(sent, stream=True, follow_redirects=False)
            async with aclosing(response):
                reader = exchange.read(response)
                if exchange.has_events:
                    watched = _with_last_blank_line_async(response, reader)
                else:
                    content = await response.aread()
                    whole = reader.body(content)
                    if whole is not None:
                        yield whole
                        return
                    watched = _of_text(content)
                async with aclosing(EventSource(watched).aiter_sse()) as events:
                    async for event in events:
                        for reply in reader.event(event.event, event.data):
                            yield reply
                for reply in reader.end():
                    yield reply


class ClientPool:
    """The httpx clients of one model: made on first use, one per event loop for async.

    A connection belongs to the loop that opened it and to the process that opened it. A pickle
    or a deep copy of the pool starts empty.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._lock = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self._pid = os.getpid()
        self._sync: httpx.Client | None = None
        self._async: dict[asyncio.AbstractEventLoop, httpx.AsyncClient] = {}

    def sync(self) -> httpx.Client:
        """Give the client for synchronous calls."""
        with self._lock:
            if self._pid != os.getpid():
                self._forget()
            if self._sync is None:
                self._sync = _made(lambda: httpx.Client(limits=LIMITS))
            return self._sync

    def of_running_loop(self) -> httpx.AsyncClient:
        """Give the client of the event loop that is running."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._pid != os.getpid():
                self._forget()
            # A client keeps its loop alive, so no weak reference would ever let go of either.
            for other in [other for other in self._async if other.is_closed()]:
                del self._async[other]
            if loop not in self._async:
                self._async[loop] = _made(lambda: httpx.AsyncClient(limits=LIMITS))
            return self._async[loop]

    def close(self) -> None:
        """Close the synchronous client; the next call makes a new one."""
        with self._lock:
            client, self._sync = self._sync, None
        if client is not None and self._pid == os.getpid():
            client.close()

    async def aclose(self) -> None:
        """Close the running loop's client, and the synchronous one."""
        self.close()
        with self._lock:
            client = self._async.pop(asyncio.get_running_loop(), None)
        if client is not None and self._pid == os.getpid():
            await client.aclose()

    def __del__(self) -> None:
        """Close what nobody closed, where that can be done without waiting."""
        if self._sync is not None and self._pid == os.getpid():
            self._sync.close()

    def __reduce__(self) -> tuple[type[ClientPool], tuple[()]]:
        """Pickle and copy as an empty pool."""
        return ClientPool, ()


def _made(make: Callable[[], AnyClient]) -> AnyClient:
    """Make a client; its settings come from the environment, which may hold nonsense."""
    try:
        return make()
    except (ValueError, ImportError, OSError) as error:
        msg = (
            f"No HTTP client could be made of the environment ({error}): check HTTPS_PROXY, "
            "ALL_PROXY, SSL_CERT_FILE and SSL_CERT_DIR"
        )
        raise DashScopeInputError(msg) from error


class _Exchange:
    """One request and its answer: foreign errors become ours, and only the ones meant."""

    def __init__(self, request: PreparedRequest) -> None:
        self._request = request
        self._reader: ReplyReader | None = None
        self.has_events = False

    def read(self, response: httpx.Response) -> ReplyReader:
        """Decide by status and content type how the answer is to be read."""
        if response.is_redirect:
            msg = f"The server redirects to {response.headers.get('location', '')!r}: set base_url"
            raise DashScopeInvalidRequestError(msg, status_code=response.status_code)
        content_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        self.has_events = response.is_success and content_type == "text/event-stream"
        self._reader = ReplyReader(response.status_code, response.headers)
        return self._reader

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if not isinstance(error, _MEANT):
            return False
        if self._reader is not None and self._reader.finished:
            # The answer is whole: trouble in what follows it must not lose it.
            logger.info("Ignored after the end of an answer: %s", type(error).__name__)
            return True
        if isinstance(error, DashScopeError):
            about_workspace = (error.code or "").lower().startswith("workspace")
            if isinstance(error, DashScopeNotFoundError) and not about_workspace:
                error.add_advice(self._request.advice or "")
            return False
        if isinstance(error, httpx.RequestError):
            # The failed request holds the key and the prompt; an exception lives long.
            error.request = httpx.Request("POST", "https://request.invalid")
        quotes_headers = isinstance(error, httpx.LocalProtocolError)
        raise self._translate(error) from (None if quotes_headers else error)

    def _translate(self, error: Exception) -> DashScopeError:
        if self._reader is not None and self._reader.status_code >= 400:  # noqa: PLR2004
            return self._reader.cut_error()
        name = type(error).__name__
        for theirs, ours, text in _FOREIGN:
            if isinstance(error, theirs):
                return ours(text)
        if self._reader is not None:
            return DashScopeStreamCutError(f"The connection broke within the answer ({name})")
        return DashScopeConnectionError(f"No connection to the service ({name}: {error})")


_FOREIGN: tuple[tuple[type[Exception], type[DashScopeError], str], ...] = (
    (httpx.ConnectTimeout, DashScopeTimeoutError, "Connecting took too long"),
    (httpx.ReadTimeout, DashScopeTimeoutError, "The next byte of the answer took too long"),
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
    (httpx.DecodingError, DashScopeServerError, "The answer could not be decompressed"),
)
"""Errors of httpx that always mean the same; any other is a connection that failed or broke."""

_MEANT = (DashScopeError, httpx.HTTPError, httpx.InvalidURL, UnicodeError)

# httpx-sse loses an event that no blank line follows at the end of the body, and older gateways
# send such. So it reads a response that is the real one and a blank line.
_EVENT_STREAM = {"content-type": "text/event-stream; charset=utf-8"}


def _of_text(content: bytes) -> httpx.Response:
    """Read events out of a body that did not call itself an event stream."""
    return httpx.Response(200, headers=_EVENT_STREAM, content=content + b"\n\n")


def _with_last_blank_line(response: httpx.Response, reader: ReplyReader) -> httpx.Response:
    def body() -> Generator[bytes]:
        for piece in response.iter_bytes():
            reader.watch(piece)
            yield piece
        yield b"\n\n"

    return httpx.Response(200, headers=_EVENT_STREAM, content=body())


def _with_last_blank_line_async(response: httpx.Response, reader: ReplyReader) -> httpx.Response:
    async def body() -> AsyncGenerator[bytes]:
        async for piece in response.aiter_bytes():
            reader.watch(piece)
            yield piece
        yield b"\n\n"

    return httpx.Response(200, headers=_EVENT_STREAM, content=body())
