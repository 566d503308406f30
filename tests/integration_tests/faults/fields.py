"""Fields of the wrong type."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from langchain_dashscope_deepseek import DashScopeServerError
from tests.integration_tests.faults.oddities import TOTALS
from tests.integration_tests.faults.what import CUT, ID, NO_ANSWER, Answers, Fails, Outcome

VALUES = ("null", '"x"', "7", "-1", "true", "[]", "{}", "1e400")
"""Every field is given each of these values, as JSON."""

EMPTY = ("null", "[]", "{}")
"""These are empty for every type."""

HI = Answers("hi", "hm", (("f", {"a": "b"}),), usage=(9, 5, 14))
INVALID_CALL = replace(HI, calls=(), invalid_calls=1)
GARBLED = Fails(DashScopeServerError, again=True, status=200)


@dataclass(frozen=True)
class Field:
    """A field of an answer, and the outcome of each value.

    `reads` has the outcomes of values that are valid, as JSON; `otherwise` is that of all others.
    `streamed` has the outcomes that differ in a stream.
    """

    path: tuple[str | int, ...]
    otherwise: Outcome = HI
    reads: Mapping[str, Outcome] = field(default_factory=dict)
    streamed: Mapping[str, Outcome] = field(default_factory=dict)

    def outcome(self, value: str, *, streamed: bool) -> Outcome:
        """Return the expected outcome of a value."""
        reads = {**self.reads, **(self.streamed if streamed else {})}
        return reads.get(value, reads.get("*", self.otherwise))


def _in_choice(*path: str | int) -> tuple[str | int, ...]:
    return ("output", "choices", 0, *path)


def _in_call(*path: str) -> tuple[str | int, ...]:
    return _in_choice("message", "tool_calls", 0, *path)


_NOTHING = replace(HI, text="", reasoning="", calls=())
_NO_CALL = replace(HI, calls=())
_EMPTY_CALL = replace(HI, calls=(("f", {}),))

FIELDS = (
    Field(("request_id",)),
    Field(("usage",), replace(HI, usage=None)),
    Field(
        ("usage", "input_tokens"),
        replace(HI, usage=None),
        {"7": replace(HI, usage=(7, 5, 14))},
    ),
    Field(
        ("usage", "output_tokens"),
        replace(HI, usage=None),
        {"7": replace(HI, usage=(9, 7, 14))},
    ),
    Field(("usage", "total_tokens"), reads={"7": replace(HI, usage=(9, 5, 7))}),
    Field(("usage", "output_tokens_details")),
    Field(("usage", "output_tokens_details", "reasoning_tokens")),
    Field(("usage", "prompt_tokens_details")),
    Field(("usage", "prompt_tokens_details", "cached_tokens")),
    Field(("output",), NO_ANSWER, streamed={"*": CUT}),
    Field(("output", "search_info")),
    Field(("output", "search_info", "search_results")),
    Field(("output", "choices"), NO_ANSWER, streamed={"*": CUT}),
    Field(_in_choice(), NO_ANSWER, streamed={"*": CUT}),
    Field(_in_choice("index"), NO_ANSWER, {"null": HI}, {"*": CUT}),
    Field(_in_choice("finish_reason"), replace(CUT, partial="hi"), {'"x"': HI}),
    Field(_in_choice("message"), GARBLED, dict.fromkeys(EMPTY, _NOTHING)),
    Field(_in_choice("message", "role")),
    Field(
        _in_choice("message", "content"),
        GARBLED,
        {'"x"': replace(HI, text="x"), **dict.fromkeys(EMPTY, replace(HI, text=""))},
    ),
    Field(
        _in_choice("message", "reasoning_content"),
        replace(HI, reasoning=""),
        {'"x"': replace(HI, reasoning="x")},
    ),
    Field(
        _in_choice("message", "tool_calls"),
        GARBLED,
        dict.fromkeys(EMPTY, _NO_CALL),
    ),
    Field(_in_call(), GARBLED, {"null": _NO_CALL, "[]": _NO_CALL, "{}": _NO_CALL}),
    Field(_in_call("id")),
    Field(_in_call("index")),
    Field(_in_call("type")),
    Field(_in_call("function"), INVALID_CALL),
    Field(
        _in_call("function", "name"),
        INVALID_CALL,
        {'"x"': replace(HI, calls=(("x", {"a": "b"}),))},
    ),
    Field(_in_call("function", "arguments"), INVALID_CALL, dict.fromkeys(EMPTY, _EMPTY_CALL)),
)


def with_value(path: tuple[str | int, ...], value: str) -> str:
    """Write an answer that has this value in this field."""
    call = {"id": "c", "index": 0, "type": "function"}
    call["function"] = {"name": "f", "arguments": '{"a": "b"}'}
    message = {"role": "assistant", "content": "hi", "reasoning_content": "hm"}
    choice = {"index": 0, "finish_reason": "stop", "message": {**message, "tool_calls": [call]}}
    details = {
        "output_tokens_details": {"reasoning_tokens": 1},
        "prompt_tokens_details": {"cached_tokens": 1},
    }
    document: Any = {
        "output": {"choices": [choice], "search_info": {"search_results": []}},
        "usage": {**TOTALS, **details},
        "request_id": ID,
    }
    holder = document
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = "VALUE"
    return json.dumps(document).replace('"VALUE"', value)
