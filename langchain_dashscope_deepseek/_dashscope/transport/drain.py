"""What comes behind a whole answer: read for a moment, and no more than a little.

The connection can be used again if that is the end; and usage may stand there. It follows at once,
unless a proxy holds the body open. Only a client of the user's, which cannot be told to wait no
longer, needs a thread for it.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, nullcontext, suppress
from queue import Empty, SimpleQueue

import anyio
import httpx

from langchain_dashscope_deepseek._dashscope.transport.connections import Connection

LONGEST_SECONDS = 1.0
"""Seconds to wait for the end of a body whose answer is whole."""

LONGEST_REST = 64 * 1024
"""Bytes behind a whole answer that are still looked at."""


def read_rest(pieces: Iterator[bytes], connection: Connection[httpx.Client]) -> tuple[bytes, bool]:
    """Read what comes behind a whole answer.

    Returns:
        What came, and whether that was all.
    """
    rest = b""
    with suppress(httpx.TransportError), _for_a_moment(pieces, connection) as soon:
        for piece in soon:
            rest += piece
            if len(rest) > LONGEST_REST:
                return rest[:LONGEST_REST], False
        return rest, True
    return rest, False


async def aread_rest(
    pieces: AsyncIterator[bytes], connection: Connection[httpx.AsyncClient]
) -> tuple[bytes, bool]:
    """Read what comes behind a whole answer."""
    rest = b""
    is_bounded = connection.end_within(LONGEST_SECONDS)
    # Not asyncio.wait_for: before Python 3.12 it may swallow a cancelling.
    soon = nullcontext() if is_bounded else anyio.move_on_after(LONGEST_SECONDS)
    with suppress(httpx.TransportError), soon:
        async for piece in pieces:
            rest += piece
            if len(rest) > LONGEST_REST:
                return rest[:LONGEST_REST], False
        return rest, True
    return rest, False


@contextmanager
def _for_a_moment(
    pieces: Iterator[bytes], connection: Connection[httpx.Client]
) -> Iterator[Iterator[bytes]]:
    response = connection.response
    if connection.end_within(LONGEST_SECONDS) or response is None:
        yield pieces
    elif response.http_version == "HTTP/2":
        yield _aside(pieces)  # its connection is others' as well
    else:
        with _shut_in_time(response):
            yield pieces


def _aside(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Read in a thread, and leave that to itself when the time is over."""
    came: SimpleQueue[bytes | None] = SimpleQueue()

    def read() -> None:
        with suppress(Exception):
            for piece in pieces:
                came.put(piece)
            came.put(None)

    until = time.monotonic() + LONGEST_SECONDS
    with suppress(RuntimeError):  # no thread to be had is no reason to lose an answer
        threading.Thread(target=read, daemon=True).start()
        with suppress(Empty):
            while (piece := came.get(timeout=max(until - time.monotonic(), 0))) is not None:
                yield piece
            return
    msg = "The end of the answer did not come"
    raise httpx.ReadTimeout(msg)


@contextmanager
def _shut_in_time(response: httpx.Response) -> Iterator[None]:
    """End a read of a response from outside: one that has begun keeps its long timeout."""
    stream = response.extensions.get("network_stream")
    sock = None if stream is None else stream.get_extra_info("socket")
    if sock is None:
        yield
        return

    def shut() -> None:
        with suppress(OSError):
            socket.socket.shutdown(sock, socket.SHUT_RDWR)  # without TLS's farewell

    timer = threading.Timer(LONGEST_SECONDS, shut)
    timer.daemon = True
    with suppress(RuntimeError):  # no thread to be had is no reason to lose an answer
        timer.start()
    try:
        yield
    finally:
        timer.cancel()
