"""The official `dashscope` package as a client of the emulator, and beside ours.

The emulator and the client come from one house; this package does not. What it understands of the
emulator, and what it sends, keep both honest.
"""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any

import httpx
import pytest

from langchain_dashscope_deepseek import ChatDashScopeDeepSeek
from langchain_dashscope_deepseek.testing import DashScopeEmulator, RecordedRequest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what an import of others warns of is theirs
    import dashscope as _dashscope

# Its annotations promise less than it does.
dashscope: Any = _dashscope

# The package leaves its sessions open, and says so at the end of the process.
pytestmark = [pytest.mark.emulator_only, pytest.mark.filterwarnings("ignore::ResourceWarning")]

MODEL = "deepseek-v4-pro"
QUESTION = [{"role": "user", "content": "Why is the sky blue?"}]
WEATHER = [{"role": "user", "content": "Use get_weather for Paris."}]
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


@pytest.fixture(autouse=True, scope="module")
def _collected() -> Iterator[None]:
    """Let go of its sessions while their warning is ignored."""
    yield
    gc.collect()


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[DashScopeEmulator]:
    with DashScopeEmulator() as emulator:
        monkeypatch.setattr(dashscope, "base_http_api_url", emulator.base_url)
        yield emulator


Ask = Callable[..., list[Any]]
"""Asks and gives the packets as `(reasoning, text, tool calls, finish_reason)`."""


def packet(message: Any, finish_reason: Any) -> tuple[str, str, list[Any], str]:
    calls = message.get("tool_calls") or []
    reasoning = message.get("reasoning_content") or ""
    return reasoning, message.get("content") or "", calls, finish_reason


def ask_1x(emulator: DashScopeEmulator, **call: Any) -> list[Any]:
    call = {"model": MODEL, "api_key": emulator.api_key, "result_format": "message", **call}
    if call.get("stream"):
        call["incremental_output"] = True
    answer = dashscope.Generation.call(**call)
    return [_packet_1x(part) for part in (answer if call.get("stream") else [answer])]


def ask_1x_async(emulator: DashScopeEmulator, **call: Any) -> list[Any]:
    call = {"model": MODEL, "api_key": emulator.api_key, "result_format": "message", **call}

    async def ask() -> list[Any]:
        try:
            if not call.get("stream"):
                return [await dashscope.AioGeneration.call(**call)]
            parts = await dashscope.AioGeneration.call(**call, incremental_output=True)
            return [part async for part in parts]
        finally:
            await dashscope.close_shared_aio_session()

    return [_packet_1x(part) for part in asyncio.run(ask())]


def _packet_1x(part: Any) -> Any:
    if part.status_code != HTTPStatus.OK or not part.output.choices:
        return part
    choice = part.output.choices[0]
    return packet(choice.message, choice.finish_reason)


def ask_2x(emulator: DashScopeEmulator, **call: Any) -> list[Any]:
    call = {"model": MODEL, **call}
    client = dashscope.Client(
        api_key=call.pop("api_key", emulator.api_key), base_url=emulator.base_url
    )
    try:
        answer = client.chat.completions.create(**call)
        parts = list(answer) if call.get("stream") else [answer]
    finally:
        client.close()
    return [_packet_2x(part.choices[0]) for part in parts if part.choices]


def _packet_2x(choice: Any) -> Any:
    message = choice.delta if hasattr(choice, "delta") else choice.message
    plain = {
        "content": message.content,
        "reasoning_content": message.reasoning_content,
        "tool_calls": [
            {
                "id": call.id,
                "function": {"name": call.function.name, "arguments": call.function.arguments},
            }
            for call in message.tool_calls or []
        ],
    }
    return packet(plain, choice.finish_reason)


@pytest.fixture(params=[ask_1x, ask_1x_async, ask_2x], ids=["1.x", "1.x async", "2.x"])
def ask(request: pytest.FixtureRequest, emulator: DashScopeEmulator) -> Ask:
    return lambda **call: request.param(emulator, **call)


def test_it_reads_a_plain_answer(ask: Ask) -> None:
    ((reasoning, text, calls, finish_reason),) = ask(messages=QUESTION, enable_thinking=False)
    assert "emulator" in text
    assert (reasoning, calls, finish_reason) == ("", [], "stop")


def test_it_reads_a_stream_that_thinks(ask: Ask) -> None:
    packets = ask(messages=QUESTION, stream=True)
    reasoning = [i for i, part in enumerate(packets) if part[0]]
    text = [i for i, part in enumerate(packets) if part[1]]
    assert reasoning
    assert text
    assert max(reasoning) < min(text)
    assert [part[3] for part in packets] == ["null"] * (len(packets) - 1) + ["stop"]


def test_it_reads_a_stream_that_calls_a_tool(ask: Ask) -> None:
    packets = ask(messages=WEATHER, stream=True, tools=[TOOL])
    deltas = [delta for part in packets for delta in part[2]]
    names = [delta["function"].get("name") for delta in deltas if delta["function"].get("name")]
    arguments = "".join(delta["function"].get("arguments") or "" for delta in deltas)
    assert names == ["get_weather"]
    assert arguments.replace(" ", "") == '{"city":"Paris"}'
    assert packets[-1][3] == "tool_calls"


