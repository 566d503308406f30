"""The sockets of a connection: those of httpcore, with a deadline.

httpx bounds each read and each write alone, so it reads a server that sends a byte now and then for
ever. A stream here also closes without httpcore, whose locks an interrupt may leave held, and which
awaits: a task that is cancelled in between leaves the socket open.
"""

from __future__ import annotations

import socket
import time
from ssl import SSLContext
from typing import Any

import httpcore

from langchain_dashscope_deepseek._dashscope.transport import private
from langchain_dashscope_deepseek._dashscope.transport.retry import NO_DEADLINE

_PIECE = 64 * 1024
"""Bytes that are written before the deadline is checked again."""

Seconds = float | None
"""A timeout, or `None` for none."""


class Deadline:
    """How long the reads and writes of a connection may take."""

    def __init__(self) -> None:
        self.until = NO_DEADLINE  # of the request, by time.monotonic
        self.sent_at: float | None = None  # while the head of the response is awaited
        self.is_closed = False

    def bound_reads(self, seconds: float) -> None:
        """End all reads within so many seconds from now."""
        self.until = min(self.until, time.monotonic() + seconds)

    def to_read(self, seconds: Seconds) -> Seconds:
        """Return the timeout of the next read; the head of a response has one timeout in all."""
        return self.left(seconds, self.sent_at)

    def check(self) -> None:
        """Raise an error if no time is left."""
        if time.monotonic() >= self.until:
            raise httpcore.ReadTimeout

    def left(self, seconds: Seconds, since: float | None = None) -> Seconds:
        """Return what is left of a timeout, which began now or at a time by `time.monotonic`."""
        if self.is_closed:
            raise httpcore.ReadError("The model was closed")
        now = time.monotonic()
        until = self.until if seconds is None else min(self.until, (since or now) + seconds)
        if now >= until:
            raise httpcore.ReadTimeout
        return None if until == NO_DEADLINE else until - now


class Stream(httpcore.NetworkStream):
    """A socket with a deadline. TLS begins on the same object."""

    def __init__(self, inner: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._inner = inner
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: Seconds = None) -> bytes:
        return self._inner.read(max_bytes, self._deadline.to_read(timeout))

    def write(self, buffer: bytes, timeout: Seconds = None) -> None:
        for start in range(0, len(buffer), _PIECE):
            self._inner.write(buffer[start : start + _PIECE], self._deadline.left(timeout))
        self._deadline.sent_at = time.monotonic()

    def start_tls(
        self, ssl_context: SSLContext, server_hostname: str | None = None, timeout: Seconds = None
    ) -> Stream:
        seconds = self._deadline.left(timeout)
        self._inner = self._inner.start_tls(ssl_context, server_hostname, seconds)
        return self

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)

    def close(self) -> None:
        self._inner.close()

    def shut(self) -> None:
        """End a read in another thread, which closes the socket itself."""
        # Not SSLSocket.shutdown, which also ends TLS while the other thread uses it.
        socket.socket.shutdown(self._inner.get_extra_info("socket"), socket.SHUT_RDWR)


class AsyncStream(httpcore.AsyncNetworkStream):
    """A socket of an event loop with a deadline. TLS begins on the same object."""

    def __init__(self, inner: httpcore.AsyncNetworkStream, deadline: Deadline) -> None:
        self._inner = inner
        self._deadline = deadline

    async def read(self, max_bytes: int, timeout: Seconds = None) -> bytes:
        return await self._inner.read(max_bytes, self._deadline.to_read(timeout))

    async def write(self, buffer: bytes, timeout: Seconds = None) -> None:
        for start in range(0, len(buffer), _PIECE):
            await self._inner.write(buffer[start : start + _PIECE], self._deadline.left(timeout))
        self._deadline.sent_at = time.monotonic()

    async def start_tls(
        self, ssl_context: SSLContext, server_hostname: str | None = None, timeout: Seconds = None
    ) -> AsyncStream:
        seconds = self._deadline.left(timeout)
        self._inner = await self._inner.start_tls(ssl_context, server_hostname, seconds)
        return self

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable" and private.has_buffered(self._inner):
            return True  # asyncio has read it from the socket already, where httpcore looks
        return self._inner.get_extra_info(info)

    async def aclose(self) -> None:
        await self._inner.aclose()

    def close(self) -> None:
        """Close the socket at once; a task that is cancelled cannot await `aclose`."""
        private.abort(self._inner)

    shut = close


class Network(httpcore.SyncBackend):
    """Opens the socket of one connection."""

    def __init__(self) -> None:
        self.deadline = Deadline()
        self.stream: Stream | None = None

    def connect_tcp(
        self, host: str, port: int, timeout: Seconds = None, *args: Any, **kwargs: Any
    ) -> Stream:
        """Connect to the first address that answers; each has a share of the time."""
        seconds = self.deadline.left(timeout)
        began = time.monotonic()
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        for (*_, address), untried in zip(found, range(len(found), 0, -1), strict=True):
            share = seconds and max((began + seconds - time.monotonic()) / untried, 0.001)
            try:
                inner = super().connect_tcp(str(address[0]), port, share, *args, **kwargs)
                break
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if untried == 1:
                    raise
        self.stream = Stream(inner, self.deadline)
        return self.stream


class AsyncNetwork(httpcore.AnyIOBackend):
    """Opens the socket of one connection in asyncio."""

    def __init__(self) -> None:
        self.deadline = Deadline()
        self.stream: AsyncStream | None = None

    async def connect_tcp(
        self, host: str, port: int, timeout: Seconds = None, *args: Any, **kwargs: Any
    ) -> AsyncStream:
        seconds = self.deadline.left(timeout)
        inner = await super().connect_tcp(host, port, seconds, *args, **kwargs)
        self.stream = AsyncStream(inner, self.deadline)
        return self.stream
