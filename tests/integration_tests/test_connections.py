"""Which connection a request goes over: each has one of its own, kept for the next request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import httpx
import pytest

from langchain_dashscope_deepseek import ChatDashScopeDeepSeek, DashScopeTimeoutError
from langchain_dashscope_deepseek._dashscope.transport.pool import ClientPool
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


@pytest.fixture
def has(model: ChatDashScopeDeepSeek) -> Callable[[int], bool]:
    """Tell whether so many connections are open, soon; both ends of each are in this process."""
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
    hold: Hold, model: ChatDashScopeDeepSeek
) -> None:
    model._clients = ClientPool(max_connections=2)
    impatient = model.model_copy(update={"timeout": NO_PATIENCE, "max_retries": 0})
    with pytest.raises(DashScopeTimeoutError, match="Waiting for a free connection"):
        await hold(impatient, 3)
    await hold(impatient, 2)


async def test_a_request_waits_for_a_connection(model: ChatDashScopeDeepSeek) -> None:
    model._clients = ClientPool(max_connections=2)
    answers = await model.abatch(["one", "two", "three", "four", "five"])
    more = await asyncio.to_thread(model.batch, ["six", "seven", "eight", "nine", "ten"])
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    for word, answer in zip(words, answers + more, strict=True):
        assert word in answer.text


async def test_a_request_that_is_cancelled_while_it_waits_takes_no_connection(
    model: ChatDashScopeDeepSeek,
) -> None:
    model._clients = ClientPool(max_connections=1)
    stream: Any = model.astream("hi")
    async with aclosing(stream):
        await anext(stream)
        waiting = asyncio.create_task(model.ainvoke("hi"))
        await asyncio.sleep(0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert "next" in (await model.ainvoke("next")).text


async def test_a_connection_that_was_idle_for_long_is_closed_by_the_next_request(
    hold: Hold,
    model: ChatDashScopeDeepSeek,
    has: Callable[[int], bool],
) -> None:
    model._clients = ClientPool(keep_alive=1)
    await hold(model, 10)
    assert await asyncio.to_thread(has, 10)
    await asyncio.sleep(1.1)
    await hold(model, 1)
    assert await asyncio.to_thread(has, 1)


async def test_no_request_carries_what_an_answer_set(
    ask: Ask, model: ChatDashScopeDeepSeek, dashscope_emulator: DashScopeEmulator
) -> None:
    """The service's firewall sets a cookie in every answer."""
    cookie = {"set-cookie": "acw_tc=0;path=/;HttpOnly;Max-Age=1800", "retry-after": "0"}
    dashscope_emulator.fail("Throttling", status=429, headers=cookie)
    await ask(model, "hi")
    assert len(dashscope_emulator.requests) == 2
    assert all("cookie" not in request.headers for request in dashscope_emulator.requests)
