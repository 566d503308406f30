"""Redacts secrets: settings that may hold one, and texts of a server or a proxy."""

from __future__ import annotations

import re
from collections import UserDict
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

KeySource = Callable[[], str | SecretStr | Awaitable[str | SecretStr]]
"""Gives a key that changes; it is called before each attempt."""

SECRETS = ("api_key", "default_headers", "proxy")
"""The settings that may hold a secret, and are in no dump."""


class SecretHeaders(UserDict[str, str]):
    """The headers of a model, any of which may be a secret; the repr shows none.

    No `dict`, since pydantic would write it into the JSON schema of a configurable setting.
    """

    key: Any = None  # the API key of that model

    def __repr__(self) -> str:
        """Show no value."""
        return "<SecretHeaders>"


REDACTED = "[redacted]"
LONGEST_MESSAGE = 500
"""Characters of the service's or a proxy's text that an error shows."""

_LONGEST_NAME = 100
_KEY = re.compile(r"(?<![A-Za-z0-9])sk-[\w*-]{4,}(?:\.[\w*-]+)*")
_SHORTEST_SECRET = 8  # characters; shorter words occur in any text


@dataclass(frozen=True)
class Redactor:
    """Redacts the secrets of one request, and whatever looks like a key."""

    secrets: Iterable[str]

    def __call__(self, text: str) -> str:
        """Return a text without secrets."""
        for secret in sorted(_parts_of(self.secrets), key=len, reverse=True):
            text = text.replace(secret, REDACTED)
        return redact_keys(text)


def _parts_of(secrets: Iterable[str]) -> Iterator[str]:
    """Yield the words of each secret, and the parts between dots that keys have."""
    for secret in secrets:
        for word in secret.split():
            parts = (word, *word.split("."))
            yield from (part for part in parts if len(part) >= _SHORTEST_SECRET)


def redact_keys(text: str) -> str:
    """Redact what looks like a key of this account or another."""
    return _KEY.sub(REDACTED, text)


def printable(name: str) -> str:
    """Shorten a name, and replace characters that could forge a line of a log."""
    name = name[:_LONGEST_NAME]
    if name.isprintable():
        return name
    return "".join(char if char.isprintable() else "\ufffd" for char in name)
