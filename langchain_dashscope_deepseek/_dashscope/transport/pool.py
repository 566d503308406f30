"""The httpx clients of a model, with a connection each: for every process and every event loop.

Opens and closes connections, and sends nothing.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import lru_cache, partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar

import anyio
import httpx

from langchain_dashscope_deepseek._dashscope.transport.connections import (
    NEVER,
    AnyClient,
    Connection,
    Tenant,
)
from langchain_dashscope_deepseek._dashscope.transport.private import is_spotless
from langchain_dashscope_deepseek.errors import DashScopeInputError

if TYPE_CHECKING:
    from langchain_dashscope_deepseek._dashscope.transport.streams import Line


Made = TypeVar("Made")

MAX_CONNECTIONS = 1_000
"""Requests of a process, or of an event loop, at once; further ones wait. Streams hold their
connection for minutes: with httpx's 100, a busy server waits for itself."""

KEEP_ALIVE = 5.0
"""Seconds that an idle connection is kept for the next request, as httpx does."""


class _NoCookies(httpx.Cookies):
    """Keeps none: each request stands for itself, whatever was answered to the one before it.

    The service's firewall sets a cookie in every answer, and the service asks for none. Looking for
    it takes some 5 % of a call.
    """

    def extract_cookies(self, response: httpx.Response) -> None:
        """Take none."""


_NO_COOKIES = _NoCookies()


class _Client(httpx.Client):
    cookies = property(lambda _: _NO_COOKIES)
    line: Line


class _AsyncClient(httpx.AsyncClient):
    cookies = property(lambda _: _NO_COOKIES)
    line: Line


OurClient = TypeVar("OurClient", _Client, _AsyncClient)


class ClientPool:
    """The httpx clients of one model: made on first use, acquired for one request at a time.

    A connection belongs to the process and to the loop that opened it: what a child process finds
    of its parent's stays untouched. Needs no lock, which a fork could copy while it is held. A
    pickle or a deep copy of the pool starts empty.

    A connection is used again by calls of the same tenant only (key, headers, base URL, proxy and
    certificates), and only if nothing came in behind its last answer.

    No two requests share a client, for two reasons. The garbage collector may end a stream that was
    dropped in the middle of any other request, and waits for ever where that one holds the lock of
    a client that both use. And for each request httpcore looks at every pair of a client's
    connections, and asks the system about each that is idle: with 50 of them, that takes 10 ms.
    """

    def __init__(
        self, max_connections: int = MAX_CONNECTIONS, keep_alive: float = KEEP_ALIVE
    ) -> None:
        """Start empty."""
        self._limits = (max_connections, keep_alive)
        self._sync: dict[int, _OfProcess] = {}
        self._async: dict[tuple[int, asyncio.AbstractEventLoop], _OfLoop] = {}
        self._handed_in_to: int | None = None
        # Certificates take 20 ms to read. Models are mostly made outside of event loops.
        with suppress(DashScopeInputError):  # the call raises it
            _tls_context(verify=True)
        # Not __del__: in a cycle, as agents are, the garbage collector may come to a socket before
        # it comes to this pool. What `finalize` holds, it comes to last.
        weakref.finalize(self, _close_sync, self._sync)

    def _handed_in(self, client: AnyClient) -> AnyClient:
        """Return a client of the user's, unless it was used before a fork.

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

    def of_process(self) -> _OfProcess:
        """Return the clients for synchronous calls."""
        pid = os.getpid()
        if pid not in self._sync:
            self._sync.setdefault(pid, _OfProcess(*self._limits))  # another thread may be faster
        return self._sync[pid]

    def of_running_loop(self) -> _OfLoop:
        """Return the clients of the event loop that is running."""
        key = (os.getpid(), asyncio.get_running_loop())
        if key not in self._async:
            # A client keeps its loop alive, so no weak reference would ever let go of either.
            for other in [other for other in list(self._async) if other[1].is_closed()]:
                self._async.pop(other, None)
            self._async[key] = _OfLoop(*self._limits)
        return self._async[key]

    def close(self) -> None:
        """Close the clients for synchronous calls; the next call makes new ones.

        What another thread is waiting for comes to its end with the next byte or its timeout.
        """
        _close_sync(self._sync)

    async def aclose(self) -> None:
        """Close the running loop's clients, and those for synchronous calls."""
        self.close()
        kept = self._async.pop((os.getpid(), asyncio.get_running_loop()), None)
        if kept is not None:
            await kept.end.aclose()

    @contextmanager
    def share(self, client: httpx.Client) -> Iterator[Connection[httpx.Client]]:
        """Share a client of the user's, which others may use at the same time."""
        connection = Connection(self._handed_in(client))
        try:
            yield connection
        finally:
            if connection.response is not None:
                connection.response.close()

    @asynccontextmanager
    async def ashare(
        self, client: httpx.AsyncClient
    ) -> AsyncIterator[Connection[httpx.AsyncClient]]:
        """Share a client of the user's, which others may use at the same time."""
        connection = Connection(self._handed_in(client))
        try:
            yield connection
        finally:
            if connection.response is not None:
                await connection.response.aclose()

    def __reduce__(self) -> tuple[Callable[..., ClientPool], tuple[int, float]]:
        """Pickle and copy as an empty pool."""
        return ClientPool, self._limits


