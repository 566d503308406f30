"""The network under a client of ours: no call waits longer, or reads more of a head, than it may.

httpx bounds each read by itself, so a server that sends a byte now and then, or one interim answer
after another, is read for as long as it likes. Here each read and write knows until when the whole
may take. A line also knows its streams, and hangs up without asking httpcore, whose locks an
interrupt may have left held, and which awaits some where a cancelling leaves a socket open.

Wraps the streams of httpcore; opens none by itself.
"""

from __future__ import annotations

import math
import socket
import ssl
import time
from contextlib import nullcontext, suppress
from typing import Any

import httpcore

from langchain_dashscope_deepseek.errors import DashScopeServerError

LONGEST_HEAD = 256 * 1024
"""Bytes of all the heads before an answer, interim ones included; those bound their number."""

_PIECE = 64 * 1024


class Line:
    """What the streams of one client have in common; it has one connection at a time.

    Attributes:
        until: When the call that is under way must be over, by `time.monotonic`.
        is_shut: Whether it is closed, for good.
    """

    def __init__(self) -> None:
        """Begin without a connection and without a bound."""
        self.until = math.inf
        self._head_until: float | None = None
        self._head_left: int | None = None
        self.streams: list[Stream | AsyncStream] = []
        self.is_shut = False

    def head_is_over(self) -> None:
        """Say that the head of an answer has come; its body may take as long as it comes."""
        self._head_left = None

    def await_head(self) -> None:
        """Say that something is asked, to which the head of an answer is to come."""
        self._head_until, self._head_left = None, LONGEST_HEAD

    def to_read(self, seconds: float | None) -> float | None:
        """Tell how long the next read may wait, if it may wait so many seconds by itself.

        Raises:
            DashScopeServerError: There was enough of a head, and no end of it.
            httpcore.ReadTimeout: The time is over.
        """
        if self._head_left is None:
            return self.left(seconds)
        if self._head_left <= 0:
            msg = "The server, or a proxy before it, sends interim answers without end"
            raise DashScopeServerError(msg)
        if self._head_until is None:
            self._head_until = math.inf if seconds is None else time.monotonic() + seconds
        return self.left(seconds, self._head_until)

    def count(self, data: bytes) -> None:
        """Count what was read of a head."""
        if self._head_left is not None:
            self._head_left -= len(data)

    def left(self, seconds: float | None, until: float = math.inf) -> float | None:
        """Tell how much is left of so many seconds, if the call is over at its time or before.

        Raises:
            httpcore.ReadTimeout: The time is over.
            httpcore.ReadError: The model was closed.
        """
        if self.is_shut:
            msg = "The model was closed"
            raise httpcore.ReadError(msg)
        until = min(until, self.until)
        if until == math.inf:
            return seconds
        left = until - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout
        return left if seconds is None else min(left, seconds)

    def shut(self) -> None:
        """End whatever waits on it, from any thread; who waits hangs up."""
        self.is_shut = True
        for stream in list(self.streams):
            with suppress(OSError, AttributeError, RuntimeError):
                stream.shut()

    def hang_up(self) -> None:
        """Close the connection at once. For who has the line alone."""
        self.is_shut = True
        while self.streams:
            stream = self.streams.pop()
            with suppress(OSError, AttributeError, RuntimeError):  # the loop may be closed
                stream.hang_up()


class Stream(httpcore.NetworkStream):
    """A stream of httpcore's, on a line."""

    def __init__(self, inner: httpcore.NetworkStream, line: Line) -> None:
        """Put it on the line."""
        self.inner = inner
        self._line = line
        line.streams.append(self)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read, for as long as the line may."""
        data = self.inner.read(max_bytes, self._line.to_read(timeout))
        self._line.count(data)
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write, for as long as the line may."""
        self._line.await_head()
        for start in range(0, len(buffer), _PIECE):
            self.inner.write(buffer[start : start + _PIECE], self._line.left(timeout))

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> Stream:
        """Begin TLS, for as long as the line may."""
        seconds = self._line.left(timeout)
        return Stream(self.inner.start_tls(ssl_context, server_hostname, seconds), self._line)

    def close(self) -> None:
        """Close."""
        self.inner.close()

    def get_extra_info(self, info: str) -> Any:
        """Tell what httpcore's stream tells."""
        return self.inner.get_extra_info(info)

    def shut(self) -> None:
        """End a read in another thread."""
        # Without TLS's farewell, which is not for another thread to say.
        socket.socket.shutdown(self.inner.get_extra_info("socket"), socket.SHUT_RDWR)

    hang_up = close


class AsyncStream(httpcore.AsyncNetworkStream):
    """A stream of httpcore's in an event loop, on a line."""

    def __init__(self, inner: httpcore.AsyncNetworkStream, line: Line) -> None:
        """Put it on the line."""
        self.inner = inner
        self._line = line
        line.streams.append(self)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read, for as long as the line may."""
        data = await self.inner.read(max_bytes, self._line.to_read(timeout))
        self._line.count(data)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write, for as long as the line may."""
        self._line.await_head()
        for start in range(0, len(buffer), _PIECE):
            await self.inner.write(buffer[start : start + _PIECE], self._line.left(timeout))

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> AsyncStream:
        """Begin TLS, for as long as the line may."""
        seconds = self._line.left(timeout)
        inner = await self.inner.start_tls(ssl_context, server_hostname, seconds)
        return AsyncStream(inner, self._line)

    async def aclose(self) -> None:
        """Close."""
        await self.inner.aclose()

    def get_extra_info(self, info: str) -> Any:
        """Tell what httpcore's stream tells."""
        return self.inner.get_extra_info(info)

    def hang_up(self) -> None:
        """Close at once, without awaiting anything, which a cancelling could cut short."""
        stream: Any = self.inner
        stream = stream._stream  # noqa: SLF001
        while hasattr(stream, "transport_stream"):
            stream = stream.transport_stream
        transport = stream._transport  # noqa: SLF001
        try:
            transport.abort()
        except RuntimeError:  # the loop is closed, and will not come to it
            transport._call_connection_lost(None)  # noqa: SLF001

    shut = hang_up


class _Backend(httpcore.SyncBackend):
    """Opens connections on a line."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, *args: Any, **kwargs: Any
    ) -> Stream:
        seconds = self._line.left(timeout)
        inner = super().connect_tcp(host, port, seconds, *args, **kwargs)
        return Stream(inner, self._line)


class _AsyncBackend(httpcore.AnyIOBackend):
    """Opens connections on a line, in asyncio's loops."""

    def __init__(self, line: Line) -> None:
        self._line = line

    async def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, *args: Any, **kwargs: Any
    ) -> AsyncStream:
        seconds = self._line.left(timeout)
        inner = await super().connect_tcp(host, port, seconds, *args, **kwargs)
        return AsyncStream(inner, self._line)


def put_on_a_line(client: Any, *, in_loop: bool) -> Line:
    """Put a new client of httpx on a line: all its connections are opened on it.

    httpx has no setting for that. Where it is not built as expected, nothing is bounded, and the
    tests say so.
    """
    line = Line()
    backend = _AsyncBackend(line) if in_loop else _Backend(line)
    with suppress(AttributeError):
        for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001
            if transport is not None:
                transport._pool._network_backend = backend  # noqa: SLF001
                if not in_loop:
                    # A client serves one call at a time, and closed by its line.
                    transport._pool._optional_thread_lock = nullcontext()  # noqa: SLF001
    return line
