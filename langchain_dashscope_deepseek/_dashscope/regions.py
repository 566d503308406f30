"""Where the service is: the regions, their hosts, and which base URL settings lead to.

Pure, and the only place that knows a host name. Source: the regions page of the documentation,
September 2026.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

REGIONS: Mapping[str, str | None] = {
    "cn-beijing": "dashscope.aliyuncs.com",
    "ap-southeast-1": "dashscope-intl.aliyuncs.com",
    "us-east-1": "dashscope-us.aliyuncs.com",
    "cn-hongkong": "cn-hongkong.dashscope.aliyuncs.com",
    "eu-central-1": None,
    "ap-northeast-1": None,
}
"""Every region, and its host that needs no workspace; `None` where it has none."""

DEFAULT_REGION = "cn-beijing"

_IN_NO_URL = re.compile(r"[\s\\<>{}\u200b-\u200f\ufeff]|://.*://")
_WORKSPACE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def check_region(region: str) -> None:
    """Refuse a region that does not exist.

    Raises:
        ValueError: Lists the regions.
    """
    if region not in REGIONS:
        msg = f"Unknown region. Regions: {', '.join(REGIONS)}"  # not quoted: it may be a key
        raise ValueError(msg)


def check_workspace_id(workspace_id: str) -> None:
    """Refuse a workspace id that cannot be one; it becomes part of a host name.

    Raises:
        ValueError: Says what a workspace id looks like, and lists the regions.
    """
    if not _WORKSPACE_ID.fullmatch(workspace_id):
        msg = (
            "workspace_id is no workspace id: 1 to 64 letters, digits, '_' and '-', the first a "
            f"letter or digit. It stands in the console. Regions: {', '.join(REGIONS)}"
        )
        raise ValueError(msg)


def check_workspace_of(base_url: str | None) -> None:
    """Refuse a base URL whose host names a workspace, where it is to be another account's.

    Raises:
        ValueError: Says what to hand in.
    """
    if host_of(base_url or "").lower().endswith(".maas.aliyuncs.com"):
        msg = (
            "base_url names a workspace of this account: hand in the tenant's base_url, or make "
            "the model with region and workspace_id instead"
        )
        raise ValueError(msg)


class Where(NamedTuple):
    """Where a call goes: as somebody gave it, or as it is resolved."""

    base_url: str | None = None
    region: str | None = None
    workspace_id: str | None = None


@lru_cache(maxsize=1_000)
def resolved(given: Where, environment: Where) -> Where:
    """Find out where settings lead to.

    What was given goes over the environment. Then `base_url` goes over `region`, and `region` over
    the default; so a region that was given goes over a base URL of the environment.

    Returns:
        The base URL, which ends in `/api/v1`, with the region and the workspace.

    Raises:
        ValueError: They cannot be right; says what to set.
    """
    if given.base_url is None and given.region is None:
        _check_environment(environment)
    region = given.region or environment.region
    workspace_id = given.workspace_id
    if workspace_id is None:
        workspace_id = environment.workspace_id
    workspace_id = workspace_id or None  # "" is none at all
    if workspace_id is not None:
        check_workspace_id(workspace_id)
    if given.region is not None:
        check_region(given.region)
    base_url = given.base_url or (environment.base_url if given.region is None else None)
    url = mended_base_url(base_url) if base_url else base_url_of(region, workspace_id)
    return Where(url, region, workspace_id)


def _check_environment(environment: Where) -> None:
    """Say which variable it is that cannot be right: nobody handed that in."""
    variable = "DASHSCOPE_HTTP_BASE_URL (or DASHSCOPE_BASE_URL)"
    try:
        if environment.base_url is not None:
            mended_base_url(environment.base_url)
        elif environment.region is not None:
            variable = "DASHSCOPE_REGION (or DASHSCOPE_API_REGION)"
            check_region(environment.region)
    except ValueError as error:
        msg = f"The variable {variable}: {error}"
        raise ValueError(msg) from None


_API = "/api/v1"

_OTHER_SERVICES: Mapping[str, str] = {
    "/compatible-mode": (
        "base_url leads to the OpenAI-compatible route: this speaks native /api/v1. Write "
        "{host}/api/v1, or use langchain-openai"
    ),
    "/chat/completions": "base_url leads to OpenAI's protocol, and this speaks DashScope's own",
    "/anthropic": "base_url leads to Anthropic's protocol, and this speaks DashScope's own",
    "//api.deepseek.com": (
        "base_url is DeepSeek's own API, which speaks another protocol: leave base_url out to ask "
        "Model Studio, or use langchain-deepseek"
    ),
    "//api.openai.com": "base_url is OpenAI's API, and this speaks DashScope's protocol",
    "/api-ws": "base_url is that of a WebSocket: this speaks HTTP, at /api/v1",
    ".aliyun.com": (
        "base_url is a page of the console or of the documentation: the service's own hosts end in "
        ".aliyuncs.com"
    ),
    "//openrouter.ai": "base_url is OpenRouter's API, and this speaks DashScope's protocol",
}
"""What tells that a base URL is that of another service, and what to say; `{host}` is its host."""

_OF_AN_API = re.compile(r"/api/(?P<version>v\d+)(?P<rest>.*)$", re.IGNORECASE)
_ENDPOINTS = "/services/aigc/"


def mended_base_url(base_url: str) -> str:
    """Bring a base URL to its form, `https://.../api/v1`, where it is obvious what is meant.

    Raises:
        ValueError: It is not obvious, or it holds what it must not; quotes the host at most.
    """
    url = base_url.strip().rstrip("/")
    if url.partition("/")[0].partition(":")[0].lower().endswith(".aliyuncs.com"):
        url = f"https://{url}"
    check_base_url(url)
    for sign, msg in _OTHER_SERVICES.items():
        if sign in url.lower():
            host = "/".join(url.split("/")[:3])  # not the path, which may hold a key
            raise ValueError(msg.format(host=host))
    url = url.partition(_ENDPOINTS)[0]
    api = _OF_AN_API.search(url)
    if api is not None:
        if api["version"].lower() != "v1":
            msg = "base_url leads to another version of the API: this speaks /api/v1"
            raise ValueError(msg)
        if api["rest"]:
            msg = "base_url goes on behind /api/v1, where a base URL ends: leave the rest out"
            raise ValueError(msg)
        return url[: api.start()] + _API
    if url.endswith("/v1"):
        msg = "base_url ends as one of OpenAI's protocol does: one of DashScope's ends in /api/v1"
        raise ValueError(msg)
    return url + ("/v1" if url.endswith("/api") else _API)


def check_base_url(base_url: str) -> None:
    """Refuse a base URL that holds a secret or has no scheme, without quoting it.

    Raises:
        ValueError: Says what to set instead.
    """
    if "?" in base_url or "#" in base_url:
        msg = (
            "base_url holds a query or a fragment, which would stand in traces and end up in the "
            "middle of the request's URL: give what belongs there by default_headers"
        )
        raise ValueError(msg)
    if "@" in base_url.partition("//")[2].partition("/")[0] or "@" in base_url.partition("/")[0]:
        msg = (
            "base_url holds a user or a password, which would stand in logs and take the place of "
            "the API key: give them to your proxy by default_headers"
        )
        raise ValueError(msg)
    if base_url.strip().partition("://")[0].lower() not in ("http", "https"):
        msg = (
            "base_url has no scheme: it must begin with https:// or http://, as "
            "https://dashscope.aliyuncs.com/api/v1 does"
        )
        raise ValueError(msg)
    if not _has_a_host(base_url):
        msg = (
            "base_url is no URL of a host: write https://host or https://host:port, with nothing "
            "in it that a URL cannot hold"
        )
        raise ValueError(msg)


def _has_a_host(base_url: str) -> bool:
    try:
        url = urlsplit(base_url.strip())
        _ = url.port  # raises where it cannot be one
    except ValueError:
        return False
    return bool(url.hostname) and not _IN_NO_URL.search(base_url.strip())


def base_url_of(region: str | None, workspace_id: str | None) -> str:
    """Find the base URL of a region, or of a workspace in it.

    Without a region it is the default region's legacy host, which serves any workspace.

    Raises:
        ValueError: The region does not exist, or has no host without a workspace.
    """
    check_region(region or DEFAULT_REGION)
    if region and workspace_id:
        return f"https://{workspace_id}.{region}.maas.aliyuncs.com/api/v1"
    host = REGIONS[region or DEFAULT_REGION]
    if host is None:
        msg = f"Region {region!r} is reached through a workspace only: set workspace_id as well"
        raise ValueError(msg)
    return f"https://{host}/api/v1"


@lru_cache
def host_of(base_url: str) -> str:
    """Tell the host of a base URL, with its port; `""` if there is none."""
    try:
        return urlsplit(base_url).netloc
    except ValueError:
        return ""


@lru_cache
def region_of(base_url: str) -> str | None:
    """Tell which region a base URL leads to; `None` for a host that is not the service's own."""
    host = host_of(base_url).partition(":")[0].lower()
    for region, legacy_host in REGIONS.items():
        if host == legacy_host or host.endswith(f".{region}.maas.aliyuncs.com"):
            return region
    return None


@lru_cache
def is_exposed(base_url: str) -> bool:
    """Tell whether a URL sends the key and the prompts unencrypted over a network."""
    try:
        url = urlsplit(base_url)
        host = url.hostname or ""
    except ValueError:
        return False  # no URL at all: refused at the call
    if url.scheme != "http" or host == "localhost" or host.endswith(".localhost"):
        return False
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return True
