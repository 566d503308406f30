"""The httpx clients of a model: one for each process, and for each event loop in it.

Opens and closes connections, and sends nothing.
"""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractContextManager, AsyncExitStack, contextmanager, suppress
from typing import TypeVar

import httpx

from langchain_dashscope_deepseek.errors import DashScopeInputError

AnyClient = TypeVar("AnyClient", httpx.Client, httpx.AsyncClient)
Made = TypeVar("Made")

LIMITS = httpx.Limits(max_connections=1000, max_keepalive_connections=100)
"""Streams hold their connection for minutes: with httpx's 100, a busy server waits for itself."""

GROUP_SIZE = 16
GROUPS = 64
"""Requests of an event loop go out in groups, each through a client of its own. For each request
httpcore looks at every pair of a client's connections: with 50 of them, that takes 10 ms."""

GROUP_LIMITS = httpx.Limits(max_connections=GROUP_SIZE, max_keepalive_connections=GROUP_SIZE)


class ClientPool:
    """The httpx clients of one model: made on first use, one per process and event loop.

    A connection belongs to the process and to the loop that opened it: what a child process finds
    of its parent's stays untouched. Needs no lock, which a fork could copy while it is held. A
    pickle or a deep copy of the pool starts empty.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._sync: dict[int, httpx.Client] = {}
        self._async: dict[tuple[int, asyncio.AbstractEventLoop], _OfLoop] = {}
        self._handed_in_to: int | None = None
        # Not __del__: in a cycle, as agents are, the garbage collector may come to a socket before
        # it comes to this pool. What `finalize` holds, it comes to last.
        weakref.finalize(self, _close_sync, self._sync)

    def handed_in(self, client: AnyClient) -> AnyClient:
        """Give a client of the user's, unless it was used before a fork.

        Raises:
            DashScopeInputError: Two processes on one connection would get each other's answers.
        """
        self._handed_in_to = self._handed_in_to or os.getpid()
        if self._handed_in_to != os.getpid():
            msg = (
                "The HTTP client that was handed in was used before this process was forked off: "
                "make the model anew, with a client of this process"
            )
            raise DashScopeInputError(msg)
        return client

    def sync(self) -> httpx.Client:
        """Give the client for synchronous calls."""
        pid = os.getpid()
        if pid not in self._sync:
            made = _made(lambda: httpx.Client(limits=LIMITS))
            if self._sync.setdefault(pid, made) is not made:
                made.close()  # another thread was faster
        return self._sync[pid]

    def of_running_loop(self) -> AbstractContextManager[httpx.AsyncClient]:
        """Lend a client of the event loop that is running, for one request."""
        key = (os.getpid(), asyncio.get_running_loop())
        if key not in self._async:
            # A client keeps its loop alive, so no weak reference would ever let go of either.
            for other in [other for other in list(self._async) if other[1].is_closed()]:
                self._async.pop(other, None)
            self._async[key] = _OfLoop()
        return self._async[key].lend()

    def close(self) -> None:
        """Close the synchronous client; the next call makes a new one.

        What another thread is waiting for comes to its end with the next byte or its timeout.
        """
        _close_sync(self._sync)

    async def aclose(self) -> None:
        """Close the running loop's client, and the synchronous one."""
        self.close()
        kept = self._async.pop((os.getpid(), asyncio.get_running_loop()), None)
        if kept is not None:
            await kept.end.aclose()

    def __reduce__(self) -> tuple[type[ClientPool], tuple[()]]:
        """Pickle and copy as an empty pool."""
        return ClientPool, ()


class _OfLoop:
    """The clients of an event loop, which are closed when the loop ends.

    `asyncio.run` and its like end the asynchronous generators of their loop before they close it.
    So one that waits for that is the one place where a loop's connections can still be closed.
    """

    def __init__(self) -> None:
        self._clients: list[httpx.AsyncClient] = []
        self._lent: list[int] = []
        self._tls = _made(httpx.create_ssl_context)
        self.end = self._close_at_the_end(self._clients)
        with suppress(StopIteration):
            self.end.asend(None).send(None)  # runs to the yield, which needs no loop
        # As in ClientPool; the loop then ends it. At the end of the process no loop does that.
        weakref.finalize(self, _drop, self.end).atexit = False

    @contextmanager
    def lend(self) -> Iterator[httpx.AsyncClient]:
        """Lend the first client that is not busy, so that few requests keep few connections."""
        place = next((i for i, lent in enumerate(self._lent) if lent < GROUP_SIZE), None)
        if place is None:
            place = len(self._lent) if len(self._lent) < GROUPS else self._least_busy()
        if place == len(self._clients):
            made = _made(lambda: httpx.AsyncClient(limits=GROUP_LIMITS, verify=self._tls))
            self._clients.append(made)
            self._lent.append(0)
        self._lent[place] += 1
        try:
            yield self._clients[place]
        finally:
            self._lent[place] -= 1

    def _least_busy(self) -> int:
        return self._lent.index(min(self._lent))

    @staticmethod
    async def _close_at_the_end(clients: list[httpx.AsyncClient]) -> AsyncGenerator[None]:
        async with AsyncExitStack() as at_the_end:
            try:
                yield
            finally:
                for client in clients:
                    at_the_end.push_async_callback(client.aclose)


def _drop(_: object) -> None:
    """Let go of what was held until now."""


def _close_sync(clients: dict[int, httpx.Client]) -> None:
    """Close the synchronous client of this process."""
    client = clients.pop(os.getpid(), None)
    if client is not None:
        client.close()


def _made(make: Callable[[], Made]) -> Made:
    """Make a client; its settings come from the environment, which may hold nonsense."""
    try:
        return make()
    except (ValueError, ImportError, OSError) as error:
        msg = (
            f"No HTTP client could be made of the environment ({error}): check HTTPS_PROXY, "
            "ALL_PROXY, SSL_CERT_FILE and SSL_CERT_DIR"
        )
        raise DashScopeInputError(msg) from error
