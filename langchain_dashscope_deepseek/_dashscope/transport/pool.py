"""The connection pools: one for the process and one for each event loop.

Models hold no connections, so they can be copied and pickled.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import time
import weakref
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, MutableMapping
from contextlib import asynccontextmanager, contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import Generic

import anyio
import httpx

from langchain_dashscope_deepseek._dashscope.transport.connections import (
    AnyClient,
    Connection,
    ConnectionKey,
    PooledConnection,
    new_async_connection,
    new_connection,
)

MAX_CONNECTIONS = 1_000
"""Concurrent requests of a process, or of an event loop; further ones wait. Streams hold their
connection for minutes, so the default of httpx (100) would block a busy server."""

SWEEP_INTERVAL = 5.0
"""Seconds after which the pool of an event loop looks again for expired connections."""

_NONE_FREE = "No connection became free"


class _Pool(Generic[AnyClient]):
    """The connections of a process or of an event loop, each for one request at a time."""

    # Each connection has its own httpx client: the garbage collector may close an abandoned stream
    # in the middle of another request, and would wait forever for the lock of a shared client; and
    # httpcore polls each idle connection of a client for each request, 10 ms for 50 connections.
    # Other threads, an interrupt and the garbage collector may run between any two statements here:
    # the pool is consistent after each of them, and one atomic operation takes a connection.

    def __init__(self, new: Callable[[ConnectionKey], PooledConnection[AnyClient]]) -> None:
        self._new_connection = new
        self._idle: deque[PooledConnection[AnyClient]] = deque()
        self._in_use: set[PooledConnection[AnyClient]] = set()
        self._is_closed = False
        self.pid = os.getpid()

    @contextmanager
    def _lease(self, key: ConnectionKey, sender: object) -> Iterator[PooledConnection[AnyClient]]:
        connection = self._take(key) or self._new_connection(key)
        try:
            self._in_use.add(connection)
            connection.last_sender = weakref.ref(sender)
            yield connection
        finally:
            self._in_use.discard(connection)
            self._release(connection)
            self._close_idle(PooledConnection.is_expired)

    def _take(self, key: ConnectionKey) -> PooledConnection[AnyClient] | None:
        """Take the connection that became idle last, so that unused ones expire."""
        for connection in reversed([*self._idle]):
            if connection.key == key:
                with suppress(ValueError):  # another thread has taken it
                    self._idle.remove(connection)
                    if connection.is_reusable():
                        return connection
                    connection.close()
        return None

    def _release(self, connection: PooledConnection[AnyClient]) -> None:
        if connection.is_clean and not self._is_closed and connection.is_reusable():
            connection.is_clean = False
            connection.idle_since = time.monotonic()
            self._idle.append(connection)
        else:
            connection.close()

    def _close_idle(self, is_meant: Callable[[PooledConnection[AnyClient]], bool]) -> None:
        for connection in filter(is_meant, [*self._idle]):
            with suppress(ValueError):  # another thread has taken it
                self._idle.remove(connection)
                connection.close()

    def close(self, sender: object = None) -> None:
        """Close all connections, or those of `sender` (a model); the requests on them fail."""

        def is_meant(connection: PooledConnection[AnyClient]) -> bool:
            return sender is None or connection.last_sender() is sender

        self._is_closed = self._is_closed or sender is None
        self._close_idle(is_meant)
        for connection in filter(is_meant, [*self._in_use]):
            connection.close(in_use=True)


class ProcessPool(_Pool[httpx.Client]):
    """The connections of synchronous calls."""

    def __init__(self) -> None:
        super().__init__(new_connection)
        # Not a semaphore: the garbage collector may release a slot while its lock is held.
        self._slots: SimpleQueue[None] = SimpleQueue()
        for _ in range(MAX_CONNECTIONS):
            self._slots.put(None)
        atexit.register(self.close)  # before Python warns of unclosed sockets

    @contextmanager
    def acquire(
        self, seconds: float | None, key: ConnectionKey, sender: object
    ) -> Iterator[Connection[httpx.Client]]:
        """Acquire a connection for one request; wait up to `seconds` for a free slot."""
        try:
            self._slots.get(timeout=seconds)
        except Empty:
            raise httpx.PoolTimeout(_NONE_FREE) from None
        try:
            with self._lease(key, sender) as connection:
                yield connection
        finally:
            self._slots.put(None)


class LoopPool(_Pool[httpx.AsyncClient]):
    """The connections of an event loop.

    Only a timer of the loop refers to the pool, so the pool is freed with its loop.
    """

    def __init__(self) -> None:
        super().__init__(new_async_connection)
        self._slots = anyio.Semaphore(MAX_CONNECTIONS, fast_acquire=True)
        closing = self._close_with_the_loop()
        with suppress(StopIteration):  # it runs up to its yield without awaiting
            closing.asend(None).send(None)
        self._tick(closing)

    def _tick(self, closing: AsyncGenerator[None]) -> None:
        self._close_idle(PooledConnection.is_expired)
        asyncio.get_running_loop().call_later(SWEEP_INTERVAL, self._tick, closing)

    async def _close_with_the_loop(self) -> AsyncGenerator[None]:
        # asyncio.run closes the asynchronous generators of a loop before it closes the loop.
        try:
            yield
        finally:
            self.close()
            await asyncio.sleep(0)  # lets the loop close the sockets

    @asynccontextmanager
    async def acquire(
        self, seconds: float | None, key: ConnectionKey, sender: object
    ) -> AsyncIterator[Connection[httpx.AsyncClient]]:
        """Acquire a connection for one request; wait up to `seconds` for a free slot."""
        try:
            with anyio.fail_after(seconds):
                await self._slots.acquire()
        except TimeoutError:
            raise httpx.PoolTimeout(_NONE_FREE) from None
        try:
            with self._lease(key, sender) as connection:
                yield connection
        finally:
            self._slots.release()


_PROCESS_POOLS: dict[int, ProcessPool] = {}
_LOOP_POOLS: MutableMapping[object, weakref.ref[LoopPool]] = weakref.WeakKeyDictionary()


def process_pool() -> ProcessPool:
    """Return the pool of this process; a forked process gets its own."""
    pid = os.getpid()
    if pid not in _PROCESS_POOLS:
        _PROCESS_POOLS.setdefault(pid, ProcessPool())  # another thread may have set it
    return _PROCESS_POOLS[pid]


def loop_pool() -> LoopPool:
    """Return the pool of the running event loop; a forked process gets its own."""
    loop = asyncio.get_running_loop()
    pool = _LOOP_POOLS.get(loop, lambda: None)()
    if pool is None or pool.pid != os.getpid():
        pool = LoopPool()
        _LOOP_POOLS[loop] = weakref.ref(pool)
    return pool
