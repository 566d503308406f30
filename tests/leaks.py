"""What leaks: text that can be reached from an object, and open descriptors."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
from pydantic import SecretStr, ValidationError


def all_text(root: object) -> str:
    """Walk arguments, attributes and chained exceptions; not the frames, whose locals are the caller's."""
    return "\n".join(_texts(root))


def open_descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def _texts(root: object) -> Iterator[str]:
    seen: dict[int, object] = {}
    waiting: list[Any] = [root]
    while waiting:
        value = waiting.pop()
        if isinstance(value, (type, ModuleType, SecretStr)) or id(value) in seen:
            continue
        seen[id(value)] = value
        if isinstance(value, (str, bytes, bytearray)):
            yield value if isinstance(value, str) else bytes(value).decode("latin-1")
        else:
            if isinstance(value, BaseException):
                yield "".join(traceback.format_exception(value))
            yield f"{value!r} {value!s}"
            waiting += _parts(value)


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, BaseException):
        yield from (value.args, value.__cause__, value.__context__)
    if isinstance(value, ValidationError):
        yield value.errors()
    if isinstance(value, UnicodeError):
        yield getattr(value, "object", None)
    if isinstance(value, (httpx.Request, httpx.Response)):
        yield from (value.headers.raw, str(value.url))
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, (list, tuple, set, frozenset)):
        yield from value
    yield from getattr(value, "__dict__", {}).values()
    for name in _slots(type(value)):
        yield getattr(value, name, None)


def _slots(kind: type) -> Iterable[str]:
    for base in kind.__mro__:
        slots = base.__dict__.get("__slots__", ())
        yield from (slots,) if isinstance(slots, str) else slots
