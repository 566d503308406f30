"""Which connection a request goes over: each has one of its own, kept for the next request."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from itertools import count
from typing import Any

import httpx
import pytest

from langchain_dashscope_deepseek import ChatDashScopeDeepSeek, DashScopeTimeoutError
from langchain_dashscope_deepseek._dashscope.transport import connections, pool
from langchain_dashscope_deepseek.testing import DashScopeEmulator
from tests.leaks import open_descriptors
from tests.unit_tests.conftest import STYLES, Ask
from tests.waiting import eventually

pytest_plugins = ["langchain_dashscope_deepseek.testing.fixtures"]
pytestmark = pytest.mark.emulator_only

NO_PATIENCE = httpx.Timeout(60, pool=0.05)

Hold = Callable[[ChatDashScopeDeepSeek, int], Awaitable[None]]


async def _threads(model: ChatDashScopeDeepSeek, count: int) -> None:
    streams = [model.stream("hi") for _ in range(count)]
    for stream in streams:
        next(stream)
    for stream in streams:
        list(stream)


async def _tasks(model: ChatDashScopeDeepSeek, count: int) -> None:
    streams = [model.astream("hi") for _ in range(count)]
    for stream in streams:
        await anext(stream)
    for stream in streams:
        _ = [chunk async for chunk in stream]


@pytest.fixture(params=[_threads, _tasks], ids=["sync", "async"])
def hold(request: pytest.FixtureRequest) -> Hold:
    """Begin so many streams, and then read each to its end."""
    held: Hold = request.param
    return held


@pytest.fixture(params=STYLES)
def ask(request: pytest.FixtureRequest) -> Ask:
    return STYLES[request.param]


@pytest.fixture
async def model(dashscope_emulator: DashScopeEmulator) -> AsyncIterator[ChatDashScopeDeepSeek]:
    async with ChatDashScopeDeepSeek(model="deepseek-v4-pro") as model:
        yield model


@pytest.fixture(autouse=True)
def _pools_of_its_own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What other tests left idle is not counted, nor closed by this one's calls."""
    monkeypatch.setattr(pool, "_PROCESS_POOLS", {})
    yield
    pool.process_pool().close()


@pytest.fixture
def has(model: ChatDashScopeDeepSeek) -> Callable[[int], bool]:
    """Tell whether so many connections are open, soon; both ends of each are in this process."""
    gc.collect()  # what other tests left behind would be closed while this one counts
    before = open_descriptors()
    return lambda count: eventually(lambda: open_descriptors() == before + 2 * count)


async def test_a_request_uses_the_connection_of_the_one_before(
    ask: Ask, model: ChatDashScopeDeepSeek, has: Callable[[int], bool]
) -> None:
    for _ in range(3):
        await ask(model, "hi")
    assert await asyncio.to_thread(has, 1)


async def test_requests_at_once_use_a_connection_each(
    hold: Hold, model: ChatDashScopeDeepSeek, has: Callable[[int], bool]
) -> None:
    for _ in range(2):
        await hold(model, 5)
        assert await asyncio.to_thread(has, 5)


async def test_a_request_gives_up_where_no_connection_becomes_free(
    hold: Hold, model: ChatDashScopeDeepSeek, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "MAX_CONNECTIONS", 2)
    impatient = model.model_copy(update={"timeout": NO_PATIENCE, "max_retries": 0})
    with pytest.raises(DashScopeTimeoutError, match="No connection became free"):
        await hold(impatient, 3)
    await hold(impatient, 2)


async def test_a_request_waits_for_a_connection(
    model: ChatDashScopeDeepSeek, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "MAX_CONNECTIONS", 2)
    answers = await model.abatch(["one", "two", "three", "four", "five"])
    more = await asyncio.to_thread(model.batch, ["six", "seven", "eight", "nine", "ten"])
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    for word, answer in zip(words, answers + more, strict=True):
        assert word in answer.text


