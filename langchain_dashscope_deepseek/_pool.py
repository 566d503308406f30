"""The httpx clients of a model: one for each process, and for each event loop in it.

Opens and closes connections, and sends nothing.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import TypeVar

import httpx

from langchain_dashscope_deepseek.errors import DashScopeInputError

AnyClient = TypeVar("AnyClient", httpx.Client, httpx.AsyncClient)

LIMITS = httpx.Limits(max_connections=1000, max_keepalive_connections=100)
"""Streams hold their connection for minutes: with httpx's 100, a busy server waits for itself."""


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

    def of_running_loop(self) -> httpx.AsyncClient:
        """Give the client of the event loop that is running."""
        key = (os.getpid(), asyncio.get_running_loop())
        if key not in self._async:
            # A client keeps its loop alive, so no weak reference would ever let go of either.
            for other in [other for other in list(self._async) if other[1].is_closed()]:
                self._async.pop(other, None)
            self._async[key] = _OfLoop(_made(lambda: httpx.AsyncClient(limits=LIMITS)))
        return self._async[key].client

    def close(self) -> None:
        """Close the synchronous client; the next call makes a new one.

        What another thread is waiting for comes to its end with the next byte or its timeout.
        """
        client = self._sync.pop(os.getpid(), None)
        if client is not None:
            client.close()

    async def aclose(self) -> None:
        """Close the running loop's client, and the synchronous one."""
        self.close()
        kept = self._async.pop((os.getpid(), asyncio.get_running_loop()), None)
        if kept is not None:
            await kept.end.aclose()

    def __del__(self) -> None:
        """Close what nobody closed, where that can be done without waiting."""
        self.close()

    def __reduce__(self) -> tuple[type[ClientPool], tuple[()]]:
        """Pickle and copy as an empty pool."""
        return ClientPool, ()


class _OfLoop:
    """The client of an event loop, which is closed when the loop ends.

    `asyncio.run` and its like end the asynchronous generators of their loop before they close it.
    So one that waits for that is the one place where a loop's connections can still be closed.
    """

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.end = self._close_at_the_end(client)
        with suppress(StopIteration):
            self.end.asend(None).send(None)  # runs to the yield, which needs no loop

    @staticmethod
    async def _close_at_the_end(client: httpx.AsyncClient) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            await client.aclose()


def _made(make: Callable[[], AnyClient]) -> AnyClient:
    """Make a client; its settings come from the environment, which may hold nonsense."""
    try:
        return make()
    except (ValueError, ImportError, OSError) as error:
        msg = (
            f"No HTTP client could be made of the environment ({error}): check HTTPS_PROXY, "
            "ALL_PROXY, SSL_CERT_FILE and SSL_CERT_DIR"
        )
        raise DashScopeInputError(msg) from error
