"""Threads of real agents with a checkpointer: whatever an answer held, the next turns go on."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel

from langchain_dashscope_deepseek import ChatDashScopeDeepSeek
from langchain_dashscope_deepseek.testing import DashScopeEmulator

pytest_plugins = ["langchain_dashscope_deepseek.testing.fixtures"]
pytestmark = [
    pytest.mark.emulator_only,
    pytest.mark.filterwarnings("ignore::langchain_dashscope_deepseek.DashScopeWarning"),
    pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning"),
]

RUNS: list[Any] = []
QUESTION = "How is the weather?"
EVENTS = "text/event-stream;charset=UTF-8"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@pytest.fixture(autouse=True)
def _no_runs() -> Iterator[None]:
    RUNS.clear()
    yield
    RUNS.clear()


@tool
def get_weather(city: str = "everywhere") -> str:
    """Get the weather of a city."""
    RUNS.append(city)
    return f"It is sunny in {city}."


@tool
def take_screenshot() -> list[dict[str, str]]:
    """Take a screenshot."""
    RUNS.append("screenshot")
    return [{"type": "image", "base64": PIXEL, "mime_type": "image/png"}]


# --- What an answer may hold ---


def packets(*pieces: dict[str, Any], finish: str = "tool_calls", text: str = "") -> bytes:
    """Write a stream with a piece of a call in each packet."""
    messages: list[dict[str, Any]] = [{"content": "", "tool_calls": [piece]} for piece in pieces]
    bodies = [(message, "null") for message in messages] + [({"content": text}, finish)]
    usage = {"prompt_tokens": 7, "completion_tokens": 4, "prompt_cache_hit_tokens": 2}
    documents = [
        {
            "output": {"choices": [{"message": message, "finish_reason": reason}]},
            "usage": usage,
            "request_id": "request-1",
        }
        for message, reason in bodies
    ]
    return "".join(f"data:{json.dumps(document)}\n\n" for document in documents).encode()


def piece(arguments: str = "", *, name: str | None = None, **rest: Any) -> dict[str, Any]:
    function = {"arguments": arguments, **({"name": name} if name is not None else {})}
    return {"type": "function", "function": function, **rest}


PARIS = '{"city": "Paris"}'
GET = "get_weather"

ANSWERS: dict[str, tuple[bytes, list[Any]]] = {
    "a raw line end in the arguments": (
        packets(piece('{"city": "Paris\nNord"}', name=GET, id="a", index=0)),
        ["Paris\nNord"],
    ),
    "pieces under another index": (
        packets(piece(name=GET, id="a", index=1), piece(PARIS, id="", index=0)),
        ["Paris"],
    ),
    "pieces under another id": (
        packets(piece(name=GET, id="a", index=0), piece(PARIS, id="b", index=0)),
        ["Paris"],
    ),
    "a name in pieces": (
        packets(
            piece(name="get_", id="a", index=0),
            piece(name="weather", id="", index=0),
            piece(PARIS, index=0),
        ),
        ["Paris"],
    ),
    "no arguments, and cut": (packets(piece(name=GET, id="a", index=0), finish="length"), []),
    "no arguments": (packets(piece(name=GET, id="a", index=0)), ["everywhere"]),
    "arguments that are null": (packets(piece("null", name=GET, id="a", index=0)), ["everywhere"]),
    "arguments cut off": (packets(piece('{"city": "Par', name=GET, id="a"), finish="length"), []),
    "a call without a name": (packets(piece(PARIS, id="a", index=0)), []),
    "a call without a name behind a text": (packets(piece(PARIS, id="a"), text="Let me look."), []),
    "a call without a name and without an id": (packets(piece(PARIS)), []),
    "two calls of one id": (
        packets(
            piece(PARIS, name=GET, id="a", index=0),
            piece('{"city": "Rome"}', name=GET, id="a", index=1),
        ),
        ["Paris", "Rome"],
    ),
    "a call without an id": (packets(piece(PARIS, name=GET, index=0)), ["Paris"]),
    "a tool that nobody has": (packets(piece(PARIS, name="get_rain", id="a")), []),
    "a call in the text": (packets(finish="stop", text="<｜tool▁calls▁begin｜>get_weather"), []),
    "nothing": (packets(finish="stop"), []),
}

# --- Ways to run an agent ---

Run = Callable[[Any, Any, Any], Awaitable[Any]]


async def _invoke(agent: Any, given: Any, config: Any) -> None:
    agent.invoke(given, config)


async def _ainvoke(agent: Any, given: Any, config: Any) -> None:
    await agent.ainvoke(given, config)


async def _stream(agent: Any, given: Any, config: Any) -> None:
    list(agent.stream(given, config, stream_mode="messages"))


async def _astream(agent: Any, given: Any, config: Any) -> None:
    [_ async for _ in agent.astream(given, config, stream_mode="messages")]


@pytest.fixture(params=[_invoke, _ainvoke, _stream, _astream])
def run(request: pytest.FixtureRequest) -> Run:
    way: Run = request.param
    return way


THREAD: Any = {"configurable": {"thread_id": "1"}}


def said(text: str) -> Any:
    return {"messages": [HumanMessage(text)]}


def messages_of(agent: Any) -> list[Any]:
    found: list[Any] = agent.get_state(THREAD).values["messages"]
    return found


async def go_on(agent: Any, run: Run) -> None:
    """Take three further turns, each of which is answered."""
    for text in ("And now?", "Use get_weather for Rome.", "Thank you."):
        before = len(messages_of(agent))
        await run(agent, said(text), THREAD)
        new = messages_of(agent)[before:]
        assert text in [message.text for message in new]
        assert new[-1].type == "ai"
        assert new[-1].text


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("model", ["deepseek-v4-pro", "deepseek-v4.1-flash"])
async def test_an_agent_goes_on_whatever_an_answer_held(
    name: str, model: str, run: Run, dashscope_emulator: DashScopeEmulator
) -> None:
    answer, runs = ANSWERS[name]
    dashscope_emulator.raw(answer, headers={"content-type": EVENTS})
    agent: Any = create_agent(
        ChatDashScopeDeepSeek(model=model), [get_weather], checkpointer=InMemorySaver()
    )
    await run(agent, said(QUESTION), THREAD)
    assert sorted(RUNS) == runs
    first = messages_of(agent)[1]
    assert first.usage_metadata["input_tokens"] == 7
    assert first.usage_metadata["output_tokens"] == 4
    assert first.usage_metadata["input_token_details"] == {"cache_read": 2}
    assert ("tool_call_markup" in first.response_metadata) == (name == "a call in the text")
    await go_on(agent, run)
    assert len(RUNS) == len(runs) + 1


async def test_an_old_screenshot_does_not_kill_the_thread_of_a_text_model(
    run: Run, dashscope_emulator: DashScopeEmulator
) -> None:
    """Begun by a model that sees, with an image of the user's; gone on with by one that reads."""
    saver = InMemorySaver()
    tools = [take_screenshot, get_weather]
    seeing: Any = create_agent(
        ChatDashScopeDeepSeek(model="deepseek-v4.1-flash"), tools, checkpointer=saver
    )
    image = {"type": "image", "base64": PIXEL, "mime_type": "image/png"}
    question = {"type": "text", "text": "Use take_screenshot."}
    await run(seeing, {"messages": [HumanMessage([question, image])]}, THREAD)
    assert RUNS == ["screenshot"]

    reading: Any = create_agent(
        ChatDashScopeDeepSeek(model="deepseek-v4-pro"), tools, checkpointer=saver
    )
    await go_on(reading, run)
    await run(reading, said("Use take_screenshot."), THREAD)
    assert RUNS == ["screenshot", "everywhere", "screenshot"]
    await go_on(reading, run)


