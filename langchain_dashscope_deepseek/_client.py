"""The only I/O and the only httpx: sends a prepared request and yields replies.

Nothing here knows LangChain or a single model. `Client` and `AsyncClient` are the same line by
line but for the awaiting; what they do besides reading bytes is in `_wire`, `_retry` and the
helpers below.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Mapping
from contextlib import aclosing, closing, contextmanager, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, TypeVar

import anyio
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

LONGEST_END_SECONDS = 1.0
"""Seconds to wait for the end of a body whose answer is whole, so that its connection can be used
again. It follows at once, unless a proxy holds the body open."""

LIMITS = httpx.Limits(max_connections=1000, max_keepalive_connections=100)
"""Streams hold their connection for minutes: with httpx's 100, a busy server waits for itself."""


class Fold(Protocol):
    """Takes replies one by one; as a context manager it may keep them with an error."""

    def add(self, reply: Reply, /) -> object:
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
        max_answer_size: Bytes of one event, or of a body in one piece, that are still read.
        timeout: Seconds for each phase, or `None` for the defaults above.
    """

    base_url: str
    headers: Mapping[str, str] = field(repr=False)
    max_answer_size: int
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
                    if not attempt.committed and reply.shows:
                        attempt.commit()
                    yield reply
                return

    def _replies(self, request: PreparedRequest) -> Generator[Reply]:
        """Make one attempt."""
        with _Exchange(request, self._endpoint.max_answer_size) as exchange:
            sent = self._endpoint.build(self._http, request)
            response = self._http.send(sent, stream=True, follow_redirects=False)
            with closing(response):
                reader = exchange.read(response)
                if exchange.has_events:
                    watched: httpx.Response = _Watched(response, reader)
                else:
                    for piece in response.iter_bytes():
                        reader.watch(piece)
                    whole = reader.body()
                    if isinstance(whole, Reply):
                        yield whole
                        return
                    watched = _events_of(whole)
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
                        if not attempt.committed and reply.shows:
                            attempt.commit()
                        yield reply
                    return

    async def _replies(self, request: PreparedRequest) -> AsyncGenerator[Reply]:
        """Make one attempt."""
        with _Exchange(request, self._endpoint.max_answer_size) as exchange:
            sent = self._endpoint.build(self._http, request)
            response = await self._http.send(sent, stream=True, follow_redirects=False)
            async with aclosing(response):
                reader = exchange.read(response)
                if exchange.has_events:
                    watched: httpx.Response = _Watched(response, reader)
                else:
                    async for piece in response.aiter_bytes():
                        reader.watch(piece)
                    whole = reader.body()
                    if isinstance(whole, Reply):
                        yield whole
                        return
                    watched = _events_of(whole)
                async with aclosing(EventSource(watched).aiter_sse()) as events:
                    async for event in events:
                        for reply in reader.event(event.event, event.data):
                            yield reply
                for reply in reader.end():
                    yield reply


class ClientPool:
    """The httpx clients of one model: made on first use, one per process and event loop.

    A connection belongs to the process and to the loop that opened it: what a child process finds
    of its parent's stays untouched. Needs no lock, which a fork could copy while it is held. A
    pickle or a deep copy of the pool starts empty.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._sync: dict[int, httpx.Client] = {}
        self._async: dict[tuple[int, asyncio.AbstractEventLoop], _OfLoop] = {}
        self._handed_in_to: int | None = None

    def handed_in(self, client: AnyClient) -> AnyClient:
        """Give a client of the user's, unless it was used before a fork.

        Raises:
            DashScopeInputError: Two processes on one connection would get each other's answers.
        """
        self._handed_in_to = self._handed_in_to or os.getpid()
        if self._handed_in_to != os.getpid():
            msg = (
                "The HTTP client that was handed in was used before this process was forked off: "
                "make the model anew, with a client of this process"
            )
            raise DashScopeInputError(msg)
        return client

    def sync(self) -> httpx.Client:
        """Give the client for synchronous calls."""
        pid = os.getpid()
        if pid not in self._sync:
            made = _made(lambda: httpx.Client(limits=LIMITS))
            if self._sync.setdefault(pid, made) is not made:
                made.close()  # another thread was faster
        return self._sync[pid]

    def of_running_loop(self) -> httpx.AsyncClient:
        """Give the client of the event loop that is running."""
        key = (os.getpid(), asyncio.get_running_loop())
        if key not in self._async:
            # A client keeps its loop alive, so no weak reference would ever let go of either.
            for other in [other for other in list(self._async) if other[1].is_closed()]:
                self._async.pop(other, None)
            self._async[key] = _OfLoop(_made(lambda: httpx.AsyncClient(limits=LIMITS)))
        return self._async[key].client

    def close(self) -> None:
        """Close the synchronous client; the next call makes a new one.

        What another thread is waiting for comes to its end with the next byte or its timeout.
        """
        client = self._sync.pop(os.getpid(), None)
        if client is not None:
            client.close()

    async def aclose(self) -> None:
        """Close the running loop's client, and the synchronous one."""
        self.close()
        kept = self._async.pop((os.getpid(), asyncio.get_running_loop()), None)
        if kept is not None:
            await kept.end.aclose()

    def __del__(self) -> None:
        """Close what nobody closed, where that can be done without waiting."""
        self.close()

    def __reduce__(self) -> tuple[type[ClientPool], tuple[()]]:
        """Pickle and copy as an empty pool."""
        return ClientPool, ()


