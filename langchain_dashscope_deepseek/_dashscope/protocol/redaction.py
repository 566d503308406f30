"""Redacts secrets: settings that may hold one, and texts of a server or a proxy."""

from __future__ import annotations

import re
from collections import UserDict
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from pydantic import SecretStr

KeySource = Callable[[], str | SecretStr | Awaitable[str | SecretStr]]
"""Returns the current API key; it is called before each attempt."""

SECRET_SETTINGS = ("api_key", "default_headers", "proxy")
"""The settings that may hold a secret; pickles leave them out."""


class SecretHeaders(UserDict[str, str]):
    """The headers of a model, any of which may be a secret; the repr shows no value.

    Not a `dict`, whose values pydantic would write into the JSON schema of a configurable setting.
    """

    model_api_key: Any = None  # the API key with which these headers were given

    def __repr__(self) -> str:
        """Show no value."""
        return "<SecretHeaders>"


REDACTED = "[redacted]"
LONGEST_MESSAGE = 500
"""The most characters that an error shows of a text of the service or of a proxy."""

_LONGEST_NAME = 100
_KEY = re.compile(r"(?<![A-Za-z0-9])sk-[\w*-]{4,}(?:\.[\w*-]+)*")
_SHORTEST_SECRET = 8  # characters; shorter words occur in any text


def redact_secrets(text: str, secrets: Iterable[str]) -> str:
    """Redact the words of secrets, and their parts between dots, if not short; and all keys."""
    words = [word for secret in secrets for word in secret.split()]
    parts = (part for word in words for part in (word, *word.split(".")))  # keys contain dots
    for part in sorted(parts, key=len, reverse=True):
        if len(part) >= _SHORTEST_SECRET:
            text = text.replace(part, REDACTED)
    return redact_keys(text)


def redact_keys(text: str) -> str:
    """Redact everything that looks like an API key, of this account or another."""
    return _KEY.sub(REDACTED, text)


def printable(name: str) -> str:
    """Shorten a name, and replace characters that could forge a line of a log."""
    name = name[:_LONGEST_NAME]
    if name.isprintable():
        return name
    return "".join(char if char.isprintable() else "\ufffd" for char in name)
