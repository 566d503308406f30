"""Which proxy a connection goes through: that of the model, else that of the environment.

Sends nothing. An error about a proxy names where it was set, and never quotes it: it may hold a
password.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies, proxy_bypass_environment  # type: ignore[attr-defined]

import httpx
from pydantic import SecretStr

from langchain_dashscope_deepseek.errors import DashScopeInputError

if TYPE_CHECKING:
    import httpcore


def check_proxy(proxy: SecretStr | str, name: str = "proxy") -> httpx.Proxy:
    """Read the URL of a proxy.

    Raises:
        DashScopeInputError: It is none, or one of SOCKS without the package for that.
    """
    read = None
    with suppress(ValueError, TypeError, httpx.InvalidURL):  # whose texts may quote a password
        read = httpx.Proxy(proxy.get_secret_value() if isinstance(proxy, SecretStr) else proxy)
    if read is None:
        msg = f"{name} is no URL of a proxy: write http://host:port, https://... or socks5://..."
        raise DashScopeInputError(msg)
    if read.url.scheme.startswith("socks") and find_spec("socksio") is None:
        msg = f'{name} is a SOCKS proxy, which needs another package: pip install "httpx[socks]"'
        raise DashScopeInputError(msg)
    return read


def proxy_of(base_url: str, setting: SecretStr | None) -> httpcore.Proxy | None:
    """Return the proxy for a base URL: the setting's, else the environment's.

    Raises:
        DashScopeInputError: It is no URL of a proxy.
    """
    import httpcore  # noqa: PLC0415 - it takes longer to import than this package

    proxy = _of_environment(httpx.URL(base_url)) if setting is None else check_proxy(setting)
    if proxy is None:
        return None
    url = proxy.url
    target = httpcore.URL(
        scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
    )
    return httpcore.Proxy(target, auth=proxy.raw_auth)


def refuse_bypass(settings: Mapping[str, Any]) -> None:
    """Refuse `proxy` and `verify` beside clients of the user's, whose calls would go around them.

    Raises:
        DashScopeInputError: Says what to do instead.
    """
    for name in ("http_client", "http_async_client"):
        if settings.get(name) is None:
            continue
        for setting, default in (("proxy", None), ("verify", True)):
            if settings.get(setting, default) is not default:
                msg = (
                    f"{name} has a network of its own, so its calls would go around {setting}: "
                    f"make that client with {setting}=, or leave one of the two out"
                )
                raise DashScopeInputError(msg)


def _of_environment(url: httpx.URL) -> httpx.Proxy | None:
    proxies = getproxies()
    found = next((scheme for scheme in (url.scheme, "all") if proxies.get(scheme)), None)
    if found is None or _is_bypassed(url, proxies):
        return None
    proxy = proxies[found]
    names = (f"{found}_proxy", f"{found.upper()}_PROXY")
    name = next((name for name in names if os.environ.get(name)), f"The system's {found} proxy")
    return check_proxy(proxy if "://" in proxy else f"http://{proxy}", name)


def _is_bypassed(url: httpx.URL, proxies: dict[str, str]) -> bool:
    """Tell whether NO_PROXY names a host; entries that nobody can read are skipped."""
    entries = [entry.strip() for entry in proxies.get("no", "").split(",")]
    hosts = (url.host, f"[{url.host}]")
    names = (*hosts, *(f"{host}:{url.port or _PORTS.get(url.scheme)}" for host in hosts))
    return (
        "*" in entries
        # Not proxy_bypass, which asks a name server on Windows.
        or any(proxy_bypass_environment(name, proxies) for name in names)
        or any(_is_within(url.host, entry) for entry in entries)
    )


_PORTS = {"http": 80, "https": 443}


def _is_within(host: str, network: str) -> bool:
    with suppress(ValueError):
        return ip_address(host) in ip_network(network, strict=False)
    return False
