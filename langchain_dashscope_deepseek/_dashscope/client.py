"""The only I/O: sends a prepared request and yields replies.

Nothing here knows LangChain or a single model. `Client` and `AsyncClient` are the same line by
line but for the awaiting; what they do besides reading bytes is in `sse`, `wire`, `retry` and the
helpers below.
"""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Mapping,
)
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    aclosing,
    closing,
    contextmanager,
    nullcontext,
    suppress,
)
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import blake2b
from itertools import chain, starmap
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Protocol, TypeVar

import anyio
import httpx
from pydantic import SecretStr
from typing_extensions import Self

from langchain_dashscope_deepseek._dashscope.blotting import Blotter
from langchain_dashscope_deepseek._dashscope.call_log import CallLog
from langchain_dashscope_deepseek._dashscope.hidden import HiddenHeaders, KeyFunction
from langchain_dashscope_deepseek._dashscope.keys import aauthorization_from, authorization_from
from langchain_dashscope_deepseek._dashscope.pool import NEVER, Lent, Tenant
from langchain_dashscope_deepseek._dashscope.request import PreparedRequest
from langchain_dashscope_deepseek._dashscope.retry import Attempt, Attempts, RetryPolicy
from langchain_dashscope_deepseek._dashscope.routes import PATHS, RouteAttempts
from langchain_dashscope_deepseek._dashscope.sse import Event, EventReader
from langchain_dashscope_deepseek._dashscope.wire import Reply, ReplyReader
from langchain_dashscope_deepseek._version import __version__
from langchain_dashscope_deepseek.capabilities import Route
from langchain_dashscope_deepseek.errors import (
    LONGEST_MESSAGE,
    DashScopeConnectionError,
    DashScopeError,
    DashScopeInputError,
    DashScopeInvalidRequestError,
    DashScopeServerError,
    DashScopeStreamCutError,
    DashScopeTimeoutError,
    without_keys,
)

logger = logging.getLogger(__name__)

STREAM_TIMEOUT = httpx.Timeout(connect=10, read=300, write=60, pool=60)
"""Seconds, for streams. While a model thinks, events come every few seconds at most; five minutes
of silence is what the official client waits, and leaves room for a queue before the first byte."""

WHOLE_TIMEOUT = httpx.Timeout(connect=10, read=1800, write=60, pool=60)
"""Seconds, for answers in one piece, which send nothing until they are whole: the service holds
such a connection open for at least 1,800 seconds (its `x-dashscope-timeout`)."""

LONGEST_END_SECONDS = 1.0
"""Seconds to wait for the end of a body whose answer is whole: usage may come behind it, and the
connection can be used again. It follows at once, unless a proxy holds the body open."""

LONGEST_REST = 64 * 1024
"""Bytes behind a whole answer that are still looked at."""


T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")
AnyStream = TypeVar("AnyStream", httpx.SyncByteStream, httpx.AsyncByteStream)


class Shown(Protocol[T_co]):
    """How an answer is shown; as a context manager it may keep what came with an error."""

    def of(self, reply: Reply, /) -> Iterable[T_co]:
        """Take a reply and give what it shows, if anything."""

    def last(self) -> Iterable[T_co]:
        """Give what ends the answer."""

    @property
    def facts(self) -> tuple[str | None, str | None, Mapping[str, object] | None]:
        """What the log says of the answer."""

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


