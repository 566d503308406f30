"""Token counts: where a packet may hold them, under which names.

Pure. One table, which a newcomer extends by a line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Usage(NamedTuple):
    """Token counts. `None`: not sent."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None
    cache_creation_tokens: int | None = None
    image_tokens: int | None = None


# In the order of `Usage`.
_COUNTS: Mapping[str, tuple[tuple[str | None, str], ...]] = {
    "input_tokens": ((None, "input_tokens"), (None, "prompt_tokens")),
    "output_tokens": ((None, "output_tokens"), (None, "completion_tokens")),
    "total_tokens": ((None, "total_tokens"),),
    "reasoning_tokens": (
        ("output_tokens_details", "reasoning_tokens"),
        ("completion_tokens_details", "reasoning_tokens"),
    ),
    "cached_tokens": (
        ("prompt_tokens_details", "cached_tokens"),
        ("input_tokens_details", "cached_tokens"),
        (None, "cached_tokens"),
        (None, "prompt_cache_hit_tokens"),
    ),
    "cache_creation_tokens": (("prompt_tokens_details", "cache_creation_input_tokens"),),
    "image_tokens": (("input_tokens_details", "image_tokens"), (None, "image_tokens")),
}
"""Where in a packet's usage a count may stand, the service's own place first. The others are those
of models that partners host, and of gateways that speak OpenAI's protocol."""

_ANY_OF = ("output_tokens", "input_tokens", "total_tokens")


def has_counts(usage: Any) -> bool:
    """Tell whether a packet's usage holds any count."""
    if type(usage) is not dict:
        return False
    tokens = usage.get("output_tokens")
    if type(tokens) is int and tokens >= 0:  # as in nearly all packets
        return True
    return any(_find_count(usage, name) is not None for name in _ANY_OF)


def read_usage(usage: Mapping[str, Any]) -> Usage | None:
    """Read the token counts of a packet; `None` where input or output is missing.

    Half a bill would be added up as a whole one.
    """
    sent, received, total, *details = (_find_count(usage, name) for name in _COUNTS)
    if sent is None or received is None:
        return None
    return Usage(sent, received, sent + received if total is None else total, *details)


def _find_count(usage: Any, name: str) -> int | None:
    for within, key in _COUNTS[name]:
        counts = usage if within is None else usage.get(within)
        value = counts.get(key) if isinstance(counts, dict) else None
        if type(value) is int and value >= 0:
            return value
    return None
