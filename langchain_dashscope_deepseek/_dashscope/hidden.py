"""Settings that may hold a secret, as values that work and that nothing shows.

A traceback may print the local variables of every frame (rich, IPython, Sentry), by their `repr`.
So what a user hands in is made one of these before anything else is done with it.
"""

from __future__ import annotations

from collections import UserDict
from collections.abc import Awaitable, Callable, Iterator, Mapping
from inspect import isawaitable
from typing import Any

from pydantic import SecretStr

KeySource = Callable[[], str | SecretStr | Awaitable[str | SecretStr]]
"""Gives a key, for those that change; it is asked before each attempt."""

SECRETS = ("api_key", "default_headers", "proxy")
"""The settings that may hold a secret, and are in no dump."""


class _Hidden:
    """Shows nothing of itself, to `repr`, rich and Sentry."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __rich_repr__(self) -> Iterator[Any]:
        yield from ()

    def __sentry_repr__(self) -> str:
        return repr(self)


class HiddenHeaders(_Hidden, UserDict[str, str]):
    """Headers, any of which may be a token.

    No `dict`: pydantic would write it into the JSON schema of a configurable setting.

    Attributes:
        key: The API key that they were given beside; `None`: not known yet.
    """

    key: Any = None

    __str__ = _Hidden.__repr__

    def under(self, others: Mapping[str, str]) -> HiddenHeaders:
        """Put others over these, one of a name, whatever its case."""
        names = {name.lower() for name in others}
        kept = {name: value for name, value in self.items() if name.lower() not in names}
        return HiddenHeaders({**kept, **others})


class HiddenText(_Hidden, str):
    """A text that is refused for the secret that it may hold."""

    __slots__ = ()
    __str__ = _Hidden.__repr__


class HiddenValue(_Hidden):
    """Stands for what is refused and may hold a secret; the value itself is gone."""

    __slots__ = ()


class KeyFunction(_Hidden):
    """A function that gives keys, and may hold one, as a `functools.partial` does."""

    def __init__(self, source: KeySource) -> None:
        """Hide a function."""
        self._source = source

    def __call__(self) -> str | SecretStr | Awaitable[str | SecretStr]:
        """Ask for a key, and hide it."""
        key = self._source()
        return key if isawaitable(key) else hidden("api_key", key)

    def __eq__(self, other: object) -> bool:
        """Tell whether it is the same function, hidden or not."""
        return self._source == (other._source if isinstance(other, KeyFunction) else other)

    def __hash__(self) -> int:
        """Hash as the function does."""
        return hash(self._source)


def hidden(setting: str, value: Any) -> Any:
    """Hide the value of a setting if it may be a secret; raises nothing."""
    if value is None or isinstance(value, (_Hidden, SecretStr)):
        return value
    if setting == "base_url":
        text = str(value)  # of a URL object, too
        return HiddenText(text) if not {*text}.isdisjoint("?#@") else text
    if setting not in SECRETS:
        return value
    if setting == "default_headers":
        return HiddenHeaders(value) if isinstance(value, Mapping) else HiddenValue()
    if isinstance(value, (str, bytes)):
        return SecretStr(value if isinstance(value, str) else value.decode("latin-1"))
    return KeyFunction(value) if setting == "api_key" and callable(value) else HiddenValue()
