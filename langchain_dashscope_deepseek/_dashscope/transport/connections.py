"""Makes connections: httpx clients over a single socket, with their proxy and certificates.

`pool` keeps and closes them. An error about a proxy names the setting and does not quote the URL,
which may hold a password.
"""

from __future__ import annotations

import os
import ssl
import time
import weakref
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.util import find_spec
from ipaddress import ip_address, ip_network
from typing import Any, Generic, NamedTuple, TypeVar
from urllib.request import getproxies, proxy_bypass_environment  # type: ignore[attr-defined]

import httpcore
import httpx
from pydantic import SecretStr

from langchain_dashscope_deepseek._dashscope.transport import private
from langchain_dashscope_deepseek._dashscope.transport.sockets import (
    AsyncSocket,
    Deadline,
    Socket,
)
from langchain_dashscope_deepseek.errors import DashScopeInputError

AnyClient = TypeVar("AnyClient", bound=httpx.Client | httpx.AsyncClient)

KEEP_ALIVE = 5.0
"""Seconds that an idle connection is kept for the next request, as in httpx."""


class NetworkSettings(NamedTuple):
    """The settings of a model that its connections use; the names are those of its fields."""

    proxy: SecretStr | None = None
    verify: ssl.SSLContext | bool = True


class ConnectionKey(NamedTuple):
    """What two requests must share to use the same connection."""

    base_url: str
    headers_digest: bytes  # of the API key and the other headers, which are secrets
    network: NetworkSettings


@dataclass(eq=False)
class Connection(Generic[AnyClient]):
    """An httpx client for one request at a time, with the deadline and response of that request."""

    http: AnyClient
    deadline: Deadline
    response: httpx.Response | None = None
    is_clean: bool = False  # the response was read to its end and is valid
    last_request_id: str | None = None
    build_request: Callable[..., httpx.Request] = httpx.Request  # the client's is slower

    def keep(self, request_id: str | None) -> None:
        """Mark the response as read to its end, so that the connection can be reused."""
        self.response, self.is_clean, self.last_request_id = None, True, request_id


_USED_IN: MutableMapping[object, int] = weakref.WeakKeyDictionary()
"""The process in which each client of a user was first used."""


class UserConnection(
    Connection[AnyClient],
    AbstractContextManager["UserConnection[AnyClient]"],
    AbstractAsyncContextManager["UserConnection[AnyClient]"],
):
    """The user's own client, which opens its own sockets and may serve other requests as well."""

    def __init__(self, http: AnyClient) -> None:
        super().__init__(http, Deadline(), build_request=http.build_request)
        if http.is_closed:
            raise DashScopeInputError("The HTTP client of the model is closed: set an open one")
        if _USED_IN.setdefault(http, os.getpid()) != os.getpid():
            raise DashScopeInputError(
                "The HTTP client of the model was used before this process was forked, so parent "
                "and child could read each other's answers: construct the model with a new client"
            )

    def __exit__(self, *error: object) -> None:
        if self.response is not None:
            self.response.close()

    async def __aexit__(self, *error: object) -> None:
        if self.response is not None:
            await self.response.aclose()


@dataclass(eq=False, kw_only=True)
class PooledConnection(Connection[AnyClient]):
    """A client over a single socket."""

    key: ConnectionKey
    pool: httpcore.ConnectionPool | httpcore.AsyncConnectionPool
    socket: Socket | AsyncSocket
    last_sender: Callable[[], object] = lambda: None  # returns the model (or doctor)
    idle_since: float = 0.0  # by time.monotonic
    pid: int = field(default_factory=os.getpid)

    def is_expired(self) -> bool:
        """Tell whether the connection has been idle for too long; does not look at the socket."""
        return time.monotonic() - self.idle_since > KEEP_ALIVE

    def is_reusable(self) -> bool:
        """Tell whether the connection is open, with no data after the last response."""
        return not (
            self.deadline.connection_is_closed
            or any(connection.has_expired() for connection in self.pool.connections)
            or private.has_trailing_data(self.pool)
        )

    def close(self, *, in_use: bool = False) -> None:
        """Close the socket, or only shut it down if a thread uses it, which then closes it."""
        with suppress(OSError, AttributeError, RuntimeError):  # the event loop may be closed
            self.deadline.connection_is_closed = True
            if self.pid == os.getpid():  # otherwise it belongs to a parent process
                self.socket.shutdown() if in_use else self.socket.close()

    __del__ = close  # after an interrupt, or if the event loop was closed


class _Transport(httpx.HTTPTransport):
    """The transport of httpx, which OpenTelemetry patches, over a pool with one connection."""

    def __init__(self, pool: httpcore.ConnectionPool) -> None:
        self._pool = pool


class _AsyncTransport(httpx.AsyncHTTPTransport):
    """The transport of httpx, which OpenTelemetry patches, over a pool with one connection."""

    def __init__(self, pool: httpcore.AsyncConnectionPool) -> None:
        self._pool = pool


