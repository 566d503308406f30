"""Redacts the secrets of one request in the texts of a server or a proxy. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from langchain_dashscope_deepseek.errors import REDACTED, redact_keys

_SHORTEST_SECRET = 8
"""Characters; a shorter word may stand in any text."""


class Redactor:
    """Replaces in a text the secrets of a request, and whatever looks like a key."""

    def __init__(self, secrets: Iterable[str]) -> None:
        """Remember the key, and the values of other headers that may be secret."""
        self._secrets = secrets

    def __call__(self, text: str) -> str:
        """Return a text without secrets."""
        for secret in sorted(_parts_of(self._secrets), key=len, reverse=True):
            text = text.replace(secret, REDACTED)
        return redact_keys(text)


def _parts_of(secrets: Iterable[str]) -> Iterator[str]:
    """Yield the words of each secret, and the parts between dots that keys have."""
    for secret in secrets:
        for word in secret.split():
            parts = (word, *word.split("."))
            yield from (part for part in parts if len(part) >= _SHORTEST_SECRET)
