"""The official `dashscope` package on the multimodal route of the emulator: images, and tools.

It comes from another house than the emulator: what it sends must pass, and what it reads of the
answers must be what was said. Its own command line learns the route of a model by being refused.
"""

from __future__ import annotations

import asyncio
import gc
import warnings
from base64 import b64encode
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from langchain_dashscope_deepseek.capabilities import ModelCapabilities
from langchain_dashscope_deepseek.testing import DashScopeEmulator

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what an import of others warns of is theirs
    import dashscope as _dashscope
    from dashscope.acli.providers import tongyi as _tongyi

# Its annotations promise less than it does.
dashscope: Any = _dashscope
tongyi: Any = _tongyi

# The package leaves its sessions open, and says so at the end of the process.
pytestmark = [pytest.mark.emulator_only, pytest.mark.filterwarnings("ignore::ResourceWarning")]

MODEL = "deepseek-v4.1-flash"
ROUTES = "/api/v1/services/aigc/{}-generation/generation"
URL = "https://example.com/cat.png"
DATA_URI = f"data:image/png;base64,{b64encode(b'png').decode()}"
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


def user(text: str, *images: str) -> dict[str, Any]:
    return {"role": "user", "content": [*({"image": image} for image in images), {"text": text}]}


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
"""Asks and gives the answers, or the packets of a stream."""


def _arguments(emulator: DashScopeEmulator, call: dict[str, Any]) -> dict[str, Any]:
    call = {"model": MODEL, "api_key": emulator.api_key, "result_format": "message", **call}
    return {**call, "incremental_output": True} if call.get("stream") else call


def ask_1x(emulator: DashScopeEmulator, **call: Any) -> list[Any]:
    answer = dashscope.MultiModalConversation.call(**_arguments(emulator, call))
    return list(answer) if call.get("stream") else [answer]


def ask_1x_async(emulator: DashScopeEmulator, **call: Any) -> list[Any]:
    async def ask() -> list[Any]:
        try:
            answer = await dashscope.AioMultiModalConversation.call(**_arguments(emulator, call))
            return [part async for part in answer] if call.get("stream") else [answer]
        finally:
            await dashscope.close_shared_aio_session()

    return asyncio.run(ask())


@pytest.fixture(params=[ask_1x, ask_1x_async], ids=["1.x", "1.x async"])
def ask(request: pytest.FixtureRequest, emulator: DashScopeEmulator) -> Ask:
    return lambda **call: request.param(emulator, **call)


def messages_of(parts: list[Any]) -> list[Any]:
    assert [part.status_code for part in parts] == [HTTPStatus.OK] * len(parts), parts
    return [part.output.choices[0].message for part in parts]


def text_of(parts: list[Any]) -> str:
    return "".join(piece["text"] for m in messages_of(parts) for piece in m.content)


# --- 1.x, which has a class for this route ---


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("image", [URL, DATA_URI])
def test_it_sends_an_image_and_reads_the_answer(ask: Ask, image: str, stream: bool) -> None:
    parts = ask(messages=[user("What is this?", image)], stream=stream)

    assert "You said: “What is this?”. I was sent 1 image." in text_of(parts)
    assert any(message.reasoning_content for message in messages_of(parts))
    assert parts[-1].output.choices[0].finish_reason == "stop"
    usage = parts[-1].usage
    assert usage["image_tokens"] == 384
    texts = usage["input_tokens"] - 384
    assert usage["input_tokens_details"] == {"image_tokens": 384, "text_tokens": texts}


@pytest.mark.parametrize("stream", [True, False])
def test_it_calls_a_tool_and_hands_back_the_result(
    ask: Ask, emulator: DashScopeEmulator, stream: bool
) -> None:
    question = user("Use get_weather for Paris.", URL)
    call: dict[str, Any] = {"tools": [TOOL], "stream": stream}

    parts = ask(messages=[question], **call)

    said = messages_of(parts)
    deltas = [delta for message in said for delta in message.get("tool_calls") or ()]
    arguments = "".join(delta["function"].get("arguments") or "" for delta in deltas)
    assert deltas[0]["function"]["name"] == "get_weather"
    assert arguments.replace(" ", "") == '{"city":"Paris"}'
    assert [message.content for message in said] == [[]] * len(said)
    assert parts[-1].output.choices[0].finish_reason == "tool_calls"

    function = {"name": "get_weather", "arguments": arguments}
    called = {
        "role": "assistant",
        "content": [],
        "reasoning_content": "".join(message.get("reasoning_content") or "" for message in said),
        "tool_calls": [{"id": deltas[0]["id"], "type": "function", "function": function}],
    }
    result = {"role": "tool", "content": [{"text": "sunny"}], "tool_call_id": deltas[0]["id"]}
    answer = ask(messages=[question, called, result], **call)

    assert "The tools returned: sunny." in text_of(answer)
    assert emulator.requests[-1].body["input"]["messages"] == [question, called, result]


