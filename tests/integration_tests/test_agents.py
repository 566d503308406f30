"""Agents of the real frameworks, against the emulator with its strict checks of tool loops on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import (
    HumanInTheLoopMiddleware,
    ModelFallbackMiddleware,
    ModelRetryMiddleware,
    SummarizationMiddleware,
)
from langchain_core.chat_history import InMemoryChatMessageHistory
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.runnables.history import RunnableWithMessageHistory
from langchain_core.tools import tool
from langchain_mcp_adapters.client import MultiServerMCPClient
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from pydantic import BaseModel

from langchain_dashscope_deepseek import MODELS, ChatDashScopeDeepSeek
from langchain_dashscope_deepseek.testing import DashScopeEmulator

pytest_plugins = ["langchain_dashscope_deepseek.testing.fixtures"]
pytestmark = [
    pytest.mark.emulator_only,
    pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning"),
]

RUNS: list[str] = []
QUESTION = "Use get_weather for Paris."


@pytest.fixture(autouse=True)
def _no_runs() -> Iterator[None]:
    RUNS.clear()
    yield
    RUNS.clear()


@tool
def get_weather(city: str) -> str:
    """Get the weather of a city."""
    RUNS.append(city)
    return f"It is sunny in {city}."


@tool
def delete(path: str) -> str:
    """Delete a file."""
    RUNS.append(path)
    return "deleted"


class Weather(BaseModel):
    """The weather of a city."""

    city: str
    summary: str


def ask(text: str) -> Any:
    return {"messages": [HumanMessage(text)]}


def sent(emulator: DashScopeEmulator, index: int = -1) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = emulator.requests[index].body["input"]["messages"]
    return messages


AGENTS = [
    ("deepseek-v4-pro", None),
    ("deepseek-v4-flash-0731", False),
    ("deepseek-v4.1-flash", True),
    ("deepseek-v3.2", None),
    ("deepseek-v3.2", True),
    ("deepseek-v3.1", None),
    ("deepseek-r1", None),
    ("deepseek-v3", None),
]


@pytest.mark.parametrize(("name", "thinking"), AGENTS)
@pytest.mark.parametrize("style", ["invoke", "ainvoke"])
async def test_an_agent_takes_its_second_step(
    name: str, thinking: bool | None, style: str, dashscope_emulator: DashScopeEmulator
) -> None:
    """The reasoning of the first step goes back where the model wants it, and nowhere else."""
    model = ChatDashScopeDeepSeek(model=name, enable_thinking=thinking)
    agent: Any = create_agent(model, [get_weather])

    state = agent.invoke(ask(QUESTION)) if style == "invoke" else await agent.ainvoke(ask(QUESTION))

    assert RUNS == ["Paris"]
    assert [m.type for m in state["messages"]] == ["human", "ai", "tool", "ai"]
    assert "It is sunny in Paris." in state["messages"][-1].text
    reasoning = state["messages"][1].additional_kwargs.get("reasoning_content")
    replayed = sent(dashscope_emulator)[1].get("reasoning_content")
    replays = name.startswith("deepseek-v4") or name == "deepseek-v3.2"
    assert replayed == (reasoning if replays else None)


@pytest.mark.parametrize(
    ("name", "thinking"),
    [
        ("deepseek-v4-pro", None),
        ("deepseek-v4-flash-0731", False),
        ("deepseek-v3.2", None),
        ("deepseek-v3", None),
    ],
)
def test_an_agent_gives_a_structured_response_after_real_steps(
    name: str, thinking: bool | None
) -> None:
    agent: Any = create_agent(
        ChatDashScopeDeepSeek(model=name, enable_thinking=thinking),
        [get_weather],
        response_format=Weather,
    )
    state = agent.invoke(ask(QUESTION))
    assert RUNS == ["Paris"]
    assert isinstance(state["structured_response"], Weather)


@pytest.mark.filterwarnings("ignore::langchain_dashscope_deepseek.DashScopeWarning")
@pytest.mark.parametrize("takes_several", [True, False])
@pytest.mark.parametrize("style", ["invoke", "ainvoke", "stream", "astream"])
async def test_a_thread_with_a_response_format_goes_on_whatever_required_may_hold(
    style: str, takes_several: bool
) -> None:
    """Three turns of two tools and a schema, where the service takes `required` and where not."""
    with DashScopeEmulator(
        accepts=["required_with_several_tools"] if takes_several else []
    ) as emulator:
        model = ChatDashScopeDeepSeek(
            model="deepseek-v4-pro", base_url=emulator.base_url, api_key=emulator.api_key
        )
        agent: Any = create_agent(
            model, [get_weather], response_format=Weather, checkpointer=InMemorySaver()
        )
        thread: Any = {"configurable": {"thread_id": "1"}}
        called = {"name": "Weather", "arguments": {"city": "Paris", "summary": "sunny"}}
        for turn in range(3):
            question = ask(f"{QUESTION} ({turn})")
            emulator.reply(tool_calls=[{"name": "get_weather", "arguments": {"city": "Paris"}}])
            emulator.reply(tool_calls=[called])
            if style == "invoke":
                agent.invoke(question, thread)
            elif style == "ainvoke":
                await agent.ainvoke(question, thread)
            elif style == "stream":
                list(agent.stream(question, thread, stream_mode="messages"))
            else:
                [_ async for _ in agent.astream(question, thread, stream_mode="messages")]
            state = agent.get_state(thread).values
            assert state["structured_response"] == Weather(city="Paris", summary="sunny")
        choices = [request.body["parameters"]["tool_choice"] for request in emulator.requests]
        assert choices == (["required"] * 6 if takes_several else ["required", *["auto"] * 6])
    assert RUNS == ["Paris"] * 3


@pytest.mark.filterwarnings("ignore::langchain_dashscope_deepseek.DashScopeWarning")
def test_an_agent_whose_choice_was_not_enforced_may_end_with_text(
    dashscope_emulator: DashScopeEmulator,
) -> None:
    model = ChatDashScopeDeepSeek(model="deepseek-v4-pro")
    agent: Any = create_agent(model, [get_weather], response_format=Weather)
    dashscope_emulator.reply("It is sunny.")
    state = agent.invoke(ask("How is the weather in Paris?"))
    changes = state["messages"][-1].response_metadata["request_changes"]
    assert changes["tool_choice"] == {"asked": "required", "sent": "auto"}
    assert state["structured_response"] is None


@pytest.mark.parametrize("name", ["deepseek-v4-pro", "deepseek-v3.2", "deepseek-v3"])
def test_an_agent_without_tools_gives_a_structured_response(
    name: str, dashscope_emulator: DashScopeEmulator
) -> None:
    agent: Any = create_agent(ChatDashScopeDeepSeek(model=name), [], response_format=Weather)
    state = agent.invoke(ask("How is the weather in Paris?"))
    assert isinstance(state["structured_response"], Weather)


@pytest.mark.filterwarnings("ignore::langchain_dashscope_deepseek.DashScopeWarning")
def test_with_thinking_by_name_a_structured_response_is_best_effort(
    dashscope_emulator: DashScopeEmulator,
) -> None:
    model = ChatDashScopeDeepSeek(model="deepseek-v4-pro", enable_thinking=True)
    agent: Any = create_agent(model, [], response_format=Weather)
    called = {"name": "Weather", "arguments": {"city": "Paris", "summary": "sunny"}}
    dashscope_emulator.reply(reasoning="Hm.", tool_calls=[called], finish_reason="tool_calls")
    state = agent.invoke(ask("How is the weather in Paris?"))
    assert state["structured_response"] == Weather(city="Paris", summary="sunny")


async def test_an_agent_streams_reasoning_the_call_and_text_in_messages_mode(
    dashscope_emulator: DashScopeEmulator,
) -> None:
    agent: Any = create_agent(ChatDashScopeDeepSeek(model="deepseek-v4-pro"), [get_weather])
    chunks = [chunk for chunk, _ in agent.stream(ask(QUESTION), stream_mode="messages")]
    async_chunks = [c async for c, _ in agent.astream(ask(QUESTION), stream_mode="messages")]
    # Before Python 3.11 LangGraph loses its callbacks at each await.
    for seen in (chunks, async_chunks) if sys.version_info >= (3, 11) else (chunks,):
        model_chunks = [chunk for chunk in seen if isinstance(chunk, AIMessageChunk)]
        kinds = [block["type"] for chunk in model_chunks for block in chunk.content_blocks]
        order = [kind for i, kind in enumerate(kinds) if i == 0 or kinds[i - 1] != kind]
        assert order == ["reasoning", "tool_call_chunk", "reasoning", "text"]
        assert any(isinstance(chunk, ToolMessage) for chunk in seen)


def test_an_agent_streams_its_steps_in_updates_mode(
    dashscope_emulator: DashScopeEmulator,
) -> None:
    agent: Any = create_agent(ChatDashScopeDeepSeek(model="deepseek-v4-pro"), [get_weather])
    updates = list(agent.stream(ask(QUESTION), stream_mode="updates"))
    assert [next(iter(update)) for update in updates] == ["model", "tools", "model"]


@pytest.mark.parametrize("arguments", ['{"path": "/home/me/pro', '{"path": "/home/me"', "", "[1]"])
@pytest.mark.parametrize("mode", ["messages", "updates", "invoke"])
def test_an_agent_never_runs_a_call_that_was_cut(
    arguments: str, mode: str, dashscope_emulator: DashScopeEmulator
) -> None:
    """Core mends cut JSON into a valid call: `/home/me/pro` is not what was meant."""
    dashscope_emulator.reply(
        tool_calls=[{"name": "delete", "arguments": arguments}], finish_reason="length"
    )
    agent: Any = create_agent(ChatDashScopeDeepSeek(model="deepseek-v4-pro"), [delete])
    if mode == "invoke":
        agent.invoke(ask("Tidy up."))
    else:
        list(agent.stream(ask("Tidy up."), stream_mode=mode))
    assert RUNS == []


def test_parallel_calls_are_all_run(dashscope_emulator: DashScopeEmulator) -> None:
    cities = ["Paris", "Tokyo", "杭州"]
    dashscope_emulator.reply(
        tool_calls=[{"name": "get_weather", "arguments": {"city": city}} for city in cities],
        finish_reason="tool_calls",
    )
    agent: Any = create_agent(ChatDashScopeDeepSeek(model="deepseek-v4-pro"), [get_weather])
    list(agent.stream(ask("The weather everywhere?"), stream_mode="messages"))
    assert sorted(RUNS) == sorted(cities)


# --- Checkpoints ---

TURN = """
import sqlite3, sys
from langchain.agents import create_agent
from langchain_core.tools import tool
from langgraph.checkpoint.sqlite import SqliteSaver
from langchain_dashscope_deepseek import ChatDashScopeDeepSeek

