"""Frameworks that ask behind an AI message or with a system message alone, and handoffs.

The service answers human and tool messages only; the emulator refuses the rest as the service does.
"""

from __future__ import annotations

import warnings
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelCallLimitMiddleware
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import InjectedToolCallId, tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import InjectedState, create_react_agent
from langgraph.types import Command
from langgraph.warnings import LangGraphDeprecatedSinceV10
from pydantic import BaseModel
from sqlalchemy import create_engine, text
from sqlalchemy.pool import StaticPool

from langchain_dashscope_deepseek import (
    ChatDashScopeDeepSeek,
    DashScopeInputError,
    DashScopeWarning,
)
from langchain_dashscope_deepseek.testing import DashScopeEmulator

with warnings.catch_warnings():
    # The package says that it is not maintained; its agent is still the one that people use.
    warnings.simplefilter("ignore", DeprecationWarning)
    from langchain_community.agent_toolkits import create_sql_agent
    from langchain_community.utilities import SQLDatabase

pytest_plugins = ["langchain_dashscope_deepseek.testing.fixtures"]
pytestmark = [
    pytest.mark.emulator_only,
    pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning"),
]

GO_ON = "Continue in the language of this conversation."
LAST = "An AI message was the last one"
QUESTION: Any = {"messages": [HumanMessage("Use get_weather for Paris.")]}

Run = Callable[[Any, Any], Awaitable[Any]]


async def _invoke(runnable: Any, given: Any) -> Any:
    return runnable.invoke(given)


async def _ainvoke(runnable: Any, given: Any) -> Any:
    return await runnable.ainvoke(given)


async def _stream(runnable: Any, given: Any) -> Any:
    return list(runnable.stream(given))[-1]


async def _astream(runnable: Any, given: Any) -> Any:
    return [part async for part in runnable.astream(given)][-1]


@pytest.fixture(params=[_invoke, _ainvoke, _stream, _astream])
def run(request: pytest.FixtureRequest) -> Run:
    way: Run = request.param
    return way


@tool
def get_weather(city: str) -> str:
    """Get the weather of a city."""
    return f"It is sunny in {city}."


class Weather(BaseModel):
    """The weather of a city."""

    city: str
    summary: str


def model(**settings: Any) -> ChatDashScopeDeepSeek:
    return ChatDashScopeDeepSeek(model="deepseek-v4-pro", **settings)


def sent(emulator: DashScopeEmulator, index: int = -1) -> list[tuple[str, str]]:
    messages = emulator.requests[index].body["input"]["messages"]
    return [(message["role"], message["content"]) for message in messages]


def react_agent() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LangGraphDeprecatedSinceV10)
        return create_react_agent(model(), [get_weather], response_format=Weather)


async def test_langgraphs_agent_gives_a_structured_response(
    run: Run, dashscope_emulator: DashScopeEmulator
) -> None:
    """It asks with its own last answer at the end."""
    with pytest.warns(DashScopeWarning, match=LAST):
        state = await run(react_agent(), QUESTION)
    state = state.get("generate_structured_response", state)
    assert isinstance(state["structured_response"], Weather)
    assert sent(dashscope_emulator)[-2][0] == "assistant"
    assert sent(dashscope_emulator)[-1] == ("user", GO_ON)


@pytest.mark.filterwarnings("ignore:tool_choice was sent")
async def test_an_agent_asks_again_for_a_structured_response(
    run: Run, dashscope_emulator: DashScopeEmulator
) -> None:
    """While the model thinks, the call cannot be forced, and it may answer without one."""
    called = {"name": "Weather", "arguments": {"city": "Paris", "summary": "sunny"}}
    dashscope_emulator.reply("It is sunny.", reasoning="Hm.")
    dashscope_emulator.reply(reasoning="Hm.", tool_calls=[called], finish_reason="tool_calls")
    agent: Any = create_agent(model(enable_thinking=True), [], response_format=Weather)
    with pytest.warns(DashScopeWarning, match=LAST):
        state = await run(agent, QUESTION)
    state = state.get("model", state)
    assert state["structured_response"] == Weather(city="Paris", summary="sunny")
    assert sent(dashscope_emulator)[-2:] == [
        ("assistant", "It is sunny."),
        ("user", "Continue by calling one of your tools."),
    ]


@pytest.mark.filterwarnings("ignore:tool_choice was sent", f"ignore:{LAST}")
async def test_a_limit_of_calls_ends_an_agent_that_gets_no_structured_response(
    run: Run, dashscope_emulator: DashScopeEmulator
) -> None:
    limit: Any = ModelCallLimitMiddleware(run_limit=3)
    thinking = model(enable_thinking=True)
    agent: Any = create_agent(thinking, [], response_format=Weather, middleware=[limit])
    for _ in range(4):
        dashscope_emulator.reply("It is sunny.", reasoning="Hm.")
    await run(agent, QUESTION)
    assert len(dashscope_emulator.requests) == 3


@tool
def transfer_to_expert(
    state: Annotated[dict[str, Any], InjectedState],
    call_id: Annotated[str, InjectedToolCallId],
) -> Command[str]:
    """Hand over to the expert, as langgraph-supervisor's tool does."""
    done = ToolMessage("Transferred.", name="transfer_to_expert", tool_call_id=call_id)
    update = {"messages": [*state["messages"], done]}
    return Command(goto="expert", graph=Command.PARENT, update=update)


