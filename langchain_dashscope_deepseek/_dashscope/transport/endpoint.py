"""The endpoint of a call: its base URL, key, headers, proxy and timeout."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from base64 import b64encode
from collections.abc import Mapping
from concurrent.futures import Future, wait
from contextvars import copy_context
from copy import copy
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import anyio
import httpx
from pydantic import SecretStr

from langchain_dashscope_deepseek._dashscope.protocol.redaction import KeySource, redact_secrets
from langchain_dashscope_deepseek._dashscope.transport.connections import (
    ConnectionKey,
    NetworkSettings,
)
from langchain_dashscope_deepseek._dashscope.transport.retry import NO_DEADLINE, is_over
from langchain_dashscope_deepseek._version import __version__
from langchain_dashscope_deepseek.capabilities import Route
from langchain_dashscope_deepseek.errors import (
    DashScopeAuthenticationError,
    DashScopeDeadlineError,
    DashScopeInputError,
    DashScopeTimeoutError,
)

STREAM_TIMEOUT = httpx.Timeout(connect=10, read=300, write=60, pool=60)
"""Seconds, for streams. While a model thinks, events come every few seconds. The official client
also waits up to five minutes for data, which leaves room for a queue before the first byte."""

NON_STREAM_TIMEOUT = httpx.Timeout(connect=10, read=1800, write=60, pool=60)
"""Seconds, for answers without a stream, which send nothing until they are complete: the service
holds such a connection open for at least 1,800 seconds, as a header of its responses says."""


class Endpoint:
    """The base URL, and the settings that all requests of a call share."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """Read the settings of a call."""
        key, workspace_id = settings["api_key"], settings["workspace_id"]
        self.base_url: str = settings["base_url"]
        self.max_answer_size: int = settings["max_answer_size"]
        self.timeout: httpx.Timeout | float | None = settings["timeout"]
        self.network = NetworkSettings(*map(settings.__getitem__, NetworkSettings._fields))
        more = settings.get("extra_headers")  # of this call
        self.user_headers = _merge_headers(settings["default_headers"], more)
        self.key_source: KeySource | None = key if callable(key) else None
        # Of this package, with the key if that is fixed.
        self.headers = {} if callable(key) else {"Authorization": authorization(key)}
        if workspace_id:
            self.headers["X-DashScope-WorkSpace"] = workspace_id

    def with_key(self, seconds: float | None, until: float) -> Endpoint:
        """Return the endpoint with the key for an attempt; wait at most `seconds` for the key."""
        if self.key_source is None:
            return self
        calling = _call_in_thread(self.key_source)
        wait([calling], seconds)
        if not calling.done():
            raise _key_timeout(until)
        key: Any = calling.result()
        if inspect.isawaitable(key):
            if inspect.iscoroutine(key):
                key.close()  # otherwise Python warns that it was never awaited
            msg = "api_key is an asynchronous function: call ainvoke or astream instead"
            raise DashScopeInputError(msg)
        return self._authorized(key)

    async def awith_key(self, seconds: float | None, until: float) -> Endpoint:
        """Return the endpoint with the key for an attempt, which is awaited if it is awaitable."""
        if self.key_source is None:
            return self
        with anyio.move_on_after(seconds):
            key: Any = await asyncio.wrap_future(_call_in_thread(self.key_source))
            return self._authorized(await key if inspect.isawaitable(key) else key)
        raise _key_timeout(until)

    def _authorized(self, key: Any) -> Endpoint:
        authorized = copy(self)
        authorized.headers = {"Authorization": authorization(key), **self.headers}
        return authorized

    def url(self, route: Route) -> httpx.URL:
        """Return the URL of a route below the base URL."""
        return _parse_url(f"{self.base_url.rstrip('/')}/services/aigc/{route}/generation")

    @property
    def connection_key(self) -> ConnectionKey:
        """The key of the connections that the request may use."""
        raw = "\0".join((*self.headers.values(), *self.user_headers.values())).encode()
        return ConnectionKey(self.base_url, blake2b(raw).digest(), self.network)

    def redact(self, text: str) -> str:
        """Redact the key, the values of the user's headers, and the password of `proxy`."""
        secrets = [self.headers.get("Authorization", ""), *self.user_headers.values()]
        if self.network.proxy is not None:
            url = httpx.URL(self.network.proxy.get_secret_value())
            credentials = b64encode(f"{url.username}:{url.password}".encode()).decode()
            secrets += [url.password, credentials]
        return redact_secrets(text, secrets)

    def all_headers(self, of_request: Mapping[str, str]) -> httpx.Headers:
        """Return the headers of a request; the user's replace this package's."""
        headers = {
            "User-Agent": f"langchain-dashscope-deepseek/{__version__}",
            "Content-Type": "application/json",
            # The size of a compressed answer is not known before it is decompressed.
            "Accept-Encoding": "identity",
            **of_request,
            **self.headers,
        }
        return _merge_headers(headers, self.user_headers)

    def timeout_of(self, until: float, *, streamed: bool) -> httpx.Timeout:
        """Return the timeouts of a request, none of which ends later than `until`."""
        default = STREAM_TIMEOUT if streamed else NON_STREAM_TIMEOUT
        timeout = default if self.timeout is None else httpx.Timeout(self.timeout)
        if until == NO_DEADLINE:
            return timeout
        left = max(until - time.monotonic(), 0.001)
        phases = timeout.as_dict().items()
        return httpx.Timeout(**{name: left if s is None else min(s, left) for name, s in phases})


_parse_url = lru_cache(httpx.URL)


def _merge_headers(
    headers: Mapping[str, str] | None, more: Mapping[str, str] | None
) -> httpx.Headers:
    """Add headers, which replace those of the same name; upper and lower case do not matter."""
    merged = httpx.Headers(headers)
    if more:  # without it, `update` would double the time
        merged.update(more)
    return merged


def authorization(key: Any) -> str:
    """Return the Authorization header for a key, without spaces around it. Errors quote no key."""
    text = key.get_secret_value() if isinstance(key, SecretStr) else key
    text = text.strip() if isinstance(text, str) else text
    if not text:
        raise DashScopeAuthenticationError(
            "There is no API key, so nothing was sent",
            hint="Set the variable DASHSCOPE_API_KEY or pass api_key (if it is a function, it must "
            "return a key). To try without one, use the emulator in "
            "langchain_dashscope_deepseek.testing.",
        )
    if not isinstance(text, str) or not text.isascii() or not text.isprintable() or " " in text:
        msg = "The API key is not a string or holds invalid characters, so nothing was sent"
        raise DashScopeAuthenticationError(msg, hint="Copy it again, without other characters.")
    return f"Bearer {text}"


def _call_in_thread(source: KeySource) -> Future[Any]:
    """Call a function in a daemon thread, which may still run after the call has timed out."""
    calling: Future[Any] = Future()
    calling.set_running_or_notify_cancel()  # so that asyncio cannot cancel it
    context = copy_context()

    def call() -> None:
        try:
            calling.set_result(context.run(source))
        except BaseException as error:  # noqa: BLE001 - for the waiting thread
            calling.set_exception(error)

    threading.Thread(target=call, name="dashscope-api-key", daemon=True).start()
    return calling


def _key_timeout(until: float) -> DashScopeTimeoutError:
    kind = DashScopeDeadlineError if is_over(until) else DashScopeTimeoutError
    hint = "Raise timeout (its pool part, 60 s by default) and max_seconds, or make it faster."
    return kind("The function passed as api_key returned no key in time", hint=hint)
