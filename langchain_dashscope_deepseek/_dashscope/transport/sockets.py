"""The sockets of a connection: those of httpcore, with a deadline.

httpx has a timeout for each read and write but none for a whole response, so a server that sends a
byte now and then is read forever. A stream here can also be closed without httpcore, whose locks
may stay held after an interrupt, and whose `aclose` leaves the socket open if it is cancelled.
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
"""Bytes to write between two checks of the deadline."""

Seconds = float | None
"""A timeout; `None` for no timeout."""


class Deadline:
    """The time limit of a connection's reads and writes, and whether the connection was closed."""

    def __init__(self) -> None:
        self.until = NO_DEADLINE  # of the request, by time.monotonic
        self.sent_at: float | None = None  # while the head of the response is awaited
        self.connection_is_closed = False

    def bound_reads(self, seconds: float) -> None:
        """End all reads within `seconds` from now."""
        self.until = min(self.until, time.monotonic() + seconds)

    def read_timeout(self, seconds: Seconds) -> Seconds:
        """Return the timeout of the next read; all reads of a response's head share one timeout."""
        return self.remaining(seconds, self.sent_at)

    def check(self) -> None:
        """Raise an error if no time is left."""
        if time.monotonic() >= self.until:
            raise httpcore.ReadTimeout

    def remaining(self, seconds: Seconds, since: float | None = None) -> Seconds:
        """Return the seconds left until the deadline and the timeout from `since`; or raise."""
        if self.connection_is_closed:
            raise httpcore.ReadError("The model was closed")
        now = time.monotonic()
        until = self.until if seconds is None else min(self.until, (since or now) + seconds)
        if now >= until:
            raise httpcore.ReadTimeout
        return None if until == NO_DEADLINE else until - now


class Socket(Deadline, httpcore.SyncBackend, httpcore.NetworkStream):
    """The socket of one connection, with a deadline: for httpcore both the backend and the stream.

    `connect_tcp` and `start_tls` return the same object.
    """

    _inner: httpcore.NetworkStream  # set by `connect_tcp`

    def connect_tcp(
        self, host: str, port: int, timeout: Seconds = None, *args: Any, **kwargs: Any
    ) -> Socket:
        """Connect to the first address that answers; each gets an equal share of the time left."""
        seconds = self.remaining(timeout)
        began = time.monotonic()
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        for (*_, address), untried in zip(found, range(len(found), 0, -1), strict=True):
            share = seconds and max((began + seconds - time.monotonic()) / untried, 0.001)
            try:
                self._inner = super().connect_tcp(str(address[0]), port, share, *args, **kwargs)
                break
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if untried == 1:
                    raise
        return self

    def read(self, max_bytes: int, timeout: Seconds = None) -> bytes:
        return self._inner.read(max_bytes, self.read_timeout(timeout))

    def write(self, buffer: bytes, timeout: Seconds = None) -> None:
        for at in range(0, len(buffer), _PIECE):
            self._inner.write(buffer[at : at + _PIECE], self.remaining(timeout))
        self.sent_at = time.monotonic()

    def start_tls(
        self, ssl_context: SSLContext, server_hostname: str | None = None, timeout: Seconds = None
    ) -> Socket:
        seconds = self.remaining(timeout)
        self._inner = self._inner.start_tls(ssl_context, server_hostname, seconds)
        return self

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)

    def close(self) -> None:
        self._inner.close()

    def shutdown(self) -> None:
        """End the read of another thread, which then closes the socket."""
        # Not SSLSocket.shutdown, which also ends TLS while the other thread uses it.
        socket.socket.shutdown(self._inner.get_extra_info("socket"), socket.SHUT_RDWR)


class AsyncSocket(Deadline, httpcore.AnyIOBackend, httpcore.AsyncNetworkStream):
    """The socket of one connection in asyncio, like `Socket`."""

    _inner: httpcore.AsyncNetworkStream  # set by `connect_tcp`

    async def connect_tcp(
        self, host: str, port: int, timeout: Seconds = None, *args: Any, **kwargs: Any
    ) -> AsyncSocket:
        seconds = self.remaining(timeout)
        self._inner = await super().connect_tcp(host, port, seconds, *args, **kwargs)
        return self

    async def read(self, max_bytes: int, timeout: Seconds = None) -> bytes:
        return await self._inner.read(max_bytes, self.read_timeout(timeout))

    async def write(self, buffer: bytes, timeout: Seconds = None) -> None:
        for at in range(0, len(buffer), _PIECE):
            await self._inner.write(buffer[at : at + _PIECE], self.remaining(timeout))
        self.sent_at = time.monotonic()

    async def start_tls(
        self, ssl_context: SSLContext, server_hostname: str | None = None, timeout: Seconds = None
    ) -> AsyncSocket:
        seconds = self.remaining(timeout)
        self._inner = await self._inner.start_tls(ssl_context, server_hostname, seconds)
        return self

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable" and private.has_unread_bytes(self._inner):
            return True  # httpcore looks at the socket, from which asyncio has read already
        return self._inner.get_extra_info(info)

    async def aclose(self) -> None:
        await self._inner.aclose()

    def close(self) -> None:
        """Close the socket at once; a task that is cancelled cannot await `aclose`."""
        private.abort(self._inner)

    shutdown = close
