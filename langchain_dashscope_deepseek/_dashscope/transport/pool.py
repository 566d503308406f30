"""The connections of a process and of each event loop: those in use, and those kept for later.

Models hold no connections, so copies and pickles of models need no care. Sends nothing.
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
    KEEP_ALIVE,
    AnyClient,
    Connection,
    PooledConnection,
    aconnect,
    connect,
)
from langchain_dashscope_deepseek._dashscope.transport.endpoint import Tenant

MAX_CONNECTIONS = 1_000
"""Requests of a process, or of an event loop, at once; further ones wait. Streams hold their
connection for minutes, so the 100 of httpx would make a busy server wait for itself."""

_NONE_FREE = "No connection became free"


class _Pool(Generic[AnyClient]):
    """The connections of a process or of an event loop, each for one request at a time.

    A connection is used again only by requests of the same tenant, and only if its last response
    ended cleanly and nothing came in behind it.

    Each connection has an httpx client of its own, for two reasons. The garbage collector may close
    an abandoned stream in the middle of any other request, and would wait for ever for the lock of
    a client that both use. And for each request httpcore asks the system about each idle connection
    of a client, which takes 10 ms for 50 of them.

    Other threads, an interrupt, and the garbage collector may run between any two steps here. So
    each step leaves all in order, and one atomic operation takes a connection.
    """

    def __init__(self, connect: Callable[[Tenant], PooledConnection[AnyClient]]) -> None:
        self._connect = connect
        self._idle: deque[PooledConnection[AnyClient]] = deque()  # the oldest first
        self._in_use: set[PooledConnection[AnyClient]] = set()
        self._is_closed = False
        self.pid = os.getpid()

    @contextmanager
    def _lease(self, tenant: Tenant, owner: object) -> Iterator[PooledConnection[AnyClient]]:
        connection = self._take(tenant) or self._connect(tenant)
        try:
            self._in_use.add(connection)
            connection.owner = weakref.ref(owner)
            yield connection
        finally:
            self._in_use.discard(connection)
            self._give_back(connection)
            self._sweep()

    def _take(self, tenant: Tenant) -> PooledConnection[AnyClient] | None:
        """Take the connection that became idle last, so that few requests keep few of them."""
        for connection in reversed([*self._idle]):
            if connection.tenant == tenant:
                with suppress(ValueError):  # another thread may be faster
                    self._idle.remove(connection)
                    if connection.is_reusable():
                        return connection
                    connection.close()
        return None

    def _give_back(self, connection: PooledConnection[AnyClient]) -> None:
        if connection.is_clean and not self._is_closed and connection.is_reusable():
            connection.is_clean = False
            connection.idle_since = time.monotonic()
            self._idle.append(connection)
        else:
            connection.close()

    def _sweep(self) -> None:
        """Close the connections that are idle for too long."""
        oldest = time.monotonic() - KEEP_ALIVE
        with suppress(IndexError):  # none is left, or another thread is faster
            while self._idle[0].idle_since < oldest:
                self._idle.popleft().close()

    def close(self, owner: object = None) -> None:
        """Close the connections that an owner used last; without an owner all, for good.

        A request that is under way ends by an error.
        """
        self._is_closed = self._is_closed or owner is None
        for connection in [*self._idle]:
            if owner is None or connection.owner() is owner:
                with suppress(ValueError):
                    self._idle.remove(connection)
                    connection.close()
        for connection in [*self._in_use]:
            if owner is None or connection.owner() is owner:
                connection.close(in_use=True)


class ProcessPool(_Pool[httpx.Client]):
    """The connections of synchronous calls."""

    def __init__(self) -> None:
        super().__init__(connect)
        # The garbage collector may come between any two steps of a semaphore, and release it there.
        self._slots: SimpleQueue[None] = SimpleQueue()
        for _ in range(MAX_CONNECTIONS):
            self._slots.put(None)
        atexit.register(self.close)  # before Python complains of open sockets

    @contextmanager
    def acquire(
        self, seconds: float | None, tenant: Tenant, owner: object
    ) -> Iterator[Connection[httpx.Client]]:
        """Acquire a connection for one request; wait so many seconds for it."""
        try:
            self._slots.get(timeout=seconds)
        except Empty:
            raise httpx.PoolTimeout(_NONE_FREE) from None
        try:
            with self._lease(tenant, owner) as connection:
                yield connection
        finally:
            self._slots.put(None)


class LoopPool(_Pool[httpx.AsyncClient]):
    """The connections of an event loop.

    Only a timer of the loop holds the pool, so neither keeps the other alive.
    """

    def __init__(self) -> None:
        super().__init__(aconnect)
        self._slots = anyio.Semaphore(MAX_CONNECTIONS, fast_acquire=True)
        closing = self._close_with_the_loop()
        with suppress(StopIteration):  # runs to its yield, and awaits nothing before
            closing.asend(None).send(None)
        self._tick(closing)

    def _tick(self, closing: AsyncGenerator[None]) -> None:
        self._sweep()
        asyncio.get_running_loop().call_later(KEEP_ALIVE, self._tick, closing)

    async def _close_with_the_loop(self) -> AsyncGenerator[None]:
        # asyncio.run and its like close the asynchronous generators of a loop before the loop.
        try:
            yield
        finally:
            self.close()
            await asyncio.sleep(0)  # the loop closes the sockets meanwhile

    @asynccontextmanager
    async def acquire(
        self, seconds: float | None, tenant: Tenant, owner: object
    ) -> AsyncIterator[Connection[httpx.AsyncClient]]:
        """Acquire a connection for one request; wait so many seconds for it."""
        try:
            with anyio.fail_after(seconds):
                await self._slots.acquire()
        except TimeoutError:
            raise httpx.PoolTimeout(_NONE_FREE) from None
        try:
            with self._lease(tenant, owner) as connection:
                yield connection
        finally:
            self._slots.release()


_OF_PROCESSES: dict[int, ProcessPool] = {}
_OF_LOOPS: MutableMapping[object, weakref.ref[LoopPool]] = weakref.WeakKeyDictionary()


def process_pool() -> ProcessPool:
    """Return the pool of this process; a fork leaves that of its parent alone."""
    pid = os.getpid()
    if pid not in _OF_PROCESSES:
        _OF_PROCESSES.setdefault(pid, ProcessPool())  # another thread may be faster
    return _OF_PROCESSES[pid]


def loop_pool() -> LoopPool:
    """Return the pool of the running event loop; a fork leaves that of its parent alone."""
    loop = asyncio.get_running_loop()
    pool = _OF_LOOPS.get(loop, lambda: None)()
    if pool is None or pool.pid != os.getpid():
        pool = LoopPool()
        _OF_LOOPS[loop] = weakref.ref(pool)
    return pool
