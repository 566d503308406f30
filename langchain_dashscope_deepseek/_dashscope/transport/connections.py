"""Connections: each an httpx client over one socket of its own, used by one request at a time.

Knows what a connection is made of, and nothing of the others. `pool` keeps and closes them.
"""

from __future__ import annotations

import os
import ssl
import weakref
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import httpx

from langchain_dashscope_deepseek._dashscope.transport import private
from langchain_dashscope_deepseek._dashscope.transport.endpoint import Tenant
from langchain_dashscope_deepseek._dashscope.transport.proxies import proxy_of
from langchain_dashscope_deepseek.errors import DashScopeInputError

if TYPE_CHECKING:
    from langchain_dashscope_deepseek._dashscope.transport.streams import (
        AsyncNetwork,
        Deadline,
        Network,
    )

AnyClient = TypeVar("AnyClient", bound=httpx.Client | httpx.AsyncClient)

KEEP_ALIVE = 5.0
"""Seconds that an idle connection is kept for the next request, as httpx does."""


class Transport(httpx.HTTPTransport):
    """The transport of httpx that tracers instrument, over one connection of httpcore's."""

    def __init__(self, tenant: Tenant, network: Network) -> None:
        """Make it with a network of ours, which `httpx.HTTPTransport` does not take."""
        import httpcore  # noqa: PLC0415 - as httpx does: it takes longer to import than this package

        self._pool = httpcore.ConnectionPool(
            ssl_context=_tls_context(tenant.verify),
            proxy=proxy_of(tenant.base_url, tenant.proxy),
            max_connections=1,
            keepalive_expiry=KEEP_ALIVE,
            network_backend=network,
        )
        private.remove_lock(self._pool)

    def is_idle(self) -> bool:
        """Tell whether the connection is open, with nothing left behind its last answer."""
        return _is_idle(self._pool.connections)


class AsyncTransport(httpx.AsyncHTTPTransport):
    """The transport of httpx that tracers instrument, over one connection of httpcore's."""

    def __init__(self, tenant: Tenant, network: AsyncNetwork) -> None:
        """Make it with a network of ours, which `httpx.AsyncHTTPTransport` does not take."""
        import httpcore  # noqa: PLC0415 - as above

        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=_tls_context(tenant.verify),
            proxy=proxy_of(tenant.base_url, tenant.proxy),
            max_connections=1,
            keepalive_expiry=KEEP_ALIVE,
            network_backend=network,
        )

    def is_idle(self) -> bool:
        """Tell whether the connection is open, with nothing left behind its last answer."""
        return _is_idle(self._pool.connections)


class _NoCookies(httpx.Cookies):
    """Keeps none: the service's firewall sets one in every answer, and the service asks for none.

    Looking for it takes some 5 % of a call.
    """

    def extract_cookies(self, response: httpx.Response) -> None:
        """Take none."""


_NO_COOKIES = _NoCookies()


class _Client(httpx.Client):
    cookies = property(lambda _: _NO_COOKIES)


class _AsyncClient(httpx.AsyncClient):
    cookies = property(lambda _: _NO_COOKIES)


class Connection(Generic[AnyClient]):
    """An HTTP client, for one request; by itself a client of the user's, whose network is its own.

    Attributes:
        http: The client.
        deadline: When reading must end, where the client has a network of this package.
        response: The answer.
        is_clean: Whether the answer was read to its end and closed.
        last_request_id: The `request_id` of the answer before it on the same connection.
    """

    def __init__(self, http: AnyClient, deadline: Deadline) -> None:
        """Begin with a client that is open."""
        self.http: AnyClient = http
        self.deadline = deadline
        self.response: httpx.Response | None = None
        self.is_clean = False
        self.last_request_id: str | None = None

    def build(
        self, url: httpx.URL, *, content: bytes, headers: Mapping[str, str], timeout: httpx.Timeout
    ) -> httpx.Request:
        """Build a request, to which the user's client adds its own headers and cookies."""
        return self.http.build_request(
            "POST", url, content=content, headers=headers, timeout=timeout
        )

    def pieces(self, response: httpx.Response) -> Iterator[bytes]:
        """Read the body of an answer, which an event hook may have read already."""
        return response.iter_bytes()

    def apieces(self, response: httpx.Response) -> AsyncIterator[bytes]:
        """Read the body of an answer, which an event hook may have read already."""
        return response.aiter_bytes()

    def keep(self, request_id: str | None) -> None:
        """Note that the answer was read to its end, so that another request may follow."""
        self.is_clean, self.last_request_id = True, request_id


