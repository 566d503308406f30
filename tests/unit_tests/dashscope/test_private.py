"""The private names of other libraries that are used, and what holds where they are not there."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import nullcontext
from typing import Any

import httpcore
import httpx
import pytest

from langchain_dashscope_deepseek._dashscope.transport import private

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"


def test_httpx_keeps_its_pool_where_the_transports_put_theirs() -> None:
    assert isinstance(httpx.HTTPTransport()._pool, httpcore.ConnectionPool)
    assert isinstance(httpx.AsyncHTTPTransport()._pool, httpcore.AsyncConnectionPool)


def test_httpcore_locks_its_pool_by_what_is_taken_out() -> None:
    pool = httpcore.ConnectionPool()
    assert not isinstance(pool._optional_thread_lock, nullcontext)
    private.remove_lock(pool)
    with pool._optional_thread_lock:
        pool.close()


@pytest.mark.parametrize(
    ("proxy", "url"),
    [
        (None, "http://service.test/"),
        (httpcore.Proxy("http://proxy.test/"), "http://service.test/"),
    ],
    ids=["directly", "by a proxy"],
)
@pytest.mark.parametrize("behind", [b"", b"HTTP/1.1", ANSWER])
def test_what_h11_holds_behind_an_answer_is_seen(
    behind: bytes, proxy: httpcore.Proxy | None, url: str
) -> None:
    backend = httpcore.MockBackend([ANSWER + behind])
    with httpcore.ConnectionPool(network_backend=backend, proxy=proxy) as pool:
        assert pool.request("GET", url).content == b"hi"
        assert private.has_trailing_data(pool) == bool(behind)


def test_a_connection_of_another_build_counts_as_one_that_holds_something() -> None:
    assert private.has_trailing_data(object())
    assert private.has_unread_bytes(object())


async def connected() -> Any:
    """Connect to a server that has sent something."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        stream = await httpcore.AnyIOBackend().connect_tcp(*server.getsockname())
        peer, _ = server.accept()
        with peer:
            peer.sendall(b"hello")
    return stream


@pytest.fixture
async def stream() -> AsyncIterator[Any]:
    stream = await connected()
    yield stream
    await stream.aclose()


async def test_what_asyncio_has_received_is_seen(stream: Any) -> None:
    assert await stream.read(1) == b"h"
    assert private.has_unread_bytes(stream)
    assert await stream.read(100) == b"ello"
    assert not private.has_unread_bytes(stream)


async def test_a_socket_is_closed_without_awaiting_anything(stream: Any) -> None:
    raw = stream.get_extra_info("socket")
    private.abort(stream)
    await asyncio.sleep(0)
    assert raw.fileno() == -1


def test_a_socket_of_a_closed_loop_is_closed() -> None:
    stream: Any = asyncio.run(connected())
    raw = stream.get_extra_info("socket")
    private.abort(stream)
    assert raw.fileno() == -1