class _OfLoop:
    """The client of an event loop, which is closed when the loop ends.

    `asyncio.run` and its like end the asynchronous generators of their loop before they close it.
    So one that waits for that is the one place where a loop's connections can still be closed.
    """

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.end = self._close_at_the_end(client)
        with suppress(StopIteration):
            self.end.asend(None).send(None)  # runs to the yield, which needs no loop

    @staticmethod
    async def _close_at_the_end(client: httpx.AsyncClient) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            await client.aclose()


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

    def __init__(self, request: PreparedRequest, max_answer_size: int) -> None:
        self._request = request
        self._max_answer_size = max_answer_size
        self._reader: ReplyReader | None = None
        self._request_id: str | None = None
        self.has_events = False

    def read(self, response: httpx.Response) -> ReplyReader:
        """Decide by status and content type how the answer is to be read."""
        self._request_id = response.headers.get("x-request-id")
        if response.is_redirect:
            msg = f"The server redirects to {response.headers.get('location', '')!r}: set base_url"
            raise DashScopeInvalidRequestError(
                msg, status_code=response.status_code, request_id=self._request_id
            )
        content_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        self.has_events = response.is_success and content_type == "text/event-stream"
        size = self._max_answer_size
        self._reader = ReplyReader(response.status_code, response.headers, size)
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
                return ours(text, request_id=self._request_id)
        if self._reader is not None:
            msg = f"The connection broke within the answer ({name})"
            return DashScopeStreamCutError(msg, request_id=self._request_id)
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

# Some gateways put a mark of the byte order before it all, which "utf-8-sig" takes away.
_EVENT_STREAM = {"content-type": "text/event-stream; charset=utf-8-sig"}


def _events_of(content: bytes) -> httpx.Response:
    """Read events out of a body that did not call itself an event stream."""
    return httpx.Response(200, headers=_EVENT_STREAM, content=content + b"\n\n")


class _Watched(httpx.Response):
    """What httpx-sse reads: the bytes of a response, watched, and a blank line.

    Older gateways send no blank line after the last event, and httpx-sse would lose it.
    """

    def __init__(self, response: httpx.Response, reader: ReplyReader) -> None:
        super().__init__(200, headers=_EVENT_STREAM, stream=response.stream)
        self._real = response
        self._reader = reader

    def iter_bytes(self, chunk_size: int | None = None) -> Iterator[bytes]:
        pieces = self._real.iter_bytes(chunk_size)
        for piece in pieces:
            yield self._reader.watch(piece)
            if self._reader.finished:
                break
        rest: list[bytes] = []
        if _is_reused_once_read(self._real):
            with suppress(httpx.TransportError), _shut_after(LONGEST_END_SECONDS, self._real):
                for piece in pieces:
                    rest.append(self._reader.watch(piece))  # noqa: PERF401 - kept if it breaks
        yield from rest
        yield b"\n\n"

    async def aiter_bytes(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        pieces = self._real.aiter_bytes(chunk_size)
        async for piece in pieces:
            yield self._reader.watch(piece)
            if self._reader.finished:
                break
        rest: list[bytes] = []
        if _is_reused_once_read(self._real):
            # Not asyncio.wait_for, which may swallow the cancelling of the task before Python 3.12.
            with suppress(httpx.TransportError), anyio.move_on_after(LONGEST_END_SECONDS):
                async for piece in pieces:
                    rest.append(self._reader.watch(piece))  # noqa: PERF401 - kept if it breaks
        for piece in rest:
            yield piece
        yield b"\n\n"


def _is_reused_once_read(response: httpx.Response) -> bool:
    """Tell whether a connection is worth the wait; HTTP/2 ends a stream without its connection."""
    return response.http_version != "HTTP/2"


@contextmanager
def _shut_after(seconds: float, response: httpx.Response) -> Iterator[None]:
    """End a read of a response from outside: one that has begun keeps its long timeout."""
    stream = response.extensions.get("network_stream")
    sock = None if stream is None else stream.get_extra_info("socket")
    if sock is None:
        yield
        return

    def shut() -> None:
        with suppress(OSError):
            socket.socket.shutdown(sock, socket.SHUT_RDWR)  # without TLS's farewell

    timer = threading.Timer(seconds, shut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