@dataclass(frozen=True)
class Endpoint:
    """Where requests go and what every one of them carries.

    Attributes:
        base_url: Ends in `/api/v1`.
        headers: Headers of every request, with the key. Kept out of the repr.
        key_source: Gives the key of each attempt, where it changes; then no header has it.
        own_headers: The user's, which take the place of ours. Kept out of the repr.
        proxy: The proxy to go through, if it is not left to the environment.
        verify: Whether, or by what, the server's certificate is checked.
        max_answer_size: Bytes of one event, or of a body in one piece, that are still read.
        timeout: Seconds for each phase, or `None` for the defaults above.
    """

    base_url: str
    headers: HiddenHeaders = field(repr=False)
    max_answer_size: int
    timeout: httpx.Timeout | float | None = None
    own_headers: HiddenHeaders = field(default_factory=HiddenHeaders, repr=False)
    key_source: KeyFunction | None = field(default=None, repr=False)
    proxy: SecretStr | None = None
    verify: ssl.SSLContext | bool = True

    def with_key(self) -> Endpoint:
        """Give the endpoint with the key of an attempt."""
        if self.key_source is None:
            return self
        return self._unlocked(authorization_from(self.key_source))

    async def awith_key(self) -> Endpoint:
        """Give the endpoint with the key of an attempt, which may have to be awaited."""
        if self.key_source is None:
            return self
        return self._unlocked(await aauthorization_from(self.key_source))

    def _unlocked(self, authorization: str) -> Endpoint:
        headers = HiddenHeaders({"Authorization": authorization, **self.headers})
        return replace(self, headers=headers, key_source=None)

    def build(
        self,
        lent: Lent[httpx.Client] | Lent[httpx.AsyncClient],
        request: PreparedRequest,
        route: Route,
        timeout: httpx.Timeout,
    ) -> httpx.Request:
        """Build the HTTP request for a route. A client handed in needs no settings of its own."""
        return lent.build(
            _url(self.base_url.rstrip("/") + PATHS[route]),
            content=request.content(route),
            headers=self._all_headers(request),
            timeout=timeout,
        )

    @property
    def tenant(self) -> Tenant:
        """Whose connections may be used."""
        secrets = "\0".join((*self.headers.values(), *self.own_headers.values()))
        return Tenant(self.base_url, blake2b(secrets.encode()).digest(), self.proxy, self.verify)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must stand in no error: the key, and the values of the user's headers."""
        return (self.headers.get("Authorization", ""), *self.own_headers.values())

    def _all_headers(self, request: PreparedRequest) -> HiddenHeaders:
        """Put the headers together, one of a name: the user's over ours, whatever their case."""
        ours = HiddenHeaders(
            {
                "User-Agent": f"langchain-dashscope-deepseek/{__version__}",
                "Content-Type": "application/json",
                "Accept": "text/event-stream" if request.streamed else "application/json",
                # What is unpacked cannot be bounded by what was read, and an answer is small.
                "Accept-Encoding": "identity",
                **({"X-DashScope-SSE": "enable"} if request.streamed else {}),
                **request.headers,
                **self.headers,
            }
        )
        return ours.under(self.own_headers) if self.own_headers else ours

    def routes(self, request: PreparedRequest, attempt: Attempt) -> RouteAttempts:
        """Give the routes of an attempt."""
        return RouteAttempts(
            attempt,
            model=request.model,
            base_url=self.base_url,
            routes=request.routes,
            advise=request.advise,
        )

    def timeout_of(self, request: PreparedRequest, until: float) -> httpx.Timeout:
        """Tell how long to wait in each phase, if the call is over at a time."""
        by_default = STREAM_TIMEOUT if request.streamed else WHOLE_TIMEOUT
        timeout = by_default if self.timeout is None else httpx.Timeout(self.timeout)
        if until == NEVER:
            return timeout
        left = max(until - time.monotonic(), 0.001)
        phases = timeout.as_dict().items()
        return httpx.Timeout(**{name: left if s is None else min(s, left) for name, s in phases})


_url = lru_cache(httpx.URL)
"""Parses a URL once, and not for each request."""


