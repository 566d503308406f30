"""The sockets of a connection: httpcore's own, bound to the deadline of a call.

httpx bounds each read and each write alone, so a server that sends a byte now and then is read for
as long as it likes. A stream here ends by its deadline. It is also closed without httpcore, whose
locks an interrupt may leave held, and which awaits where a cancelled task leaves a socket open.
"""

from __future__ import annotations

import socket
import ssl
import time
from typing import Any

import httpcore

from langchain_dashscope_deepseek._dashscope.transport import private
from langchain_dashscope_deepseek._dashscope.transport.retry import NO_DEADLINE

_PIECE = 64 * 1024
"""Bytes that are written before the deadline is looked at again."""


class Deadline:
    """How long the reads and writes of a connection may take.

    Attributes:
        until: When the call under way must be over, by `time.monotonic`.
        is_closed: Whether the connection was closed, for good.
    """

    def __init__(self) -> None:
        """Begin without a bound."""
        self.until = NO_DEADLINE
        self.is_closed = False
        self._head_until: float | None = NO_DEADLINE

    def await_head(self) -> None:
        """Bound the head of an answer as a whole, from the next read on."""
        self._head_until = None

    def end_head(self) -> None:
        """Bound each read alone: a body may take as long as it comes."""
        self._head_until = NO_DEADLINE

    def bound_reads(self, seconds: float) -> None:
        """End all reads within so many seconds from now."""
        self.until = min(self.until, time.monotonic() + seconds)

    def to_read(self, seconds: float | None) -> float | None:
        """Return how long the next read may wait, if each may wait so many seconds."""
        if self._head_until is None:
            self._head_until = NO_DEADLINE if seconds is None else time.monotonic() + seconds
        return self.left(seconds, self._head_until)

    def left(self, seconds: float | None, until: float = NO_DEADLINE) -> float | None:
        """Return how many of so many seconds are left before the deadline.

        Raises:
            httpcore.ReadTimeout: The deadline is over.
            httpcore.ReadError: The connection was closed.
        """
        if self.is_closed:
            raise httpcore.ReadError("The model was closed")
        until = min(until, self.until)
        if until == NO_DEADLINE:
            return seconds
        left = until - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout
        return left if seconds is None else min(left, seconds)


class Stream(httpcore.NetworkStream):
    """A socket of httpcore's with a deadline; becomes TLS in place."""

    def __init__(self, inner: httpcore.NetworkStream, deadline: Deadline) -> None:
        """Bind a socket to a deadline."""
        self._inner = inner
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read, until the deadline at most."""
        return self._inner.read(max_bytes, self._deadline.to_read(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write, until the deadline at most."""
        self._deadline.await_head()
        for start in range(0, len(buffer), _PIECE):
            self._inner.write(buffer[start : start + _PIECE], self._deadline.left(timeout))

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> Stream:
        """Begin TLS, until the deadline at most."""
        seconds = self._deadline.left(timeout)
        self._inner = self._inner.start_tls(ssl_context, server_hostname, seconds)
        return self

    def close(self) -> None:
        """Close the socket; only for the thread that uses it."""
        self._inner.close()

    def get_extra_info(self, info: str) -> Any:
        """Return what httpcore's stream returns."""
        return self._inner.get_extra_info(info)

    def shut(self) -> None:
        """End a read in another thread, which closes the socket itself."""
        # Without TLS's farewell, which is not for another thread to say.
        socket.socket.shutdown(self._inner.get_extra_info("socket"), socket.SHUT_RDWR)

    def has_unread(self) -> bool:
        """Tell whether the socket has something to read, or was closed by the server."""
        try:
            self._inner.read(1, timeout=0)
        except httpcore.ReadError as error:
            return not isinstance(error.__cause__, (BlockingIOError, ssl.SSLWantReadError))
        return True


class AsyncStream(httpcore.AsyncNetworkStream):
    """A socket of httpcore's in an event loop with a deadline; becomes TLS in place."""

    def __init__(self, inner: httpcore.AsyncNetworkStream, deadline: Deadline) -> None:
        """Bind a socket to a deadline."""
        self._inner = inner
        self._deadline = deadline

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read, until the deadline at most."""
        return await self._inner.read(max_bytes, self._deadline.to_read(timeout))

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write, until the deadline at most."""
        self._deadline.await_head()
        for start in range(0, len(buffer), _PIECE):
            await self._inner.write(buffer[start : start + _PIECE], self._deadline.left(timeout))

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> AsyncStream:
        """Begin TLS, until the deadline at most."""
        seconds = self._deadline.left(timeout)
        self._inner = await self._inner.start_tls(ssl_context, server_hostname, seconds)
        return self

    async def aclose(self) -> None:
        """Close the socket."""
        await self._inner.aclose()

    def get_extra_info(self, info: str) -> Any:
        """Return what httpcore's stream returns."""
        return self._inner.get_extra_info(info)

    def close(self) -> None:
        """Close the socket at once, without awaiting what a cancelled task would cut short."""
        private.abort(self._inner)

    shut = close

    def has_unread(self) -> bool:
        """Tell whether the socket has something to read, or was closed by the server."""
        is_readable = bool(self._inner.get_extra_info("is_readable"))
        return is_readable or private.has_buffered(self._inner)


class Network(httpcore.SyncBackend):
    """Opens the socket of a connection.

    Attributes:
        deadline: Bounds the socket.
        stream: The socket, once it is open.
    """

    def __init__(self) -> None:
        """Begin without a socket."""
        self.deadline = Deadline()
        self.stream: Stream | None = None

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, *args: Any, **kwargs: Any
    ) -> Stream:
        """Connect to the first address of a host that answers, each with a share of the time."""
        seconds = self.deadline.left(timeout)
        until = NO_DEADLINE if seconds is None else time.monotonic() + seconds
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        for others, (*_, address) in zip(reversed(range(len(found))), found, strict=True):
            share = None
            if seconds is not None:
                share = max((until - time.monotonic()) / (others + 1), 0.001)
            try:
                inner = super().connect_tcp(str(address[0]), port, share, *args, **kwargs)
                break
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if not others:
                    raise
        self.stream = Stream(inner, self.deadline)
        return self.stream


class AsyncNetwork(httpcore.AnyIOBackend):
    """Opens the socket of a connection in asyncio's loops.

    Attributes:
        deadline: Bounds the socket.
        stream: The socket, once it is open.
    """

    def __init__(self) -> None:
        """Begin without a socket."""
        self.deadline = Deadline()
        self.stream: AsyncStream | None = None

    async def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, *args: Any, **kwargs: Any
    ) -> AsyncStream:
        """Connect to the first address of a host that answers."""
        seconds = self.deadline.left(timeout)
        inner = await super().connect_tcp(host, port, seconds, *args, **kwargs)
        self.stream = AsyncStream(inner, self.deadline)
        return self.stream
