"""Writes an answer as one JSON body or as the events of a stream.

The shapes are those of recorded traffic. Requests and sockets are handled elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

Json = dict[str, Any]

IMAGE_TOKENS = 384  # the maximum that DeepSeek states for its own API
_UNITS_PER_TOKEN, _ASCII_UNITS, _WIDE_UNITS = 40, 10, 25  # 4 Latin or 1.6 Chinese characters
_PIECE_LENGTHS = (2, 3, 5, 4, 7)
_ARGUMENT_LENGTHS = (9, 5, 12)


@dataclass(frozen=True)
class ToolCall:
    """A tool call of an answer; `arguments` is JSON text, which may be malformed."""

    name: str
    arguments: str
    id: str


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The content of an answer, streamed or not."""

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str = "stop"
    usage: Mapping[str, Any] | None = None
    search_results: Sequence[Mapping[str, Any]] | None = None
    pieces: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Rendering:
    """How an answer is written.

    `cached_tokens` is None for models without a cache. Without `details` the usage has only the
    three totals, and the images' counts. On the `multimodal` route contents are lists.
    `input_tokens` include the `image_tokens`.
    """

    request_id: str
    multimodal: bool = False
    thinking: bool = False
    incremental: bool = True
    input_tokens: int = 12
    image_tokens: int = 0
    cached_tokens: int | None = None
    details: bool = True


def weigh(text: str) -> int:
    """Estimate a text's size in fortieths of a token, so that sums of pieces are exact."""
    narrow = len(text.encode("ascii", "ignore"))
    return narrow * _ASCII_UNITS + (len(text) - narrow) * _WIDE_UNITS