class _Clients(Generic[OurClient]):
    """The clients of a process or of a loop: those that are in use, and those that wait to be.

    Other threads, an interrupt, and a collector that ends streams may come in between any two steps
    here. So each step leaves all in order, and who has taken a client has it alone. A client that
    did not end cleanly may be in any state, its locks held: its line hangs up, and no more is done
    with it.
    """

    def __init__(self, kind: Callable[..., OurClient], *, keep_alive: float, in_loop: bool) -> None:
        self._kind: Callable[..., OurClient] = kind
        self._keep_alive = keep_alive
        # Who acquires a client has it alone, so it never needs more than one connection.
        self._limits = httpx.Limits(max_keepalive_connections=1, keepalive_expiry=keep_alive)
        self._in_loop = in_loop
        self._open: set[OurClient] = set()
        self._idle: dict[Tenant, deque[tuple[float, OurClient]]] = {}
        self.is_closed = False

    def acquire(self, tenant: Tenant) -> OurClient:
        """Take the client that waits the shortest, so that few requests keep few connections."""
        waiting = self._idle.get(tenant, ())
        while waiting:
            with suppress(IndexError):  # another thread may be faster
                _, client = waiting.pop()
                if is_spotless(client):
                    return client
                self._hang_up(client)
        return self._new(tenant)

    def _new(self, tenant: Tenant) -> OurClient:
        # Not above: httpx, too, imports httpcore when it makes its first client.
        from langchain_dashscope_deepseek._dashscope.transport.streams import put_on_a_line  # noqa: PLC0415

        proxy, tls = tenant.proxy, _tls_context(tenant.verify)
        client = _made(
            lambda: self._kind(
                limits=self._limits, verify=tls, proxy=proxy and proxy.get_secret_value()
            )
        )
        client.line = put_on_a_line(client, in_loop=self._in_loop)
        self._open.add(client)
        return client

    def release(self, client: OurClient, tenant: Tenant, *, is_clean: bool) -> None:
        """Let a client wait for the next request, if its answer ended and left nothing behind."""
        if is_clean and not self.is_closed and is_spotless(client):
            self._wait(time.monotonic(), client, tenant)
        else:
            self._hang_up(client)
        self._sweep()

    def _hang_up(self, client: OurClient) -> None:
        client.line.hang_up()
        self._open.discard(client)

    def _wait(self, since: float, client: OurClient, tenant: Tenant) -> None:
        waiting = self._idle.setdefault(tenant, deque())
        waiting.append((since, client))
        if self._idle.setdefault(tenant, waiting) is not waiting:  # swept in between
            self._rescue(waiting, tenant)

    def _rescue(self, waiting: deque[tuple[float, OurClient]], tenant: Tenant) -> None:
        while waiting:
            with suppress(IndexError):
                self._wait(*waiting.popleft(), tenant)

    def _sweep(self) -> None:
        """Hang up on those that wait for too long."""
        oldest = NEVER if self.is_closed else time.monotonic() - self._keep_alive
        for tenant, waiting in list(self._idle.items()):
            with suppress(IndexError):
                while waiting[0][0] < oldest:
                    _, client = waiting.popleft()
                    self._hang_up(client)
            if not waiting and self._idle.pop(tenant, waiting):
                self._rescue(waiting, tenant)  # given back in between

    def end(self) -> None:
        """Keep none from now on: hang up on those that wait, and shut those that are in use."""
        self.is_closed = True
        self._sweep()
        for client in list(self._open):
            client.line.shut()


class _OfProcess:
    """The clients for synchronous calls."""

    def __init__(self, max_connections: int, keep_alive: float) -> None:
        self._clients = _Clients(_Client, keep_alive=keep_alive, in_loop=False)
        # Of all that can be waited for, the one that the collector may come to at any time.
        self._free: SimpleQueue[None] = SimpleQueue()
        for _ in range(max_connections):
            self._free.put(None)

    @contextmanager
    def acquire(self, seconds: float | None, tenant: Tenant) -> Iterator[Connection[httpx.Client]]:
        """Acquire a client for one request.

        Raises:
            httpx.PoolTimeout: None was free for so many seconds.
        """
        try:
            self._free.get(timeout=seconds)
        except Empty:
            raise httpx.PoolTimeout(_NONE_FREE) from None
        try:
            client = self._clients.acquire(tenant)
            connection: Connection[httpx.Client] = Connection(client, client.line)
            try:
                yield connection
            finally:
                self._clients.release(client, tenant, is_clean=connection.is_clean)
        finally:
            self._free.put(None)

    def close(self) -> None:
        self._clients.end()


