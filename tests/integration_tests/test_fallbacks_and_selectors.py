"""What LangChain puts around the model: fallbacks, tool selectors, processes; on the emulator."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from operator import itemgetter
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import LLMToolSelectorMiddleware
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import tool
from pydantic import BaseModel
from typing_extensions import TypedDict

from langchain_dashscope_deepseek import ChatDashScopeDeepSeek
from langchain_dashscope_deepseek.testing import DashScopeEmulator

pytest_plugins = ["langchain_dashscope_deepseek.testing.fixtures"]
pytestmark = pytest.mark.emulator_only

QUESTION = {"messages": [("human", "Use get_weather for Paris.")]}


@tool
def get_weather(city: str) -> str:
    """Get the weather of a city."""
    return f"It is sunny in {city}."


class Weather(BaseModel):
    """The weather of a city."""

    city: str


class Other(BaseChatModel):
    """Another provider's model, which takes tools; without answers it is down."""

    answers: list[AIMessage]

    @property
    def _llm_type(self) -> str:
        return "other"

    def bind_tools(
        self, tools: Sequence[Any], **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        return self.bind(tools=tools, **kwargs)

    def _generate(self, *_: Any, **__: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self.answers.pop(0))])


def ours(name: str = "deepseek-v4-pro") -> ChatDashScopeDeepSeek:
    return ChatDashScopeDeepSeek(model=name, max_retries=0)


CALL = {"name": "get_weather", "args": {"city": "Paris"}, "id": "1"}
PAIRS = {
    "of ours": lambda: (ours(), ours("deepseek-v4-flash")),
    "of another": lambda: (
        ours(),
        Other(answers=[AIMessage("", tool_calls=[CALL]), AIMessage("It is sunny.")]),
    ),
    "of another to ours": lambda: (Other(answers=[]), ours()),
}


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
@pytest.mark.parametrize("style", ["invoke", "ainvoke", "stream", "astream"])
async def test_tools_are_bound_to_a_model_and_to_its_fallbacks(
    pair: Any, style: str, dashscope_emulator: DashScopeEmulator
) -> None:
    first, second = pair()
    if isinstance(first, ChatDashScopeDeepSeek):
        dashscope_emulator.fail("InternalError", "Down.", status=500)
    runnable = first.with_fallbacks([second]).bind_tools([get_weather])

    if style == "invoke":
        message = runnable.invoke("Use get_weather for Paris.")
    elif style == "ainvoke":
        message = await runnable.ainvoke("Use get_weather for Paris.")
    elif style == "stream":
        message = sum_up(list(runnable.stream("Use get_weather for Paris.")))
    else:
        message = sum_up([c async for c in runnable.astream("Use get_weather for Paris.")])

    assert [(call["name"], call["args"]) for call in message.tool_calls] == [
        ("get_weather", {"city": "Paris"})
    ]


def sum_up(chunks: list[Any]) -> Any:
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    return whole


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
@pytest.mark.parametrize("style", ["invoke", "ainvoke"])
async def test_an_agent_goes_on_with_the_fallback(
    pair: Any, style: str, dashscope_emulator: DashScopeEmulator
) -> None:
    first, second = pair()
    if isinstance(first, ChatDashScopeDeepSeek):
        dashscope_emulator.fail("InternalError", "Down.", status=500)
    agent: Any = create_agent(first.with_fallbacks([second]), [get_weather])

    state = await agent.ainvoke(QUESTION) if style == "ainvoke" else agent.invoke(QUESTION)

    assert [message.type for message in state["messages"]] == ["human", "ai", "tool", "ai"]
    assert "sunny" in state["messages"][-1].text


@pytest.mark.parametrize("style", ["invoke", "ainvoke"])
async def test_structured_output_falls_back(
    style: str, dashscope_emulator: DashScopeEmulator
) -> None:
    dashscope_emulator.fail("InternalError", "Down.", status=500)
    runnable: Any = ours().with_fallbacks([ours("deepseek-v4-flash")])
    runnable = runnable.with_structured_output(Weather)
    question = "How is the weather in Paris?"
    answer = await runnable.ainvoke(question) if style == "ainvoke" else runnable.invoke(question)
    assert isinstance(answer, Weather)


# --- Tool selectors ---


@tool
def get_time(city: str) -> str:
    """Get the time of a city."""
    return f"It is noon in {city}."


SELECTED: Any = {"name": "ToolSelectionResponse", "arguments": {"tools": ["get_weather"]}}
CUT: Any = {"name": "ToolSelectionResponse", "arguments": '{"tools": ["get_wea'}
MISSES: dict[str, dict[str, Any]] = {
    "no call": {"text": "I would take get_weather."},
    "a call that was cut": {"tool_calls": [CUT], "finish_reason": "length"},
    "cut before the call": {"text": "Well, ", "finish_reason": "length"},
}


@pytest.mark.filterwarnings("ignore::langchain_dashscope_deepseek.DashScopeWarning")
@pytest.mark.parametrize("miss", MISSES.values(), ids=MISSES)
@pytest.mark.parametrize("style", ["invoke", "ainvoke"])
@pytest.mark.parametrize(
    ("answers", "offered"),
    [(1, ["get_weather"]), (2, ["get_weather", "get_time"])],
    ids=["its retry", "its fallback"],
)
async def test_a_selector_asks_again_and_then_falls_back(
    answers: int,
    offered: list[str],
    miss: dict[str, Any],
    style: str,
    dashscope_emulator: DashScopeEmulator,
) -> None:
    for _ in range(answers):
        dashscope_emulator.reply(**miss)
    if answers == 1:
        dashscope_emulator.reply(tool_calls=[SELECTED])
    selector = LLMToolSelectorMiddleware(max_retries=1, on_parsing_failure="all")
    agent: Any = create_agent(ours(), [get_weather, get_time], middleware=[selector])

    state = await agent.ainvoke(QUESTION) if style == "ainvoke" else agent.invoke(QUESTION)

    asked = dashscope_emulator.requests[2].body["parameters"]["tools"]
    assert [each["function"]["name"] for each in asked] == offered
    assert state["messages"][1].tool_calls[0]["name"] == "get_weather"


def test_an_agent_sends_parallel_tool_calls_as_it_is_set(
    dashscope_emulator: DashScopeEmulator,
) -> None:
    model = ChatDashScopeDeepSeek(model="deepseek-v4-pro", parallel_tool_calls=True)
    agent: Any = create_agent(model, [get_weather])
    agent.invoke(QUESTION)
    sent = [each.body["parameters"]["parallel_tool_calls"] for each in dashscope_emulator.requests]
    assert sent == [True, True]


# --- Other processes ---


class WeatherDict(TypedDict):
    """The weather of a city."""

    city: str


PARIS = {"city": "Paris"}


def test_chains_of_structured_output_work_in_other_processes(
    dashscope_emulator: DashScopeEmulator,
) -> None:
    make = ours().with_structured_output
    for name in ("Weather", "WeatherDict", "Weather", "Weather"):
        dashscope_emulator.reply(tool_calls=[{"name": name, "arguments": PARIS}])
    dashscope_emulator.reply(json.dumps(PARIS))
    chains = [
        make(Weather),
        make(WeatherDict),
        make(Weather, include_raw=True) | itemgetter("parsed"),
        make(Weather, tools=[get_time]),
        make(Weather, method="json_mode"),
    ]
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as processes:
        tasks = [processes.submit(chain.invoke, "In JSON, please.") for chain in chains]
        results = [task.result(60) for task in tasks]
    weather = Weather(city="Paris")
    assert results == [weather, PARIS, weather, weather, weather]
