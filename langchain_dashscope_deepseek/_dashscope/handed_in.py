"""Clients and proxies that a user hands in: what they serve, and what would go around them.

Asks nothing. A proxy that is gone around is a rule of somebody's network that is broken.
"""

from __future__ import annotations

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
    try:
        httpx.Proxy(url)
    except (ValueError, TypeError, httpx.InvalidURL):
        pass
    else:
        return
    del url  # a traceback may show what stands in this frame
    msg = "proxy is no URL of a proxy: write http://host:port, https://... or socks5://..."
    raise DashScopeInputError(msg)


def check_bypass(other: Any, name: str, kind: str, proxy: SecretStr | str | None) -> None:
    """Say that calls go around the one client that was handed in, which serves the other kind.

    Args:
        other: The client of the other kind, if one was handed in.
        name: The setting that holds it.
        kind: The kind of this call, which has no client of its own.
        proxy: The setting `proxy`, which this call goes through.

    Raises:
        DashScopeInputError: That client has a proxy or a transport of its own, and this call would
            go out without.
    """
    if other is None or proxy is not None:
        return
    missing = "http_client" if name == "http_async_client" else "http_async_client"
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


def _has_own_network(client: Any) -> bool:
    """Tell whether a client goes another way than one that was made with no arguments."""
    try:
        usual = type(client._transport) in (httpx.HTTPTransport, httpx.AsyncHTTPTransport)  # noqa: SLF001
        mounted = {p.pattern for p, transport in client._mounts.items() if transport}  # noqa: SLF001
    except AttributeError:  # of another version of httpx
        return False
    return not usual or not mounted <= {f"{scheme}://" for scheme in getproxies()}