def supervisor() -> Any:
    """Build a supervisor that gets the expert's answer without messages that hand back."""
    agents = StateGraph(MessagesState)
    boss: Any = create_agent(model(), [transfer_to_expert, get_weather], name="boss")
    expert: Any = create_agent(model(), [get_weather], name="expert")
    agents.add_node(boss, destinations=("expert",))
    agents.add_node(expert)
    agents.add_edge(START, "boss")
    agents.add_edge("expert", "boss")
    return agents.compile()


HANDOFF: Any = {"name": "transfer_to_expert", "arguments": {}}
BESIDE: Any = {"name": "get_weather", "arguments": {"city": "Rome"}}


async def test_a_supervisor_goes_on_behind_the_answer_of_its_expert(
    run: Run, dashscope_emulator: DashScopeEmulator
) -> None:
    dashscope_emulator.reply(tool_calls=[HANDOFF], finish_reason="tool_calls")
    with pytest.warns(DashScopeWarning, match=LAST):
        await run(supervisor(), QUESTION)
    roles = [role for role, _ in sent(dashscope_emulator)]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]
    assert sent(dashscope_emulator)[-1] == ("user", GO_ON)


@pytest.mark.filterwarnings(f"ignore:{LAST}")
async def test_a_handoff_beside_another_call_reaches_the_expert(
    run: Run, dashscope_emulator: DashScopeEmulator
) -> None:
    """The handoff leaves the graph, and with it goes the result of the other call."""
    dashscope_emulator.reply(tool_calls=[HANDOFF, BESIDE], finish_reason="tool_calls")
    with pytest.warns(DashScopeWarning, match="A call of get_weather has no recorded result"):
        await run(supervisor(), QUESTION)
    handed_over, result = sent(dashscope_emulator, 1)[-2:]
    assert handed_over == ("tool", "Transferred.")
    assert result[0] == "tool"
    assert "may have run" in result[1]


async def test_a_handoff_whose_answer_the_other_agent_holds_is_left_out(
    run: Run, dashscope_emulator: DashScopeEmulator
) -> None:
    thread = [*QUESTION["messages"], ToolMessage("Transferred.", tool_call_id="call_1")]
    expert: Any = create_agent(model(), [])
    with pytest.warns(DashScopeWarning, match="A tool message was left out"):
        await run(expert, {"messages": thread})
    assert [role for role, _ in sent(dashscope_emulator)] == ["user"]


async def test_the_sql_agent_of_the_community_answers(
    run: Run, dashscope_emulator: DashScopeEmulator
) -> None:
    """Its prompt ends with an AI message, so that its first call does."""
    engine = create_engine(
        "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}
    )
    with engine.begin() as connection:
        connection.execute(text("create table cities as select '杭州' as name"))
    query = {"name": "sql_db_query", "arguments": {"query": "select name from cities"}}
    dashscope_emulator.reply(tool_calls=[query], finish_reason="tool_calls")
    agent: Any = create_sql_agent(model(), db=SQLDatabase(engine), agent_type="tool-calling")
    with pytest.warns(DashScopeWarning, match=LAST):
        answer = await run(agent, {"input": "Which cities are there?"})
    assert "杭州" in answer["output"]
    assert [role for role, _ in sent(dashscope_emulator, 0)] == [
        *("system", "user", "assistant", "user")
    ]
    assert sent(dashscope_emulator)[-1] == ("tool", "[('杭州',)]")
    engine.dispose()


async def test_a_prompt_that_is_a_system_message_only_is_answered(
    run: Run, dashscope_emulator: DashScopeEmulator
) -> None:
    """As langchain's summarising chains and langgraph's examples write it."""
    summarise = ChatPromptTemplate.from_messages([("system", "Summarise: {context}")]) | model()
    with pytest.warns(DashScopeWarning, match="A system message was alone"):
        await run(summarise, {"context": "Rain."})
    assert sent(dashscope_emulator) == [("user", "Summarise: Rain.")]


async def test_two_agents_talk_to_each_other(
    run: Run, dashscope_emulator: DashScopeEmulator
) -> None:
    """Each has the messages of both, and its own are not told apart from the other's."""
    agents = StateGraph(MessagesState)
    names = ("ann", "bob", "carl")
    for name in names:
        agent: Any = create_agent(model(), [], name=name, system_prompt=f"You are {name}.")
        agents.add_node(agent)
    for before, after in zip((START, *names), names, strict=False):
        agents.add_edge(before, after)
    for reply in ("Hello, Bob.", "你好。", "Hello."):
        dashscope_emulator.reply(reply)
    with pytest.warns(DashScopeWarning, match=LAST):
        await run(agents.compile(), {"messages": [HumanMessage("Talk.")]})
    assert sent(dashscope_emulator) == [
        ("system", "You are carl."),
        ("user", "Talk."),
        ("assistant", "Hello, Bob."),
        ("assistant", "你好。"),
        ("user", GO_ON),
    ]


async def test_where_warnings_are_errors_such_a_conversation_is_refused(
    run: Run, dashscope_emulator: DashScopeEmulator
) -> None:
    thread = {"messages": [HumanMessage("Hello"), AIMessage("Hello.")]}
    with pytest.raises(
        DashScopeInputError, match=r"messages\[1\] is an AI message and the last one"
    ):
        await run(create_agent(model(), []), thread)
    assert dashscope_emulator.requests == []