def test_it_adds_up_what_is_not_incremental(emulator: DashScopeEmulator) -> None:
    emulator.reply(pieces=["a", "b"])

    parts = list(
        dashscope.MultiModalConversation.call(
            model=MODEL,
            api_key=emulator.api_key,
            messages=[user("Hi", URL)],
            stream=True,
            incremental_output=False,
            enable_thinking=False,
        )
    )

    assert [m.content for m in messages_of(parts)][-1] == [{"text": "ab"}]


def test_it_asks_for_oss_urls_to_be_resolved(ask: Ask, emulator: DashScopeEmulator) -> None:
    parts = ask(messages=[user("What is this?", "oss://dashscope-instant/cat.png")])

    assert "I was sent 1 image." in text_of(parts)
    assert emulator.requests[-1].headers["x-dashscope-ossresourceresolve"] == "enable"


@pytest.mark.parametrize("stream", [True, False])
def test_it_understands_that_the_route_is_wrong(ask: Ask, stream: bool) -> None:
    (refusal,) = ask(model="deepseek-v4-pro", messages=[user("Hi")], stream=stream)

    assert (refusal.status_code, refusal.code) == (HTTPStatus.BAD_REQUEST, "InvalidParameter")
    assert refusal.message.startswith("url error, please check url！ For details, see: ")


def test_it_understands_a_refused_image(ask: Ask) -> None:
    (refusal,) = ask(messages=[user("Hi", "data:image/png;base64,?")], stream=True)

    assert refusal.status_code == HTTPStatus.BAD_REQUEST
    assert refusal.message == "The image format is illegal and cannot be opened"


# --- 2.x, which takes this route by itself where a message holds an image ---


@pytest.mark.parametrize("stream", [True, False])
def test_2x_sends_an_image_and_reads_the_answer(emulator: DashScopeEmulator, stream: bool) -> None:
    image = {"type": "image", "url": URL, "max_pixels": 1000}
    messages = [{"role": "user", "content": [image, {"type": "text", "text": "What is this?"}]}]
    client = dashscope.Client(api_key=emulator.api_key, base_url=emulator.base_url)
    try:
        answer = client.chat.completions.create(model=MODEL, messages=messages, stream=stream)
        choices = [part.choices[0] for part in (answer if stream else [answer])]
    finally:
        client.close()

    said = [choice.delta if stream else choice.message for choice in choices]
    assert "I was sent 1 image." in "".join(message.content or "" for message in said)
    assert "emulated" in "".join(message.reasoning_content or "" for message in said)
    assert choices[-1].finish_reason == "stop"
    sent = emulator.requests[-1]
    assert sent.path == ROUTES.format("multimodal")
    assert sent.body["input"]["messages"][0]["content"][0] == {"image": URL, "max_pixels": 1000}


# --- its command line, which learns the route of a model ---


@pytest.fixture
def _forgotten(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("dashscope.acli.config.CONFIG_DIR", tmp_path)
    monkeypatch.setattr(tongyi.TongyiProvider, "_path_cache", None)


async def ask_acli(emulator: DashScopeEmulator, model: str, content: Any, *, stream: bool) -> str:
    url = emulator.base_url.removesuffix("/api/v1")
    provider = tongyi.TongyiProvider(model, emulator.api_key, base_url=url)
    messages = [{"role": "user", "content": content}]
    if stream:
        chunks = [chunk async for chunk in provider.chat_stream(messages)]
        return "".join(chunk.delta_content or "" for chunk in chunks)
    return str((await provider.chat(messages)).content)


@pytest.mark.usefixtures("_forgotten")
@pytest.mark.parametrize("stream", [True, False])
async def test_its_command_line_learns_a_route_by_being_refused(stream: bool) -> None:
    # Its streams say so in the parameters as well, which the rows of the table do not take.
    models = {"mine": ModelCapabilities(thinking="on")}
    with DashScopeEmulator(models=models) as emulator:
        answers = [await ask_acli(emulator, "mine", "Hello", stream=stream) for _ in range(2)]

        assert all("emulator of mine" in answer for answer in answers)
        paths = [request.path for request in emulator.requests]
        assert paths == [ROUTES.format(name) for name in ("multimodal", "text", "text")]


@pytest.mark.usefixtures("_forgotten")
async def test_its_command_line_shows_an_image(emulator: DashScopeEmulator) -> None:
    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": DATA_URI}},
    ]

    answer = await ask_acli(emulator, MODEL, content, stream=False)

    assert "I was sent 1 image." in answer
    assert [request.path for request in emulator.requests] == [ROUTES.format("multimodal")]
