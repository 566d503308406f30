"""The agent of docs/langgraph-platform.md under `langgraph dev`, which refuses blocking calls."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from langchain_dashscope_deepseek.testing import DashScopeEmulator
from tests.waiting import PATIENCE_SECONDS, eventually

ROOT = Path(__file__).parents[2]
LANGGRAPH = ROOT / ".venv-langgraph" / "bin" / "langgraph"
PAGE = (ROOT / "docs" / "langgraph-platform.md").read_text(encoding="utf-8")
LONG = [f"word{n} " for n in range(1000)]
QUESTION: dict[str, Any] = {"messages": [{"role": "user", "content": "Use get_weather for Paris."}]}

pytestmark = [
    pytest.mark.emulator_only,
    pytest.mark.slow,
    pytest.mark.skipif(not LANGGRAPH.exists(), reason="make slow_tests installs langgraph-cli"),
]


@pytest.fixture(scope="module")
def emulator() -> Iterator[DashScopeEmulator]:
    with DashScopeEmulator() as emulator:
        yield emulator


def block(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


@pytest.fixture(scope="module")
def address(emulator: DashScopeEmulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("platform")
    # A second graph shows that blocking calls are refused at all.
    blocks = (
        block("python")
        .replace("def get_weather", "async def get_weather")
        .replace("    return f", "    __import__('time').sleep(0.01)\n    return f")
    )
    config = block("json").replace(
        '"./agent.py:agent"', '"./agent.py:agent", "blocks": "./blocks.py:agent"'
    )
    files = {
        "agent.py": block("python"),
        "blocks.py": blocks,
        "langgraph.json": config,
        ".env": f"DASHSCOPE_API_KEY={emulator.api_key}\n"
        f"DASHSCOPE_HTTP_BASE_URL={emulator.base_url}\n",
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    bare = {key: value for key, value in os.environ.items() if "DASHSCOPE" not in key}
    log = folder / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [LANGGRAPH, "dev", "--no-browser", "--no-reload", "--port", str(port)],
            cwd=folder,
            env={**bare, "PYTHONPATH": str(ROOT), "LANGSMITH_TRACING": "false"},
            stdout=file,
            stderr=file,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        assert eventually(lambda: answers(url) or process.poll() is not None)
        assert process.poll() is None, log.read_text(encoding="utf-8")
        yield url
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


@pytest.fixture
async def client(address: str) -> AsyncIterator[LangGraphClient]:
    async with get_client(url=address) as client:
        yield client


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ok").is_success
    except httpx.TransportError:
        return False


async def test_an_agent_runs_with_blocking_calls_refused(client: LangGraphClient) -> None:
    state: Any = await client.runs.wait(None, "agent", input=QUESTION)
    assert state["messages"][2]["content"] == "It is sunny in Paris."
    with pytest.raises(Exception, match="BlockingError"):
        await client.runs.wait(None, "blocks", input=QUESTION)


async def test_a_stream_that_is_left_ends_the_request(
    client: LangGraphClient, emulator: DashScopeEmulator
) -> None:
    before = emulator.disconnects
    emulator.reply(pieces=LONG, piece_delay=0.05)
    stream: Any = client.runs.stream(
        None, "agent", input=QUESTION, stream_mode="messages-tuple", on_disconnect="cancel"
    )
    async for part in stream:
        if part.event == "messages":
            break
    await stream.aclose()
    assert eventually(lambda: emulator.disconnects == before + 1)


async def test_a_run_that_is_cancelled_ends_the_request(
    client: LangGraphClient, emulator: DashScopeEmulator
) -> None:
    before = emulator.disconnects
    emulator.reply(pieces=LONG, piece_delay=0.05)
    thread = await client.threads.create()
    run = await client.runs.create(thread["thread_id"], "agent", input=QUESTION)
    assert eventually(lambda: emulator.open_streams == 1)
    await client.runs.cancel(thread["thread_id"], run["run_id"])
    assert eventually(lambda: emulator.disconnects == before + 1)