class Weather(BaseModel):
    """The weather of a city."""

    city: str
    summary: str


@pytest.mark.parametrize("name", ["arguments cut off", "no arguments, and cut", "nothing"])
async def test_a_thread_goes_on_behind_a_structured_response_that_was_cut(
    name: str, run: Run
) -> None:
    with DashScopeEmulator(accepts=["required_with_several_tools"]) as emulator:
        cut = ANSWERS[name][0].replace(b"get_weather", b"Weather")
        emulator.raw(cut, headers={"content-type": EVENTS})
        model = ChatDashScopeDeepSeek(
            model="deepseek-v4-pro", base_url=emulator.base_url, api_key=emulator.api_key
        )
        agent: Any = create_agent(
            model, [get_weather], response_format=Weather, checkpointer=InMemorySaver()
        )
        await run(agent, said(QUESTION), THREAD)
        assert agent.get_state(THREAD).values.get("structured_response") is None
        for text in ("And now?", "And then?", "Thank you."):
            await run(agent, said(text), THREAD)
            assert isinstance(agent.get_state(THREAD).values["structured_response"], Weather)


async def test_a_thread_goes_on_where_nobody_decided_on_a_call(
    run: Run, dashscope_emulator: DashScopeEmulator
) -> None:
    """Human in the loop asks, and the user writes something else."""
    agent: Any = create_agent(
        ChatDashScopeDeepSeek(model="deepseek-v4-pro"),
        [get_weather],
        middleware=[HumanInTheLoopMiddleware(interrupt_on={"get_weather": True})],
        checkpointer=InMemorySaver(),
    )
    await run(agent, said("Use get_weather for Paris."), THREAD)
    assert messages_of(agent)[-1].tool_calls
    for text in ("Something else: hello.", "And now?", "Thank you."):
        await run(agent, said(text), THREAD)
        last = messages_of(agent)[-1]
        assert last.text
        (change,) = last.response_metadata["request_changes"]["messages"]
        assert "of 'get_weather' has no recorded result and may have run" in change
    assert RUNS == []
    assert not any(isinstance(message, ToolMessage) for message in messages_of(agent))


