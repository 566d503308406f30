"""The checks: the requests, the capability table's entries, and how answers are read.

Pure: no I/O, no LangChain.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

from langchain_dashscope_deepseek._dashscope.protocol.packets import (
    AnswerDelta,
    WireMessage,
    read_usage,
)
from langchain_dashscope_deepseek.capabilities import ModelCapabilities, Route

EFFORTS = ("minimal", "low", "medium", "high", "xhigh", "max", "ultra", 50)
"""All documented values of `reasoning_effort`, including those that pages disagree on; 50 stands
for the whole numbers."""

SHORT, LONG = 16, 64
"""Token limits of an answer: `LONG` if its text or its calls are read and should not be cut."""


class Answer(NamedTuple):
    """An answer of the service, combined from its deltas."""

    text: str
    has_reasoning: bool
    has_call: bool
    is_cut: bool
    usage: Mapping[str, Any] | None  # as `read_usage` returns it
    deltas: int

    @classmethod
    def of(cls, deltas: Sequence[AnswerDelta]) -> Answer:
        """Combine the deltas of an answer; without a stream there is one."""
        counts = [delta.usage for delta in deltas if delta.usage]
        return cls(
            text="".join(delta.text for delta in deltas),
            has_reasoning=any(delta.reasoning for delta in deltas),
            has_call=any(call.name for delta in deltas for call in delta.tool_calls),
            is_cut=any(delta.finish_reason == "length" for delta in deltas),
            usage=read_usage(counts[-1]) if counts else None,
            deltas=len(deltas),
        )


# --- Reading an answer: "yes", "no" or "unclear", and a note ---

Reading = tuple[str, str]


def _accepted(_: Answer) -> Reading:
    return "yes", ""


def read_thinking(answer: Answer) -> Reading:
    """Tell whether the model thought."""
    return "yes" if answer.has_reasoning else "no", ""


def _does_not_think(answer: Answer) -> Reading:
    return "no" if answer.has_reasoning else "yes", ""


def _is_streamed(answer: Answer) -> Reading:
    return "yes" if answer.deltas > 1 else "no", ""


def _calls(answer: Answer, *, without: str = "unclear") -> Reading:
    if answer.has_call:
        return "yes", ""
    if answer.is_cut:
        return "unclear", "accepted, but cut before a call"
    return without, "accepted, answered without a call"


_is_made_to_call = partial(_calls, without="no")


def _is_json(answer: Answer) -> Reading:
    try:
        json.loads(answer.text)
    except ValueError:
        return "unclear" if answer.is_cut else "no", "accepted, but the answer is not valid JSON"
    return "yes", ""


def _stops(answer: Answer) -> Reading:
    if "three" in answer.text:
        return "no", "accepted, but did not stop"
    return ("unclear", "accepted, but cut before the stop string") if answer.is_cut else ("yes", "")


def _is_cached(answer: Answer) -> Reading:
    cached = (answer.usage or {}).get("input_token_details", {}).get("cache_read", 0)
    # The service promises no hit, so a miss does not show that there is no cache.
    return "yes" if cached else "unclear", f"{cached} tokens read from the cache"


# --- The table of checks ---


@dataclass(frozen=True)
class Check:
    """A request, and how its answer is read.

    Attributes:
        name: The name in the report.
        parameters: The wire's parameters; `Doctor.plan` adds the token limit.
        table: Whether it works according to the capability table; `None` if that is not known.
        read: Reads an answer; a refusal, which is "no", needs none.
        messages: The messages, in the text route's form but for images.
        limit: The token limit of the answer.
        streamed: Whether to request a stream.
        route: The route; `None` for the model's own.
        times: How often to send the request; the last answer is read.
    """

    name: str
    parameters: Mapping[str, Any]
    table: bool | None
    read: Callable[[Answer], Reading] = _accepted
    messages: Sequence[WireMessage] = ({"role": "user", "content": "Say OK."},)
    limit: int = SHORT
    streamed: bool = False
    route: Route | None = None
    times: int = 1


def _user(content: str | list[dict[str, str]]) -> WireMessage:
    return {"role": "user", "content": content}


def _tool(name: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {}}
    return {"type": "function", "function": {"name": name, "parameters": schema}}


def _after_a_call(**reasoning: str) -> list[WireMessage]:
    function = {"name": "get_time", "arguments": "{}"}
    call = {"id": "call_1", "type": "function", "function": function, "index": 0}
    return [
        _user("Call get_time."),
        {"role": "assistant", "content": "", "tool_calls": [call], **reasoning},
        {"role": "tool", "content": "12:00", "tool_call_id": "call_1"},
    ]


_TOOL, _OTHER_TOOL = _tool("get_time"), _tool("get_date")
_NAMED = {"type": "function", "function": {"name": "get_time"}}
_SCHEMA = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
_JSON = {"type": "json_object"}
_JSON_SCHEMA = {"type": "json_schema", "json_schema": {"name": "answer", "schema": _SCHEMA}}
_PNG = (  # 16 by 16: the service requires sides over 10 pixels
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAABAAAAAQAQAAAAA3iMLMAAAADklEQVR42mP4/5+BFAQA"
    "/U4f4d7IdZcAAAAASUVORK5CYII="
)

_CALL_IT = [_user("Call get_time.")]
_SAY_JSON = [_user('Answer with the JSON object {"ok": true}.')]
_COUNT = [_user("Repeat exactly: one two three four")]
_LOOK = [_user([{"image": _PNG}, {"text": "What is it?"}])]
_BOXES = "\n".join(f"The colour of box number {n} is blue." for n in range(1, 131))
_LONG_PROMPT = [{"role": "system", "content": _BOXES}, _user("Say OK.")]
"""More than 1,024 tokens, the minimum that the service caches."""


def checks_of(row: ModelCapabilities, region: str | None) -> Iterator[Check]:
    """Yield the checks of a model, except the one that finds its route."""
    thinking = None if row.thinking == "unknown" else row.thinking
    can_think = thinking and thinking != "never"
    can_think_unstreamed = can_think and not row.thinking_needs_stream
    on, off = {"enable_thinking": True}, {"enable_thinking": False}
    yield Check("streamed", {}, True, _is_streamed, streamed=True)
    yield Check("thinking on", on, can_think_unstreamed, read_thinking)
    yield Check("thinking on, streamed", on, can_think, read_thinking, streamed=True)
    yield Check("thinking off", off, thinking and thinking != "always", _does_not_think)

    # From here on `enable_thinking` is sent only to models that have it: others may refuse it.
    without_thinking, with_thinking = (off, on) if row.is_hybrid else ({}, {})
    yield from _tools_and_json(row, region, without_thinking, thinking=thinking == "always")
    if row.is_hybrid:
        for check in _tools_and_json(row, region, on, thinking=True):
            yield replace(check, name=f"{check.name}, thinking")
    schema = {**without_thinking, "response_format": _JSON_SCHEMA}
    yield Check("json_schema", schema, row.json_schema, _is_json, _SAY_JSON, LONG)

    if row.efforts_text or row.settable is None:
        for value in EFFORTS:
            says = row.knows_effort(value) if row.efforts_text else None
            yield Check(
                f"reasoning_effort={value}", {**with_thinking, "reasoning_effort": value}, says
            )

    if row.thinking != "never" and row.tools in ("always", "unknown"):
        replays = thinking and row.reasoning_replay == "with_tool_calls"
        tools = {**with_thinking, "tools": [_TOOL]}
        full, bare = _after_a_call(reasoning_content="I call get_time."), _after_a_call()
        yield Check("reasoning sent back", tools, replays, messages=full)
        yield Check("reasoning left out", tools, thinking and not replays, messages=bare)

    yes_or_unknown = None if row.settable is None else True
    stop, can_stop = {**without_thinking, "stop": ["three"]}, row.can_set("stop") and yes_or_unknown
    yield Check(
        "image", without_thinking, row.images, messages=_LOOK, route="multimodal-generation"
    )
    yield Check("stop", stop, can_stop, _stops, _COUNT, LONG)
    yield Check("seed", {**without_thinking, "seed": 1}, row.can_set("seed") and yes_or_unknown)
    yield Check("implicit cache", without_thinking, row.cache, _is_cached, _LONG_PROMPT, times=2)


def _tools_and_json(
    row: ModelCapabilities, region: str | None, switch: Mapping[str, Any], *, thinking: bool
) -> Iterator[Check]:
    """Yield the checks whose outcome depends on whether the model thinks."""
    calls = None if row.tools == "unknown" else row.calls_tools(thinking=thinking)
    # The error: "tool_choice does not support being set to required or object in thinking mode".
    forces = calls and not thinking
    supports_json = row.json_object and region not in row.json_missing_in and not thinking
    one, two = {"tools": [_TOOL]}, {"tools": [_TOOL, _OTHER_TOOL]}
    named, required = {"tool_choice": _NAMED}, {"tool_choice": "required"}
    checks = [Check("tool", one, calls, _calls, _CALL_IT)]
    if calls is not False:
        checks += [
            Check("named tool", {**two, **named}, forces, _is_made_to_call, _CALL_IT),
            Check("required", {**one, **required}, forces, _is_made_to_call, _CALL_IT),
            # A recording shows a refusal by the OpenAI-compatible API; unknown for this one.
            Check("required, 2 tools", {**two, **required}, None, _is_made_to_call, _CALL_IT),
        ]
    checks.append(
        Check("json_object", {"response_format": _JSON}, supports_json, _is_json, _SAY_JSON)
    )
    for check in checks:
        yield replace(
            check,
            parameters={**switch, **check.parameters},
            # The limit may end the answer within its reasoning: "yes" means that it was accepted.
            read=_accepted if thinking else check.read,
            limit=SHORT if thinking else LONG,
            streamed=thinking and row.thinking_needs_stream,
        )
