"""API keys: what one may look like, and where it comes from. No text here ever shows one.

Pure but for functions of the user's, which give keys that change.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from concurrent.futures import Future, wait
from contextvars import copy_context
from typing import Any

import anyio
from pydantic import SecretStr

from langchain_dashscope_deepseek._dashscope.protocol.redaction import KeySource
from langchain_dashscope_deepseek._dashscope.transport.retry import is_over
from langchain_dashscope_deepseek.errors import (
    DashScopeAuthenticationError,
    DashScopeDeadlineError,
    DashScopeInputError,
    DashScopeTimeoutError,
)


def authorization(key: Any) -> str:
    """Return the value of the header for a key, without the line end that files bring along.

    Raises:
        DashScopeAuthenticationError: There is no key, or it cannot be one.
    """
    text = _text_of(key)
    if text and text.isascii() and text.isprintable() and " " not in text:
        return f"Bearer {text}"
    is_missing = key is None or (not text and isinstance(key, (str, SecretStr)))
    if is_missing:
        msg = (
            "There is no API key, so nothing was sent. Set the variable DASHSCOPE_API_KEY or hand "
            "in api_key. To try without one, use the emulator in "
            "langchain_dashscope_deepseek.testing"
        )
        raise DashScopeAuthenticationError(msg)
    msg = "The API key is no text, or holds characters that no key has, so nothing was sent"
    raise DashScopeAuthenticationError(msg)


def authorization_from(source: KeySource, seconds: float | None, until: float) -> str:
    """Call for a key, for so many seconds at most, and give the value of the header.

    Args:
        source: Gives the key.
        seconds: How long it may take.
        until: When the call for which it is must be over, by `time.monotonic`.

    Raises:
        DashScopeInputError: It has to be awaited, and this is a synchronous call.
        DashScopeTimeoutError: It takes longer.
        DashScopeAuthenticationError: What it gave cannot be a key.
    """
    calling = _called_aside(source)
    wait([calling], seconds)
    if not calling.done():
        raise _took_too_long(until)
    key: Any = calling.result()
    if not inspect.isawaitable(key):
        return authorization(key)
    if inspect.iscoroutine(key):
        key.close()  # or Python complains that nobody awaited it
    msg = "api_key is an asynchronous function: call ainvoke or astream, or hand in another one"
    raise DashScopeInputError(msg)


async def aauthorization_from(source: KeySource, seconds: float | None, until: float) -> str:
    """Call for a key, awaiting it where it has to be, and give the value of the header."""
    with anyio.move_on_after(seconds):
        key: Any = await asyncio.wrap_future(_called_aside(source))
        return authorization(await key if inspect.isawaitable(key) else key)
    raise _took_too_long(until)


def _called_aside(source: KeySource) -> Future[Any]:
    """Call a function in a thread, which nobody waits for when the time is over."""
    calling: Future[Any] = Future()
    calling.set_running_or_notify_cancel()  # so that nobody can cancel it
    context = copy_context()

    def call() -> None:
        try:
            calling.set_result(context.run(source))
        except BaseException as error:  # noqa: BLE001 - for the thread that waits
            calling.set_exception(error)

    threading.Thread(target=call, name="dashscope-api-key", daemon=True).start()
    return calling


def _took_too_long(until: float) -> DashScopeTimeoutError:
    kind = DashScopeDeadlineError if is_over(until) else DashScopeTimeoutError
    return kind("The function api_key gave no key in time")


def _text_of(key: Any) -> str:
    text = key.get_secret_value() if isinstance(key, SecretStr) else key
    return text.strip() if isinstance(text, str) else ""
