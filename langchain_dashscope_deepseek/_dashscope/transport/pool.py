"""The connections of a process and of each event loop: those in use, and those kept for later.

Models hold none, so copies and pickles need no care. Sends nothing.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import time
import weakref
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
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
    Tenant,
    aconnect,
    connect,
)
from langchain_dashscope_deepseek.errors import DashScopeInputError

MAX_CONNECTIONS = 1_000
"""Requests of a process, or of an event loop, at once; further ones wait. Streams hold their
connection for minutes: with httpx's 100, a busy server waits for itself."""

_NONE_FREE = "No connection became free"


class _Pool(Generic[AnyClient]):
    """The connections of a process or of a loop, each for one request at a time.

    A connection is used again by requests of the same tenant only, and only if its last answer
    ended cleanly and nothing came in behind it.

    No two requests share a client of httpx, for two reasons. The garbage collector may end a stream
    that was dropped in the middle of any other request, and waits for ever where that one holds the
    lock of a client that both use. And for each request httpcore asks the system about each idle
    connection of a client: with 50 of them, that takes 10 ms.

    Other threads, an interrupt, and a collector that ends streams may come in between any two steps
    here. So each step leaves all in order, and whoever takes a connection has it alone.
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
        """Take the connection that is idle the shortest, so that few requests keep few of them."""
        for connection in reversed([*self._idle]):
            if connection.tenant == tenant:
                with suppress(ValueError):  # another thread may be faster
                    self._idle.remove(connection)
                    if connection.is_reusable():
                        return connection
                    connection.close()
        return None

    def _give_back(self, connection: PooledConnection[AnyClient]) -> None:
        is_clean, connection.is_clean, connection.response = connection.is_clean, False, None
        if is_clean and not self._is_closed and connection.is_reusable():
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
        """Close the connections that an owner used last; without one all, and keep none any more.

        A request that is under way ends by an error.
        """
        self._is_closed = self._is_closed or owner is None
        for connection in [*self._idle]:
            if _is_of(connection, owner):
                with suppress(ValueError):
                    self._idle.remove(connection)
                    connection.close()
        for connection in [*self._in_use]:
            if _is_of(connection, owner):
                connection.shut()


def _is_of(connection: PooledConnection[AnyClient], owner: object) -> bool:
    return owner is None or (connection.owner is not None and connection.owner() is owner)


class ProcessPool(_Pool[httpx.Client]):
    """The connections of synchronous calls."""

    def __init__(self) -> None:
        """Begin with none."""
        super().__init__(connect)
        # Of all that can be waited for, the one that the collector may come to at any time.
        self._slots: SimpleQueue[None] = SimpleQueue()
        for _ in range(MAX_CONNECTIONS):
            self._slots.put(None)
        atexit.register(self.close)  # before Python complains of open sockets

    @contextmanager
    def acquire(
        self, seconds: float | None, tenant: Tenant, owner: object
    ) -> Iterator[Connection[httpx.Client]]:
        """Acquire a connection for one request.

        Raises:
            httpx.PoolTimeout: None was free for so many seconds.
        """
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

    The loop holds its pool, by a timer, and nothing else does: so neither keeps the other alive.
    """

    def __init__(self) -> None:
        """Begin with none, in the loop that runs."""
        super().__init__(aconnect)
        self._slots = anyio.Semaphore(MAX_CONNECTIONS)
        end = self._close_at_the_end()
        with suppress(StopIteration):  # runs to its yield, which needs no loop
            end.asend(None).send(None)
        self._tick(end)

    def _tick(self, end: AsyncGenerator[None]) -> None:
        self._sweep()
        asyncio.get_running_loop().call_later(KEEP_ALIVE, self._tick, end)

    async def _close_at_the_end(self) -> AsyncGenerator[None]:
        """Wait for the end of the loop.

        `asyncio.run` and its like end the asynchronous generators of a loop before they close it,
        which is the last moment at which its connections can be closed in order.
        """
        try:
            yield
        finally:
            self.close()
            await asyncio.sleep(0)  # in which the loop closes the sockets

    @asynccontextmanager
    async def acquire(
        self, seconds: float | None, tenant: Tenant, owner: object
    ) -> AsyncIterator[Connection[httpx.AsyncClient]]:
        """Acquire a connection for one request.

        Raises:
            httpx.PoolTimeout: None was free for so many seconds.
        """
        try:
            self._slots.acquire_nowait()
        except anyio.WouldBlock:
            await self._wait(seconds)
        try:
            with self._lease(tenant, owner) as connection:
                yield connection
        finally:
            self._slots.release()

    async def _wait(self, seconds: float | None) -> None:
        try:
            with anyio.fail_after(seconds):
                await self._slots.acquire()
        except TimeoutError:
            raise httpx.PoolTimeout(_NONE_FREE) from None


# --- Where connections come from ---

_OF_PROCESSES: dict[int, ProcessPool] = {}
_OF_LOOPS: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, weakref.ref[LoopPool]] = (
    weakref.WeakKeyDictionary()
)


def process_pool() -> ProcessPool:
    """Return the pool of this process; after a fork that of the parent is left alone."""
    pid = os.getpid()
    if pid not in _OF_PROCESSES:
        _OF_PROCESSES.setdefault(pid, ProcessPool())  # another thread may be faster
    return _OF_PROCESSES[pid]


def loop_pool() -> LoopPool:
    """Return the pool of the running event loop, as this process uses it."""
    loop = asyncio.get_running_loop()
    found = _OF_LOOPS.get(loop)
    pool = None if found is None else found()
    if pool is None or pool.pid != os.getpid():
        pool = LoopPool()
        _OF_LOOPS[loop] = weakref.ref(pool)
    return pool


@contextmanager
def borrow(client: httpx.Client) -> Iterator[Connection[httpx.Client]]:
    """Use a client of the user's for one request, beside others that use it."""
    connection = _borrowed(client)
    try:
        yield connection
    finally:
        if connection.response is not None:
            connection.response.close()


@asynccontextmanager
async def aborrow(client: httpx.AsyncClient) -> AsyncIterator[Connection[httpx.AsyncClient]]:
    """Use a client of the user's for one request, beside others that use it."""
    connection = _borrowed(client)
    try:
        yield connection
    finally:
        if connection.response is not None:
            await connection.response.aclose()


_USED_IN: weakref.WeakKeyDictionary[httpx.Client | httpx.AsyncClient, int] = (
    weakref.WeakKeyDictionary()
)
"""The process in which a client of the user's was first used."""


def _borrowed(client: AnyClient) -> Connection[AnyClient]:
    from langchain_dashscope_deepseek._dashscope.transport.streams import Deadline  # noqa: PLC0415

    if client.is_closed:
        msg = "The HTTP client of the model is closed: set an open one"
        raise DashScopeInputError(msg)
    if _USED_IN.setdefault(client, os.getpid()) != os.getpid():
        msg = (
            "The HTTP client of the model was used before this process was forked, and both would "
            "get each other's answers: make the model anew, with a client of this process"
        )
        raise DashScopeInputError(msg)
    return Connection(client, Deadline())
