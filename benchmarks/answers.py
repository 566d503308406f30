"""The answers of the benchmark and their bytes, in DashScope's dialect and in OpenAI's.

Both dialects carry the same pieces of text, one an event. The shapes are those of recorded
traffic: usage is in every event of DashScope's, and in the last one of OpenAI's (as DeepSeek does).
"""

from __future__ import annotations

import json
from functools import lru_cache
from itertools import cycle, islice
from typing import Any, NamedTuple

MODEL = "deepseek-v4-pro"
TOOL_NAME = "write_file"
CALL_ID = "call_29a8e7106f45deb8add3"
REQUEST_ID = "3f2c9d1e-0000-4000-8000-00000000000a"

_THOUGHTS = ("Okay", ", the", " user", " asks", " why", " the", " sky", " is", " blue", ".", "\n")
_WORDS = (
    "The",
    " sky",
    " is",
    " blue",
    ":",
    " 空气",
    "散射",
    "短波",
    "，",
    " **more**",
    " so",
    ".",
)
_CODE = ("def", " f", "(x", "):", "\n", "    ", "return", " x", " +", " 1", "  # 加一", "\n")


class Answer(NamedTuple):
    """What is said, piece by piece; each piece is an event of its own."""

    reasoning: tuple[str, ...]
    text: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()

    @property
    def events(self) -> int:
        """How many events a stream of it has: the pieces, one that opens the call, the end."""
        pieces = len(self.reasoning) + len(self.text) + len(self.arguments)
        return pieces + bool(self.arguments) + 1

    @property
    def joined(self) -> tuple[str, str, str]:
        """Reasoning, text and arguments, as they must come out."""
        return "".join(self.reasoning), "".join(self.text), "".join(self.arguments)


@lru_cache(maxsize=8)
def answer(kind: str, events: int) -> Answer:
    """Give the answer of a kind with so many events.

    Args:
        kind: `text` thinks for half of the events and speaks for the rest; `tools` thinks for a
            quarter and writes the arguments of one call.
        events: Events of the stream, the last one included, which is empty.
    """
    pieces = events - 1
    if kind == "tools":
        thoughts = pieces // 4
        code = list(islice(cycle(_CODE), pieces - thoughts - 3))
        escaped = (json.dumps(piece, ensure_ascii=False)[1:-1] for piece in code)
        arguments = ('{"path": "f.py", "content": "', *escaped, '"}')
        return Answer(tuple(islice(cycle(_THOUGHTS), thoughts)), arguments=arguments)
    thoughts = pieces // 2
    return Answer(
        tuple(islice(cycle(_THOUGHTS), thoughts)), tuple(islice(cycle(_WORDS), pieces - thoughts))
    )


def native_events(said: Answer) -> list[bytes]:
    """Render a stream of DashScope's."""
    deltas: list[dict[str, Any]] = [
        *({"content": "", "reasoning_content": piece} for piece in said.reasoning),
        *({"content": piece, "reasoning_content": ""} for piece in said.text),
        *(
            {"content": "", "reasoning_content": "", "tool_calls": [call]}
            for call in _call_deltas(said, later={"id": "", "type": "function"})
        ),
        {"content": "", "reasoning_content": ""},
    ]
    return [
        _native_event(said, number, delta, is_last=number == len(deltas))
        for number, delta in enumerate(deltas, 1)
    ]


def _native_event(said: Answer, number: int, delta: dict[str, Any], *, is_last: bool) -> bytes:
    finish_reason = _finish_reason(said) if is_last else "null"
    message = {**delta, "role": "assistant"}
    data = {
        "output": {"choices": [{"message": message, "finish_reason": finish_reason}]},
        "usage": _native_usage(said, number),
        "request_id": REQUEST_ID,
    }
    return f"id:{number}\nevent:result\n:HTTP_STATUS/200\ndata:{_json(data)}\n\n".encode()


def native_body(said: Answer) -> bytes:
    """Render an answer of DashScope's in one piece."""
    choice = {"finish_reason": _finish_reason(said), "message": _whole_message(said)}
    data = {
        "output": {"choices": [choice]},
        "usage": _native_usage(said, said.events),
        "request_id": REQUEST_ID,
    }
    return _json(data).encode()


def openai_events(said: Answer) -> list[bytes]:
    """Render a stream of OpenAI's, as DeepSeek sends it."""
    deltas: list[dict[str, Any]] = [
        *({"content": None, "reasoning_content": piece} for piece in said.reasoning),
        *({"content": piece} for piece in said.text),
        *({"tool_calls": [call]} for call in _call_deltas(said, later={})),
        {"content": ""},
    ]
    deltas[0]["role"] = "assistant"
    events = [
        _openai_event(said, delta, is_last=number == len(deltas))
        for number, delta in enumerate(deltas, 1)
    ]
    return [*events[:-1], events[-1] + b"data: [DONE]\n\n"]


def _openai_event(said: Answer, delta: dict[str, Any], *, is_last: bool) -> bytes:
    finish_reason = _finish_reason(said) if is_last else None
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    data = {
        **_openai_frame("chat.completion.chunk"),
        "choices": [choice],
        **({"usage": _openai_usage(said)} if is_last else {}),
    }
    return f"data: {_json(data)}\n\n".encode()


def openai_body(said: Answer) -> bytes:
    """Render an answer of OpenAI's in one piece."""
    choice = {
        "index": 0,
        "message": _whole_message(said),
        "logprobs": None,
        "finish_reason": _finish_reason(said),
    }
    data = {
        **_openai_frame("chat.completion"),
        "choices": [choice],
        "usage": _openai_usage(said),
    }
    return _json(data).encode()


def _call_deltas(said: Answer, later: dict[str, Any]) -> list[dict[str, Any]]:
    if not said.arguments:
        return []
    named = {"id": CALL_ID, "type": "function", "function": {"name": TOOL_NAME, "arguments": ""}}
    grown = ({**later, "function": {"arguments": piece}} for piece in said.arguments)
    return [{"index": 0, **delta} for delta in (named, *grown)]


def _whole_message(said: Answer) -> dict[str, Any]:
    reasoning, text, arguments = said.joined
    function = {"name": TOOL_NAME, "arguments": arguments}
    call = {"index": 0, "id": CALL_ID, "type": "function", "function": function}
    return {
        "role": "assistant",
        "content": text,
        "reasoning_content": reasoning,
        **({"tool_calls": [call]} if arguments else {}),
    }


def _finish_reason(said: Answer) -> str:
    return "tool_calls" if said.arguments else "stop"


def _native_usage(said: Answer, so_far: int) -> dict[str, Any]:
    return {
        "total_tokens": 12 + so_far,
        "input_tokens": 12,
        "output_tokens": so_far,
        "output_tokens_details": {"reasoning_tokens": min(so_far, len(said.reasoning))},
        "prompt_tokens_details": {"cached_tokens": 0},
    }


def _openai_usage(said: Answer) -> dict[str, Any]:
    return {
        "prompt_tokens": 12,
        "completion_tokens": said.events,
        "total_tokens": 12 + said.events,
        "completion_tokens_details": {"reasoning_tokens": len(said.reasoning)},
        "prompt_tokens_details": {"cached_tokens": 0},
    }


def _openai_frame(kind: str) -> dict[str, Any]:
    return {
        "id": REQUEST_ID,
        "object": kind,
        "created": 1_780_000_000,
        "model": MODEL,
        "system_fingerprint": "fp_8802369eaa_prod0425fp8",
    }


def _json(data: dict[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))