class Client:
    """Asks synchronously."""

    def __init__(
        self,
        lend: Callable[[float | None, Tenant], AbstractContextManager[Lent[httpx.Client]]],
        endpoint: Endpoint,
        policy: RetryPolicy,
    ) -> None:
        """Ask through a client that is lent to a tenant for each request, in so many seconds."""
        self._lend = lend
        self._endpoint = endpoint
        self._policy = policy

    def ask(self, request: PreparedRequest, start: Callable[[], Shown[T]]) -> Generator[T]:
        """Yield what shows of an answer; until there is any, a failed attempt starts anew."""
        with CallLog(request) as log:
            for attempt in Attempts(self._policy):
                for on in self._endpoint.routes(request, attempt):
                    with attempt, on, start() as shown:
                        log.attempt(on.route, shown)
                        with closing(self._replies(request, on.route, attempt.until)) as replies:
                            for reply in replies:
                                if log.first is None:
                                    log.first_came()
                                for part in shown.of(reply):
                                    attempt.committed = True
                                    yield part
                        yield from shown.last()
                        return

    def _replies(self, request: PreparedRequest, route: Route, until: float) -> Generator[Reply]:
        """Ask once, on one route."""
        endpoint, timeout = self._endpoint.with_key(), self._endpoint.timeout_of(request, until)
        with (
            _Exchange(request, endpoint, until) as exchange,
            self._lend(timeout.pool, endpoint.tenant) as lent,
        ):
            built = endpoint.build(lent.begin(until), request, route, timeout)
            response = lent.http.send(built, stream=True, follow_redirects=False)
            body = exchange.begin(lent.answered(response))
            pieces = iter(_source(response, httpx.SyncByteStream) or response.iter_bytes())
            is_read = True
            for piece in pieces:
                yield from body.replies(piece)
                if body.is_whole:
                    rest, is_read = _rest(pieces, lent)
                    yield from body.behind(rest)
                    break
            if is_read and not body.held_more:
                response.close()
                lent.is_clean = True
            yield from body.end()


class AsyncClient:
    """Asks asynchronously."""

    def __init__(
        self,
        lend: Callable[
            [float | None, Tenant], AbstractAsyncContextManager[Lent[httpx.AsyncClient]]
        ],
        endpoint: Endpoint,
        policy: RetryPolicy,
    ) -> None:
        """Ask through a client that is lent to a tenant for each request, in so many seconds."""
        self._lend = lend
        self._endpoint = endpoint
        self._policy = policy

    async def ask(
        self, request: PreparedRequest, start: Callable[[], Shown[T]]
    ) -> AsyncGenerator[T]:
        """Yield what shows of an answer; until there is any, a failed attempt starts anew."""
        with CallLog(request) as log:
            async for attempt in Attempts(self._policy):
                for on in self._endpoint.routes(request, attempt):
                    with attempt, on, start() as shown:
                        log.attempt(on.route, shown)
                        until = attempt.until
                        async with aclosing(self._replies(request, on.route, until)) as replies:
                            async for reply in replies:
                                if log.first is None:
                                    log.first_came()
                                for part in shown.of(reply):
                                    attempt.committed = True
                                    yield part
                        for part in shown.last():
                            yield part
                        return

    async def _replies(
        self, request: PreparedRequest, route: Route, until: float
    ) -> AsyncGenerator[Reply]:
        """Ask once, on one route."""
        endpoint = await self._endpoint.awith_key()
        timeout = endpoint.timeout_of(request, until)
        with _Exchange(request, endpoint, until) as exchange:
            async with self._lend(timeout.pool, endpoint.tenant) as lent:
                built = endpoint.build(lent.begin(until), request, route, timeout)
                response = await lent.http.send(built, stream=True, follow_redirects=False)
                body = exchange.begin(lent.answered(response))
                source = _source(response, httpx.AsyncByteStream)
                pieces = aiter(source or response.aiter_bytes())
                is_read = True
                async for piece in pieces:
                    for reply in body.replies(piece):
                        yield reply
                    if body.is_whole:
                        rest, is_read = await _arest(pieces, lent)
                        for reply in body.behind(rest):
                            yield reply
                        break
                if is_read and not body.held_more:
                    await response.aclose()
                    lent.is_clean = True
                for reply in body.end():
                    yield reply