def new_connection(key: ConnectionKey) -> PooledConnection[httpx.Client]:
    """Make a connection, which opens its socket with the first request."""
    socket = Socket()
    pool = httpcore.ConnectionPool(**_pool_settings(key), network_backend=socket)
    private.remove_lock(pool)
    http = _Client(transport=_Transport(pool))
    return PooledConnection(http, socket, key=key, pool=pool, socket=socket)


def new_async_connection(key: ConnectionKey) -> PooledConnection[httpx.AsyncClient]:
    """Make a connection, which opens its socket with the first request."""
    socket = AsyncSocket()
    pool = httpcore.AsyncConnectionPool(**_pool_settings(key), network_backend=socket)
    http = _AsyncClient(transport=_AsyncTransport(pool))
    return PooledConnection(http, socket, key=key, pool=pool, socket=socket)


def _pool_settings(key: ConnectionKey) -> dict[str, Any]:
    return {
        "ssl_context": _tls_context(key.network.verify),
        "proxy": proxy_of(key.base_url, key.network.proxy),
        "max_connections": 1,
        "keepalive_expiry": KEEP_ALIVE,
    }


class _NoCookies(httpx.Cookies):
    """Ignores the cookies of every response, which saves 5 % of the CPU time of a call."""

    def extract_cookies(self, response: httpx.Response) -> None:
        pass


class _Client(httpx.Client):
    cookies: Any = _NoCookies()


class _AsyncClient(httpx.AsyncClient):
    cookies: Any = _NoCookies()


# --- Certificates ---


def preload_certificates() -> None:
    """Read the certificates when a model is made: a call would block its event loop for 20 ms."""
    with suppress(DashScopeInputError):  # the call raises it again
        _tls_context(verify=True)


def _tls_context(verify: ssl.SSLContext | bool) -> ssl.SSLContext:
    if isinstance(verify, ssl.SSLContext):
        return verify
    return _default_tls(verify, *map(os.environ.get, ("SSL_CERT_FILE", "SSL_CERT_DIR")))


@lru_cache(maxsize=8)
def _default_tls(verify: bool, *_environment: str | None) -> ssl.SSLContext:
    try:
        return httpx.create_ssl_context(verify=verify)
    except OSError as error:
        msg = f"The certificates cannot be read ({error}): correct SSL_CERT_FILE or SSL_CERT_DIR"
        raise DashScopeInputError(msg) from None


# --- Proxies ---


def parse_proxy(proxy: SecretStr | str, name: str = "proxy") -> httpx.Proxy:
    """Parse the URL of a proxy, or raise an error that names the setting."""
    read = None
    with suppress(ValueError, TypeError, httpx.InvalidURL):  # these texts may quote a password
        read = httpx.Proxy(proxy.get_secret_value() if isinstance(proxy, SecretStr) else proxy)
    if read is None:
        msg = f"{name} is not a proxy URL: write http://host:port, https://... or socks5://..."
        raise DashScopeInputError(msg)
    if read.url.scheme.startswith("socks") and find_spec("socksio") is None:
        msg = f'{name} is a SOCKS proxy, which needs another package: pip install "httpx[socks]"'
        raise DashScopeInputError(msg)
    return read


def refuse_ignored_settings(settings: Mapping[str, Any]) -> None:
    """Refuse network settings beside the user's own clients, which would ignore them."""
    for name in ("http_client", "http_async_client"):
        for setting, default in NetworkSettings()._asdict().items():
            if settings.get(name) is not None and settings.get(setting, default) != default:
                raise DashScopeInputError(
                    f"{name} has its own network settings, so its calls would ignore {setting}: "
                    f"set {setting} on that client instead of on the model, or leave {name} out"
                )


def proxy_of(base_url: str, setting: SecretStr | None) -> httpcore.Proxy | None:
    """Return the proxy for a base URL: that of the setting, else that of the environment."""
    proxy = _proxy_of_environment(httpx.URL(base_url)) if setting is None else parse_proxy(setting)
    return None if proxy is None else httpcore.Proxy(str(proxy.url), auth=proxy.raw_auth)


def _proxy_of_environment(url: httpx.URL) -> httpx.Proxy | None:
    proxies = getproxies()
    found = next((scheme for scheme in (url.scheme, "all") if proxies.get(scheme)), None)
    if found is None or _is_bypassed(url, proxies):
        return None
    proxy = proxies[found]
    return parse_proxy(proxy if "://" in proxy else f"http://{proxy}", f"{found.upper()}_PROXY")


def _is_bypassed(url: httpx.URL, proxies: dict[str, str]) -> bool:
    """Tell whether NO_PROXY includes a host; invalid entries are ignored."""
    entries = [entry.strip() for entry in proxies.get("no", "").split(",")]
    port = url.port or {"http": 80, "https": 443}.get(url.scheme)
    names = [f"{host}{end}" for host in (url.host, f"[{url.host}]") for end in ("", f":{port}")]
    return (
        "*" in entries
        # Not proxy_bypass, which sends DNS queries on Windows.
        or any(proxy_bypass_environment(name, proxies) for name in names)
        or any(_is_within(url.host, entry) for entry in entries)
    )


def _is_within(host: str, network: str) -> bool:
    with suppress(ValueError):
        return ip_address(host) in ip_network(network, strict=False)
    return False
