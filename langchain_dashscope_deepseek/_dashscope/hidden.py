"""Settings that may hold a secret, and are shown nowhere."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pydantic import SecretStr

KeySource = Callable[[], str | SecretStr | Awaitable[str | SecretStr]]
"""Gives a key, for those that change; it is asked before each attempt."""

SECRETS = ("api_key", "default_headers", "proxy")
"""The settings that may hold a secret, and are in no dump."""


class HiddenHeaders(UserDict[str, str]):
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
        return "<HiddenHeaders>"

    def under(self, others: Mapping[str, str]) -> HiddenHeaders:
        """Put others over these, one of a name, whatever its case."""
        names = {name.lower() for name in others}
        kept = {name: value for name, value in self.items() if name.lower() not in names}
        return HiddenHeaders({**kept, **others})
