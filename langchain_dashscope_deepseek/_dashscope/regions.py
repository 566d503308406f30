"""The regions, their hosts, and the base URL that follows from the settings.

No other module names a host that requests are sent to. Source: the regions page of the
documentation, September 2026.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
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
"""The regions, each with its host; `None` if the region is reached through a workspace only."""

DEFAULT_REGION = "cn-beijing"
BASE_URL_VARIABLES = ("DASHSCOPE_HTTP_BASE_URL", "DASHSCOPE_BASE_URL")
REGION_VARIABLES = ("DASHSCOPE_REGION", "DASHSCOPE_API_REGION")

_API = "/api/v1"
_WORKSPACE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
WORKSPACE_HOSTS = ".maas.aliyuncs.com"


class Location(NamedTuple):
    """Settings of the endpoint: the arguments, those of the environment, or the result of both."""

    base_url: str | None = None
    region: str | None = None
    workspace_id: str | None = None


@lru_cache(maxsize=1_000)
def resolve(given: Location, environment: Location) -> Location:
    """Return the base URL, the region and the workspace for the arguments and the environment.

    The base URL follows from the first of these that is given: the argument `base_url`, the
    argument `region`, `base_url` of the environment, its `region`, the default region.
    """
    region = given.region or environment.region
    # The argument "" means no workspace, also if the environment has one.
    workspace_id = (environment if given.workspace_id is None else given).workspace_id or None
    if workspace_id is not None and not _WORKSPACE_ID.fullmatch(workspace_id):
        raise ValueError(  # the id becomes part of a host name
            "workspace_id (or DASHSCOPE_WORKSPACE_ID) must be 1 to 64 letters, digits, '_' and "
            "'-', and begin with a letter or digit: copy it from the console"
        )
    base_url = given.base_url
    if base_url is None and given.region is None and environment.base_url is not None:
        base_url = normalise_base_url(environment.base_url, " or ".join(BASE_URL_VARIABLES))
    if region not in (None, *REGIONS) and (given.region or base_url is None):
        setting = "region" if given.region else " or ".join(REGION_VARIABLES)
        # The region is not quoted: it may be an API key.
        raise ValueError(f"{setting} must be one of {', '.join(REGIONS)}")
    return Location(base_url or _base_url_of(region, workspace_id), region, workspace_id)


def _base_url_of(region: str | None, workspace_id: str | None) -> str:
    """Return the base URL of a workspace, if both are given, else of the region."""
    if region and workspace_id:
        return f"https://{workspace_id}.{region}{WORKSPACE_HOSTS}{_API}"
    host = REGIONS[region or DEFAULT_REGION]
    if host is None:
        raise ValueError(f"Region {region!r} is reached through a workspace only: set workspace_id")
    return f"https://{host}{_API}"


def refuse_workspace_host(base_url: str | None) -> None:
    """Refuse the base URL of a workspace, for a model of another account."""
    if (urlsplit(base_url or "").hostname or "").endswith(WORKSPACE_HOSTS):
        raise ValueError(
            "The base_url of the original model names its account's workspace: pass base_url to "
            "for_tenant, or construct the original with region and workspace_id instead"
        )


_OTHER_SERVICES: Mapping[str, str] = {
    "/compatible-mode": "the OpenAI-compatible API. Write {host}/api/v1, or use langchain-openai",
    "/anthropic": "Anthropic's protocol, and this package speaks DashScope's, at {host}/api/v1",
    "//api.deepseek.com": "DeepSeek's own API: leave base_url out, or use langchain-deepseek",
    **dict.fromkeys(
        ("/chat/completions", "//api.openai.com", "//openrouter.ai"),
        "OpenAI's protocol, and this package speaks DashScope's own: use langchain-openai",
    ),
    "/api-ws": "a WebSocket, and this package speaks HTTP. Write https://.../api/v1",
    ".aliyun.com": "a page of the console or the docs: the service's hosts end in .aliyuncs.com",
}
"""Parts of base URLs that belong to another service, and the ends of their error texts."""

_NOT_IN_A_URL = re.compile(r"[\s\\<>{}\u200b-\u200f\ufeff]|://.*://")
_API_PATH = re.compile(r"/api/(?P<version>v\d+)(?P<more>.*)$", re.IGNORECASE)


def normalise_base_url(base_url: str, setting: str = "base_url") -> str:
    """Return a base URL as `https://.../api/v1`, or refuse it. Errors quote at most its host."""
    url = base_url.strip().rstrip("/")
    if url.partition("/")[0].partition(":")[0].lower().endswith(".aliyuncs.com"):
        url = f"https://{url}"
    _check_url(url, setting)
    for part, text in _OTHER_SERVICES.items():
        if part in url.lower():
            host = "/".join(url.split("/")[:3])  # the path may hold a key
            raise ValueError(f"{setting} leads to {text.format(host=host)}")
    url = url.partition("/services/aigc/")[0]
    api = _API_PATH.search(url)
    if api is None:
        if url.endswith("/v1"):
            raise ValueError(f"{setting} ends in /v1, as OpenAI's do: write /api/v1 instead")
        return url + ("/v1" if url.endswith("/api") else _API)
    if api["version"].lower() != "v1":
        raise ValueError(f"{setting} leads to another version of the API: write /api/v1")
    if api["more"]:
        raise ValueError(f"{setting} goes on after /api/v1: remove the rest of the URL")
    return url[: api.start()] + _API


def _check_url(url: str, setting: str) -> None:
    """Refuse a URL that holds a secret or is not valid."""
    if "?" in url or "#" in url:
        raise ValueError(
            f"{setting} holds a query or a fragment: remove it, since the request's path is "
            "appended to it, and traces show it. Pass a gateway's key in default_headers"
        )
    if "@" in url:
        raise ValueError(
            f"{setting} holds a user or a password, which logs would show and which would replace "
            "the API key: pass them to your gateway by default_headers"
        )
    if url.partition("://")[0].lower() not in ("http", "https"):
        raise ValueError(f"{setting} must begin with https:// or http://")
    with suppress(ValueError):
        parts = urlsplit(url)
        _ = parts.port  # raises an error if it is no port
        if parts.hostname and not _NOT_IN_A_URL.search(url):
            return
    raise ValueError(f"{setting} has no valid host, or a wrong character: write https://host:port")


def host_of(base_url: str) -> str:
    """Return the host of a base URL, with its port."""
    return urlsplit(base_url).netloc


def region_of(base_url: str) -> str | None:
    """Return the region of a base URL; `None` if the host is not one of the service's."""
    host = host_of(base_url).partition(":")[0].lower()
    for region, own_host in REGIONS.items():
        if host == own_host or host.endswith(f".{region}{WORKSPACE_HOSTS}"):
            return region
    return None


_LOCAL_HOST = re.compile(r"(.+\.)?localhost|127(\.\d+){3}|::1")


@lru_cache
def is_exposed(base_url: str) -> bool:
    """Tell whether a URL sends the key and the prompts unencrypted over a network."""
    url = urlsplit(base_url)
    return url.scheme == "http" and not _LOCAL_HOST.fullmatch(url.hostname or "")
