"""The emulator by itself, asked with plain HTTP: what it checks, what it answers, how it fails."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import httpx
import pytest

from langchain_dashscope_deepseek.capabilities import MODELS, ModelCapabilities
from langchain_dashscope_deepseek.testing import DashScopeEmulator

pytest_plugins = ["langchain_dashscope_deepseek.testing.fixtures"]

ROUTE = "/services/aigc/text-generation/generation"
V4, V32, V31, V3, R1 = (f"deepseek-{name}" for name in ("v4-pro", "v3.2", "v3.1", "v3", "r1"))
DISTILL = "deepseek-r1-distill-qwen-7b"
HELLO = [{"role": "user", "content": "Hello"}]
CALLED: dict[str, Any] = {
    "role": "assistant",
    "content": "",
    "tool_calls": [
        {
            "id": "call_1",
            "type": "function",
            "function": {"name": "get_weather", "arguments": '{"location": "Paris"}'},
        }
    ],
}
RESULT = {"role": "tool", "content": "It is sunny.", "tool_call_id": "call_1"}


def function(name: str, description: str = "", **properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {
        "type": "function",
        "function": {"name": name, "description": description, "parameters": schema},
    }


WEATHER = function("get_weather", "获取现在的天气", location={"type": "string"})


class Asked:
    """What came back: the status, and the packets, or the one body."""

    def __init__(self, response: httpx.Response) -> None:
        self.response, self.status = response, response.status_code
        lines = response.text.splitlines()
        self.packets = [json.loads(line[5:]) for line in lines if line.startswith("data:")]
        self.body = self.packets[-1] if self.packets else response.json()
        self.code, self.error = self.body.get("code"), self.body.get("message")
        self.usage = self.body.get("usage")

    @property
    def choices(self) -> list[dict[str, Any]]:
        packets = self.packets or [self.body]
        return [c for packet in packets for c in packet["output"].get("choices", ())]

    @property
    def finish_reason(self) -> str:
        return str(self.choices[-1]["finish_reason"])

    def joined(self, key: str = "content") -> str:
        return "".join(choice["message"].get(key, "") for choice in self.choices)

    @property
    def calls(self) -> list[tuple[str, Any]]:
        """The tool calls, put together from their deltas."""
        calls: dict[int, list[str]] = {}
        for choice in self.choices:
            for delta in choice["message"].get("tool_calls", ()):
                call = calls.setdefault(delta["index"], ["", ""])
                call[0] += delta["function"].get("name", "")
                call[1] += delta["function"]["arguments"]
        return [(name, json.loads(arguments)) for name, arguments in calls.values()]


class Client:
    """The least client that can talk to the service."""

    def __init__(self, emulator: DashScopeEmulator, http: httpx.Client) -> None:
        self.emulator, self.http = emulator, http

    def post(
        self, messages: Any = HELLO, model: str = V4, *, stream: bool = False, **parameters: Any
    ) -> httpx.Response:
        response: httpx.Response
        with self.open(messages, model, stream=stream, **parameters) as response:
            response.read()
        return response

    def open(
        self, messages: Any = HELLO, model: str = V4, *, stream: bool = False, **parameters: Any
    ) -> Any:
        headers = {"Authorization": f"Bearer {self.emulator.api_key}"}
        if stream:
            headers["X-DashScope-SSE"] = "enable"
            parameters = {"incremental_output": True, **parameters}
        if isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        body = {"model": model, "input": {"messages": messages}, "parameters": parameters}
        return self.http.stream("POST", self.emulator.base_url + ROUTE, headers=headers, json=body)

    def ask(self, *args: Any, **kwargs: Any) -> Asked:
        return Asked(self.post(*args, **kwargs))

    def refused(self, *args: Any, **kwargs: Any) -> str:
        asked = self.ask(*args, **kwargs)
        assert (asked.status, asked.code) == (400, "InvalidParameter")
        assert set(asked.body) == {"code", "message", "request_id"}
        return str(asked.error)


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with httpx.Client() as client:
        yield client


@pytest.fixture
def client(dashscope_emulator: DashScopeEmulator, http: httpx.Client) -> Client:
    return Client(dashscope_emulator, http)


@pytest.fixture
def emulator(dashscope_emulator: DashScopeEmulator) -> DashScopeEmulator:
    return dashscope_emulator


def eventually(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + 5
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    return condition()


# --- answers of its own ---


def test_an_answer_says_that_it_is_emulated(client: Client) -> None:
    asked = client.ask("Hello there")

    message = asked.choices[0]["message"]
    assert "emulator of deepseek-v4-pro" in message["content"]
    assert "Hello there" in message["content"]
    assert "emulated" in message["reasoning_content"]
    assert asked.finish_reason == "stop"
    assert asked.body["request_id"] == asked.response.headers["x-request-id"]


def test_a_chinese_question_gets_a_chinese_answer(client: Client) -> None:
    assert "模拟器" in client.ask("你好").joined()


def test_usage_adds_up_and_counts_the_reasoning_as_output(client: Client) -> None:
    usage = client.ask().usage

    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert 0 < usage["output_tokens_details"]["reasoning_tokens"] < usage["output_tokens"]
    assert usage["prompt_tokens_details"] == {"cached_tokens": 0}


def test_models_that_always_think_report_the_three_totals_only(client: Client) -> None:
    asked = client.ask(model=R1)

    assert asked.joined("reasoning_content")
    assert set(asked.usage) == {"total_tokens", "input_tokens", "output_tokens"}


def test_a_model_that_never_thinks_has_no_reasoning(client: Client) -> None:
    message = client.ask(model=V3).choices[0]["message"]

    assert set(message) == {"role", "content"}


def test_a_long_beginning_that_was_seen_before_is_cached(client: Client) -> None:
    messages = [{"role": "system", "content": "word " * 400}, *HELLO]

    assert client.ask(messages).usage["prompt_tokens_details"] == {"cached_tokens": 0}
    usage = client.ask([messages[0], {"role": "user", "content": "Bye"}]).usage
    assert 256 <= usage["prompt_tokens_details"]["cached_tokens"] < usage["input_tokens"]


def test_a_search_answers_with_its_results(client: Client) -> None:
    whole = client.ask(enable_search=True)
    streamed = client.ask(enable_search=True, stream=True)

    results = whole.body["output"]["search_info"]["search_results"]
    assert set(results[0]) == {"site_name", "icon", "index", "title", "url"}
    assert whole.usage["plugins"] == {"search": {"count": 1, "strategy": "standard"}}
    first, last = streamed.packets[0]["output"], streamed.packets[-1]["output"]
    assert first == {"search_info": {"search_results": results}}
    assert last["search_info"] == first["search_info"]


# --- streams ---


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


# --- tools ---


@pytest.mark.parametrize(
    ("question", "tool", "arguments"),
    [
        ("What is the weather in San Francisco, CA?", WEATHER, {"location": "San Francisco, CA"}),
        ("What's the weather in SF", WEATHER, {"location": "SF"}),
        (
            "What is the value of magic_function(3)? Use the tool.",
            function("magic_function", input={"type": "integer", "minimum": -9, "maximum": 9}),
            {"input": 3},
        ),
        ("What is the value of no_args()? Use the tool.", function("no_args"), {}),
        (
            "Using the tool, generate a Pirate greeting.",
            function("greeting_generator", answer_style={"type": "string"}),
            {"answer_style": "Pirate"},
        ),
        (
            "Create a customer named 'こんにちは株式会社' (Hello Corporation)",
            function("create_customer", customer_name={"type": "string"}),
            {"customer_name": "こんにちは株式会社"},
        ),
        (
            "Use the tool with 7 and 2.5",
            function(
                "fill",
                kind={"enum": ["a", "b"]},
                fixed={"const": 5},
                given={"type": "string", "default": "x"},
                flag={"type": "boolean"},
                maybe={"anyOf": [{"type": "integer"}, {"type": "null"}]},
                numbers={"type": "array", "items": {"type": "number"}, "minItems": 2},
                nested={"type": "object", "properties": {"deep": {"type": ["null", "string"]}}},
            ),
            {
                "kind": "a",
                "fixed": 5,
                "given": "x",
                "flag": True,
                "maybe": 7,
                "numbers": [2.5, 1],
                "nested": {"deep": "emulated deep"},
            },
        ),
    ],
)
def test_a_tool_that_is_asked_for_is_called(
    client: Client, question: str, tool: dict[str, Any], arguments: dict[str, Any]
) -> None:
    asked = client.ask(question, tools=[tool])

    assert asked.calls == [(tool["function"]["name"], arguments)]
    assert asked.finish_reason == "tool_calls"


def test_a_schema_may_refer_to_itself(client: Client) -> None:
    node = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "children": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
        },
        "required": ["name", "children"],
    }
    tool = function("plant_tree", root={"$ref": "#/$defs/Node"})
    tool["function"]["parameters"]["$defs"] = {"Node": node}

    [(_, arguments)] = client.ask("Plant a tree", tools=[tool]).calls

    assert set(arguments["root"]["children"][0]) == {"name", "children"}


def test_a_greeting_calls_no_tool(client: Client) -> None:
    assert client.ask("Hello!", tools=[WEATHER]).calls == []


def test_no_tool_is_called_when_the_choice_is_none(client: Client) -> None:
    assert client.ask("the weather in Paris", tools=[WEATHER], tool_choice="none").calls == []


def test_a_required_call_is_made_whatever_was_asked(client: Client) -> None:
    tools, other = [WEATHER, function("magic")], {"type": "function", "function": {"name": "magic"}}

    required = client.ask(tools=tools, tool_choice="required", enable_thinking=False)
    named = client.ask(tools=tools, tool_choice=other, enable_thinking=False)

    assert len(required.calls) == 1
    assert named.calls == [("magic", {})]
    assert named.finish_reason == "stop"  # as recorded


def test_results_of_tools_are_quoted_instead_of_calling_again(client: Client) -> None:
    called = {**CALLED, "reasoning_content": ""}
    messages = [{"role": "user", "content": "weather in Paris?"}, called, RESULT]

    asked = client.ask(messages, tools=[WEATHER])

    assert asked.calls == []
    assert "It is sunny." in asked.joined()


# --- JSON ---


@pytest.mark.parametrize(
    ("question", "keys"),
    [
        ("A joke as JSON with 'setup' and 'punchline' keys", {"setup", "punchline"}),
        ("Answer in JSON", {"answer"}),
        ('JSON of {"properties": {"age": {"type": "integer"}}, "type": "object"}', {"age"}),
    ],
)
def test_json_has_the_keys_that_were_asked_for(
    client: Client, question: str, keys: set[str]
) -> None:
    asked = client.ask(question, enable_thinking=False, response_format={"type": "json_object"})

    assert set(json.loads(asked.joined())) == keys


# --- stop and length ---


def test_a_stop_string_ends_the_text(client: Client) -> None:
    asked = client.ask("Hello", stop=["not the model", "nothing"])

    assert asked.joined() == "I am the emulator of deepseek-v4-pro, "
    assert asked.finish_reason == "stop"


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
def test_v4_limits_count_the_reasoning(client: Client, limit: str) -> None:
    asked = client.ask(stream=True, **{limit: 10})

    assert asked.finish_reason == "length"
    assert asked.joined() == ""
    assert asked.usage["output_tokens"] == 10
    assert asked.usage["output_tokens_details"] == {"reasoning_tokens": 10}


def test_elsewhere_max_tokens_counts_the_answer_only(client: Client) -> None:
    asked = client.ask(model=V32, enable_thinking=True, max_tokens=5)

    reasoning = asked.usage["output_tokens_details"]["reasoning_tokens"]
    assert asked.finish_reason == "length"
    assert asked.usage["output_tokens"] == reasoning + 5


def test_a_limit_cuts_the_arguments_of_a_call(client: Client) -> None:
    asked = client.ask("weather in Paris", tools=[WEATHER], enable_thinking=False, max_tokens=6)

    [call] = asked.choices[0]["message"]["tool_calls"]
    assert call["function"] == {"name": "get_weather", "arguments": '{"location":'}
    assert asked.finish_reason == "length"


def test_the_thinking_budget_cuts_the_reasoning(client: Client) -> None:
    asked = client.ask(stream=True, thinking_budget=10)

    assert asked.usage["output_tokens_details"] == {"reasoning_tokens": 10}
    assert asked.finish_reason == "stop"
    assert asked.joined()


# --- scripts ---


def test_scripted_answers_come_in_order_and_then_its_own(
    client: Client, emulator: DashScopeEmulator
) -> None:
    emulator.reply("one", times=2)
    emulator.reply("two", finish_reason="length")
    assert emulator.pending == 3

    asked = [client.ask(stream=stream) for stream in (True, False, True, False)]

    assert [a.joined() for a in asked[:3]] == ["one", "one", "two"]
    assert [a.finish_reason for a in asked] == ["stop", "stop", "length", "stop"]
    assert "emulator" in asked[3].joined()


def test_malformed_arguments_can_be_scripted(client: Client, emulator: DashScopeEmulator) -> None:
    emulator.reply(tool_calls=[{"name": "f", "arguments": '{"a": ', "id": "call_x"}])

    assert client.ask().choices[0] == {
        "finish_reason": "tool_calls",
        "message": {
            "role": "assistant",
            "content": "",
            "reasoning_content": "",
            "tool_calls": [
                {
                    "function": {"name": "f", "arguments": '{"a": '},
                    "index": 0,
                    "id": "call_x",
                    "type": "function",
                }
            ],
        },
    }


def test_a_reply_does_not_switch_the_checks_off(
    client: Client, emulator: DashScopeEmulator
) -> None:
    emulator.reply("never seen")

    assert client.refused(temperature=3) == "Temperature should be in [0.0, 2.0)"
    assert emulator.pending == 0


def test_requests_are_remembered(client: Client, emulator: DashScopeEmulator) -> None:
    client.post(seed=1)

    [request] = emulator.requests
    assert (request.method, request.path) == ("POST", "/api/v1" + ROUTE)
    assert request.headers["authorization"] == "Bearer sk-emulator"
    assert request.body["parameters"] == {"seed": 1}
    assert json.loads(request.raw) == request.body
    emulator.clear()
    assert emulator.requests == []


def test_delays_are_kept(client: Client, emulator: DashScopeEmulator) -> None:
    emulator.reply(pieces=["a", "b"], delay=0.05, piece_delay=0.05)
    start = time.monotonic()

    client.post(stream=True, enable_thinking=False)

    assert 0.15 <= time.monotonic() - start < 2


def test_many_clients_are_served_at_once(client: Client, emulator: DashScopeEmulator) -> None:
    emulator.reply("slow", delay=0.2, times=40)
    threads = [threading.Thread(target=client.post) for _ in range(40)]
    start = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(emulator.requests) == 40
    assert time.monotonic() - start < 4


# --- failures ---

FAILURE: dict[str, Any] = {"code": "Throttling.RateQuota", "message": "Too fast."}


@pytest.mark.parametrize(
    ("shape", "status", "kind"),
    [
        ("json", 429, "application/json"),
        ("sse", 200, "text/event-stream;charset=UTF-8"),
        ("sse_as_json", 429, "application/json"),
    ],
)
def test_a_failure_takes_the_shapes_of_the_service(
    client: Client, emulator: DashScopeEmulator, shape: Any, status: int, kind: str
) -> None:
    emulator.fail(**FAILURE, status=429, shape=shape, headers={"Retry-After": "7"})

    asked = client.ask(stream=True)

    assert asked.body == {**FAILURE, "request_id": asked.response.headers["x-request-id"]}
    assert (asked.status, asked.response.headers["content-type"]) == (status, kind)
    assert asked.response.headers["retry-after"] == "7"
    if "sse" in shape:
        assert asked.response.text.startswith("id:1\nevent:error\n:HTTP_STATUS/429\ndata:{")


def test_a_failure_takes_the_shapes_of_gateways(
    client: Client, emulator: DashScopeEmulator
) -> None:
    emulator.fail("model_not_found", "No such model.", status=404, shape="openai")
    emulator.fail("BadGateway", status=502, shape="html")

    error = {"message": "No such model.", "type": "model_not_found", "code": "model_not_found"}
    assert client.ask().body == {"error": error}
    page = client.post()
    assert (page.status_code, page.headers["content-type"]) == (502, "text/html")
    assert page.text.startswith("<html>")


def test_a_stream_can_fail_after_some_packets(client: Client, emulator: DashScopeEmulator) -> None:
    emulator.fail(**FAILURE, status=429, after=3)

    asked = client.ask(stream=True)

    assert asked.status == 200
    assert [("output" in packet) for packet in asked.packets] == [True, True, True, False]
    assert "id:4\nevent:error\n:HTTP_STATUS/429\n" in asked.response.text


def test_a_scripted_failure_checks_nothing_but_the_key(
    client: Client, emulator: DashScopeEmulator
) -> None:
    emulator.fail(**FAILURE, status=429)

    assert client.ask(model="no-such-model").status == 429


def test_a_stream_can_end_without_a_finish_reason(
    client: Client, emulator: DashScopeEmulator
) -> None:
    emulator.cut(2, how="clean")
    emulator.cut(3, text="One, two, three", reasoning="Let me see", how="clean")

    assert client.ask(stream=True).finish_reason == "null"
    asked = client.ask(stream=True)
    assert len(asked.packets) == 3
    assert asked.joined("reasoning_content") == "Let me see"


@pytest.mark.parametrize("stream", [True, False])
def test_a_connection_can_break(client: Client, emulator: DashScopeEmulator, stream: bool) -> None:
    emulator.cut(2)

    with pytest.raises(httpx.RemoteProtocolError):
        client.post(stream=stream)


def test_a_stalled_stream_notices_that_the_client_went_away(
    client: Client, emulator: DashScopeEmulator
) -> None:
    emulator.stall(2, 60)

    with client.open(stream=True) as response:
        text = next(response.iter_text())
        assert text.startswith("id:1")
        assert emulator.open_streams == 1

    assert eventually(lambda: (emulator.open_streams, emulator.disconnects) == (0, 1))


def test_a_stall_ends_with_a_broken_connection(client: Client, emulator: DashScopeEmulator) -> None:
    emulator.stall(1, 0.05)

    with pytest.raises(httpx.RemoteProtocolError):
        client.post(stream=True)


def test_an_abandoned_stream_is_noticed(client: Client, emulator: DashScopeEmulator) -> None:
    emulator.reply("A long answer. " * 20, piece_delay=0.05)

    with client.open(stream=True):
        pass

    assert eventually(lambda: (emulator.open_streams, emulator.disconnects) == (0, 1))


def test_a_raw_body_is_sent_as_it_is(client: Client, emulator: DashScopeEmulator) -> None:
    body = 'data:{"output":{}}\n\ndata:你好'
    emulator.raw(body, piece=1)
    emulator.raw(b"\xff", status=418, headers={"Content-Type": "text/plain"})

    streamed, strange = client.post(stream=True), client.post()

    assert streamed.text == body
    assert streamed.headers["transfer-encoding"] == "chunked"
    assert (strange.status_code, strange.content) == (418, b"\xff")
    assert strange.headers["content-type"] == "text/plain"


def test_it_stops_at_once_whatever_is_under_way(http: httpx.Client) -> None:
    threads = threading.active_count()
    emulator = DashScopeEmulator().start()
    client = Client(emulator, http)
    emulator.reply("late", delay=60)
    emulator.stall(1, 60)
    errors: list[httpx.HTTPError] = []

    def has_asked(number: int) -> bool:
        return len(emulator.requests) == number

    def ask(stream: bool) -> None:
        try:
            client.post(stream=stream)
        except httpx.HTTPError as error:
            errors.append(error)

    asking = [threading.Thread(target=ask, args=(stream,)) for stream in (False, True)]
    for number, thread in enumerate(asking, 1):
        thread.start()
        assert eventually(partial(has_asked, number))
    http.get(emulator.base_url)  # and keep that connection open
    start = time.monotonic()
    emulator.stop()
    assert time.monotonic() - start < 1
    for thread in asking:
        thread.join(5)
    assert len(errors) == 2
    assert emulator.disconnects == 0
    assert threading.active_count() == threads
    emulator.stop()
    with pytest.raises(RuntimeError, match="does not run"):
        _ = emulator.base_url


def test_it_can_be_started_again(http: httpx.Client) -> None:
    emulator = DashScopeEmulator()
    for _ in range(2):
        with emulator:
            assert Client(emulator, http).ask().status == 200
    assert len(emulator.requests) == 2


def test_a_connection_is_kept_alive(client: Client) -> None:
    ports = set()
    for stream in (True, True, False, False):
        with client.open(stream=stream) as response:
            response.read()
            ports.add(response.extensions["network_stream"].get_extra_info("client_addr"))
    assert len(ports) == 1


# --- checks: key, route, model ---


@pytest.mark.parametrize("key", ["Bearer sk-invalid", "Bearer nonsense", "sk-emulator", ""])
def test_a_wrong_key_is_refused(emulator: DashScopeEmulator, http: httpx.Client, key: str) -> None:
    emulator.reply("kept")

    response = http.post(emulator.base_url + ROUTE, headers={"Authorization": key}, json={})

    assert response.status_code == 401
    assert "content-type" not in response.headers
    assert (response.json()["code"], response.json()["message"]) == (
        "InvalidApiKey",
        "Invalid API-key provided.",
    )
    assert emulator.pending == 1


def test_other_routes_are_refused(emulator: DashScopeEmulator, http: httpx.Client) -> None:
    other = http.post(emulator.base_url + "/services/aigc/image-generation/generation")
    unknown = http.get(emulator.base_url + "/models")

    assert (other.status_code, other.json()["code"]) == (400, "InvalidParameter")
    assert other.json()["message"].startswith("url error, please check url")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "NotFound")


def test_an_unknown_model_is_not_found(client: Client) -> None:
    asked = client.ask(model="deepseek-v5", stream=True)

    assert (asked.status, asked.code, asked.error) == (404, "ModelNotFound", "Model not exist.")
    assert asked.response.headers["content-type"] == "application/json"


def test_a_dated_name_uses_the_row_of_its_model(client: Client) -> None:
    assert client.ask(model="deepseek-v3.2-20260101").status == 200


def test_rows_can_be_added(http: httpx.Client) -> None:
    with DashScopeEmulator(models={"mine": ModelCapabilities(thinking="on")}) as emulator:
        asked = Client(emulator, http).ask(model="mine", anything=1)
        assert "emulator of mine" in asked.joined()


@pytest.mark.parametrize("model", sorted(MODELS))
def test_every_model_answers(http: httpx.Client, model: str) -> None:
    with DashScopeEmulator(routes={model: "text-generation"}) as emulator:
        asked = Client(emulator, http).ask(model=model, stream=True)

    assert asked.joined()
    assert bool(asked.joined("reasoning_content")) == MODELS[model].thinks(None)


def test_a_body_must_be_an_object_with_a_model(
    emulator: DashScopeEmulator, http: httpx.Client
) -> None:
    for content in ("", "[]", '{"model": "deepseek-v3"}', '{"input": {}}'):
        response = http.post(
            emulator.base_url + ROUTE, headers={"Authorization": "Bearer sk-x"}, content=content
        )
        assert response.json()["message"].startswith("Required body invalid")


# --- checks: messages ---

ROLES = (
    'Role must be in ["user","assistant","system","function","plugin","tool"] and the role in '
    'last message must be in ["user","function","tool"]'
)
ORPHAN = 'messages with role "tool" must be a response to a preceeding message with "tool_calls"'
USER = {"role": "user", "content": "Hi"}


@pytest.mark.parametrize(
    ("messages", "error"),
    [
        ([], "Content length must be greater than 0"),
        ([{"role": "user", "content": ""}], "Content length must be greater than 0"),
        ([{"role": "developer", "content": "x"}, USER], ROLES),
        ([USER, {"role": "assistant", "content": "x"}], ROLES),
        ([{"role": "system", "content": "x"}], ROLES),
        (
            [{"role": "user", "content": [{"text": "Hi"}]}],
            "input content must be a string.",
        ),
        ([USER, {"role": "assistant", "content": None}, USER], "input content must be a string."),
        ([USER, {"role": "assistant", "content": ""}, USER], "Content length must be"),
        ([USER, RESULT], ORPHAN),
        ([USER, CALLED, {**RESULT, "tool_call_id": "call_2"}], ORPHAN),
        ([USER, CALLED, RESULT, RESULT], ORPHAN),
        ([USER, CALLED, {**RESULT, "content": ["x"]}], "input content must be a string."),
        ([USER, CALLED, USER], "did not have response messages: call_1"),
        ([USER, {**CALLED, "content": "x", "tool_calls": []}, USER], "messages.tool_calls must be"),
        (
            [USER, {**CALLED, "tool_calls": [{"id": "call_1", "type": "function"}]}, RESULT],
            "messages.tool_calls must have an id",
        ),
    ],
)
def test_messages_are_checked(client: Client, messages: Any, error: str) -> None:
    assert error in client.refused(messages, enable_thinking=False)


def test_arguments_in_the_history_must_be_a_json_object(client: Client) -> None:
    call = {**CALLED["tool_calls"][0], "function": {"name": "f", "arguments": "{"}}
    error = client.refused([USER, {**CALLED, "tool_calls": [call]}, RESULT])
    assert error == 'The "function.arguments" parameter must be in JSON format.'


def test_a_name_on_a_message_is_tolerated(client: Client) -> None:
    assert client.ask([{**USER, "name": "someone"}]).status == 200


def test_an_input_that_is_too_long_is_refused(client: Client) -> None:
    error = client.refused("long " * 30_000, model=DISTILL)

    assert error == "Range of input length should be [1, 32768]"


# --- checks: reasoning in the history ---


def test_reasoning_must_come_back_within_a_tool_loop(client: Client) -> None:
    loop = [USER, CALLED, RESULT]

    assert client.refused(loop, tools=[WEATHER]) == (
        "The `reasoning_content` in the thinking mode must be passed back to the API."
    )
    for reasoning in ("", "Hm."):
        messages = [USER, {**CALLED, "reasoning_content": reasoning}, RESULT]
        assert client.ask(messages, tools=[WEATHER]).status == 200
    assert client.ask(loop, tools=[WEATHER], enable_thinking=False).status == 200


def test_reasoning_must_not_come_back_to_models_that_refuse_it(
    client: Client, http: httpx.Client
) -> None:
    messages = [USER, {"role": "assistant", "content": "Hi", "reasoning_content": "Hm."}, USER]

    assert "must not be sent" in client.refused(messages, model=R1)
    with DashScopeEmulator(strict_replay=False) as lax:
        assert Client(lax, http).ask(messages, model=R1).status == 200
        assert Client(lax, http).ask([USER, CALLED, RESULT], tools=[WEATHER]).status == 200


# --- checks: parameters ---

REQUIRED = {"tools": [WEATHER], "tool_choice": "required"}
JSON = {"response_format": {"type": "json_object"}}
NAMED = {"type": "function", "function": {"name": "nobody"}}


@pytest.mark.parametrize(
    ("model", "parameters", "error"),
    [
        (V4, {"temperature": 2}, "Temperature should be in [0.0, 2.0)"),
        (V4, {"temperature": True}, "Temperature should be in [0.0, 2.0)"),
        (R1, {"temperature": 1}, "The parameter temperature is not supported by this model."),
        (V4, {"presence_penalty": 1}, "The parameter presence_penalty is not supported"),
        (V4, {"repetition_penalty": 1}, "The parameter repetition_penalty is not supported"),
        (V31, {"repetition_penalty": 0}, "Repetition_penalty should be greater than 0.0"),
        (V4, {"top_p": 0}, "Range of top_p should be (0.0, 1.0]"),
        (V4, {"seed": -1}, "Range of seed should be [0, 9223372036854775807]"),
        (V4, {"max_tokens": 0}, "Range of max_tokens should be [1, 393216]"),
        (V3, {"max_tokens": 16_385}, "Range of max_tokens should be [1, 16384]"),
        (V3, {"max_completion_tokens": 0}, "Range of max_completion_tokens should be [1, 16384]"),
        (V4, {"stop": ["a", 1]}, "stop must be of type"),
        (V4, {"stop": 1}, "stop must be of type"),
        (V4, {"streem": True}, "The parameter streem is not supported by this model."),
        (V4, {"enable_thinking": "yes"}, "parameter.enable_thinking must be a boolean."),
        (
            V4,
            {"reasoning_effort": "least"},
            "reasoning_effort must be one of 'high', 'max', 'low', ",
        ),
        (V32, {"reasoning_effort": "high"}, "The parameter reasoning_effort is not supported"),
        (V3, {"thinking_budget": 1}, "The parameter thinking_budget is not supported"),
        (
            V32,
            {"thinking_budget": 32_769},
            "The thinking_budget parameter must be a positive integer and not greater than 32768",
        ),
        (V4, {"thinking_budget": 0}, "must be a positive integer and not greater than 393216"),
        (
            V31,
            {"enable_thinking": True},
            "parameter.enable_thinking must be set to false for non-streaming calls",
        ),
        (
            V4,
            {"stream": True, "incremental_output": False},
            'The incremental_output parameter must be "true" when enable_thinking is true',
        ),
        (
            V4,
            REQUIRED,
            (
                "The tool_choice parameter does not support being set to required or object in "
                "thinking mode"
            ),
        ),
        (DISTILL, {"tools": [WEATHER]}, "The tool call is not supported."),
        (
            V31,
            {"tools": [WEATHER], "enable_thinking": True, "stream": True},
            "The tool call is not supported.",
        ),
        (V4, {"tools": []}, "tools must be a list that is not empty."),
        (V4, {"tools": [{"name": "f"}]}, "tools must be objects of the type function"),
        (V4, {"tools": [function("search")]}, "tools.function.name must be"),
        (V4, {"tools": [function("with space")]}, "tools.function.name must be"),
        (V4, {"tools": [WEATHER, WEATHER]}, "tools.function.name must be unique."),
        (V3, {"tools": [WEATHER], "tool_choice": NAMED}, "tool_choice must be"),
        (V3, {"tool_choice": "required"}, "tool_choice must be"),
        (V3, JSON, "The response_format parameter json_object is not supported by this model."),
        (V4, JSON, "Json mode response is not supported when enable_thinking is true"),
        (
            V4,
            {**JSON, "enable_thinking": False},
            (
                "'messages' must contain the word 'json' in some form, to use 'response_format' of "
                "type 'json_object'."
            ),
        ),
        (V4, {"response_format": {"type": "json_schema"}}, "response_format.type must be"),
        (DISTILL, {"enable_search": True}, "The enable_search parameter is not supported"),
        (V4, {"result_format": "xml"}, "result_format must be"),
    ],
)
def test_parameters_are_checked_by_model(
    client: Client, model: str, parameters: dict[str, Any], error: str
) -> None:
    assert error in client.refused(model=model, **parameters)


def test_a_model_that_always_thinks_and_needs_a_stream_says_so(http: httpx.Client) -> None:
    row = ModelCapabilities(thinking="always", thinking_needs_stream=True)
    with DashScopeEmulator(models={"mine": row}) as emulator:
        assert Client(emulator, http).refused(model="mine") == (
            "This model only support stream mode, please enable the stream parameter to access the "
            "model."
        )


@pytest.mark.parametrize("model", [V3, R1])
def test_a_switch_that_a_model_does_not_have_is_ignored(client: Client, model: str) -> None:
    for enabled in (True, False):
        asked = client.ask(model=model, enable_thinking=enabled)
        assert bool(asked.joined("reasoning_content")) == MODELS[model].thinks(None)


def test_what_the_official_packages_send_besides_is_ignored(client: Client) -> None:
    assert client.ask(result_format="message", top_k=5, n=1, logprobs=False).status == 200


@pytest.mark.parametrize("stop", ["x", ["x", "y"], [1, 2], [[1, 2], [3]], []])
def test_stop_takes_texts_and_tokens(client: Client, stop: Any) -> None:
    assert client.ask(stop=stop).status == 200


def test_tools_at_the_top_level_are_dropped(
    emulator: DashScopeEmulator, http: httpx.Client
) -> None:
    body = {
        "model": V4,
        "input": {"messages": [{"role": "user", "content": "weather in Paris"}]},
        "parameters": {},
        "tools": [WEATHER],
    }
    headers = {"Authorization": "Bearer sk-x"}
    asked = Asked(http.post(emulator.base_url + ROUTE, headers=headers, json=body))
    assert asked.calls == []


# --- around it ---


def test_the_fixture_sets_the_environment(dashscope_emulator: DashScopeEmulator) -> None:
    assert os.environ["DASHSCOPE_API_KEY"] == dashscope_emulator.api_key
    assert os.environ["DASHSCOPE_HTTP_BASE_URL"] == dashscope_emulator.base_url


@pytest.fixture
def served() -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    command = [sys.executable, "-m", "langchain_dashscope_deepseek.testing", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process, [process.stdout.readline().strip() for _ in range(2)]
        process.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM")
def test_it_serves_from_the_command_line(
    served: tuple[subprocess.Popen[str], list[str]], http: httpx.Client
) -> None:
    process, (base_url, hint) = served
    assert hint == f"Set DASHSCOPE_HTTP_BASE_URL={base_url} and DASHSCOPE_API_KEY=sk-emulator"

    response = http.post(base_url + ROUTE, headers={"Authorization": "Bearer sk-x"}, json={})

    assert response.status_code == 400
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0


def test_it_does_not_import_pytest_or_the_client() -> None:
    """It must run without the test dependencies, and must not share the client's mistakes."""
    code = (
        "import ast, pathlib, langchain_dashscope_deepseek.testing as t\n"
        "for path in pathlib.Path(t.__file__).parent.glob('*.py'):\n"
        "    for node in ast.walk(ast.parse(path.read_text('utf-8'))):\n"
        "        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []\n"
        "        if isinstance(node, ast.ImportFrom) and not node.level:\n"
        "            names += [node.module]\n"
        "        assert not [n for n in names if n.startswith('langchain')"
        " and not n.endswith('.capabilities') and '.testing' not in n], path\n"
        "import sys\nassert 'pytest' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