def test_it_understands_a_wrong_key(emulator: DashScopeEmulator) -> None:
    for part in (
        ask_1x(emulator, messages=QUESTION, api_key="sk-invalid"),
        ask_1x_async(emulator, messages=QUESTION, api_key="sk-invalid"),
    ):
        assert part[0].status_code == HTTPStatus.UNAUTHORIZED
        assert "InvalidApiKey" in str(part[0])
    with pytest.raises(Exception, match="Invalid API-key provided") as caught:
        ask_2x(emulator, messages=QUESTION, api_key="sk-invalid")
    assert type(caught.value).__name__ == "AuthenticationError"


def test_it_understands_an_unknown_model(emulator: DashScopeEmulator) -> None:
    for part in (
        ask_1x(emulator, messages=QUESTION, model="nope"),
        ask_1x_async(emulator, messages=QUESTION, model="nope"),
    ):
        assert (part[0].status_code, part[0].code) == (HTTPStatus.NOT_FOUND, "ModelNotFound")
    with pytest.raises(Exception, match="Model not exist") as caught:
        ask_2x(emulator, messages=QUESTION, model="nope")
    assert type(caught.value).__name__ == "NotFoundError"


# --- The same call from both: what is sent, field by field ---

CALLS: dict[str, dict[str, Any]] = {
    "plain": {"messages": QUESTION, "enable_thinking": False},
    "thinking stream": {"messages": QUESTION, "stream": True, "enable_thinking": True},
    "every parameter": {
        "messages": [{"role": "system", "content": "Be brief."}, *QUESTION],
        "stream": True,
        "thinking_budget": 100,
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 50,
        "seed": 7,
        "stop": ["end"],
        "enable_search": True,
    },
    "tools": {
        "messages": WEATHER,
        "stream": True,
        "tools": [TOOL],
        "tool_choice": "auto",
        "parallel_tool_calls": True,
    },
    "tool loop": {
        "messages": [
            *WEATHER,
            {
                "role": "assistant",
                "content": "",
                "reasoning_content": "hm",
                "tool_calls": [
                    {
                        "index": 0,
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'},
                    }
                ],
            },
            {"role": "tool", "content": "sunny", "tool_call_id": "call_1"},
        ],
        "stream": True,
        "tools": [TOOL],
    },
}

DIFFERENT_HEADERS = {
    "accept": "1.x adds a charset to application/json, 2.x takes anything",
    "accept-encoding": "what is installed to decompress",
    "connection": "some clients write it: keep-alive is the default of HTTP/1.1",
    "content-length": "spaces in the JSON",
    "content-type": "1.x adds a charset",
    "host": "1.x and 2.x write it as their HTTP client does",
    "user-agent": "each says who it is",
    "x-accel-buffering": "1.x asks nginx not to buffer; that is a header for answers",
    "x-dashscope-sdk-client": "the official package counts its versions",
    "x-dashscope-sdk-session-id": "and its sessions",
}


def ask_ours(emulator: DashScopeEmulator, **call: Any) -> None:
    messages, stream = call.pop("messages"), call.pop("stream", False)
    model = ChatDashScopeDeepSeek(
        model=MODEL, api_key=emulator.api_key, base_url=emulator.base_url
    ).bind(**call)
    history = [
        {**m, "additional_kwargs": {"reasoning_content": m["reasoning_content"]}}
        if "reasoning_content" in m
        else m
        for m in messages
    ]
    for message in history:
        message.pop("reasoning_content", None)
    if stream:
        for _ in model.stream(history):
            pass
    else:
        model.invoke(history)


@pytest.mark.parametrize("theirs", [ask_1x, ask_1x_async, ask_2x])
@pytest.mark.parametrize("name", CALLS)
def test_it_sends_what_we_send(
    name: str, theirs: Callable[..., Any], emulator: DashScopeEmulator
) -> None:
    """The bodies are equal; of the headers, those that differ are listed with their reasons."""
    theirs(emulator, **CALLS[name])
    their_request = emulator.requests[-1]
    ask_ours(emulator, **{**CALLS[name], "messages": [dict(m) for m in CALLS[name]["messages"]]})
    our_request = emulator.requests[-1]

    assert our_request.path == their_request.path
    assert our_request.body == their_request.body
    assert same_headers(our_request) == same_headers(their_request)


def same_headers(request: RecordedRequest) -> dict[str, str]:
    return {name: v for name, v in request.headers.items() if name not in DIFFERENT_HEADERS}


def test_the_emulator_is_asked_with_plain_http_as_well(emulator: DashScopeEmulator) -> None:
    """Without any client: the bytes are what the recordings show."""
    answer = httpx.post(
        f"{emulator.base_url}/services/aigc/text-generation/generation",
        headers={"Authorization": f"Bearer {emulator.api_key}", "X-DashScope-SSE": "enable"},
        json={
            "model": MODEL,
            "input": {"messages": QUESTION},
            "parameters": {"incremental_output": True, "result_format": "message"},
        },
    )
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.startswith("id:1\nevent:result\n:HTTP_STATUS/200\ndata:{")
    assert answer.text.endswith("\n\n")
