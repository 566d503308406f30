"""Foreign texts, freed of what was sent: the key, other secrets, and the prompt.

Pure. What a server or a proxy says goes into errors, logs and traces, and it may quote the request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from langchain_dashscope_deepseek.errors import LONGEST_READ

_SHORTEST_SECRET = 8
"""Characters from which on a part of a secret is blotted out by itself, and a prompt as a whole."""

_WINDOW, _STRIDE = 16, 8
"""Characters that are looked for in the prompt, and how far apart: a quote of 24 is found."""

_LONGEST_PROMPT = 1_000_000
"""Characters of a prompt that are looked through, the newest first: some 0.1 s, in an error."""


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
        """Return a foreign text without what was sent."""
        text = text[:LONGEST_READ]
        for secret in sorted(_parts_of(self._secrets), key=len, reverse=True):
            text = text.replace(secret, "***")
        said = list(_newest(self._said()))
        for part in said:
            text = text.replace(part, _INSTEAD)
        return _without_quotes(text, said)


def _parts_of(secrets: Iterable[str]) -> Iterator[str]:
    """Yield each secret, without its scheme, and its parts: keys of today have dots in them."""
    for secret in secrets:
        for word in secret.split():
            parts = (word, *word.split("."))
            yield from (part for part in parts if len(part) >= _SHORTEST_SECRET)


def _newest(said: Iterable[str]) -> Iterator[str]:
    """Yield the texts that are looked for, from the last one on."""
    left = _LONGEST_PROMPT
    for part in reversed(list(said)):
        if len(part) >= _SHORTEST_SECRET and left > 0:
            yield part[:left]
            left -= len(part)


def _without_quotes(text: str, said: Sequence[str]) -> str:
    shown, done = "", 0
    for start in range(0, len(text) - _WINDOW + 1, _STRIDE):
        if start < done:
            continue
        window = text[start : start + _WINDOW]
        part = next((part for part in said if window in part), None)
        if part is None:
            continue
        begin, end = _widened(text, part, start, part.index(window))
        shown += text[done : max(begin, done)] + _INSTEAD
        done = end
    return shown + text[done:]


def _widened(text: str, part: str, start: int, found: int) -> tuple[int, int]:
    """Widen a window to all that is quoted around it."""
    before, after = 0, _WINDOW
    while (
        start - before > 0 < found - before and text[start - before - 1] == part[found - before - 1]
    ):
        before += 1
    while start + after < len(text) and found + after < len(part):
        if text[start + after] != part[found + after]:
            break
        after += 1
    return start - before, start + after


_INSTEAD = "(your text)"