def count_tokens(*texts: str) -> int:
    """Estimate the tokens of some texts."""
    return -(-sum(map(weigh, texts)) // _UNITS_PER_TOKEN)


def cut_to_tokens(text: str, tokens: int) -> str:
    """Return the longest prefix of a text that fits."""
    left = tokens * _UNITS_PER_TOKEN
    for position, character in enumerate(text):
        left -= weigh(character)
        if left < 0:
            return text[:position]
    return text


def compact(value: object) -> str:
    """Serialise to JSON as the service does, without spaces and with characters of all scripts."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def encode(text: str) -> bytes:
    """Encode to UTF-8; lone surrogates are replaced."""
    return text.encode("utf-8", "replace")


def event(number: int, data: Json, *, kind: str = "result", status: int = 200) -> bytes:
    """Write one event, as recorded: no space after the colons, then a blank line."""
    return encode(f"id:{number}\nevent:{kind}\n:HTTP_STATUS/{status}\ndata:{compact(data)}\n\n")


def render_body(answer: Answer, rendering: Rendering) -> bytes:
    """Write a JSON body."""
    message: Json = {"role": "assistant", "content": _content(answer.text, rendering)}
    if rendering.thinking or answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if answer.tool_calls:
        message["tool_calls"] = [
            {
                "function": {"name": call.name, "arguments": call.arguments},
                "index": index,
                "id": call.id,
                "type": "function",
            }
            for index, call in enumerate(answer.tool_calls)
        ]
    output: Json = {"choices": [{"finish_reason": answer.finish_reason, "message": message}]}
    if answer.search_results is not None:
        output["search_info"] = {"search_results": list(answer.search_results)}
    meter = _Meter(answer, rendering)
    meter.add({**message, "content": answer.text, "reasoning_content": answer.reasoning})
    body = {"output": output, "usage": meter.usage(), "request_id": rendering.request_id}
    return encode(compact(body))


def _content(text: str, rendering: Rendering) -> str | list[Json]:
    """Write a content in the route's form: a string, or a list of parts."""
    if not rendering.multimodal:
        return text
    return [{"text": text}] if text else []


def render_stream(answer: Answer, rendering: Rendering) -> list[bytes]:
    """Write the events of a streamed answer."""
    return [event(number, data) for number, data in enumerate(_packets(answer, rendering), 1)]


def _packets(answer: Answer, rendering: Rendering) -> Iterator[Json]:
    meter, so_far = _Meter(answer, rendering), _SoFar()
    search = {"search_info": {"search_results": list(answer.search_results or ())}}
    if answer.search_results is not None:
        yield {"output": search, "usage": meter.usage(), "request_id": rendering.request_id}
    deltas = list(_deltas(answer))
    for number, delta in enumerate(deltas, 1):
        meter.add(delta)
        said = delta if rendering.incremental else so_far.add(delta)
        message: Json = {"content": _content(said.get("content", ""), rendering)}
        if rendering.thinking or answer.reasoning:
            message["reasoning_content"] = said.get("reasoning_content", "")
        if "tool_calls" in said:
            message["tool_calls"] = said["tool_calls"]
        choice: Json = {"message": {**message, "role": "assistant"}}
        if "tool_calls" in said:  # recorded: only these packets carry the index of the choice
            choice["index"] = 0
        last = number == len(deltas)
        choice["finish_reason"] = answer.finish_reason if last else "null"
        output: Json = {"choices": [choice]}
        if last and answer.search_results is not None:
            output |= search
        yield {"output": output, "usage": meter.usage(), "request_id": rendering.request_id}


def _deltas(answer: Answer) -> Iterator[Json]:
    for piece in _cut(answer.reasoning, _PIECE_LENGTHS):
        yield {"reasoning_content": piece}
    for piece in answer.pieces or _cut(answer.text, _PIECE_LENGTHS):
        yield {"content": piece}
    for index, call in enumerate(answer.tool_calls):
        yield from _call_deltas(index, call)
    # Three endings were recorded: the finish reason comes with the last piece of the arguments,
    # in a packet with an empty piece, or in a packet without a tool call. The length of the
    # tool's name selects the ending, so that tests meet all three.
    ending = len(answer.tool_calls[-1].name) % 3 if answer.tool_calls else 2
    if ending == 1:
        yield _call_delta(len(answer.tool_calls) - 1, {"arguments": ""})
    elif ending == 2:  # noqa: PLR2004
        yield {}


def _call_deltas(index: int, call: ToolCall) -> Iterator[Json]:
    pieces = list(_cut(call.arguments, _ARGUMENT_LENGTHS))
    # Both were recorded: the first delta has the beginning of the arguments, or none.
    first = pieces.pop(0) if len(call.name) % 2 and len(pieces) > 1 else ""
    yield _call_delta(index, {"name": call.name, "arguments": first}, call.id)
    for piece in pieces:
        yield _call_delta(index, {"arguments": piece})


def _call_delta(index: int, function: Json, call_id: str = "") -> Json:
    delta = {"index": index, "id": call_id, "type": "function", "function": function}
    return {"tool_calls": [delta]}


def _cut(text: str, lengths: tuple[int, ...]) -> Iterator[str]:
    position = 0
    for length in cycle(lengths):
        if position >= len(text):
            return
        yield text[position : position + length]
        position += length


class _SoFar:
    """Accumulates the answer: without incremental output each packet repeats all of it."""

    def __init__(self) -> None:
        self._said: Json = {"content": "", "reasoning_content": ""}
        self._calls: list[Json] = []

    def add(self, delta: Json) -> Json:
        for key in ("content", "reasoning_content"):
            self._said[key] += delta.get(key, "")
        for call in delta.get("tool_calls", ()):
            if call["index"] == len(self._calls):
                self._calls.append({**call, "function": dict(call["function"])})
            else:
                function = self._calls[call["index"]]["function"]
                function["arguments"] += call["function"].get("arguments", "")
        calls = [{**call, "function": dict(call["function"])} for call in self._calls]
        return {**self._said, **({"tool_calls": calls} if calls else {})}


class _Meter:
    """Counts the tokens of an answer while it grows."""

    def __init__(self, answer: Answer, rendering: Rendering) -> None:
        self._answer, self._rendering = answer, rendering
        self._reasoning = self._text = 0

    def add(self, delta: Json) -> None:
        self._reasoning += weigh(delta.get("reasoning_content", ""))
        self._text += weigh(delta.get("content", ""))
        for call in delta.get("tool_calls", ()):
            self._text += sum(weigh(value) for value in call["function"].values())

    def usage(self) -> Json:
        if self._answer.usage is not None:
            return dict(self._answer.usage)
        reasoning = -(-self._reasoning // _UNITS_PER_TOKEN)
        output = reasoning - (-self._text // _UNITS_PER_TOKEN)
        input_tokens = self._rendering.input_tokens
        usage: Json = {
            "total_tokens": input_tokens + output,
            "output_tokens": output,
            "input_tokens": input_tokens,
        }
        usage |= self._image_usage()
        if not self._rendering.details:
            return usage
        if self._rendering.thinking or reasoning:
            usage["output_tokens_details"] = {"reasoning_tokens": reasoning}
        if self._rendering.cached_tokens is not None:
            usage["prompt_tokens_details"] = {"cached_tokens": self._rendering.cached_tokens}
        if self._answer.search_results is not None:
            usage["plugins"] = {"search": {"count": 1, "strategy": "standard"}}
        return usage

    def _image_usage(self) -> Json:
        """Return what the multimodal route adds, as recorded: no image counts without images."""
        if not self._rendering.multimodal:
            return {}
        images = self._rendering.image_tokens
        counted = {"image_tokens": images} if images else {}
        texts = {"text_tokens": self._rendering.input_tokens - images}
        return {**counted, "input_tokens_details": {**counted, **texts}}