@tool
def get_weather(city: str) -> str:
    "Get the weather of a city."
    return f"It is sunny in {city}."

connection = sqlite3.connect(sys.argv[1], check_same_thread=False)
model = ChatDashScopeDeepSeek(model="deepseek-v4-pro", output_version=sys.argv[3] or None)
agent = create_agent(model, [get_weather], checkpointer=SqliteSaver(connection))
state = agent.invoke(
    {"messages": [("human", sys.argv[2])]}, {"configurable": {"thread_id": "1"}}
)
print(len(state["messages"]))
model.close()
connection.close()
"""


@pytest.mark.slow
@pytest.mark.parametrize("version", ["", "v1"])
def test_a_thread_goes_on_after_the_process_was_restarted(
    version: str, tmp_path: Path, dashscope_emulator: DashScopeEmulator
) -> None:
    database = str(tmp_path / "threads.sqlite")
    counts = []
    for question in ("Use get_weather for Paris.", "Use get_weather for Tokyo."):
        done = subprocess.run(
            [sys.executable, "-c", TURN, database, question, version],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        counts.append(int(done.stdout))
    assert counts == [4, 8]
    calls = [m for m in sent(dashscope_emulator) if m.get("tool_calls")]
    assert len(calls) == 2
    assert all(call["reasoning_content"] for call in calls)


def test_an_agent_waits_for_a_human_and_goes_on(dashscope_emulator: DashScopeEmulator) -> None:
    agent: Any = create_agent(
        ChatDashScopeDeepSeek(model="deepseek-v4-pro"),
        [get_weather],
        middleware=[HumanInTheLoopMiddleware(interrupt_on={"get_weather": True})],
        checkpointer=InMemorySaver(),
    )
    thread: Any = {"configurable": {"thread_id": "1"}}
    state = agent.invoke(ask(QUESTION), thread)
    assert state["__interrupt__"]
    assert RUNS == []
    resumed = agent.invoke(Command(resume={"decisions": [{"type": "approve"}]}), thread)
    assert RUNS == ["Paris"]
    assert "sunny" in resumed["messages"][-1].text


# --- Deep agents, summaries, retries, fallbacks ---


def test_a_deep_agent_works(dashscope_emulator: DashScopeEmulator) -> None:
    deepagents = pytest.importorskip("deepagents", reason="needs Python 3.11")
    model = ChatDashScopeDeepSeek(model="deepseek-v4-pro")
    agent: Any = deepagents.create_deep_agent(model=model, tools=[get_weather])
    state = agent.invoke(ask(QUESTION))
    assert RUNS == ["Paris"]
    assert "sunny" in state["messages"][-1].text


def test_the_profile_triggers_a_summary(dashscope_emulator: DashScopeEmulator) -> None:
    name = "deepseek-r1-distill-llama-8b"  # 32,768 tokens
    model = ChatDashScopeDeepSeek(model=name)
    summarize = SummarizationMiddleware(
        model=model, trigger=("fraction", 0.8), keep=("messages", 1), token_counter=_tokens
    )
    agent: Any = create_agent(model, [], middleware=[summarize])
    history: list[BaseMessage] = []
    for number in range(30):
        history += [HumanMessage(f"Question {number}: " + "word " * 1000), AIMessage("ok")]
    agent.invoke({"messages": [*history, HumanMessage("And now?")]})
    assert len(dashscope_emulator.requests) == 2
    assert "summary" in sent(dashscope_emulator, 0)[0]["content"].lower()
    assert sent(dashscope_emulator)[-1]["content"] == "And now?"
    assert len(sent(dashscope_emulator)) < len(history)


def _tokens(messages: Any) -> int:
    return sum(len(str(message.content)) for message in messages) // 4


def test_a_context_overflow_triggers_a_summary(dashscope_emulator: DashScopeEmulator) -> None:
    deepagents = pytest.importorskip("deepagents", reason="needs Python 3.11")
    dashscope_emulator.fail(
        "InvalidParameter",
        "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 1000000]",
    )
    row = replace(MODELS["deepseek-v4-pro"], max_input_tokens=40_000)  # a tenth is kept
    agent: Any = deepagents.create_deep_agent(
        model=ChatDashScopeDeepSeek(model="deepseek-v4-pro", capabilities=row)
    )
    history: list[BaseMessage] = []
    for number in range(30):
        history += [HumanMessage(f"Question {number}: " + "word " * 400), AIMessage("ok")]
    state = agent.invoke({"messages": [*history, HumanMessage("And now?")]})
    assert state["messages"][-1].type == "ai"
    assert len(dashscope_emulator.requests) == 3
    assert len(sent(dashscope_emulator, 2)) < len(sent(dashscope_emulator, 0))


def test_the_retry_middleware_retries_what_is_retryable_only(
    dashscope_emulator: DashScopeEmulator,
) -> None:
    retry = ModelRetryMiddleware(max_retries=2, initial_delay=0.01, on_failure="error")
    model = ChatDashScopeDeepSeek(model="deepseek-v4-pro", max_retries=0)
    agent: Any = create_agent(model, [], middleware=[retry])

    dashscope_emulator.fail("Throttling.RateQuota", "Slow down.", status=429, times=2)
    assert agent.invoke(ask("Hello"))["messages"][-1].type == "ai"
    assert len(dashscope_emulator.requests) == 3

    dashscope_emulator.clear()
    dashscope_emulator.fail("Arrearage", "Pay.", status=400, times=3)
    with pytest.raises(Exception, match="Pay"):
        agent.invoke(ask("Hello"))
    assert len(dashscope_emulator.requests) == 1


CALL: Any = {"type": "tool_call", "id": "call_1", "name": "get_weather", "args": {"city": "Rome"}}
FOREIGN: dict[str, AIMessage] = {
    "openai": AIMessage(
        "",
        additional_kwargs={
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "get_weather", "arguments": '{"city": "Rome"}'},
                }
            ],
            "refusal": None,
        },
        response_metadata={"model_provider": "openai"},
    ),
    "openai responses": AIMessage(
        [
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"},
            {
                "type": "function_call",
                "id": "fc_1",
                "call_id": "call_1",
                "name": "get_weather",
                "arguments": '{"city": "Rome"}',
            },
        ],
        tool_calls=[CALL],
        response_metadata={"model_provider": "openai"},
    ),
    "anthropic": AIMessage(
        [
            {"type": "thinking", "thinking": "Hm.", "signature": "x"},
            {"type": "text", "text": "Let me look."},
            {"type": "tool_use", "id": "call_1", "name": "get_weather", "input": {"city": "Rome"}},
        ],
        tool_calls=[CALL],
        response_metadata={"model_provider": "anthropic"},
    ),
    "gemini": AIMessage(
        [
            {"type": "thinking", "thinking": "Hm."},
            {"type": "text", "text": "Let me look.", "extras": {"signature": "x"}},
            {
                "type": "function_call",
                "name": "get_weather",
                "args": {"city": "Rome"},
                "id": "call_1",
            },
        ],
        additional_kwargs={"function_call": {"name": "get_weather", "arguments": "{}"}},
        tool_calls=[CALL],
        response_metadata={"model_provider": "google_genai"},
    ),
    "v1 blocks": AIMessage(
        content_blocks=[
            {"type": "reasoning", "reasoning": "Hm."},
            {"type": "text", "text": "Let me look."},
            CALL,
        ],
        response_metadata={"output_version": "v1", "model_provider": "anthropic"},
    ),
}


@pytest.mark.parametrize("provider", FOREIGN)
def test_a_thread_of_another_provider_goes_on(
    provider: str, dashscope_emulator: DashScopeEmulator
) -> None:
    history = [
        SystemMessage("Be brief."),
        HumanMessage("The weather in Rome?"),
        FOREIGN[provider],
        ToolMessage([{"type": "text", "text": "Rain."}], tool_call_id="call_1"),
    ]
    broken: BaseChatModel = GenericFakeChatModel(messages=iter([]))
    model = ChatDashScopeDeepSeek(model="deepseek-v4-pro")

    agent: Any = create_agent(broken, [], middleware=[ModelFallbackMiddleware(model)])
    assert "Rain." in agent.invoke({"messages": history})["messages"][-1].text
    fallback = broken.with_fallbacks([model], exceptions_to_handle=(Exception,))
    assert "Rain." in str(fallback.invoke(history).content)

    call = sent(dashscope_emulator)[2]
    assert set(call) == {"role", "content", "tool_calls", "reasoning_content"}
    assert call["content"] in ("", "Let me look.")
    assert call["tool_calls"][0]["function"] == {
        "name": "get_weather",
        "arguments": '{"city": "Rome"}',
    }


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainDeprecationWarning")
def test_a_message_history_is_kept(dashscope_emulator: DashScopeEmulator) -> None:
    history = InMemoryChatMessageHistory()
    model = ChatDashScopeDeepSeek(model="deepseek-v4-pro")
    chat = RunnableWithMessageHistory(model, lambda _: history)
    config: Any = {"configurable": {"session_id": "1"}}
    chat.invoke([HumanMessage("I am Ann.")], config)
    chat.invoke([HumanMessage("Who am I?")], config)
    assert [m["role"] for m in sent(dashscope_emulator)] == ["user", "assistant", "user"]


SERVER = """
from mcp.server.fastmcp import FastMCP

server = FastMCP("weather")


@server.tool()
def get_weather(city: str) -> str:
    "Get the weather of a city."
    return f"It is sunny in {city}."


server.run(transport="stdio")
"""


async def test_tools_of_an_mcp_server_are_called(dashscope_emulator: DashScopeEmulator) -> None:
    client = MultiServerMCPClient(
        {"weather": {"command": sys.executable, "args": ["-c", SERVER], "transport": "stdio"}}
    )
    agent: Any = create_agent(
        ChatDashScopeDeepSeek(model="deepseek-v4-pro"), await client.get_tools()
    )
    state = await agent.ainvoke(ask(QUESTION))
    assert "It is sunny in Paris." in state["messages"][-1].text
