"""Sends a prepared request, and yields the replies of its answer.

Nothing here knows LangChain or a single model. `replies` and `areplies` differ only in the
awaiting; what they do besides reading bytes is in the modules that they import.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any

import httpx

from langchain_dashscope_deepseek._dashscope.protocol.packets import Reply
from langchain_dashscope_deepseek._dashscope.protocol.reading import AnswerReader
from langchain_dashscope_deepseek._dashscope.protocol.redaction import LONGEST_MESSAGE, Redactor
from langchain_dashscope_deepseek._dashscope.protocol.request import PreparedRequest
from langchain_dashscope_deepseek._dashscope.reporting import log_request
from langchain_dashscope_deepseek._dashscope.transport.connections import Connection
from langchain_dashscope_deepseek._dashscope.transport.endpoint import Endpoint, Tenant
from langchain_dashscope_deepseek._dashscope.transport.http_errors import translating_errors
from langchain_dashscope_deepseek._dashscope.transport.retry import Attempts
from langchain_dashscope_deepseek.errors import DashScopeInvalidRequestError

logger = logging.getLogger(__name__)

Acquire = Callable[[float | None, Tenant], AbstractContextManager[Connection[httpx.Client]]]
"""Acquires a connection for a tenant's request; waits so many seconds for one."""

AsyncAcquire = Callable[
    [float | None, Tenant], AbstractAsyncContextManager[Connection[httpx.AsyncClient]]
]
"""Acquires a connection for a tenant's request; waits so many seconds for one."""

_LONGEST_DRAIN = 1.0
"""Seconds to wait for the end of a body whose answer is whole. Usage may follow, and then the
connection can be used again; a proxy may hold the body open."""


def replies(acquire: Acquire, request: PreparedRequest, attempt: Attempts) -> Generator[Reply]:
    """Ask once, and yield the replies as they come."""
    timeout = request.endpoint.timeout_of(attempt.until, streamed=request.streamed)
    endpoint = request.endpoint.with_key(timeout.pool, attempt.until)
    redact = Redactor(endpoint.secrets)
    with (
        translating_errors(request, redact, attempt.until) as errors,
        acquire(timeout.pool, endpoint.tenant) as connection,
    ):
        log_request(request.route, request.body, streamed=request.streamed)
        connection.deadline.until = attempt.until
        built = _build(connection.http, request, endpoint, timeout)
        response = connection.http.send(built, stream=True, follow_redirects=False)
        answer = errors.answer = _begin(response, connection, endpoint, redact)
        for piece in _body(response):
            connection.deadline.check()
            yield from answer.feed(piece)
            if answer.is_whole:
                if answer.has_unread_tail:
                    break
                connection.deadline.bound_reads(_LONGEST_DRAIN)
        else:
            response.close()
            connection.keep(answer.request_id)
        yield from answer.end()


async def areplies(
    acquire: AsyncAcquire, request: PreparedRequest, attempt: Attempts
) -> AsyncGenerator[Reply]:
    """Ask once, and yield the replies as they come."""
    timeout = request.endpoint.timeout_of(attempt.until, streamed=request.streamed)
    endpoint = await request.endpoint.awith_key(timeout.pool, attempt.until)
    redact = Redactor(endpoint.secrets)
    with translating_errors(request, redact, attempt.until) as errors:
        async with acquire(timeout.pool, endpoint.tenant) as connection:
            log_request(request.route, request.body, streamed=request.streamed)
            connection.deadline.until = attempt.until
            built = _build(connection.http, request, endpoint, timeout)
            response = await connection.http.send(built, stream=True, follow_redirects=False)
            answer = errors.answer = _begin(response, connection, endpoint, redact)
            async for piece in _body(response):
                connection.deadline.check()
                for reply in answer.feed(piece):
                    yield reply
                if answer.is_whole:
                    if answer.has_unread_tail:
                        break
                    connection.deadline.bound_reads(_LONGEST_DRAIN)
            else:
                await response.aclose()
                connection.keep(answer.request_id)
            for reply in answer.end():
                yield reply


def _build(
    http: httpx.Client | httpx.AsyncClient,
    request: PreparedRequest,
    endpoint: Endpoint,
    timeout: httpx.Timeout,
) -> httpx.Request:
    return http.build_request(
        "POST",
        endpoint.url(request.route),
        content=request.content(),
        headers=endpoint.all_headers(request.headers),
        timeout=timeout,
    )


def _begin(
    response: httpx.Response, connection: Connection[Any], endpoint: Endpoint, redact: Redactor
) -> AnswerReader:
    """Check the head of a response, and begin to read its body."""
    connection.response = response
    connection.deadline.sent_at = None
    # vcrpy, for example, replays responses that came over no connection.
    is_replayed = "network_stream" not in response.extensions
    answer = AnswerReader(
        response.status_code,
        response.headers,
        endpoint.max_answer_size,
        redact,
        None if is_replayed else connection.last_request_id,
    )
    logger.debug("Response: HTTP %d, request_id %s", response.status_code, answer.header_id)
    if response.is_redirect:
        location = redact(response.headers.get("location", ""))[:LONGEST_MESSAGE]
        where = f"to {location!r}" if location else "and does not say where to"
        raise DashScopeInvalidRequestError(
            f"The server redirects {where}: set base_url",
            status_code=response.status_code,
            request_id=answer.header_id,
        )
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity") and not response.is_stream_consumed:
        answer.refuse_encoding(encoding)
    return answer


def _body(response: httpx.Response) -> Any:  # pieces, to be iterated with or without awaiting
    """Return the body, which an event hook of the user's client may have read already."""
    # Not iter_bytes, which takes 1 µs a piece to decode nothing.
    return httpx.ByteStream(response.content) if response.is_stream_consumed else response.stream
