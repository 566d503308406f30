"""Images over a socket: on the route that a model is bound to, by every style, and in agents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver

from langchain_dashscope_deepseek import ChatDashScopeDeepSeek, DashScopeRouteError
from langchain_dashscope_deepseek.testing import DashScopeEmulator
from tests.unit_tests.conftest import STYLES, Ask

pytestmark = pytest.mark.emulator_only

MODEL = "deepseek-v4.1-flash"
PNG: dict[str, Any] = {"type": "image", "base64": "iVBORw0KGgo=", "mime_type": "image/png"}
SIGNED: dict[str, Any] = {"type": "image", "url": "https://example.com/cat.png?signature=abc"}


@pytest.fixture(params=STYLES)
def ask(request: pytest.FixtureRequest) -> Ask:
    return STYLES[request.param]


@pytest.fixture(params=["multimodal-generation", "text-generation"])
def emulator(request: pytest.FixtureRequest) -> Iterator[DashScopeEmulator]:
    """It was recorded nowhere on which route the model is bound: either answer must work."""
    with DashScopeEmulator(routes={MODEL: request.param}) as emulator:
        yield emulator


def model_of(emulator: DashScopeEmulator, **settings: Any) -> ChatDashScopeDeepSeek:
    return ChatDashScopeDeepSeek(
        model=MODEL, api_key=emulator.api_key, base_url=emulator.base_url, **settings
    )


@tool
def take_screenshot() -> list[dict[str, str]]:
    """Take a screenshot."""
    return [{"type": "text", "text": "The page:"}, PNG]


@tool
def get_weather(city: str) -> str:
    """Get the weather of a city."""
    return f"It is sunny in {city}."


def paths(emulator: DashScopeEmulator) -> list[str]:
    return [request.path.split("/")[-2] for request in emulator.requests]


async def test_a_text_is_answered_on_either_route(ask: Ask, emulator: DashScopeEmulator) -> None:
    for _ in range(2):
        async with model_of(emulator) as model:
            message = await ask(model, "Why is the sky blue?")
        assert "Why is the sky blue?" in message.text
        assert message.additional_kwargs["reasoning_content"]
    expected = ["multimodal-generation", *[paths(emulator)[-1]] * 2]
    assert paths(emulator) in (expected, expected[1:])  # a wrong route is asked once


async def test_an_image_is_read_where_the_route_carries_it(
    ask: Ask, emulator: DashScopeEmulator
) -> None:
    question = [HumanMessage(["What is it?", PNG, SIGNED])]
    async with model_of(emulator) as model:
        try:
            message = await ask(model, question)
        except DashScopeRouteError as error:
            assert "signature" not in str(error)  # noqa: PT017 - only on the other route
            assert paths(emulator) == ["multimodal-generation"]
            return
    assert "2 images" in message.text
    assert message.usage_metadata is not None
    details: dict[str, Any] = dict(message.usage_metadata["input_token_details"])
    assert details["image"] == 2 * 384


async def test_an_agent_with_text_tools_works_on_either_route(
    ask: Ask, emulator: DashScopeEmulator
) -> None:
    async with model_of(emulator) as model:
        agent = create_agent(model, tools=[get_weather], checkpointer=InMemorySaver())
        config: Any = {"configurable": {"thread_id": "1"}}
        for city in ("Paris", "Tokyo", "Hangzhou"):
            question = HumanMessage(f"Use get_weather for {city}.")
            state = await agent.ainvoke({"messages": [question]}, config)
            assert f"It is sunny in {city}." in state["messages"][-1].text


def images_in(emulator: DashScopeEmulator) -> list[int]:
    """Count the images of each request."""
    bodies = [request.body["input"]["messages"] for request in emulator.requests]
    return [
        sum("image" in part for message in body for part in message["content"]) for body in bodies
    ]


async def test_an_agent_reads_the_screenshots_of_its_tool_over_three_turns() -> None:
    """The emulator refuses images in tool messages, as a service that documents none may."""
    with DashScopeEmulator() as emulator:
        async with model_of(emulator) as model:
            agent = create_agent(model, tools=[take_screenshot], checkpointer=InMemorySaver())
            config: Any = {"configurable": {"thread_id": "1"}}
            for _ in range(3):
                question = HumanMessage("Use take_screenshot and say what you see.")
                state = await agent.ainvoke({"messages": [question]}, config)
        thread = state["messages"]
        assert [type(message) for message in thread[-3:]] == [AIMessage, ToolMessage, AIMessage]
        assert thread[-2].content[1] == PNG  # the thread is as the tool left it
        assert images_in(emulator) == [0, 1, 1, 2, 2, 3]


async def test_a_thread_goes_on_when_the_model_that_sees_is_asked_for_one_call(ask: Ask) -> None:
    with DashScopeEmulator() as emulator:
        async with ChatDashScopeDeepSeek(
            model="deepseek-v4-pro", api_key=emulator.api_key, base_url=emulator.base_url
        ) as model:
            message = await ask(model, [HumanMessage(["What is it?", PNG])], model=MODEL)
        assert "1 image" in message.text
