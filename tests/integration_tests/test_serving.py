"""The server of docs/serving.md, as a process of its own: what it streams, and when it stops."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from langchain.agents import create_agent

from langchain_dashscope_deepseek import ChatDashScopeDeepSeek
from langchain_dashscope_deepseek.testing import DashScopeEmulator
from tests.running import running
from tests.waiting import eventually

pytestmark = [
    pytest.mark.emulator_only,
    pytest.mark.skipif(sys.version_info < (3, 11), reason="agents show no tokens before 3.11"),
]

ROOT = Path(__file__).parents[2]
LONG = [f"word{n} " for n in range(1000)]
SOON_SECONDS = 5
"""Well below what is left of the answer when its reader leaves."""


@pytest.fixture(scope="module")
def emulator() -> Iterator[DashScopeEmulator]:
    with DashScopeEmulator() as emulator:
        yield emulator


@pytest.fixture(autouse=True)
def _fresh(emulator: DashScopeEmulator) -> None:
    emulator.clear()


@pytest.fixture(scope="module")
def address(emulator: DashScopeEmulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("serving") / "log"
    settings = {
        "DASHSCOPE_API_KEY": emulator.api_key,
        "DASHSCOPE_HTTP_BASE_URL": emulator.base_url,
    }
    command = ["-m", "uvicorn", "docs.examples.serving:app", "--port", "0"]
    with running(command, log, settings) as address:
        yield address


@contextmanager
def asking(address: str, thread_id: str | None = None) -> Iterator[Iterator[tuple[str, Any]]]:
    """Ask, and give the events one by one; at the end of the block the client is gone."""

    def events(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
        name = ""
        for line in lines:
            field, _, value = line.partition(": ")
            if field == "event":
                name = value
            elif field == "data":
                yield name, json.loads(value)

    question = {"text": "What is the weather in Paris?", "thread_id": thread_id or uuid4().hex}
    with httpx.stream("POST", f"{address}/chat", json=question, timeout=30) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        yield events(response.iter_lines())


def test_reasoning_calls_and_text_come_as_events(address: str, emulator: DashScopeEmulator) -> None:
    emulator.reply(
        reasoning="Look.", tool_calls=[{"name": "get_weather", "arguments": {"city": "Paris"}}]
    )
    emulator.reply("Sunny.", reasoning="So.")
    with asking(address) as events:
        said = list(events)
    assert list(dict.fromkeys(name for name, _ in said)) == ["reasoning", "call", "text", "done"]
    joined = {name: "".join(map(str, (d for n, d in said if n == name))) for name, _ in said}
    assert joined == {
        "reasoning": "Look.So.",
        "call": "get_weather",
        "text": "Sunny.",
        "done": "{}",
    }


def test_an_error_is_an_event_with_its_request_id(
    address: str, emulator: DashScopeEmulator
) -> None:
    emulator.fail("DataInspectionFailed", "No.")
    with asking(address) as events:
        ((name, data),) = events
    assert name == "error"
    assert "DataInspectionFailed" in data["message"]
    assert data["id"]


def gone_soon(emulator: DashScopeEmulator, before: int) -> bool:
    left = time.monotonic()
    assert eventually(lambda: emulator.disconnects == before + 1)
    return time.monotonic() - left < SOON_SECONDS


def test_a_client_that_leaves_ends_the_request_to_the_service(
    address: str, emulator: DashScopeEmulator
) -> None:
    before = emulator.disconnects
    emulator.reply(pieces=LONG, piece_delay=0.05)
    with asking(address) as events:
        assert next(events)[0] == "text"
    assert gone_soon(emulator, before)
    assert eventually(lambda: emulator.open_streams == 0)


def test_a_client_that_leaves_during_a_silence_ends_the_request_as_well(
    address: str, emulator: DashScopeEmulator
) -> None:
    before = emulator.disconnects
    emulator.stall(3, 60)
    with asking(address) as events:
        next(events)
    assert gone_soon(emulator, before)


def test_a_thread_that_was_left_goes_on(address: str, emulator: DashScopeEmulator) -> None:
    before, thread_id = emulator.disconnects, uuid4().hex
    emulator.reply(pieces=LONG, piece_delay=0.05)
    with asking(address, thread_id) as events:
        next(events)
    assert gone_soon(emulator, before)
    emulator.reply("Sunny.")
    with asking(address, thread_id) as events:
        assert [*events][-1] == ("done", {})


def test_aclosing_alone_does_not_end_the_request() -> None:
    """As docs/serving.md says; should this fail, its server can be simpler."""
    with DashScopeEmulator() as emulator:
        model = ChatDashScopeDeepSeek(
            model="deepseek-v4-pro", base_url=emulator.base_url, api_key=emulator.api_key
        )
        agent: Any = create_agent(model, [])

        async def answer() -> AsyncIterator[str]:
            question = {"messages": [{"role": "user", "content": "Talk."}]}
            async with aclosing(agent.astream(question, stream_mode="messages")) as stream:
                async for message, _ in stream:
                    yield message.text

        app = FastAPI()
        app.add_api_route("/", lambda: StreamingResponse(answer()))
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            assert eventually(lambda: server.started)
            port = server.servers[0].sockets[0].getsockname()[1]
            emulator.reply(pieces=LONG[:60], piece_delay=0.05)
            with httpx.stream("GET", f"http://127.0.0.1:{port}/") as response:
                next(response.iter_text())
            assert eventually(lambda: emulator.open_streams == 0)
            assert emulator.disconnects == 0
        finally:
            server.should_exit = True
            thread.join()
