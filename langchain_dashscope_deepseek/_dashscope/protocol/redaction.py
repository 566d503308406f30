"""Redacts secrets: settings that may hold one, and texts of a server or a proxy. Pure."""

from __future__ import annotations

import re
from collections import UserDict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any

from pydantic import SecretStr

KeySource = Callable[[], str | SecretStr | Awaitable[str | SecretStr]]
"""Gives a key, for those that change; it is asked before each attempt."""

SECRETS = ("api_key", "default_headers", "proxy")
"""The settings that may hold a secret, and are in no dump."""


class SecretHeaders(UserDict[str, str]):
    """Headers, any of which may be a token; the repr shows none.

    No `dict`: pydantic would write it into the JSON schema of a configurable setting.

    Attributes:
        key: The API key of the model that has them; `None` in a request.
    """

    def __init__(self, headers: Mapping[str, str] | None = None, key: Any = None) -> None:
        """Hide headers."""
        super().__init__(headers)
        self.key = key

    def __repr__(self) -> str:
        """Show no value."""
        return "<SecretHeaders>"

    def under(self, others: Mapping[str, str]) -> SecretHeaders:
        """Put others over these, one of a name, whatever its case."""
        names = {name.lower() for name in others}
        kept = {name: value for name, value in self.items() if name.lower() not in names}
        return SecretHeaders({**kept, **others})


REDACTED = "[redacted]"
"""Stands for a secret in a text that is shown."""
LONGEST_MESSAGE = 500
"""Characters of a foreign text that an error shows."""

_LONGEST_NAME = 100
_KEY = re.compile(r"(?<![A-Za-z0-9])sk-[\w*-]{4,}(?:\.[\w*-]+)*")
_SHORTEST_SECRET = 8
"""Characters; a shorter word may stand in any text."""


class Redactor:
    """Redacts the secrets of one request, and whatever looks like a key."""

    def __init__(self, secrets: Iterable[str]) -> None:
        """Remember the key, and the values of other headers that may be secret."""
        self._secrets = secrets

    def __call__(self, text: str) -> str:
        """Return a text without secrets."""
        for secret in sorted(_parts_of(self._secrets), key=len, reverse=True):
            text = text.replace(secret, REDACTED)
        return redact_keys(text)


def redact_keys(text: str) -> str:
    """Redact what looks like a key, whosever it is."""
    return _KEY.sub(REDACTED, text)


def printable(name: str) -> str:
    """Shorten a name to 100 characters, and replace what could forge a line of a log."""
    name = name[:_LONGEST_NAME]
    if name.isprintable():
        return name
    return "".join(char if char.isprintable() else "\ufffd" for char in name)


def _parts_of(secrets: Iterable[str]) -> Iterator[str]:
    """Yield the words of each secret, and the parts between dots that keys have."""
    for secret in secrets:
        for word in secret.split():
            parts = (word, *word.split("."))
            yield from (part for part in parts if len(part) >= _SHORTEST_SECRET)
