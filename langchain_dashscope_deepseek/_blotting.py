"""Foreign texts, freed of what was sent: the key, other secrets, and the prompt.

Pure. What a server or a proxy says goes into errors, logs and traces, and it may quote the request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from langchain_dashscope_deepseek.errors import LONGEST_MESSAGE

_SHORTEST_SECRET = 8
"""Characters from which on a part of a secret is blotted out by itself, and a prompt as a whole."""

_SHORTEST_QUOTE = 16
"""Characters of a prompt that are a quote and no coincidence."""

_LOOKED_AT = 4 * LONGEST_MESSAGE
"""Characters of a foreign text; the rest is dropped unread."""


class Blotter:
    """Blots out of foreign texts what one request has sent."""

    def __init__(self, secrets: Iterable[str], said: Callable[[], Iterable[str]]) -> None:
        """Remember what must not be quoted.

        Args:
            secrets: The key and the values of other headers that may be secret.
            said: Gives the texts of the prompt; asked when a foreign text comes.
        """
        self._secrets = secrets
        self._said = said

    def __call__(self, text: str) -> str:
        """Give a foreign text without what was sent."""
        text = text[:_LOOKED_AT]
        for secret in sorted(_parts_of(self._secrets), key=len, reverse=True):
            text = text.replace(secret, "***")
        said = [part for part in self._said() if len(part) >= _SHORTEST_SECRET]
        for part in said:
            text = text.replace(part, "(your text)")
        return "".join(_without_quotes(text, said))


def _parts_of(secrets: Iterable[str]) -> Iterator[str]:
    """Yield each secret, without its scheme, and its parts: keys of today have dots in them."""
    for secret in secrets:
        for word in secret.split():
            parts = (word, *word.split("."))
            yield from (part for part in parts if len(part) >= _SHORTEST_SECRET)


def _without_quotes(text: str, said: Sequence[str]) -> Iterator[str]:
    position = 0
    while position < len(text):
        end = position + _SHORTEST_QUOTE
        quoted = [part for part in said if text[position:end] in part] if end <= len(text) else []
        if not quoted:
            yield text[position]
            position += 1
            continue
        while end < len(text) and any(text[position : end + 1] in part for part in quoted):
            end += 1
        yield "(your text)"
        position = end
