"""Sends a prepared request, and yields an `AnswerDelta` for each event of the response.

`send` and `asend` differ only in the awaiting.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any

import httpx

from langchain_dashscope_deepseek._dashscope.protocol.packets import AnswerDelta
from langchain_dashscope_deepseek._dashscope.protocol.reading import AnswerReader
from langchain_dashscope_deepseek._dashscope.protocol.redaction import LONGEST_MESSAGE
from langchain_dashscope_deepseek._dashscope.protocol.request import PreparedRequest
from langchain_dashscope_deepseek._dashscope.reporting import log_request
from langchain_dashscope_deepseek._dashscope.transport.connections import Connection, ConnectionKey
from langchain_dashscope_deepseek._dashscope.transport.endpoint import Endpoint
from langchain_dashscope_deepseek._dashscope.transport.http_errors import translating_errors
from langchain_dashscope_deepseek._dashscope.transport.retry import Attempts
from langchain_dashscope_deepseek.errors import DashScopeInvalidRequestError

logger = logging.getLogger(__name__)

Acquire = Callable[[float | None, ConnectionKey], AbstractContextManager[Connection[httpx.Client]]]
"""Acquires a connection; the first argument is the longest wait in seconds, `None` for no limit."""

AsyncAcquire = Callable[
    [float | None, ConnectionKey], AbstractAsyncContextManager[Connection[httpx.AsyncClient]]
]

_LONGEST_DRAIN = 1.0
"""Seconds to read on after an answer: usage may follow, and the end of the body leaves a reusable
connection. Some proxies never end it. A user's own client reads on until the read timeout."""


def send(acquire: Acquire, request: PreparedRequest, attempt: Attempts) -> Generator[AnswerDelta]:
    """Send the request once, and yield the deltas as they arrive."""
    timeout = request.endpoint.timeout_of(attempt.until, streamed=request.streamed)
    endpoint = request.endpoint.with_key(timeout.pool, attempt.until)
    with (
        translating_errors(request, endpoint, attempt.until) as errors,
        acquire(timeout.pool, endpoint.connection_key) as connection,
    ):
        connection.deadline.until = attempt.until
        built = _build(connection, request, endpoint, timeout)
        response = connection.http.send(built, stream=True, follow_redirects=False)
        reader = errors.reader = _begin(response, connection, endpoint)
        for piece in _body(response):
            connection.deadline.check()
            yield from reader.feed(piece)
            if reader.is_complete:
                if reader.has_dropped_data:
                    break
                connection.deadline.bound_reads(_LONGEST_DRAIN)
        else:
            response.close()
            if response.is_error:  # `end` raises it; the connection can be used again
                connection.keep(reader.request_id)
            yield from reader.end()
            connection.keep(reader.request_id)


async def asend(
    acquire: AsyncAcquire, request: PreparedRequest, attempt: Attempts
) -> AsyncGenerator[AnswerDelta]:
    """Send the request once, and yield the deltas as they arrive."""
    timeout = request.endpoint.timeout_of(attempt.until, streamed=request.streamed)
    endpoint = await request.endpoint.awith_key(timeout.pool, attempt.until)
    with translating_errors(request, endpoint, attempt.until) as errors:
        async with acquire(timeout.pool, endpoint.connection_key) as connection:
            connection.deadline.until = attempt.until
            built = _build(connection, request, endpoint, timeout)
            response = await connection.http.send(built, stream=True, follow_redirects=False)
            reader = errors.reader = _begin(response, connection, endpoint)
            async for piece in _body(response):
                connection.deadline.check()
                for delta in reader.feed(piece):
                    yield delta
                if reader.is_complete:
                    if reader.has_dropped_data:
                        break
                    connection.deadline.bound_reads(_LONGEST_DRAIN)
            else:
                await response.aclose()
                if response.is_error:
                    connection.keep(reader.request_id)
                for delta in reader.end():
                    yield delta
                connection.keep(reader.request_id)


def _build(
    connection: Connection[Any],
    request: PreparedRequest,
    endpoint: Endpoint,
    timeout: httpx.Timeout,
) -> httpx.Request:
    log_request(request.body)
    return connection.build_request(
        "POST",
        endpoint.url(request.route),
        content=request.content(),
        headers=endpoint.all_headers(request.headers),
        extensions={"timeout": timeout.as_dict()},
    )


def _begin(
    response: httpx.Response, connection: Connection[Any], endpoint: Endpoint
) -> AnswerReader:
    """Check the head of a response, and return the reader of its body."""
    connection.response = response
    connection.deadline.sent_at = None
    # A library such as vcrpy may replay a response, without a connection.
    is_replayed = "network_stream" not in response.extensions
    reader = AnswerReader(
        response.status_code,
        response.headers,
        endpoint.max_answer_size,
        endpoint.redact,
        None if is_replayed else connection.last_request_id,
    )
    logger.debug("Response: HTTP %d, request_id %s", response.status_code, reader.header_id)
    if response.is_redirect:
        location = endpoint.redact(response.headers.get("location", ""))[:LONGEST_MESSAGE]
        where = f"to {location!r}" if location else "without a location"
        raise DashScopeInvalidRequestError(
            f"The server redirects {where}: set base_url",
            status_code=response.status_code,
            request_id=reader.header_id,
        )
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity") and not response.is_stream_consumed:
        reader.refuse_encoding(encoding)
    return reader


def _body(response: httpx.Response) -> Any:  # an iterator or an asynchronous iterator
    """Return the pieces of the body, which an event hook of the user's client may have read."""
    # Not iter_bytes, whose decoding takes 1 µs per piece although the body is not compressed.
    return httpx.ByteStream(response.content) if response.is_stream_consumed else response.stream