class _Exchange:
    """One request and its answer: foreign errors become ours, and only the ones meant."""

    def __init__(self, request: PreparedRequest, endpoint: Endpoint, until: float) -> None:
        self._request = request
        self._until = until
        self._max_answer_size = endpoint.max_answer_size
        self._blot = Blotter(endpoint.secrets, request.said)
        self._reader: ReplyReader | None = None

    def begin(self, response: httpx.Response) -> _Body:
        """Take the head of the answer."""
        size = self._max_answer_size
        reader = ReplyReader(response.status_code, response.headers, size, self._blot)
        if response.is_redirect:
            location = response.headers.get("location")
            shown = without_keys(self._blot(location or ""))[:LONGEST_MESSAGE]
            where = f"to {shown!r}" if location else "and does not say where to"
            raise DashScopeInvalidRequestError(
                f"The server redirects {where}: set base_url",
                status_code=response.status_code,
                request_id=reader.header_id,
            )
        self._reader = reader
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("Response: HTTP %d, request_id %s", response.status_code, reader.header_id)
        encoding = response.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("", "identity") and not response.is_stream_consumed:
            self._reader.refuse_encoding(encoding)
        return _Body(response, self._reader, self._until)

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

    def _translate(self, error: Exception) -> DashScopeError:
        if self._reader is not None and self._reader.status_code >= 400:  # noqa: PLR2004
            return self._reader.cut_error()
        name = type(error).__name__
        request_id = None if self._reader is None else self._reader.header_id
        if isinstance(error, httpx.TimeoutException) and _is_over(self._until):
            return _took_too_long(request_id)
        for theirs, ours, text in _FOREIGN:
            if isinstance(error, theirs):
                return ours(text, request_id=request_id)
        if self._reader is not None:
            msg = f"The connection broke within the answer ({name})"
            return DashScopeStreamCutError(msg, request_id=request_id)
        if isinstance(error, httpx.ProtocolError):
            msg = f"No connection to the service: it, or a proxy, does not speak HTTP ({name})"
            return DashScopeConnectionError(msg)
        shown = without_keys(self._blot(str(error)))[:LONGEST_MESSAGE]
        return DashScopeConnectionError(f"No connection to the service ({name}: {shown})")


def _strip(error: BaseException) -> None:
    """Take the frames out of a foreign error and of what caused it: they hold the headers.

    Who prints a traceback with its local variables, as rich does, would print the key.
    """
    seen: BaseException | None = error
    while seen is not None:
        seen.__traceback__ = None
        seen = seen.__cause__ or seen.__context__


class _Body:
    """The body of an answer, by status and content type a stream of events or one piece."""

    def __init__(self, response: httpx.Response, reader: ReplyReader, until: float) -> None:
        content_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        self._reader = reader
        self._until = until
        self._has_events = response.is_success and content_type == "text/event-stream"
        self._events = EventReader()
        if self._has_events:
            reader.expect_events()

    @property
    def is_whole(self) -> bool:
        """Whether the answer has come to its end, whatever may follow."""
        return self._reader.finished

    @property
    def held_more(self) -> bool:
        """Whether something was dropped that came behind the end of the answer."""
        return self._reader.held_more

    def replies(self, piece: bytes) -> Iterable[Reply]:
        reader = self._reader
        if self._until < NEVER and _is_over(self._until):
            raise _took_too_long(reader.header_id)
        data = self._events.lone(piece) if self._has_events else None
        reply = None if data is None else reader.usual(data)
        if reply is not None:
            return (reply,)
        reader.watch(piece)
        return self._of(self._events.feed(piece)) if self._has_events else ()

    def behind(self, rest: bytes) -> Iterable[Reply]:
        """Read what came behind the end of the answer."""
        return list(self._of([*self._events.feed(rest), *self._events.end()]))

    def end(self) -> Iterator[Reply]:
        if not self._has_events:
            whole = self._reader.body()
            if isinstance(whole, Reply):
                yield whole
                return
            self._has_events = True
            for start in range(0, len(whole), LONGEST_REST):
                yield from self.replies(whole[start : start + LONGEST_REST])
        yield from self._of(self._events.end())
        yield from self._reader.end()

    def _of(self, events: Iterable[Event]) -> Iterable[Reply]:
        """Read events one by one, as they are asked for: none is lost for an error after it."""
        return chain.from_iterable(starmap(self._reader.event, events))


