"""What the emulator answers: texts, tools, JSON, and where it stops."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from langchain_core.output_parsers import PydanticOutputParser
from pydantic import BaseModel

from langchain_dashscope_deepseek.capabilities import ModelCapabilities
from langchain_dashscope_deepseek.testing import DashScopeEmulator
from tests.unit_tests.emulator.asking import (
    CALLED,
    HELLO,
    R1,
    RESULT,
    V3,
    V4,
    V32,
    WEATHER,
    Client,
    function,
)

pytest_plugins = ["langchain_dashscope_deepseek.testing.fixtures"]

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
    messages = [{"role": "system", "content": "word " * 1_000}, *HELLO]

    assert client.ask(messages).usage["prompt_tokens_details"] == {"cached_tokens": 0}
    usage = client.ask([messages[0], {"role": "user", "content": "Bye"}]).usage
    assert 1_024 <= usage["prompt_tokens_details"]["cached_tokens"] < usage["input_tokens"]


def test_a_beginning_of_less_than_1024_tokens_is_not_cached(client: Client) -> None:
    for text, cached in (("a" * 4 * 1_023, 0), ("b" * 4 * 1_024, 1_024)):
        for _ in range(2):
            usage = client.ask(text).usage
        assert usage["prompt_tokens_details"] == {"cached_tokens": cached}


def test_a_search_answers_with_its_results(client: Client) -> None:
    whole = client.ask(enable_search=True)
    streamed = client.ask(enable_search=True, stream=True)

    results = whole.body["output"]["search_info"]["search_results"]
    assert set(results[0]) == {"site_name", "icon", "index", "title", "url"}
    assert whole.usage["plugins"] == {"search": {"count": 1, "strategy": "standard"}}
    first, last = streamed.packets[0]["output"], streamed.packets[-1]["output"]
    assert first == {"search_info": {"search_results": results}}
    assert last["search_info"] == first["search_info"]


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

    required = client.ask(tools=[WEATHER], tool_choice="required", enable_thinking=False)
    named = client.ask(tools=tools, tool_choice=other, enable_thinking=False)

    assert [name for name, _ in required.calls] == ["get_weather"]
    assert named.calls == [("magic", {})]
    assert named.finish_reason == "stop"  # as recorded


@pytest.mark.parametrize("choice", ["auto", "required"])
@pytest.mark.parametrize(
    ("parallel", "called"), [(True, ["look_up", "book"]), (False, ["look_up"])]
)
def test_the_tools_that_a_question_names_are_called_in_its_order(
    http: httpx.Client, choice: str, *, parallel: bool, called: list[str]
) -> None:
    asking = {
        "tools": [WEATHER, function("book"), function("look_up"), function("look")],
        "tool_choice": choice,
        "parallel_tool_calls": parallel,
        "enable_thinking": False,
    }
    with DashScopeEmulator(accepts=["required_with_several_tools"]) as emulator:
        asked = Client(emulator, http).ask("先用look_up, then book().", **asking)

    assert [name for name, _ in asked.calls] == called


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


class Place(BaseModel):
    city: str
    inhabitants: int


class Trip(BaseModel):
    """A trip, with a schema that holds `$defs`."""

    traveller: str
    places: list[Place]
    next_trip: Trip | None


INSTRUCTIONS = PydanticOutputParser(pydantic_object=Trip).get_format_instructions()
ASK = "Write in JSON about Anna, who sees 2 places."


@pytest.mark.parametrize(
    "messages",
    [
        [("user", f"{ASK}\n{INSTRUCTIONS}")],
        [("system", INSTRUCTIONS), ("user", ASK)],
        [("user", f"```json\n{json.dumps(Trip.model_json_schema(), indent=2)}\n```\n{ASK}")],
        [("user", ASK + json.dumps({"name": "Trip", "schema": Trip.model_json_schema()}))],
    ],
)
def test_json_fills_a_schema_of_the_prompt(client: Client, messages: list[tuple[str, str]]) -> None:
    asked = client.ask(
        [{"role": role, "content": content} for role, content in messages],
        enable_thinking=False,
        response_format={"type": "json_object"},
    )

    trip = Trip.model_validate_json(asked.joined())
    assert (trip.traveller, trip.places[0].inhabitants) == ("Anna", 2)


@pytest.mark.parametrize("known", [True, None])
def test_a_json_schema_of_the_request_is_filled(http: httpx.Client, known: bool | None) -> None:
    schema = {"name": "Trip", "schema": Trip.model_json_schema()}
    with DashScopeEmulator(models={V4: ModelCapabilities(json_schema=known)}) as emulator:
        asked = Client(emulator, http).ask(
            response_format={"type": "json_schema", "json_schema": schema}
        )

    assert Trip.model_validate_json(asked.joined())


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
