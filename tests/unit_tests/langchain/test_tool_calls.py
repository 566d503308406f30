"""Tool calls as servers write them: no tool runs with arguments that the model did not mean."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage

from tests.unit_tests.conftest import STYLES, Ask, Scripted, answer_of

Piece = tuple[int | None, str | None, str | None, str]
"""Index, id, name and arguments of a piece of a call, as a packet has them."""


def stream_of(pieces: Sequence[Piece], finish: str = "tool_calls") -> str:
    """Write a stream with a piece in each packet."""
    packets = []
    for index, call_id, name, arguments in pieces:
        function = {"arguments": arguments, **({} if name is None else {"name": name})}
        call: dict[str, Any] = {"type": "function", "function": function}
        call |= {} if index is None else {"index": index}
        call |= {} if call_id is None else {"id": call_id}
        document = answer_of("", tool_calls=[call])
        document["output"]["choices"][0]["finish_reason"] = "null"
        packets.append(document)
    last = answer_of("")
    last["output"]["choices"][0]["finish_reason"] = finish
    return "".join(f"data:{json.dumps(packet)}\n\n" for packet in [*packets, last])


def calls_of(message: AIMessage) -> list[tuple[str, Any]]:
    return [(call["name"], call["args"]) for call in message.tool_calls]


WEATHER = [("weather", {"city": "Berlin"})]

PLACED: dict[str, tuple[list[Piece], list[tuple[str, Any]]]] = {
    "the rest under index 0": (
        [(1, "a", "weather", ""), (0, "", None, '{"city":'), (0, "", None, ' "Berlin"}')],
        WEATHER,
    ),
    "another id in every piece": (
        [(0, "a", "weather", ""), (0, "b", None, '{"city":'), (0, "c", None, ' "Berlin"}')],
        WEATHER,
    ),
    "the first piece without an index": (
        [(None, "a", "weather", ""), (0, None, None, '{"city":'), (0, None, None, ' "Berlin"}')],
        WEATHER,
    ),
    "two calls under one index, told apart by id": (
        [
            (0, "a", "weather", ""),
            (0, "b", "time", ""),
            (0, "a", None, '{"city": "Berlin"}'),
            (0, "b", None, '{"zone": 1}'),
        ],
        [*WEATHER, ("time", {"zone": 1})],
    ),
    "a known id under another index": (
        [(0, "a", "weather", '{"city":'), (7, "a", None, ' "Berlin"}')],
        WEATHER,
    ),
    "a name in pieces": (
        [(0, "a", "wea", ""), (0, None, "ther", ""), (0, None, None, '{"city": "Berlin"}')],
        WEATHER,
    ),
    "a name that is repeated": (
        [(0, "a", "weather", ""), (0, None, "weather", ""), (0, "", None, '{"city": "Berlin"}')],
        WEATHER,
    ),
    "one id for two calls": (
        [(0, "a", "weather", '{"city": "Berlin"}'), (1, "a", "weather", '{"city": "Bonn"}')],
        [*WEATHER, ("weather", {"city": "Bonn"})],
    ),
    "one id for two calls under one index, and then another id": (
        [
            (0, "a", "time", "{}"),
            (0, "a", "weather", ""),
            (0, "b", "weather", '{"city": "Berlin"}'),
        ],
        [("time", {}), ("weather", {}), *WEATHER],
    ),
    "a late id, and then no index": (
        [(0, None, "weather", ""), (0, "b", None, '{"city":'), (None, "b", None, ' "Berlin"}')],
        WEATHER,
    ),
    "a late id, and then another": (
        [(0, None, "weather", ""), (0, "b", None, ""), (0, "c", "weather", '{"city": "Berlin"}')],
        [("weather", {}), *WEATHER],
    ),
    "a last piece that is nothing": (
        [(0, "a", "weather", '{"city": "Berlin"}'), (1, None, None, "")],
        WEATHER,
    ),
    "null for no arguments": ([(0, "a", "now", "null")], [("now", {})]),
    "no arguments": ([(0, "a", "now", "")], [("now", {})]),
    "raw line ends and tabs": (
        [(0, "a", "write", '{"text": "x = 1\ny\t= 2"}')],
        [("write", {"text": "x = 1\ny\t= 2"})],
    ),
}


@pytest.mark.parametrize("name", PLACED)
async def test_arguments_reach_their_call(name: str, ask: Ask, service: Scripted) -> None:
    pieces, calls = PLACED[name]
    service.answer(stream_of(pieces))
    message = await ask(service.model(), "hi")
    assert calls_of(message) == calls
    assert message.invalid_tool_calls == []
    ids = [call["id"] for call in message.tool_calls]
    assert None not in ids
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("arguments", ['{"text": "\\x"}', "{}{}", '"{}"', "[]", '{"a": 1'])
async def test_what_has_no_one_reading_is_invalid(
    arguments: str, ask: Ask, service: Scripted
) -> None:
    service.answer(stream_of([(0, "a", "write", arguments)]))
    message = await ask(service.model(), "hi")
    assert message.tool_calls == []
    assert [call["name"] for call in message.invalid_tool_calls] == ["write"]


async def test_no_call_is_valid_without_arguments_where_some_belong_to_none(
    ask: Ask, service: Scripted
) -> None:
    """They may be its own: a tool would run on its defaults."""
    service.answer(stream_of([(None, None, None, '{"limit": 1}'), (0, "a", "delete", "")]))
    message = await ask(service.model(), "hi")
    assert message.tool_calls == []
    assert "delete" in [call["name"] for call in message.invalid_tool_calls]


@pytest.mark.parametrize(
    "finish", ["length", "content_filter", "insufficient_system_resource", "x"]
)
async def test_a_call_without_arguments_was_cut_where_the_answer_was(
    finish: str, ask: Ask, service: Scripted
) -> None:
    service.answer(stream_of([(0, "a", "now", "")], finish))
    message = await ask(service.model(), "hi")
    assert message.tool_calls == []
    assert [call["name"] for call in message.invalid_tool_calls] == ["now"]


async def test_a_name_in_pieces_of_one_packet_is_one_name(ask: Ask, service: Scripted) -> None:
    first = {"index": 0, "id": "a", "function": {"name": "get_", "arguments": ""}}
    second = {"index": 0, "function": {"name": "weather", "arguments": "{}"}}
    document = answer_of("", tool_calls=[first, second])
    document["output"]["choices"][0]["finish_reason"] = "null"
    last = answer_of("")
    last["output"]["choices"][0]["finish_reason"] = "tool_calls"
    service.answer("".join(f"data:{json.dumps(packet)}\n\n" for packet in (document, last)))
    message = await ask(service.model(), "hi")
    assert calls_of(message) == [("get_weather", {})]


async def test_nothing_behind_a_text_is_no_call(ask: Ask, service: Scripted) -> None:
    last = answer_of("hi", tool_calls=[{"function": {}}])
    service.answer(f"data:{json.dumps(last)}\n\n")
    message = await ask(service.model(), "hi")
    assert (message.content, message.tool_calls, message.invalid_tool_calls) == ("hi", [], [])


NAMES = ("weather", "time")
ARGUMENTS: tuple[dict[str, Any], ...] = ({}, {"city": "Berlin"}, {"a": [1, {"b": "}"}]})


@st.composite
def split_calls(draw: st.DrawFn) -> tuple[list[Piece], list[tuple[str, Any]]]:
    """Write calls in pieces, with the liberties that servers take."""
    pieces: list[Piece] = []
    calls: list[tuple[str, Any]] = []
    for position in range(draw(st.integers(1, 3))):
        name, arguments = draw(st.sampled_from(NAMES)), draw(st.sampled_from(ARGUMENTS))
        raw = json.dumps(arguments)
        cuts = sorted({0, len(raw), *draw(st.lists(st.integers(0, len(raw)), max_size=3))})
        texts = [raw[start:end] for start, end in pairwise(cuts)]
        first_index = draw(st.sampled_from([position, None, position + 5]))
        pieces.append((first_index, f"id-{position}", name, ""))
        liberty = draw(st.sampled_from(["index", "id", "neither", "another id", "index 0"]))
        for text in texts:
            index: int | None = {"index": first_index, "another id": first_index}.get(liberty)
            if liberty == "index 0" and position == 0:
                index = 0
            call_id = {"id": f"id-{position}", "another id": "x"}.get(liberty, "")
            if liberty == "another id" and first_index is None:
                call_id = ""
            pieces.append((index, call_id, None, text))
        calls.append((name, arguments))
    return pieces, calls


@pytest.mark.parametrize("style", ["invoke", "stream"])
@settings(max_examples=200)
@given(split=split_calls())
async def test_any_split_gives_the_call_or_an_invalid_one_and_never_another(
    style: str, split: tuple[list[Piece], list[tuple[str, Any]]]
) -> None:
    pieces, meant = split
    service = Scripted()
    service.answer(stream_of(pieces))
    message = await STYLES[style](service.model(), "hi")
    for call in calls_of(message):
        assert call in meant
    assert len(message.tool_calls) + len(message.invalid_tool_calls) >= len(meant)
