"""Reads one JSON packet of an answer as an `AnswerDelta`, and its token counts.

No I/O. Unknown keys, missing keys and wrong types are ignored, except for a wrong type of the
message, its content or its tool calls, which raises `UnreadableError`: the answer would be lost.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from pydantic_core import from_json

from langchain_dashscope_deepseek._dashscope.protocol.redaction import printable

WireMessage = dict[str, Any]
"""A message as DashScope expects it: a role, the content, and further keys of the role."""

LONE_SURROGATE = (
    "holds a lone surrogate, which UTF-8 cannot encode. Repair it: "
    "text.encode('utf-16', 'surrogatepass').decode('utf-16', 'replace')"
)
"""The end of the error text for a string that cannot be sent."""


class ToolCallDelta(NamedTuple):
    """A piece of a tool call; a field that is missing or empty is `None`."""

    wire_index: int | None
    id: str | None
    name: str | None
    arguments: str


class AnswerDelta(NamedTuple):
    """The parts of an answer that one event of a stream, or a whole JSON body, adds to it."""

    text: str = ""  # may end within a surrogate pair, as the reasoning may
    reasoning: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()
    finish_reason: str | None = None
    usage: Mapping[str, Any] | None = None  # cumulative; only the last one is read by `read_usage`
    request_id: str | None = None
    search_results: tuple[Mapping[str, Any], ...] = ()


class UnreadableError(Exception):
    """A part of an answer is of the wrong type; the text names the part and the type."""


# --- JSON ---


def load_json(data: bytes | bytearray) -> Any:
    """Parse JSON; return `None` if it is invalid.

    Python's parser is the fallback: it also accepts lone surrogates, a byte order mark, and bytes
    that are not UTF-8 (as U+FFFD).
    """
    try:
        return from_json(data, cache_strings="keys")  # half the time of json.loads
    except ValueError:
        with suppress(ValueError, RecursionError):
            return json.loads(data.decode("utf-8-sig", "replace"))
    return None


def fix_surrogates(text: str) -> str:
    """Join surrogate pairs, and replace lone surrogates by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


# --- Packets ---


def read_packet(document: Mapping[str, Any]) -> AnswerDelta | None:
    """Read a packet; return `None` if it holds no choice, no usage and no search results."""
    output: Any = document.get("output")
    choice = first_choice(output)
    usage = document.get("usage")
    if type(usage) is not dict or not usage:
        usage = None
    request_id = document.get("request_id")
    request_id = printable(request_id) or None if type(request_id) is str else None
    found = _search_results(output) if choice is None or "search_info" in output else ()
    if choice is None:
        delta = AnswerDelta(usage=usage, request_id=request_id, search_results=found)
        return delta if usage is not None or found else None
    message = choice.get("message") or {}
    if type(message) is not dict:
        raise _unreadable("message", message)
    text = message.get("content") or ""
    if type(text) is not str:
        if type(text) is not list:
            raise _unreadable("content", text)
        text = _text(text)
    reasoning = message.get("reasoning_content")
    if type(reasoning) is not str:
        reasoning = ""
    calls = message.get("tool_calls") or ()
    if calls:
        calls = _tool_calls(calls)
    reason = text_of(choice.get("finish_reason"))
    # Packets before the last one carry the string "null"; JSON null is documented too.
    finish_reason = None if reason in ("", "null") else printable(reason)
    # Faster than `AnswerDelta(...)`; this runs for each token of a stream.
    return tuple.__new__(
        AnswerDelta, (text, reasoning, calls, finish_reason, usage, request_id, found)
    )


def first_choice(output: Any) -> Mapping[str, Any] | None:
    """Return the first choice in the output of a packet."""
    if type(output) is not dict:
        return None
    choices = output.get("choices")
    for choice in choices if type(choices) is list else ():
        if type(choice) is dict and choice.get("index") in (None, 0):
            return choice
    return None


def _unreadable(name: str, value: Any) -> UnreadableError:
    return UnreadableError(f"an answer whose {name} is of the wrong type ({type(value).__name__})")


def _search_results(output: Any) -> tuple[Mapping[str, Any], ...]:
    info = output.get("search_info") if type(output) is dict else None
    results = info.get("search_results") if type(info) is dict else None
    if type(results) is not list:
        return ()
    return tuple(result for result in results if isinstance(result, dict))


def _tool_calls(calls: Any) -> tuple[ToolCallDelta, ...]:
    if type(calls) is not list:
        raise _unreadable("tool_calls", calls)
    return tuple(_tool_call(call) for call in calls if call or call == {})


def _tool_call(call: Any) -> ToolCallDelta:
    if type(call) is not dict:
        raise _unreadable("tool call", call)
    function = call.get("function")
    function = function if isinstance(function, dict) else {}
    index = call.get("index")
    arguments = function.get("arguments")
    if not isinstance(arguments, str):
        is_empty = not arguments and arguments != {}
        arguments = "" if is_empty else json.dumps(arguments, ensure_ascii=False)
    return ToolCallDelta(
        wire_index=index if type(index) is int else None,
        id=text_of(call.get("id")) or None,
        name=text_of(function.get("name")) or None,
        arguments=arguments,
    )


def _text(parts: list[Any]) -> str:
    texts = (part.get("text") if isinstance(part, dict) else part for part in parts)
    return "".join(text for text in texts if isinstance(text, str))


def text_of(value: Any) -> str:
    """Return a field that holds a string; `""` for any other type."""
    return fix_surrogates(value) if isinstance(value, str) else ""


# --- Usage ---

_COUNTS: Mapping[str, tuple[str, ...]] = {
    "input_tokens": ("input_tokens", "prompt_tokens"),
    "output_tokens": ("output_tokens", "completion_tokens"),
    "total_tokens": ("total_tokens",),
    "input_token_details.cache_read": (
        "prompt_tokens_details.cached_tokens",
        "input_tokens_details.cached_tokens",
        "cached_tokens",
        "prompt_cache_hit_tokens",
    ),
    "input_token_details.cache_creation": ("prompt_tokens_details.cache_creation_input_tokens",),
    "input_token_details.image": ("input_tokens_details.image_tokens", "image_tokens"),
    "output_token_details.reasoning": (
        "output_tokens_details.reasoning_tokens",
        "completion_tokens_details.reasoning_tokens",
    ),
}
"""For each count of LangChain's `UsageMetadata`, the keys to read it from: first DashScope's, then
those of partner models and of gateways that use OpenAI's names."""


def read_usage(usage: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return token counts as LangChain's `UsageMetadata`, with the details that were sent.

    `None` unless the counts of input and output are both there: costs need both.
    """
    counts = {name: _find_count(usage or {}, name) for name in _COUNTS}
    sent, received = counts["input_tokens"], counts["output_tokens"]
    if sent is None or received is None:
        return None
    metadata: dict[str, Any] = {"total_tokens": sent + received}
    for name, count in counts.items():
        if count is not None:
            group, _, key = name.rpartition(".")
            (metadata.setdefault(group, {}) if group else metadata)[key] = count
    return metadata


def _find_count(usage: Mapping[str, Any], name: str) -> int | None:
    for path in _COUNTS[name]:
        value: Any = usage
        for key in path.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        if type(value) is int and value >= 0:
            return value
    return None