class PooledConnection(Connection[AnyClient]):
    """An HTTP client over a single socket.

    Attributes:
        tenant: Whose requests may use it.
        owner: What used it last, as a weak reference.
        idle_since: When its last request ended, by `time.monotonic`.
    """

    def __init__(
        self,
        tenant: Tenant,
        http: AnyClient,
        transport: Transport | AsyncTransport,
        network: Network | AsyncNetwork,
    ) -> None:
        """Put the parts together, which `connect` and `aconnect` make."""
        super().__init__(http, network.deadline)
        self.tenant = tenant
        self.owner: weakref.ref[object] | None = None
        self.idle_since = 0.0
        self._transport = transport
        self._network = network
        self._pid = os.getpid()

    def build(
        self, url: httpx.URL, *, content: bytes, headers: Mapping[str, str], timeout: httpx.Timeout
    ) -> httpx.Request:
        """Build a request of nothing else."""
        times = {"timeout": timeout.as_dict()}
        return httpx.Request("POST", url, content=content, headers=headers, extensions=times)

    def pieces(self, response: httpx.Response) -> Iterator[bytes]:
        """Read the body of an answer, in which there is nothing to decode."""
        return iter(cast("httpx.SyncByteStream", response.stream))

    def apieces(self, response: httpx.Response) -> AsyncIterator[bytes]:
        """Read the body of an answer, in which there is nothing to decode."""
        return aiter(cast("httpx.AsyncByteStream", response.stream))

    def is_reusable(self) -> bool:
        """Tell whether the next answer can only be the next request's; `False` if it is unsure."""
        stream = self._network.stream
        return (
            not self.deadline.is_closed
            and self._transport.is_idle()
            and stream is not None
            and not stream.has_unread()
        )

    def shut(self) -> None:
        """End the request that uses it, from any thread; the reader of the answer closes it."""
        self._end("shut")

    def close(self) -> None:
        """Close the socket at once. Only for the user of the connection, or if there is none."""
        self._end("close")

    __del__ = close  # of a connection that an interrupt lost, or whose event loop is gone

    def _end(self, how: str) -> None:
        self.deadline.is_closed = True
        stream = self._network.stream
        if stream is None or self._pid != os.getpid():  # it belongs to a parent process
            return
        with suppress(OSError, AttributeError, RuntimeError):  # the event loop may be closed
            getattr(stream, how)()


def connect(tenant: Tenant) -> PooledConnection[httpx.Client]:
    """Make a connection, which its first request opens."""
    from langchain_dashscope_deepseek._dashscope.transport.streams import Network  # noqa: PLC0415

    network = Network()
    transport = Transport(tenant, network)
    return PooledConnection(tenant, _Client(transport=transport), transport, network)


def aconnect(tenant: Tenant) -> PooledConnection[httpx.AsyncClient]:
    """Make a connection, which its first request opens."""
    from langchain_dashscope_deepseek._dashscope.transport.streams import AsyncNetwork  # noqa: PLC0415

    network = AsyncNetwork()
    transport = AsyncTransport(tenant, network)
    return PooledConnection(tenant, _AsyncClient(transport=transport), transport, network)


def preload_certificates() -> None:
    """Read the certificates, which takes 20 ms; models are mostly made outside of event loops."""
    with suppress(DashScopeInputError):  # the call raises it
        _tls_context(verify=True)


def _is_idle(connections: Sequence[Any]) -> bool:
    """Tell whether a pool of httpcore's has one connection, idle and with nothing left to parse."""
    return (
        len(connections) == 1
        and connections[0].is_idle()
        and not private.has_trailing_data(connections[0])
    )


def _tls_context(verify: ssl.SSLContext | bool) -> ssl.SSLContext:
    """Return the settings of TLS; reading the certificates takes longer than the rest of a call."""
    if isinstance(verify, ssl.SSLContext):
        return verify
    return _default_tls(verify, *map(os.environ.get, ("SSL_CERT_FILE", "SSL_CERT_DIR")))


@lru_cache(maxsize=8)
def _default_tls(verify: bool, file: str | None, _folder: str | None) -> ssl.SSLContext:
    try:
        return httpx.create_ssl_context(verify=verify)
    except OSError as error:
        name = "SSL_CERT_FILE" if file else "SSL_CERT_DIR"
        msg = f"{name} of the environment holds no certificates that can be read ({error})"
        raise DashScopeInputError(msg) from None