def _is_over(until: float) -> bool:
    return time.monotonic() >= until - _CLOCK


_CLOCK = 0.01
"""Seconds by which the clock of a loop or of a system may be early."""


def _took_too_long(request_id: str | None) -> DashScopeTimeoutError:
    error = DashScopeTimeoutError(
        "The call took longer than max_seconds allows", request_id=request_id
    )
    error.is_retryable = False  # who asks again gives it more time
    return error


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


def _source(response: httpx.Response, kind: type[AnyStream]) -> AnyStream | None:
    """Give the stream that httpx itself reads, since there is nothing to decode.

    Three layers less, which buys 3 µs an event, and twice that where it is asynchronous. `None`
    where a hook of the user's has read it already.
    """
    is_read = response.is_stream_consumed
    return None if is_read or not isinstance(response.stream, kind) else response.stream


def _rest(pieces: Iterator[bytes], lent: Lent[httpx.Client]) -> tuple[bytes, bool]:
    """Read what comes behind a whole answer: for a moment, and no more than a little.

    Returns:
        What came, and whether that was all.
    """
    rest = b""
    with suppress(httpx.TransportError), _for_a_moment(pieces, lent) as soon:
        for piece in soon:
            rest += piece
            if len(rest) > LONGEST_REST:
                return rest[:LONGEST_REST], False
        return rest, True
    return rest, False


async def _arest(pieces: AsyncIterator[bytes], lent: Lent[httpx.AsyncClient]) -> tuple[bytes, bool]:
    """Read what comes behind a whole answer: for a moment, and no more than a little."""
    rest = b""
    is_bounded = lent.end_within(LONGEST_END_SECONDS)
    # Not asyncio.wait_for: before Python 3.12 it may swallow a cancelling.
    soon = nullcontext() if is_bounded else anyio.move_on_after(LONGEST_END_SECONDS)
    with suppress(httpx.TransportError), soon:
        async for piece in pieces:
            rest += piece
            if len(rest) > LONGEST_REST:
                return rest[:LONGEST_REST], False
        return rest, True
    return rest, False


@contextmanager
def _for_a_moment(pieces: Iterator[bytes], lent: Lent[httpx.Client]) -> Iterator[Iterator[bytes]]:
    """Give pieces for a moment; a thread is needed for a client of the user's alone."""
    response = lent.response
    if lent.end_within(LONGEST_END_SECONDS) or response is None:
        yield pieces
    elif response.http_version == "HTTP/2":
        yield _aside(pieces, LONGEST_END_SECONDS)  # its connection is others' as well
    else:
        with _shut_after(LONGEST_END_SECONDS, response):
            yield pieces


def _aside(pieces: Iterator[bytes], seconds: float) -> Iterator[bytes]:
    """Read in a thread, and leave that to itself when the time is over."""
    came: SimpleQueue[bytes | None] = SimpleQueue()

    def read() -> None:
        with suppress(Exception):
            for piece in pieces:
                came.put(piece)
            came.put(None)

    until = time.monotonic() + seconds
    with suppress(RuntimeError):  # no thread to be had is no reason to lose an answer
        threading.Thread(target=read, daemon=True).start()
        with suppress(Empty):
            while (piece := came.get(timeout=max(until - time.monotonic(), 0))) is not None:
                yield piece
            return
    msg = "The end of the answer did not come"
    raise httpx.ReadTimeout(msg)


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
    with suppress(RuntimeError):  # no thread to be had is no reason to lose an answer
        timer.start()
    try:
        yield
    finally:
        timer.cancel()
