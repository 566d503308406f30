"""API keys: what one may look like, and where it comes from. No text here ever shows one.

Pure but for functions of the user's, which give keys that change.
"""

from __future__ import annotations

import inspect
from typing import Any

from pydantic import SecretStr

from langchain_dashscope_deepseek._dashscope.hidden import KeySource
from langchain_dashscope_deepseek.errors import DashScopeAuthenticationError, DashScopeInputError


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


def authorization_from(source: KeySource) -> str:
    """Ask for a key, and give the value of the header.

    Raises:
        DashScopeInputError: It has to be awaited, and this is a synchronous call.
        DashScopeAuthenticationError: What it gave cannot be a key.
    """
    key = source()
    if not inspect.isawaitable(key):
        return authorization(key)
    if inspect.iscoroutine(key):
        key.close()  # or Python complains that nobody awaited it
    msg = "api_key is an asynchronous function: call ainvoke or astream, or hand in another one"
    raise DashScopeInputError(msg)


async def aauthorization_from(source: KeySource) -> str:
    """Ask for a key, awaiting it where it has to be, and give the value of the header."""
    key = source()
    return authorization(await key if inspect.isawaitable(key) else key)


def is_of_a_plan(key: Any) -> bool:
    """Tell whether a key belongs to a plan (Token Plan, Coding Plan)."""
    return not callable(key) and _text_of(key).startswith("sk-sp-")


def _text_of(key: Any) -> str:
    text = key.get_secret_value() if isinstance(key, SecretStr) else key
    return text.strip() if isinstance(text, str) else ""
