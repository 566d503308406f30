"""The middleware with which an agent thinks although it has a `response_format`."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import (
    ProviderStrategy,
    StructuredOutputValidationError,
    ToolStrategy,
)
from langchain_core.messages import AIMessage
from pydantic import BaseModel

from langchain_dashscope_deepseek import ChatDashScopeDeepSeek
from langchain_dashscope_deepseek.middleware import ThinkingStructuredOutputMiddleware
from langchain_dashscope_deepseek.testing import DashScopeEmulator

pytest_plugins = ["langchain_dashscope_deepseek.testing.fixtures"]

QUESTION = {"messages": [{"role": "user", "content": "What is the weather in Paris?"}]}


def get_weather(city: str) -> str:
    """Get the weather of a city."""
    return f"It is sunny in {city}."


class Weather(BaseModel):
    """The weather of a city."""

    city: str
    summary: str


class Unknown(BaseModel):
    """Nothing is known of the city."""

    reason: str


SUNNY = Weather(city="Paris", summary="Sunny")
GET: dict[str, Any] = {"name": "get_weather", "arguments": {"city": "Paris"}}
CALL: dict[str, Any] = {"name": "Weather", "arguments": SUNNY.model_dump()}
FORCED = {"type": "function", "function": {"name": "Weather"}}


@pytest.fixture(params=["sync", "async"])
def how(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def ask(how: str, tools: list[Any], response_format: Any = Weather, **settings: Any) -> Any:
    async with ChatDashScopeDeepSeek(**{"model": "deepseek-v4-pro", **settings}) as model:
        agent: Any = create_agent(
            model,
            tools,
            response_format=response_format,
            middleware=[ThinkingStructuredOutputMiddleware()],
        )
        return await agent.ainvoke(QUESTION) if how == "async" else agent.invoke(QUESTION)


def sent(emulator: DashScopeEmulator) -> list[tuple[list[str], Any, Any]]:
    """Give the tools, the choice and the switch of thinking of each request."""
    return [
        (
            [tool["function"]["name"] for tool in parameters["tools"]],
            parameters.get("tool_choice"),
            parameters.get("enable_thinking"),
        )
        for parameters in (request.body["parameters"] for request in emulator.requests)
    ]


FREE = (["get_weather", "Weather"], None, None)


async def test_the_model_thinks_on_every_step_and_calls_the_schema_by_itself(
    how: str, dashscope_emulator: DashScopeEmulator
) -> None:
    dashscope_emulator.reply(reasoning="Look it up.", tool_calls=[GET])
    dashscope_emulator.reply(reasoning="Now I know.", tool_calls=[CALL])
    state = await ask(how, [get_weather])
    assert state["structured_response"] == SUNNY
    assert sent(dashscope_emulator) == [FREE, FREE]
    thoughts = [m.additional_kwargs["reasoning_content"] for m in state["messages"][1::2]]
    assert thoughts == ["Look it up.", "Now I know."]
    assert state["messages"][-1].text == "Returning structured response: " + str(SUNNY)


@pytest.mark.parametrize("enable_thinking", [None, True])
async def test_an_answer_in_text_is_followed_by_one_forced_call_without_thinking(
    enable_thinking: bool | None, how: str, dashscope_emulator: DashScopeEmulator
) -> None:
    dashscope_emulator.reply("Sunny in Paris.", reasoning="Easy.")
    dashscope_emulator.reply(tool_calls=[CALL])
    state = await ask(how, [get_weather], enable_thinking=enable_thinking)
    assert state["structured_response"] == SUNNY
    free = (["get_weather", "Weather"], None, enable_thinking)
    assert sent(dashscope_emulator) == [free, (["get_weather", "Weather"], FORCED, False)]
    kinds = [message.type for message in state["messages"]]
    assert kinds == ["human", "ai", "human", "ai", "tool"]
    assert state["messages"][1].text == "Sunny in Paris."
    asked = dashscope_emulator.requests[1].body["input"]["messages"]
    assert [message["content"] for message in asked] == [
        "What is the weather in Paris?",
        "Sunny in Paris.",
        "Now give the answer by calling Weather.",
    ]


@pytest.mark.filterwarnings("ignore::langchain_dashscope_deepseek.DashScopeWarning")
@pytest.mark.parametrize(
    "first",
    [
        pytest.param({"text": "", "finish_reason": "length"}, id="all of it is reasoning"),
        pytest.param(
            {"tool_calls": [{"name": "Weather", "arguments": '{"city": '}]}, id="malformed"
        ),
    ],
)
async def test_an_answer_without_a_call_that_counts_is_followed_by_a_forced_one(
    first: Any, how: str, dashscope_emulator: DashScopeEmulator
) -> None:
    dashscope_emulator.reply(reasoning="Hm.", **first)
    dashscope_emulator.reply(tool_calls=[CALL])
    assert (await ask(how, []))["structured_response"] == SUNNY
    assert sent(dashscope_emulator) == [(["Weather"], None, None), (["Weather"], FORCED, False)]


async def test_arguments_that_do_not_fit_go_back_to_the_model(
    how: str, dashscope_emulator: DashScopeEmulator
) -> None:
    dashscope_emulator.reply(tool_calls=[{"name": "Weather", "arguments": {"city": "Paris"}}])
    dashscope_emulator.reply(tool_calls=[CALL])
    assert (await ask(how, [get_weather]))["structured_response"] == SUNNY
    assert sent(dashscope_emulator) == [FREE, FREE]
    last = dashscope_emulator.requests[1].body["input"]["messages"][-1]
    assert last["role"] == "tool"
    assert "summary\n  Field required" in last["content"]
    assert last["content"].endswith("Call Weather again, with arguments that fit.")


@pytest.mark.parametrize("text", [None, "Sunny."])
async def test_arguments_that_do_not_fit_are_an_error_if_the_strategy_says_so(
    text: str | None, how: str, dashscope_emulator: DashScopeEmulator
) -> None:
    if text:
        dashscope_emulator.reply(text)
    dashscope_emulator.reply(tool_calls=[{"name": "Weather", "arguments": {}}])
    with pytest.raises(StructuredOutputValidationError, match="Weather"):
        await ask(how, [], ToolStrategy(Weather, handle_errors=False))


@pytest.mark.filterwarnings("ignore:tool_choice 'required' was sent")
async def test_a_union_offers_each_schema_and_a_second_request_names_them(
    how: str, dashscope_emulator: DashScopeEmulator
) -> None:
    dashscope_emulator.reply("No idea.")
    dashscope_emulator.reply(tool_calls=[{"name": "Unknown", "arguments": {"reason": "No idea."}}])
    state = await ask(how, [], ToolStrategy(Weather | Unknown, tool_message_content="Thanks."))
    assert state["structured_response"] == Unknown(reason="No idea.")
    assert state["messages"][-1].text == "Thanks."
    assert state["messages"][2].text == "Now give the answer by calling Weather or Unknown."


async def test_a_schema_may_be_a_dict_without_a_title(
    how: str, dashscope_emulator: DashScopeEmulator
) -> None:
    dashscope_emulator.reply("Sunny.")
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "description": "A city"}
    assert "city" in (await ask(how, [], schema))["structured_response"]


async def test_a_call_of_a_tool_beside_the_schemas_is_run(
    how: str, dashscope_emulator: DashScopeEmulator
) -> None:
    dashscope_emulator.reply(tool_calls=[GET, {"name": "Weather", "arguments": {}}])
    dashscope_emulator.reply(tool_calls=[CALL])
    state = await ask(how, [get_weather], parallel_tool_calls=True)
    assert state["structured_response"] == SUNNY
    assert "It is sunny in Paris." in [message.text for message in state["messages"]]


async def test_an_agent_without_a_schema_is_asked_as_it_is(
    how: str, dashscope_emulator: DashScopeEmulator
) -> None:
    dashscope_emulator.reply("Sunny.")
    state = await ask(how, [get_weather], None)
    assert isinstance(state["messages"][-1], AIMessage)
    assert sent(dashscope_emulator) == [(["get_weather"], None, None)]


async def test_a_provider_strategy_stays_one(
    how: str, dashscope_emulator: DashScopeEmulator
) -> None:
    dashscope_emulator.reply(SUNNY.model_dump_json())
    state = await ask(how, [], ProviderStrategy(Weather))
    assert state["structured_response"] == SUNNY
    [request] = dashscope_emulator.requests
    assert request.body["parameters"]["response_format"]["type"] == "json_schema"