async def test_a_request_that_is_cancelled_while_it_waits_takes_no_connection(
    model: ChatDashScopeDeepSeek, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "MAX_CONNECTIONS", 1)
    stream: Any = model.astream("hi")
    async with aclosing(stream):
        await anext(stream)
        waiting = asyncio.create_task(model.ainvoke("hi"))
        await asyncio.sleep(0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert "next" in (await model.ainvoke("next")).text


@pytest.fixture
def tenant(model: ChatDashScopeDeepSeek) -> Callable[[], ChatDashScopeDeepSeek]:
    """Make a model whose key no other has; the emulator takes any."""
    numbers = count()
    return lambda: ChatDashScopeDeepSeek(
        model="deepseek-v4-pro", api_key=f"sk-tenant-{next(numbers)}"
    )


async def test_a_connection_that_was_idle_for_long_is_closed_by_the_next_call_of_any_model(
    hold: Hold,
    tenant: Callable[[], ChatDashScopeDeepSeek],
    has: Callable[[int], bool],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "KEEP_ALIVE", 1)
    for _ in range(10):
        await hold(tenant(), 1)
    assert await asyncio.to_thread(has, 10)
    await asyncio.sleep(1.1)
    await hold(tenant(), 1)
    assert await asyncio.to_thread(has, 1)


async def test_an_event_loop_closes_what_was_idle_for_long_by_itself(
    model: ChatDashScopeDeepSeek, has: Callable[[int], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "KEEP_ALIVE", 0.5)
    monkeypatch.setattr(pool, "SWEEP_INTERVAL", 0.5)
    await _tasks(model, 5)
    assert await asyncio.to_thread(has, 0)


async def test_closing_a_model_closes_what_it_used_and_nothing_else(
    hold: Hold, model: ChatDashScopeDeepSeek, has: Callable[[int], bool]
) -> None:
    """Models of the same key share connections, and the last user of one is whose it is."""
    other = model.model_copy()
    await hold(model, 3)
    await hold(other, 2)
    await model.aclose()
    assert await asyncio.to_thread(has, 2)
    await other.aclose()
    assert await asyncio.to_thread(has, 0)


async def test_closing_a_model_ends_no_stream_of_another_of_the_same_key(
    model: ChatDashScopeDeepSeek,
) -> None:
    other = model.model_copy()
    stream, astream = model.stream("sync"), model.astream("async")
    chunks = [next(stream), await anext(astream)]
    await other.aclose()
    chunks += [*stream, *[chunk async for chunk in astream]]
    assert "“sync”" in (text := "".join(chunk.text for chunk in chunks))
    assert "“async”" in text


def count_objects() -> int:
    """Count the objects of the client's libraries; the emulator and coverage keep others."""
    modules = (str(type(found).__module__) for found in gc.get_objects())
    return sum(
        module.startswith(("httpx", "httpcore", "h11", "anyio", "langchain_dashscope_deepseek._"))
        for module in modules
    )


async def test_a_server_that_closes_after_each_answer_leaves_nothing_behind(
    ask: Ask, model: ChatDashScopeDeepSeek, dashscope_emulator: DashScopeEmulator
) -> None:
    packet = {"output": {"choices": [{"finish_reason": "stop", "message": {"content": "hi"}}]}}
    for _ in range(700):
        dashscope_emulator.raw(
            f"data:{json.dumps(packet)}\n\n",
            headers={"content-type": "text/event-stream", "connection": "close"},
        )
    for _ in range(5):
        await ask(model, "hi")
    gc.collect()
    before, open_before = count_objects(), open_descriptors()
    for _ in range(695):
        await ask(model, "hi")
    gc.collect()
    assert count_objects() - before < 20
    assert await asyncio.to_thread(eventually, lambda: open_descriptors() <= open_before)


async def test_no_request_carries_what_an_answer_set(
    ask: Ask, model: ChatDashScopeDeepSeek, dashscope_emulator: DashScopeEmulator
) -> None:
    """The service's firewall sets a cookie in every answer."""
    cookie = {"set-cookie": "acw_tc=0;path=/;HttpOnly;Max-Age=1800", "retry-after": "0"}
    dashscope_emulator.fail("Throttling", status=429, headers=cookie)
    await ask(model, "hi")
    assert len(dashscope_emulator.requests) == 2  # on one connection, with one httpx client
    assert all("cookie" not in request.headers for request in dashscope_emulator.requests)
