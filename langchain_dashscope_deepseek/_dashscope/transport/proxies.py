"""Clients and proxies that a user hands in: what they serve, and what would go around them.

Asks nothing. A proxy that is gone around is a rule of somebody's network that is broken.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.request import getproxies

import httpx
from pydantic import SecretStr

from langchain_dashscope_deepseek._dashscope.warnings import warn
from langchain_dashscope_deepseek.errors import DashScopeInputError


def check_proxy(proxy: SecretStr | str) -> None:
    """Refuse what no proxy can be, without quoting it: it may hold a password.

    Raises:
        DashScopeInputError: Says what a proxy looks like.
    """
    url = proxy.get_secret_value() if isinstance(proxy, SecretStr) else proxy
    with suppress(ValueError, TypeError, httpx.InvalidURL):
        httpx.Proxy(url)
        return
    del url  # a traceback may show what stands in this frame
    msg = "proxy is no URL of a proxy: write http://host:port, https://... or socks5://..."
    raise DashScopeInputError(msg)


def check_clients(name: str, client: Any, other: Any, proxy: Any, verify: Any) -> None:
    """Refuse settings of the network that a call would go around, where a client was handed in.

    Args:
        name: The setting that holds the client of calls of this kind.
        client: That client, if one was handed in.
        other: The client of the other kind, likewise.
        proxy: The setting `proxy`, which serves calls of a kind that has no client of its own.
        verify: The setting `verify`, likewise.

    Raises:
        DashScopeInputError: Nothing goes by one of them, or this call would go around the proxy.
    """
    if client is None:
        if other is not None and proxy is None:
            _check_bypass(name, other)
        return
    if proxy is not None and (other is not None or not _has_own_network(client)):
        msg = (
            f"{name} was handed in, so calls by it go around proxy: make that client with proxy=, "
            f"or leave {name} out"
        )
        raise DashScopeInputError(msg)
    if verify is not True and (other is not None or not _checks_as(client, verify)):
        msg = (
            f"{name} was handed in, so calls by it are not checked as verify says: make that "
            f"client with verify=, or leave {name} out"
        )
        raise DashScopeInputError(msg)


def _check_bypass(missing: str, other: Any) -> None:
    """Say that calls go around the one client that was handed in, which serves the other kind."""
    is_sync = missing == "http_client"
    name = "http_async_client" if is_sync else "http_client"
    kind = "synchronous" if is_sync else "asynchronous"
    if _has_own_network(other):
        msg = (
            f"{name} has a proxy or a transport of its own, and {kind} calls would go around it: "
            f"hand in {missing} as well, or set proxy, which serves both"
        )
        raise DashScopeInputError(msg)
    warn(
        f"{name} serves calls of the other kind only: {kind} calls go out by a client of this "
        f"package. Hand in {missing} as well, or set proxy and verify, which serve both."
    )


_Way = tuple[bytes, bytes, "int | None"] | None
_OWN: _Way = (b"", b"", None)


def _has_own_network(client: Any) -> bool:
    """Tell whether a client goes another way than one that was made with no arguments."""
    try:
        way = _way_of(client._transport)  # noqa: SLF001
        mounts = {(p.pattern, _way_of(t)) for p, t in client._mounts.items() if t}  # noqa: SLF001
    except AttributeError:  # of another version of httpx
        return False
    return way is not None or not mounts <= {*_ways_of_the_environment()}


def _checks_as(client: Any, verify: ssl.SSLContext | bool) -> bool:
    """Tell whether a client checks certificates as it should, as far as can be seen."""
    pool = getattr(getattr(client, "_transport", None), "_pool", None)
    context = getattr(pool, "_ssl_context", None)
    if context is None:
        return True  # a transport of somebody's own
    return context is verify or (verify is False and context.verify_mode is ssl.CERT_NONE)


def _way_of(transport: Any) -> _Way:
    """Tell the proxy of a transport of httpx; `None` without one, `_OWN` for a way of its own."""
    if type(transport) not in (httpx.HTTPTransport, httpx.AsyncHTTPTransport):
        return _OWN
    pool: Any = transport._pool  # noqa: SLF001
    if (pool._local_address, pool._uds) != (None, None):  # noqa: SLF001
        return _OWN
    proxy = getattr(pool, "_proxy_url", None)
    return None if proxy is None else (proxy.scheme, proxy.host, proxy.port)


def _ways_of_the_environment() -> Iterator[tuple[str, _Way]]:
    for scheme, url in getproxies().items():
        with suppress(ValueError, httpx.InvalidURL):
            proxy = httpx.Proxy(url if "://" in url else f"http://{url}").url
            yield f"{scheme}://", (proxy.raw_scheme, proxy.raw_host, proxy.port)