@pytest.mark.parametrize("removed", [1, 2])
async def test_a_thread_goes_on_where_a_summary_cut_between_a_call_and_its_answer(
    removed: int, run: Run, dashscope_emulator: DashScopeEmulator
) -> None:
    agent: Any = create_agent(
        ChatDashScopeDeepSeek(model="deepseek-v4-pro"), [get_weather], checkpointer=InMemorySaver()
    )
    await run(agent, said("Use get_weather for Paris."), THREAD)
    assert [message.type for message in messages_of(agent)] == ["human", "ai", "tool", "ai"]
    gone = messages_of(agent)[removed]
    agent.update_state(THREAD, {"messages": [RemoveMessage(gone.id)]})
    await go_on(agent, run)


# --- Whatever an answer holds ---

NAMES = st.sampled_from([GET, "get_", "", None, "no_such_tool", "字", "a b"])
IDS = st.sampled_from(["a", "b", "", None])
INDEXES = st.sampled_from([0, 1, None])
ARGUMENTS = st.sampled_from(["", "{}", PARIS, '{"city":', '"Paris"}', "null", "[1]", "字", "\n"])


@st.composite
def pieces_of_calls(draw: st.DrawFn) -> dict[str, Any]:
    fields = {"id": draw(IDS), "index": draw(INDEXES)}
    known = {key: value for key, value in fields.items() if value is not None}
    return piece(draw(ARGUMENTS), name=draw(NAMES), **known)


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(
    pieces=st.lists(pieces_of_calls(), max_size=4),
    finish=st.sampled_from(["tool_calls", "stop", "length", "odd"]),
    text=st.sampled_from(["", "Let me look."]),
    answers_invalid=st.booleans(),
)
def test_the_next_request_of_an_agent_is_accepted_whatever_the_answer_held(
    pieces: list[dict[str, Any]], finish: str, text: str, answers_invalid: bool
) -> None:
    """Agents answer all calls, some the invalid ones as well."""
    with DashScopeEmulator() as emulator:
        model = ChatDashScopeDeepSeek(
            model="deepseek-v4-pro",
            base_url=emulator.base_url,
            api_key=emulator.api_key,
            max_retries=0,
        )
        emulator.raw(packets(*pieces, finish=finish, text=text), headers={"content-type": EVENTS})
        asking = model.bind_tools([get_weather])
        answer: AIMessage = asking.invoke(QUESTION)
        calls: list[Any] = [*answer.tool_calls]
        calls += answer.invalid_tool_calls if answers_invalid else []
        results = [ToolMessage("Done.", tool_call_id=call["id"]) for call in calls]
        thread = [HumanMessage(QUESTION), answer, *results]
        if not results:
            thread.append(HumanMessage("And now?"))
        thread.append(asking.invoke(thread))
        asking.invoke([*thread, HumanMessage("Thank you.")])
