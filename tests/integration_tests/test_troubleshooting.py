"""docs/troubleshooting.md quotes what is really said, and streams that are left end as it says."""

from __future__ import annotations

import asyncio
import gc
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.chat_models import init_chat_model

from langchain_dashscope_deepseek import ChatDashScopeDeepSeek
from langchain_dashscope_deepseek.testing import DashScopeEmulator
from tests.waiting import eventually

pytestmark = [
    pytest.mark.emulator_only,
    pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning"),
]

PAGE = (Path(__file__).parents[2] / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
QUESTION: Any = {"messages": [{"role": "user", "content": "Hello"}]}
PIECES = [f"word{n} " for n in range(30)]
PIECE_SECONDS = 0.05


@pytest.fixture
def emulator() -> Iterator[DashScopeEmulator]:
    with DashScopeEmulator(routes={"deepseek-v4-pro": None}) as emulator:
        yield emulator


def make_model(emulator: DashScopeEmulator, **settings: Any) -> ChatDashScopeDeepSeek:
    defaults = {
        "model": "deepseek-v4.1-flash",
        "base_url": emulator.base_url,
        "api_key": emulator.api_key,
        "max_retries": 0,
    }
    return ChatDashScopeDeepSeek(**{**defaults, **settings})


# --- What is said ---


def ask(**settings: Any) -> Callable[[DashScopeEmulator], Any]:
    return lambda emulator: make_model(emulator, **settings).invoke("Hello")


def fail(code: str, text: str, status: int = 400, **options: Any) -> Any:
    def ask_in_vain(emulator: DashScopeEmulator) -> None:
        emulator.fail(code, text, status=status, **options)
        make_model(emulator).invoke("Hello")

    return ask_in_vain


def ask_and_cut(emulator: DashScopeEmulator) -> None:
    """Ask, and get an answer that breaks off."""
    emulator.cut(3)
    make_model(emulator).invoke("Hello")


def ask_an_agent_that_retries(emulator: DashScopeEmulator) -> None:
    model: Any = make_model(emulator).with_retry()
    create_agent(model, [ask_and_cut]).invoke(QUESTION)


def ask_without_a_key(emulator: DashScopeEmulator) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DASHSCOPE_API_KEY")
        make_model(emulator, api_key=None).invoke("Hello")


SAID: dict[str, Callable[[DashScopeEmulator], Any]] = {
    "There is no API key, so nothing was sent.": ask_without_a_key,
    "Invalid API-key provided.": ask(api_key="sk-invalid"),
    "url error, please check url！": ask(model="deepseek-v4-pro"),
    "Model not exist.": ask(model="deepseek-v5"),
    "No connection to the service": ask(base_url="http://127.0.0.1:1"),
    "sent a body that is no answer (text/html, ...)": fail("502", "", 502, shape="html"),
    "DataInspectionFailed": fail("DataInspectionFailed", "Input data may contain ..."),
    "Requests rate limit exceeded": fail(
        "Throttling.RateQuota", "Requests rate limit exceeded", 429
    ),
    "The connection broke within the answer": ask_and_cut,
    "'RunnableRetry' object has no attribute 'bind_tools'": ask_an_agent_that_retries,
    "Unsupported provider='dashscope'": lambda _: init_chat_model("x", model_provider="dashscope"),
}


def test_every_quoted_error_is_provoked() -> None:
    headings = re.findall(r"^### (.*)", PAGE, re.MULTILINE)
    quoted = {quote for heading in headings for quote in re.findall("`([^`]+)`", heading)}
    names = {"structured_response", "with_structured_output", "None", "response_format"}
    assert quoted - names == set(SAID)


@pytest.mark.parametrize("quote", SAID)
def test_the_page_quotes_what_the_error_says(quote: str, emulator: DashScopeEmulator) -> None:
    text = quote.partition(", ...")[0]
    with pytest.raises(Exception, match=re.escape(text)):
        SAID[quote](emulator)


# --- Streams that are left ---


def start(emulator: DashScopeEmulator) -> None:
    emulator.reply(pieces=PIECES, piece_delay=PIECE_SECONDS)


def is_open_for_a_while(emulator: DashScopeEmulator) -> bool:
    time.sleep(4 * PIECE_SECONDS)
    return emulator.open_streams == 1


def test_a_synchronous_agent_that_is_left_reads_its_answer_to_the_end(
    emulator: DashScopeEmulator,
) -> None:
    """As LangGraph has it; should this fail, the page and docs/serving.md can say something better."""
    start(emulator)
    agent: Any = create_agent(make_model(emulator), [])
    begun = time.monotonic()
    for _ in agent.stream(QUESTION, stream_mode="messages"):
        break
    assert time.monotonic() - begun > len(PIECES) * PIECE_SECONDS * 0.8
    assert emulator.disconnects == 0


def test_synchronous_events_that_are_left_stay_open_until_the_garbage_collector_runs(
    emulator: DashScopeEmulator,
) -> None:
    start(emulator)

    def read_a_word() -> None:
        for _ in make_model(emulator).stream_events("Hello", version="v3").text:
            break

    gc.collect()
    gc.disable()
    try:
        read_a_word()
        assert is_open_for_a_while(emulator)
        gc.collect()
    finally:
        gc.enable()
    assert eventually(lambda: emulator.disconnects == 1)


async def test_asynchronous_events_stay_open_until_they_are_closed(
    emulator: DashScopeEmulator,
) -> None:
    start(emulator)
    stream: Any = await make_model(emulator).astream_events("Hello", version="v3")
    async for _ in stream.text:
        break
    assert is_open_for_a_while(emulator)
    await stream.aclose()
    assert eventually(lambda: emulator.disconnects == 1)


async def test_events_of_an_agent_stay_open_until_they_are_aborted(
    emulator: DashScopeEmulator,
) -> None:
    start(emulator)
    agent: Any = create_agent(make_model(emulator), [])
    stream = await agent.astream_events(QUESTION, version="v3")
    async for message in stream.messages:
        async for _ in message.text:
            break
        break
    assert is_open_for_a_while(emulator)
    await stream.abort()
    assert eventually(lambda: emulator.disconnects == 1)


async def test_an_asynchronous_agent_that_is_left_closes_its_connection(
    emulator: DashScopeEmulator,
) -> None:
    start(emulator)
    agent: Any = create_agent(make_model(emulator), [])
    async for _ in agent.astream(QUESTION, stream_mode="messages"):
        break
    for _ in range(100):
        await asyncio.sleep(0.01)
        if emulator.disconnects:
            break
    assert emulator.disconnects == 1
