"""The emulator's streams, packet by packet."""

from __future__ import annotations

import json

import pytest

from langchain_dashscope_deepseek.testing import DashScopeEmulator
from tests.unit_tests.emulator.asking import V3, WEATHER, Client

pytest_plugins = ["langchain_dashscope_deepseek.testing.fixtures"]


def test_a_stream_has_the_bytes_of_the_service(client: Client, emulator: DashScopeEmulator) -> None:
    emulator.reply(pieces=["你", "好"], reasoning="嗯", usage={"total_tokens": 3})

    response = client.post(stream=True)

    request_id = response.headers["x-request-id"]
    end = f'"usage":{{"total_tokens":3}},"request_id":"{request_id}"}}\n\n'
    said = [("", "嗯", "null"), ("你", "", "null"), ("好", "", "null"), ("", "", "stop")]
    assert response.headers["content-type"] == "text/event-stream;charset=UTF-8"
    assert response.text == "".join(
        f"id:{number}\nevent:result\n:HTTP_STATUS/200\n"
        f'data:{{"output":{{"choices":[{{"message":{{"content":"{content}",'
        f'"reasoning_content":"{reasoning}","role":"assistant"}},"finish_reason":"{reason}"}}]}},'
        + end
        for number, (content, reasoning, reason) in enumerate(said, 1)
    )


def test_the_usage_of_a_stream_grows_to_the_usage_of_the_whole(client: Client) -> None:
    usages = [packet["usage"] for packet in client.ask(stream=True).packets]

    totals = [usage["total_tokens"] for usage in usages]
    assert totals == sorted(totals)
    assert usages[-1] == client.ask().usage


def test_without_thinking_the_key_for_reasoning_is_missing(client: Client) -> None:
    asked = client.ask(stream=True, enable_thinking=False)

    assert all(set(choice["message"]) == {"content", "role"} for choice in asked.choices)


def test_without_incremental_output_every_packet_repeats_all_so_far(client: Client) -> None:
    asked = client.ask(stream=True, model=V3, incremental_output=False)

    texts = [choice["message"]["content"] for choice in asked.choices]
    assert texts == sorted(texts, key=len)
    assert texts[-1] == client.ask(model=V3).joined()


def test_calls_are_repeated_as_well(client: Client, emulator: DashScopeEmulator) -> None:
    calls = [{"name": name, "arguments": {"location": "杭州"}, "id": name} for name in ("a", "bb")]
    emulator.reply(tool_calls=calls)

    asked = client.ask(stream=True, model=V3, incremental_output=False)

    last = asked.choices[-1]["message"]["tool_calls"]
    assert [(call["id"], call["function"]["name"]) for call in last] == [("a", "a"), ("bb", "bb")]
    assert [json.loads(call["function"]["arguments"]) for call in last] == [
        {"location": "杭州"}
    ] * 2


@pytest.mark.parametrize(
    "question",
    ["用 get_weather 查 杭州", "查一下杭州的天气", "请用get_weather查询杭州", "杭州天气如何"],
)
def test_arguments_hold_the_subject_of_a_chinese_question(client: Client, question: str) -> None:
    asked = client.ask(question, stream=True, tools=[WEATHER])
    assert asked.calls == [("get_weather", {"location": "杭州"})]


def test_tool_calls_are_streamed_in_deltas(client: Client) -> None:
    question = "杭州和上海现在的天气如何"
    asked = client.ask(question, stream=True, tools=[WEATHER], parallel_tool_calls=True)

    assert asked.calls == [("get_weather", {"location": city}) for city in ("杭州", "上海")]
    assert asked.finish_reason == "tool_calls"
    deltas = [d for c in asked.choices for d in c["message"].get("tool_calls", ())]
    for index in (0, 1):
        first, *others = [delta for delta in deltas if delta["index"] == index]
        assert first["id"].startswith("call_")
        assert all(delta["id"] == "" and "name" not in delta["function"] for delta in others)


@pytest.mark.parametrize("name", ["get", "pick", "fetch", "lookup"])
def test_the_end_of_a_call_takes_every_shape_that_was_seen(
    client: Client, emulator: DashScopeEmulator, name: str
) -> None:
    emulator.reply(tool_calls=[{"name": name, "arguments": {"city": "Paris"}}])

    asked = client.ask(stream=True)

    assert asked.calls == [(name, {"city": "Paris"})]
    last = asked.choices[-1]
    assert last["finish_reason"] == "tool_calls"
    arguments = [c["function"]["arguments"] for c in last["message"].get("tool_calls", ())]
    assert arguments == {0: ['s"}'], 1: [""], 2: []}[len(name) % 3]
