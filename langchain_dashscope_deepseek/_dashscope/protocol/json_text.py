"""JSON as it comes from a network: parsed tolerantly, and weighed before where it is large.

Pure. Holds what is to be said and done about halves of characters, too, which JSON alone can carry.
"""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic_core import from_json

LARGE = 2**20
"""Bytes of a document that is parsed without a second thought."""

_SIZE_OF_A_VALUE = 100
"""Bytes that a value of JSON takes as an object of Python, at most."""

_WIDE = rb"[\xf0-\xf7]|\\[uU][dD]"
_MARKS = rb'(?s:\\.)|["\[{,]'
# Seldom needed, so compiled where they are: that takes a millisecond of an import.

HALF_OF_A_PAIR = (
    "holds half of a surrogate pair, which UTF-8 cannot carry. Repair it: "
    "text.encode('utf-16', 'surrogatepass').decode('utf-16', 'replace')"
)
"""What to say of a text that cannot be sent."""


def load(data: bytes | bytearray) -> Any:
    """Parse JSON; `None` for what is none (and for `null`, which says as little).

    What pydantic's parser refuses, Python's may still take: bytes that are no UTF-8 and halves of
    surrogate pairs, which break whoever prints, stores or sends them, become U+FFFD.
    """
    try:
        return from_json(data, cache_strings="keys")  # half the time of json.loads
    except ValueError:
        return mended(load_with_halves(data))


def load_with_halves(data: bytes | bytearray) -> Any:
    """Parse JSON by Python's parser, which keeps halves of surrogate pairs; `None` for no JSON."""
    if len(data) > 2 * LARGE:  # mending takes some ten times as much
        return None
    try:
        return json.loads(data.decode("utf-8-sig", "replace"))
    except (ValueError, RecursionError):
        return None


def mended(value: Any) -> Any:
    """Return a document without halves of surrogate pairs; `None` where it is too deep."""
    try:
        return json.loads(without_halves(json.dumps(value, ensure_ascii=False)))
    except RecursionError:
        return None


def is_heavy(data: bytes | bytearray, allowed: int) -> bool:
    """Estimate whether a document takes more memory than is allowed, before it is parsed.

    One character beyond the first 65,536 makes all of a text take 4 bytes each, and a value of two
    characters, as `[]`, takes a hundred.
    """
    width = 6 if re.search(_WIDE, data) else 1 if data.isascii() else 3
    allowed -= len(data) * width
    if data.count(b",") + data.count(b"[") + data.count(b"{") + data.count(b'"') // 2 > (
        allowed // _SIZE_OF_A_VALUE
    ):
        values, is_in_text = 0, False
        for mark in re.finditer(_MARKS, data):
            if mark[0] == b'"':
                is_in_text = not is_in_text
                values += is_in_text
            else:
                values += not is_in_text and len(mark[0]) == 1
            if values * _SIZE_OF_A_VALUE > allowed:
                return True
    return allowed < 0


def without_halves(text: str) -> str:
    """Join halves of surrogate pairs, and replace those that stand alone."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def joined(text: str) -> tuple[str, str]:
    """Mend the halves in a piece of a text; split off a first half at its end, which may go on."""
    half = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
    return without_halves(text.removesuffix(half)), half


def may_hold_half_a_pair(text: str) -> bool:
    """Tell whether JSON holds escapes that stand for halves of characters, whole pairs or not."""
    return "\\ud" in text or "\\uD" in text
