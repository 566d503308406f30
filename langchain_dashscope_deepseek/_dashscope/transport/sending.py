"""Sends a prepared request, and yields the replies of its answer.

Nothing here knows LangChain or a single model. `replies` and `areplies` are the same line by line
but for the awaiting; what they do besides reading bytes stands in the modules that they import.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, suppress
from itertools import chain

import httpx

from langchain_dashscope_deepseek._dashscope.protocol.packets import Reply
from langchain_dashscope_deepseek._dashscope.protocol.request import PreparedRequest
from langchain_dashscope_deepseek._dashscope.reporting import log_request
from langchain_dashscope_deepseek._dashscope.transport.connections import Connection, Tenant
from langchain_dashscope_deepseek._dashscope.transport.http_errors import Exchange
from langchain_dashscope_deepseek._dashscope.transport.retry import NO_DEADLINE, Attempt

Acquire = Callable[[float | None, Tenant], AbstractContextManager[Connection[httpx.Client]]]
"""Acquires a connection for a tenant's request; waits so many seconds for one."""

AsyncAcquire = Callable[
    [float | None, Tenant], AbstractAsyncContextManager[Connection[httpx.AsyncClient]]
]
"""Acquires a connection for a tenant's request; waits so many seconds for one."""

_LONGEST_DRAIN = 1.0
"""Seconds to wait for the end of a body whose answer is whole. Usage may follow, and then the
connection can be used again; a proxy may hold the body open."""

_LARGEST_TAIL = 64 * 1024
"""Bytes behind a whole answer that are still looked at."""


def replies(acquire: Acquire, request: PreparedRequest, attempt: Attempt) -> Generator[Reply]:
    """Ask once, and yield the replies as they come.

    Raises:
        DashScopeError: There is no answer, or it is not whole.
    """
    timeout = request.endpoint.timeout_of(attempt.until, streamed=request.streamed)
    endpoint = request.endpoint.with_key(timeout.pool, attempt.until)
    with (
        Exchange(request, endpoint, attempt.until) as exchange,
        acquire(timeout.pool, endpoint.tenant) as connection,
    ):
        log_request(request.route, request.body, streamed=request.streamed)
        connection.deadline.until = attempt.until
        built = connection.build(
            endpoint.url(request.route),
            content=request.content(),
            headers=endpoint.all_headers(request.headers),
            timeout=timeout,
        )
        http = connection.http
        response = http.send(built, stream=True, follow_redirects=False)
        answer = exchange.begin(response, connection)
        pieces = connection.pieces(response)
        is_read = True
        for piece in pieces:
            if attempt.until < NO_DEADLINE:
                exchange.check_time()
            yield from answer.feed(piece)
            if answer.is_whole:
                tail, is_read = _drain(pieces, connection)
                yield from chain(answer.feed(tail), answer.end())
                break
        if is_read and not answer.has_unread_tail:
            response.close()
            connection.keep(answer.request_id)
        yield from answer.end()


async def areplies(
    acquire: AsyncAcquire, request: PreparedRequest, attempt: Attempt
) -> AsyncGenerator[Reply]:
    """Ask once, and yield the replies as they come.

    Raises:
        DashScopeError: There is no answer, or it is not whole.
    """
    timeout = request.endpoint.timeout_of(attempt.until, streamed=request.streamed)
    endpoint = await request.endpoint.awith_key(timeout.pool, attempt.until)
    with Exchange(request, endpoint, attempt.until) as exchange:
        async with acquire(timeout.pool, endpoint.tenant) as connection:
            log_request(request.route, request.body, streamed=request.streamed)
            connection.deadline.until = attempt.until
            built = connection.build(
                endpoint.url(request.route),
                content=request.content(),
                headers=endpoint.all_headers(request.headers),
                timeout=timeout,
            )
            http = connection.http
            response = await http.send(built, stream=True, follow_redirects=False)
            answer = exchange.begin(response, connection)
            pieces = connection.apieces(response)
            is_read = True
            async for piece in pieces:
                if attempt.until < NO_DEADLINE:
                    exchange.check_time()
                for reply in answer.feed(piece):
                    yield reply
                if answer.is_whole:
                    tail, is_read = await _adrain(pieces, connection)
                    for reply in chain(answer.feed(tail), answer.end()):
                        yield reply
                    break
            if is_read and not answer.has_unread_tail:
                await response.aclose()
                connection.keep(answer.request_id)
            for reply in answer.end():
                yield reply


def _drain(pieces: Iterator[bytes], connection: Connection[httpx.Client]) -> tuple[bytes, bool]:
    """Read what follows a whole answer, and tell whether that was all."""
    connection.deadline.bound_reads(_LONGEST_DRAIN)
    tail = b""
    with suppress(httpx.TransportError):
        for piece in pieces:
            tail += piece
            if len(tail) > _LARGEST_TAIL:
                return tail[:_LARGEST_TAIL], False
        return tail, True
    return tail, False


async def _adrain(
    pieces: AsyncIterator[bytes], connection: Connection[httpx.AsyncClient]
) -> tuple[bytes, bool]:
    """Read what follows a whole answer, and tell whether that was all."""
    connection.deadline.bound_reads(_LONGEST_DRAIN)
    tail = b""
    with suppress(httpx.TransportError):
        async for piece in pieces:
            tail += piece
            if len(tail) > _LARGEST_TAIL:
                return tail[:_LARGEST_TAIL], False
        return tail, True
    return tail, False
