"""A stream that is left closes at once, and no connection, task or warning stays behind.

The garbage collector is off, so that nothing is tidied up by accident.
"""

from __future__ import annotations

import _thread
import asyncio
import gc
import logging
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, closing, suppress
from typing import Any

import httpx
import pytest
from langchain.agents import create_agent
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate

from langchain_dashscope_deepseek import ChatDashScopeDeepSeek, DashScopeStreamCutError
from langchain_dashscope_deepseek.testing import DashScopeEmulator
from tests.leaks import open_descriptors
from tests.waiting import PATIENCE_SECONDS, eventually

pytest_plugins = ["langchain_dashscope_deepseek.testing.fixtures"]
pytestmark = [
    pytest.mark.emulator_only,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning"),
]

SILENCE_SECONDS = 2 * PATIENCE_SECONDS
"""How long the server would keep a stream open that nobody closes."""

Streams = Callable[[Any], Iterator[Any]]
AsyncStreams = Callable[[Any], AsyncIterator[Any]]


@pytest.fixture(autouse=True)
def _no_garbage_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(autouse=True)
def _nothing_is_left(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> Iterator[None]:
    threads = threading.active_count()
    yield
    gc.collect()  # what warns when it is collected warns here
    assert eventually(lambda: threading.active_count() <= threads)
    assert capfd.readouterr().err == ""
    warned = [r for r in caplog.get_records("call") if r.levelno >= logging.WARNING]
    # The log of calls says that a call failed.
    assert {r.name for r in warned} <= {"langchain_dashscope_deepseek"}


@pytest.fixture
def emulator(dashscope_emulator: DashScopeEmulator) -> DashScopeEmulator:
    """Say something, then nothing for longer than a test waits."""
    dashscope_emulator.stall(3, SILENCE_SECONDS)
    return dashscope_emulator


@pytest.fixture
async def model(emulator: DashScopeEmulator) -> AsyncIterator[ChatDashScopeDeepSeek]:
    model = ChatDashScopeDeepSeek(model="deepseek-v4-pro")
    yield model
    await model.aclose()


def assert_let_go(emulator: DashScopeEmulator, model: ChatDashScopeDeepSeek) -> None:
    """The server sees it, and the next call is answered."""
    assert eventually(lambda: emulator.disconnects == 1)
    assert eventually(lambda: emulator.open_streams == 0)
    assert "next" in model.invoke("next").text


async def assert_let_go_async(emulator: DashScopeEmulator, model: ChatDashScopeDeepSeek) -> None:
    assert await asyncio.to_thread(eventually, lambda: emulator.disconnects == 1)
    assert await asyncio.to_thread(eventually, lambda: emulator.open_streams == 0)
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert await asyncio.to_thread(eventually, lambda: asyncio.all_tasks(loop) == {task})
    assert "next" in (await model.ainvoke("next")).text


# --- The ways to stream ---


async def _v2_events(model: Any) -> AsyncIterator[Any]:
    async with aclosing(model.astream_events("hi", version="v2")) as events:
        async for event in events:
            if event["event"] == "on_chat_model_stream":  # the first event comes before the request
                yield event


async def _v3_events(model: Any) -> AsyncIterator[Any]:
    async with await model.astream_events("hi", version="v3") as events:
        async for event in events:
            yield event


PROMPT = ChatPromptTemplate.from_template("hi")
ASK_AGENT: Any = {"messages": [("human", "hi")]}

# Synchronous sequences, v3 events and agents are not here: LangChain's sequence reads the rest of its
# input when it is closed, its v3 stream has no close(), and a thread of LangGraph cannot be stopped.
SYNC: dict[str, Streams] = {
    "stream": lambda model: model.stream("hi"),
    "bound": lambda model: model.bind(temperature=0).stream("hi"),
}
ASYNC: dict[str, AsyncStreams] = {
    "astream": lambda model: model.astream("hi"),
    "sequence": lambda model: (PROMPT | model | StrOutputParser()).astream({}),
    "bound": lambda model: model.bind(temperature=0).astream("hi"),
    "v2 events": _v2_events,
    "v3 events": _v3_events,
}
if sys.version_info >= (3, 11):  # before, LangGraph loses its callbacks at each await: no tokens
    ASYNC["agent"] = lambda model: create_agent(model).astream(ASK_AGENT, stream_mode="messages")


class ConsumerError(Exception):
    """What goes wrong in the code that reads a stream."""


# --- The ways to leave a stream ---


def _break(stream: Any) -> None:
    for _ in stream:
        break


def _close(stream: Any) -> None:
    with closing(stream):
        next(stream)


def _fail(stream: Any) -> None:
    with suppress(ConsumerError):
        for _ in stream:
            raise ConsumerError


@pytest.mark.parametrize("leave", [_break, _close, _fail])
@pytest.mark.parametrize("streams", SYNC.values(), ids=SYNC)
def test_a_stream_that_is_left_is_closed(
    streams: Streams,
    leave: Callable[[Any], None],
    emulator: DashScopeEmulator,
    model: ChatDashScopeDeepSeek,
) -> None:
    leave(streams(model))
    assert_let_go(emulator, model)


async def _abreak(stream: Any) -> None:
    async for _ in stream:
        break


async def _aclose(stream: Any) -> None:
    async with aclosing(stream):
        await anext(stream)


async def _afail(stream: Any) -> None:
    with suppress(ConsumerError):
        async for _ in stream:
            raise ConsumerError


async def _started(stream: Any) -> asyncio.Task[None]:
    """Read in a task, which has begun to."""

    async def use() -> None:
        async for _ in stream:
            started.set()

    started = asyncio.Event()
    task = asyncio.create_task(use())
    await started.wait()
    return task


async def _cancel(stream: Any) -> None:
    task = await _started(stream)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def _time_out(stream: Any) -> None:
    task = await _started(stream)
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(task, timeout=0.1)


@pytest.mark.parametrize("leave", [_abreak, _aclose, _afail, _cancel, _time_out])
@pytest.mark.parametrize("streams", ASYNC.values(), ids=ASYNC)
async def test_an_async_stream_that_is_left_is_closed(
    streams: AsyncStreams,
    leave: Callable[[Any], Awaitable[None]],
    emulator: DashScopeEmulator,
    model: ChatDashScopeDeepSeek,
) -> None:
    await leave(streams(model))
    await assert_let_go_async(emulator, model)


# --- Calls ---


async def test_a_whole_call_that_is_cancelled_lets_go(
    emulator: DashScopeEmulator, model: ChatDashScopeDeepSeek
) -> None:
    task = asyncio.create_task(model.ainvoke("hi"))
    assert await asyncio.to_thread(eventually, lambda: emulator.open_streams == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await assert_let_go_async(emulator, model)


async def test_a_call_that_waits_to_retry_is_cancelled_at_once(
    dashscope_emulator: DashScopeEmulator,
) -> None:
    dashscope_emulator.fail("Throttling", status=429, headers={"retry-after": "59"})
    async with ChatDashScopeDeepSeek(model="deepseek-v4-pro") as model:
        task = asyncio.create_task(model.ainvoke("hi"))
        assert await asyncio.to_thread(eventually, lambda: len(dashscope_emulator.requests) == 1)
        task.cancel()
        began = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - began < 30
        assert "next" in (await model.ainvoke("next")).text
    assert len(dashscope_emulator.requests) == 2


# --- Closing the model ---


def test_a_model_that_is_closed_within_a_stream_ends_it_by_an_error(
    emulator: DashScopeEmulator, model: ChatDashScopeDeepSeek
) -> None:
    stream = model.stream("hi")
    next(stream)
    model.close()
    with pytest.raises(DashScopeStreamCutError):
        list(stream)
    assert_let_go(emulator, model)


async def test_a_model_that_is_closed_within_an_async_stream_ends_it_by_an_error(
    emulator: DashScopeEmulator, model: ChatDashScopeDeepSeek
) -> None:
    task = await _started(model.astream("hi"))
    await model.aclose()
    with pytest.raises(DashScopeStreamCutError):
        await task
    del task
    await assert_let_go_async(emulator, model)


def test_a_block_closes_the_connections_at_its_end(dashscope_emulator: DashScopeEmulator) -> None:
    before = open_descriptors()
    with ChatDashScopeDeepSeek(model="deepseek-v4-pro") as model:
        model.invoke("hi")
        assert open_descriptors() > before
    # The server closes its end when it sees that ours is closed.
    assert eventually(lambda: open_descriptors() <= before)


async def test_an_async_block_closes_the_connections_at_its_end(
    dashscope_emulator: DashScopeEmulator,
) -> None:
    before = open_descriptors()
    async with ChatDashScopeDeepSeek(model="deepseek-v4-pro") as model:
        await model.ainvoke("hi")
        model.invoke("hi")
        assert open_descriptors() > before
    assert await asyncio.to_thread(eventually, lambda: open_descriptors() <= before)


class CollectingLock:
    """A lock with which the collector comes as soon as httpcore holds it, as it may at any time."""

    def __init__(self) -> None:
        self._lock = _thread.allocate_lock()
        self.release, self.locked = self._lock.release, self._lock.locked

    def acquire(self, *args: Any) -> bool:
        is_held = self._lock.acquire(*args)
        if sys._getframe(1).f_globals["__name__"].startswith("httpcore"):
            gc.collect()
        return is_held

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *error: object) -> None:
        self.release()


def test_the_collector_may_end_a_stream_in_the_middle_of_another_call(
    emulator: DashScopeEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where both lock the same, the second waits for the first, which waits for it."""
    monkeypatch.setattr("threading.Lock", CollectingLock)
    model = ChatDashScopeDeepSeek(model="deepseek-v4-pro")
    stream: Any = model.stream("hi")
    next(stream)
    cycle = [stream]
    cycle.append(cycle)
    del stream, cycle
    answers: list[str] = []
    call = threading.Thread(target=lambda: answers.append(model.invoke("next").text), daemon=True)
    call.start()
    call.join(PATIENCE_SECONDS)
    assert len(answers) == 1
    assert eventually(lambda: emulator.disconnects == 1)
    model.close()


async def test_the_users_clients_stay_open(
    dashscope_emulator: DashScopeEmulator,
) -> None:
    with httpx.Client() as client:
        async with httpx.AsyncClient() as async_client:
            model = ChatDashScopeDeepSeek(
                model="deepseek-v4-pro", http_client=client, http_async_client=async_client
            )
            with model:
                model.invoke("hi")
            async with model:
                await model.ainvoke("hi")
            await model.aclose()
            copied = model.model_copy()
            del model
            gc.collect()
            assert not client.is_closed
            assert not async_client.is_closed
            assert "next" in copied.invoke("next").text
            assert "next" in (await copied.ainvoke("next")).text