class _OfLoop:
    """The clients of an event loop, which are closed when the loop ends.

    `asyncio.run` and its like end the asynchronous generators of their loop before they close it.
    So one that waits for that is the one place where a loop's connections can still be closed.
    """

    def __init__(self, max_connections: int, keep_alive: float) -> None:
        self._clients = _Clients(_AsyncClient, keep_alive=keep_alive, in_loop=True)
        self._free = anyio.Semaphore(max_connections)
        self.end = self._close_at_the_end(self._clients)
        _begin(self.end)
        # As in ClientPool.
        loop = asyncio.get_running_loop()
        weakref.finalize(self, _let_go, self._clients, loop, os.getpid())

    @asynccontextmanager
    async def acquire(
        self, seconds: float | None, tenant: Tenant
    ) -> AsyncIterator[Connection[httpx.AsyncClient]]:
        """Acquire a client for one request.

        Raises:
            httpx.PoolTimeout: None was free for so many seconds.
        """
        try:
            self._free.acquire_nowait()
        except anyio.WouldBlock:
            await self._wait(seconds)
        try:
            client = self._clients.acquire(tenant)
            connection: Connection[httpx.AsyncClient] = Connection(client, client.line)
            try:
                yield connection
            finally:
                self._clients.release(client, tenant, is_clean=connection.is_clean)
        finally:
            self._free.release()

    async def _wait(self, seconds: float | None) -> None:
        try:
            with anyio.fail_after(seconds):
                await self._free.acquire()
        except TimeoutError:
            raise httpx.PoolTimeout(_NONE_FREE) from None

    @staticmethod
    async def _close_at_the_end(clients: _Clients[_AsyncClient]) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            clients.end()
            await asyncio.sleep(0)  # in which the loop closes what was hung up


def _tls_context(verify: ssl.SSLContext | bool) -> ssl.SSLContext:
    """Return the settings of TLS; to read the certificates takes longer than all else of a call."""
    if isinstance(verify, ssl.SSLContext):
        return verify
    variables = tuple(os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"))
    return _usual_tls(verify, *variables)


@lru_cache(maxsize=8)
def _usual_tls(verify: bool, *_: str | None) -> ssl.SSLContext:
    return _made(lambda: httpx.create_ssl_context(verify=verify))


_NONE_FREE = "No connection became free"


def _begin(end: AsyncGenerator[None]) -> None:
    """Run to the first yield, which needs no loop; the loop that is running gets to know it.

    The loop may end it, as it does with all that it knows. But when it is dropped it is nobody's to
    end: the loop may be over, or no loop at all know it, as under `nest_asyncio`.
    """
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(finalizer=_drop)
    try:
        with suppress(StopIteration):
            end.asend(None).send(None)
    finally:
        sys.set_asyncgen_hooks(*hooks)


def _drop(_: object) -> None:
    """Let go of something, and do nothing with it."""


def _let_go(clients: _Clients[_AsyncClient], loop: asyncio.AbstractEventLoop, pid: int) -> None:
    """Close the clients of a loop, for which nobody will ask any more, at any time and anywhere.

    A loop that is open closes them itself when it comes to it. If it never does, because it is
    closed before, they are closed then.
    """
    if clients.is_closed or os.getpid() != pid:
        return
    if loop.is_closed():
        clients.end()
    elif threading.main_thread().is_alive():
        end = partial(clients.end)
        weakref.finalize(end, _let_go, clients, loop, pid)
        with suppress(RuntimeError):  # closed meanwhile
            loop.call_soon_threadsafe(end)
    else:
        # The process ends, and takes the loop along. A loop that goes earlier prints what is left
        # to do in it, and the end of a stream that was left may be: this keeps it to the last.
        weakref.finalize(loop, _drop, loop).atexit = False


def _close_sync(of_processes: dict[int, _OfProcess]) -> None:
    """Close the clients for synchronous calls of this process."""
    clients = of_processes.pop(os.getpid(), None)
    if clients is not None:
        clients.close()


def _made(make: Callable[[], Made]) -> Made:
    """Make a client; its settings come from the environment, which may hold nonsense."""
    try:
        return make()
    except httpx.InvalidURL as error:
        why = type(error).__name__  # its text may quote the password of a proxy
    except (ValueError, ImportError, OSError) as error:
        why = str(error)
    msg = (
        f"No HTTP client could be made of the environment ({why}): check HTTP_PROXY, HTTPS_PROXY, "
        "ALL_PROXY, NO_PROXY, SSL_CERT_FILE and SSL_CERT_DIR"
    )
    raise DashScopeInputError(msg)
