"""Where requests go, and what every one of them carries. Sends nothing."""

from __future__ import annotations

import ssl
import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple

import httpx
from pydantic import SecretStr

from langchain_dashscope_deepseek._dashscope.keys import (
    aauthorization_from,
    authorization,
    authorization_from,
)
from langchain_dashscope_deepseek._dashscope.protocol.redaction import KeySource, SecretHeaders
from langchain_dashscope_deepseek._dashscope.transport.retry import NO_DEADLINE
from langchain_dashscope_deepseek._version import __version__
from langchain_dashscope_deepseek.capabilities import Route

STREAM_TIMEOUT = httpx.Timeout(connect=10, read=300, write=60, pool=60)
"""Seconds, for streams. While a model thinks, events come every few seconds at most; five minutes
of silence is what the official client waits, and leaves room for a queue before the first byte."""

WHOLE_TIMEOUT = httpx.Timeout(connect=10, read=1800, write=60, pool=60)
"""Seconds, for answers in one piece, which send nothing until they are whole: the service holds
such a connection open for at least 1,800 seconds (its `x-dashscope-timeout`)."""


class Tenant(NamedTuple):
    """What must be equal for a request to use the connection of another one.

    Attributes:
        base_url: The service.
        secrets: A digest of the key and the other headers.
        proxy: The proxy, if it is not left to the environment.
        verify: Whether, or by what, the server's certificate is checked.
    """

    base_url: str
    secrets: bytes
    proxy: SecretStr | None = None
    verify: ssl.SSLContext | bool = True


@dataclass(frozen=True)
class Endpoint:
    """Where requests go and what every one of them carries.

    Attributes:
        base_url: Ends in `/api/v1`.
        headers: Headers of every request, with the key. Kept out of the repr.
        key_source: Gives the key of each attempt, where it changes; then no header has it.
        own_headers: The user's, which take the place of ours. Kept out of the repr.
        proxy: The proxy to go through, if it is not left to the environment.
        verify: Whether, or by what, the server's certificate is checked.
        max_answer_size: Bytes of one event, or of a body in one piece, that are still read.
        timeout: Seconds for each phase, or `None` for the defaults above.
    """

    base_url: str
    headers: SecretHeaders = field(repr=False)
    max_answer_size: int
    timeout: httpx.Timeout | float | None = None
    own_headers: SecretHeaders = field(default_factory=SecretHeaders, repr=False)
    key_source: KeySource | None = field(default=None, repr=False)
    proxy: SecretStr | None = None
    verify: ssl.SSLContext | bool = True

    def with_key(self, seconds: float | None, until: float) -> Endpoint:
        """Return the endpoint with the key of an attempt.

        Args:
            seconds: How long a function may take that gives the key.
            until: When the call must be over, by `time.monotonic`.
        """
        if self.key_source is None:
            return self
        return self._unlocked(authorization_from(self.key_source, seconds, until))

    async def awith_key(self, seconds: float | None, until: float) -> Endpoint:
        """Return the endpoint with the key of an attempt, which may have to be awaited."""
        if self.key_source is None:
            return self
        return self._unlocked(await aauthorization_from(self.key_source, seconds, until))

    def _unlocked(self, authorization: str) -> Endpoint:
        headers = SecretHeaders({"Authorization": authorization, **self.headers})
        return replace(self, headers=headers, key_source=None)

    def url(self, route: Route) -> httpx.URL:
        """Return the URL of a route below the base URL."""
        return _url(f"{self.base_url.rstrip('/')}/services/aigc/{route}/generation")

    @property
    def tenant(self) -> Tenant:
        """Whose connections may be used."""
        secrets = "\0".join((*self.headers.values(), *self.own_headers.values()))
        return Tenant(self.base_url, blake2b(secrets.encode()).digest(), self.proxy, self.verify)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must stand in no error: the key, and the values of the user's headers."""
        own = self.own_headers.values()
        return (self.headers.get("Authorization", ""), *own, *_secrets_of(self.proxy))

    def all_headers(self, of_request: Mapping[str, str]) -> SecretHeaders:
        """Put the headers together, one of a name: the user's over ours, whatever their case."""
        ours = SecretHeaders(
            {
                "User-Agent": f"langchain-dashscope-deepseek/{__version__}",
                "Content-Type": "application/json",
                # What is unpacked cannot be bounded by what was read, and an answer is small.
                "Accept-Encoding": "identity",
                **of_request,
                **self.headers,
            }
        )
        return ours.under(self.own_headers) if self.own_headers else ours

    def timeout_of(self, until: float, *, streamed: bool) -> httpx.Timeout:
        """Tell how long to wait in each phase, if the call is over at a time."""
        by_default = STREAM_TIMEOUT if streamed else WHOLE_TIMEOUT
        timeout = by_default if self.timeout is None else httpx.Timeout(self.timeout)
        if until == NO_DEADLINE:
            return timeout
        left = max(until - time.monotonic(), 0.001)
        phases = timeout.as_dict().items()
        return httpx.Timeout(**{name: left if s is None else min(s, left) for name, s in phases})


def endpoint_of(
    settings: Mapping[str, Any], extra_headers: Mapping[str, str] | None = None
) -> Endpoint:
    """Read from the settings of a call where it goes, with which key and headers."""
    key, workspace_id = settings["api_key"], settings["workspace_id"]
    headers = SecretHeaders()
    if not callable(key):
        headers["Authorization"] = authorization(key)
    if workspace_id:
        headers["X-DashScope-WorkSpace"] = workspace_id
    own = SecretHeaders(settings["default_headers"])
    return Endpoint(
        base_url=settings["base_url"],
        headers=headers,
        key_source=key if callable(key) else None,
        own_headers=own.under(extra_headers) if extra_headers else own,
        proxy=settings["proxy"],
        verify=settings["verify"],
        max_answer_size=settings["max_answer_size"],
        timeout=settings["timeout"],
    )


def _secrets_of(proxy: SecretStr | None) -> tuple[str, ...]:
    """Return the password of a proxy, and the header that it becomes."""
    if proxy is None:
        return ()
    url = httpx.URL(proxy.get_secret_value())
    return (url.password, b64encode(f"{url.username}:{url.password}".encode()).decode())


_url = lru_cache(httpx.URL)
"""Parses a URL once, and not for each request."""
