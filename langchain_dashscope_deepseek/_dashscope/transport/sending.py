"""The only I/O: sends a prepared request and yields the replies of its answer.

Nothing here knows LangChain or a single model. `replies` and `areplies` are the same line by line
but for the awaiting; what they do besides reading bytes stands in the modules that they import.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from itertools import chain

import httpx

from langchain_dashscope_deepseek._dashscope.call_log import log_request
from langchain_dashscope_deepseek._dashscope.request import PreparedRequest
from langchain_dashscope_deepseek._dashscope.retry import Attempt
from langchain_dashscope_deepseek._dashscope.transport.connections import NEVER, Connection, Tenant
from langchain_dashscope_deepseek._dashscope.transport.drain import aread_rest, read_rest
from langchain_dashscope_deepseek._dashscope.transport.http_errors import Exchange
from langchain_dashscope_deepseek._dashscope.wire import Reply

Acquire = Callable[[float | None, Tenant], AbstractContextManager[Connection[httpx.Client]]]
"""Acquires an HTTP client for a tenant's request; waits so many seconds for one."""

AsyncAcquire = Callable[
    [float | None, Tenant], AbstractAsyncContextManager[Connection[httpx.AsyncClient]]
]
"""Acquires an HTTP client for a tenant's request; waits so many seconds for one."""


def replies(acquire: Acquire, request: PreparedRequest, attempt: Attempt) -> Generator[Reply]:
    """Ask once, and yield the replies as they come.

    Raises:
        DashScopeError: There is no answer, or it is not whole.
    """
    endpoint = request.endpoint.with_key()
    timeout = endpoint.timeout_of(attempt.until, streamed=request.streamed)
    with (
        Exchange(request, endpoint, attempt.until) as exchange,
        acquire(timeout.pool, endpoint.tenant) as connection,
    ):
        log_request(request)
        connection.begin(attempt.until)
        built = connection.build(
            endpoint.url(request.route),
            content=request.content(),
            headers=endpoint.all_headers(request.headers),
            timeout=timeout,
        )
        http = connection.http
        response = http.send(built, stream=True, follow_redirects=False)
        answer = exchange.begin(connection.answered(response))
        pieces = connection.pieces(response)
        is_read = True
        for piece in pieces:
            if attempt.until < NEVER:
                exchange.check_time()
            yield from answer.feed(piece)
            if answer.is_whole:
                rest, is_read = read_rest(pieces, connection)
                yield from chain(answer.feed(rest), answer.end())
                break
        if is_read and not answer.held_more:
            response.close()
            connection.is_clean = True
        yield from answer.end()


async def areplies(
    acquire: AsyncAcquire, request: PreparedRequest, attempt: Attempt
) -> AsyncGenerator[Reply]:
    """Ask once, and yield the replies as they come.

    Raises:
        DashScopeError: There is no answer, or it is not whole.
    """
    endpoint = await request.endpoint.awith_key()
    timeout = endpoint.timeout_of(attempt.until, streamed=request.streamed)
    with Exchange(request, endpoint, attempt.until) as exchange:
        async with acquire(timeout.pool, endpoint.tenant) as connection:
            log_request(request)
            connection.begin(attempt.until)
            built = connection.build(
                endpoint.url(request.route),
                content=request.content(),
                headers=endpoint.all_headers(request.headers),
                timeout=timeout,
            )
            http = connection.http
            response = await http.send(built, stream=True, follow_redirects=False)
            answer = exchange.begin(connection.answered(response))
            pieces = connection.apieces(response)
            is_read = True
            async for piece in pieces:
                if attempt.until < NEVER:
                    exchange.check_time()
                for reply in answer.feed(piece):
                    yield reply
                if answer.is_whole:
                    rest, is_read = await aread_rest(pieces, connection)
                    for reply in chain(answer.feed(rest), answer.end()):
                        yield reply
                    break
            if is_read and not answer.held_more:
                await response.aclose()
                connection.is_clean = True
            for reply in answer.end():
                yield reply
