"""The rate limiter by requests and tokens a minute, by a clock that moves when somebody sleeps."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable

import pytest
from langchain_core.caches import InMemoryCache

from langchain_dashscope_deepseek import (
    ChatDashScopeDeepSeek,
    DashScopeRateLimitError,
    TokenRateLimiter,
)
from langchain_dashscope_deepseek.testing import DashScopeEmulator
from tests.unit_tests.conftest import STYLES, Ask

pytest_plugins = ["langchain_dashscope_deepseek.testing.fixtures"]

Take = Callable[..., Awaitable[bool]]


class Clock:
    """Stands still but for those who sleep."""

    now = 1000.0
    timer = 0.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def call_later(self, seconds: float) -> asyncio.Handle:
        self.timer = seconds
        return asyncio.get_running_loop().call_soon(lambda: None)

    async def await_timer(self) -> None:
        self.now += self.timer


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(threading.Event, "wait", lambda _, seconds: clock.wait(seconds))
    monkeypatch.setattr(asyncio.BaseEventLoop, "call_later", lambda _, s, *__: clock.call_later(s))
    monkeypatch.setattr(asyncio.Event, "wait", lambda _: clock.await_timer())
    return clock


@pytest.fixture(params=["sync", "async"])
def take(request: pytest.FixtureRequest) -> Take:
    async def take_sync(limiter: TokenRateLimiter, *, blocking: bool = True) -> bool:
        return limiter.acquire(blocking=blocking)

    async def take_async(limiter: TokenRateLimiter, *, blocking: bool = True) -> bool:
        return await limiter.aacquire(blocking=blocking)

    return take_sync if request.param == "sync" else take_async


async def test_requests_are_spread_over_the_minute(take: Take, clock: Clock) -> None:
    limiter = TokenRateLimiter(requests_per_minute=60, clock=clock)
    times = []
    for _ in range(62):
        await take(limiter)
        times.append(clock.now - 1000)
    assert times == [0, *map(float, range(61))]  # the first came with what was saved up


async def test_tokens_are_debited_when_the_usage_arrives(take: Take, clock: Clock) -> None:
    limiter = TokenRateLimiter(tokens_per_minute=60_000, clock=clock)
    await take(limiter)
    limiter.settle(10_000)
    await take(limiter)
    assert clock.now - 1000 == pytest.approx(9)  # a second's worth was saved up


async def test_before_one_has_told_what_it_took_calls_are_booked_with_a_guess(
    take: Take, clock: Clock
) -> None:
    """Else all of the first wave would go out at once."""
    limiter = TokenRateLimiter(tokens_per_minute=60_000, clock=clock)
    for _ in range(12):
        await take(limiter)
    assert clock.now - 1000 == pytest.approx(10)


async def test_a_call_that_does_not_tell_what_it_took_stays_booked(
    take: Take, clock: Clock
) -> None:
    limiter = TokenRateLimiter(tokens_per_minute=60_000, clock=clock)
    for _ in range(12):
        await take(limiter)
        limiter.settle(None)
    assert clock.now - 1000 == pytest.approx(10)


async def test_a_call_is_booked_with_what_calls_took_before(take: Take, clock: Clock) -> None:
    """Else all that wait would go out together as soon as one of them may."""
    limiter = TokenRateLimiter(tokens_per_minute=60_000, clock=clock)
    await take(limiter)
    limiter.settle(5_000)
    for _ in range(4):
        await take(limiter)  # with no answer meanwhile
    assert clock.now - 1000 == pytest.approx(4 + 3 * 5)


async def test_what_was_booked_too_much_is_given_back(take: Take, clock: Clock) -> None:
    limiter = TokenRateLimiter(tokens_per_minute=60_000, clock=clock)
    await take(limiter)
    limiter.settle(10_000)
    await take(limiter)
    limiter.settle(0)  # it failed
    await take(limiter)
    assert clock.now - 1000 == pytest.approx(9)


async def test_a_minute_has_the_tokens_of_61_seconds_at_most(take: Take, clock: Clock) -> None:
    limiter = TokenRateLimiter(requests_per_minute=6_000, tokens_per_minute=60_000, clock=clock)
    went: list[float] = []
    while clock.now < 1000 + 300:
        await take(limiter)
        went.append(clock.now)
        limiter.settle(700)
    for start in went:
        within = [each for each in went if start <= each < start + 60]
        assert len(within) * 700 <= 61_000 + 700


async def test_a_call_that_may_not_wait_is_told(take: Take, clock: Clock) -> None:
    limiter = TokenRateLimiter(requests_per_minute=60, clock=clock)
    told = [await take(limiter, blocking=False) for _ in range(4)]
    clock.now += 1
    assert [*told, await take(limiter, blocking=False)] == [True, True, False, False, True]


async def test_a_pause_is_for_all_and_adds_nothing_to_another(take: Take, clock: Clock) -> None:
    limiter = TokenRateLimiter(requests_per_minute=600, clock=clock)
    for _ in range(3):
        limiter.pause(7)
    assert not await take(limiter, blocking=False)
    await take(limiter)
    assert clock.now - 1000 == pytest.approx(7)


async def test_no_limit_never_waits(take: Take, clock: Clock) -> None:
    limiter = TokenRateLimiter(clock=clock)
    for _ in range(1000):
        await take(limiter)
        limiter.settle(1_000_000)
    assert clock.now == 1000


async def test_who_came_first_goes_first() -> None:
    limiter = TokenRateLimiter(requests_per_minute=6_000)
    went: list[int] = []

    async def call(number: int) -> None:
        await limiter.aacquire()
        went.append(number)

    await asyncio.gather(*map(call, range(120)))
    assert went == [*range(120)]


async def test_a_pause_holds_those_that_wait_already() -> None:
    limiter = TokenRateLimiter(requests_per_minute=600)
    began = time.monotonic()
    calls = [asyncio.create_task(limiter.aacquire()) for _ in range(13)]
    await asyncio.sleep(0)
    limiter.pause(0.3)
    await asyncio.gather(*calls)
    assert time.monotonic() - began >= 0.39


async def test_a_pause_holds_those_whose_time_came_while_they_slept() -> None:
    limiter = TokenRateLimiter(requests_per_minute=600)
    while limiter.acquire(blocking=False):
        pass
    calls = [asyncio.create_task(limiter.aacquire()) for _ in range(12)]
    await asyncio.sleep(0)
    time.sleep(0.55)  # noqa: ASYNC251 - they do not come to it
    limiter.acquire(blocking=False)  # lets them out
    limiter.pause(1.5)
    before = sum(call.done() for call in calls)
    await asyncio.sleep(1.2)
    assert sum(call.done() for call in calls) == before < 12
    for call in calls:
        call.cancel()


async def test_those_behind_one_that_left_move_up_and_those_before_it_do_not() -> None:
    limiter = TokenRateLimiter(requests_per_minute=600)
    while limiter.acquire(blocking=False):
        pass
    began = time.monotonic()
    calls = [asyncio.create_task(limiter.aacquire()) for _ in range(40)]
    await asyncio.sleep(0)
    for call in calls[:10] + calls[20:30]:
        call.cancel()
    await asyncio.sleep(0.45)
    assert sum(call.done() for call in calls[10:20]) <= 10 * (time.monotonic() - began) + 1
    await asyncio.wait_for(asyncio.gather(*calls[10:20], *calls[30:]), 3.5)


@pytest.mark.parametrize("is_async", [False, True])
async def test_whoever_stands_behind_cancelled_callers_goes_before_newcomers(
    *, is_async: bool
) -> None:
    limiter = TokenRateLimiter(requests_per_minute=120)
    while limiter.acquire(blocking=False):
        pass
    went: list[str] = []

    def acquire() -> None:
        limiter.acquire()
        went.append("first")

    async def call(name: str) -> None:
        await limiter.aacquire()
        went.append(name)

    before = [asyncio.create_task(call("cancelled")) for _ in range(600)]
    await asyncio.sleep(0)
    first = asyncio.create_task(call("first") if is_async else asyncio.to_thread(acquire))
    await asyncio.sleep(0.05)
    for each in before:
        each.cancel()
    await asyncio.sleep(0)
    second = asyncio.create_task(call("second"))
    await asyncio.wait_for(asyncio.gather(first, second), 20)
    assert went[-2:] == ["first", "second"]


async def test_what_a_failed_call_gives_back_wakes_the_first() -> None:
    limiter = TokenRateLimiter(tokens_per_minute=600_000)
    limiter.acquire()
    limiter.settle(20_000)
    limiter.acquire()  # reserves as many, which takes two seconds
    call = asyncio.create_task(limiter.aacquire())
    await asyncio.sleep(0)
    limiter.settle(0)
    await asyncio.wait_for(call, 1.8)


def test_a_caller_whose_loop_is_closed_holds_up_nobody() -> None:
    limiter = TokenRateLimiter(requests_per_minute=600)
    while limiter.acquire(blocking=False):
        pass
    loop = asyncio.new_event_loop()
    left = loop.create_task(limiter.aacquire())
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    began = time.monotonic()
    assert limiter.acquire()
    assert time.monotonic() - began < 1
    left.get_coro().close()


@pytest.mark.parametrize("seconds", [3_600, 1e308, float("inf")])
async def test_a_pause_lasts_a_minute_at_most_and_is_logged(
    seconds: float, take: Take, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "langchain_dashscope_deepseek")
    limiter = TokenRateLimiter(requests_per_minute=600, clock=clock)
    error = DashScopeRateLimitError("Slow down", retry_after=seconds)
    limiter.on_llm_error(error)
    await take(limiter)
    assert clock.now - 1000 == pytest.approx(60)
    assert caplog.messages == ["No call is sent for 60.00 s"]


@pytest.mark.parametrize("limit", [0, -5, float("nan"), True, False])
@pytest.mark.parametrize("of", ["requests_per_minute", "tokens_per_minute"])
def test_a_limit_that_is_none_is_refused(of: str, limit: float) -> None:
    with pytest.raises(ValueError, match="must be a number above 0"):
        TokenRateLimiter(**{of: limit})  # type: ignore[arg-type]


@pytest.mark.parametrize("seconds", [-10, float("nan")])
def test_a_pause_of_no_time_changes_nothing(seconds: float, clock: Clock) -> None:
    limiter = TokenRateLimiter(requests_per_minute=60, clock=clock)
    limiter.pause(seconds)
    assert [limiter.acquire(blocking=False) for _ in range(3)] == [True, True, False]


async def test_one_that_is_cancelled_gives_its_place_back(clock: Clock) -> None:
    limiter = TokenRateLimiter(requests_per_minute=60, clock=clock)
    for _ in range(2):
        await limiter.aacquire()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio.Event, "wait", _cancel)
        for _ in range(5):
            with pytest.raises(asyncio.CancelledError):
                await limiter.aacquire()
    await limiter.aacquire()
    assert clock.now - 1000 == pytest.approx(1)


async def _cancel(_: asyncio.Event) -> None:
    raise asyncio.CancelledError


def test_threads_share_it() -> None:
    limiter = TokenRateLimiter(requests_per_minute=3_000)
    began = time.monotonic()
    threads = [threading.Thread(target=limiter.acquire) for _ in range(65)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0.25 < time.monotonic() - began < 2


@pytest.fixture(params=STYLES)
def ask(request: pytest.FixtureRequest) -> Ask:
    return STYLES[request.param]


async def test_a_model_debits_in_every_style(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, dashscope_emulator: DashScopeEmulator
) -> None:
    settled: list[int] = []
    limiter = TokenRateLimiter(tokens_per_minute=1_000_000)
    monkeypatch.setattr(limiter, "settle", settled.append)
    model = ChatDashScopeDeepSeek(
        model="deepseek-v4-pro", rate_limiter=limiter, callbacks=[limiter]
    )
    usage = {"input_tokens": 11, "output_tokens": 31, "total_tokens": 42}
    dashscope_emulator.reply("Hello!", usage=usage)
    await ask(model, "Hi")
    await model.aclose()
    assert settled == [42]


async def test_an_answer_without_usage_stays_booked(
    monkeypatch: pytest.MonkeyPatch, dashscope_emulator: DashScopeEmulator
) -> None:
    settled: list[int | None] = []
    limiter = TokenRateLimiter(tokens_per_minute=1_000_000)
    monkeypatch.setattr(limiter, "settle", settled.append)
    model = ChatDashScopeDeepSeek(
        model="deepseek-v4-pro", rate_limiter=limiter, callbacks=[limiter]
    )
    dashscope_emulator.reply("Hello!", usage={})
    await model.ainvoke("Hi")
    await model.aclose()
    assert settled == [None]


@pytest.mark.parametrize("error", [asyncio.CancelledError, GeneratorExit, KeyboardInterrupt])
async def test_a_call_that_was_left_stays_booked(
    error: type[BaseException], take: Take, clock: Clock
) -> None:
    """What it took is not known, and it need not have gone out: its booking may be another's."""
    limiter = TokenRateLimiter(tokens_per_minute=60_000, clock=clock)
    for _ in range(12):
        await take(limiter)
        limiter.on_llm_error(error())
    assert clock.now - 1000 == pytest.approx(10)


async def test_a_model_that_was_throttled_pauses_all(
    ask: Ask, dashscope_emulator: DashScopeEmulator
) -> None:
    limiter = TokenRateLimiter()
    model = ChatDashScopeDeepSeek(
        model="deepseek-v4-pro", rate_limiter=limiter, callbacks=[limiter], max_retries=0
    )
    dashscope_emulator.fail("Throttling.RateQuota", status=429, headers={"retry-after": "30"})
    with pytest.raises(DashScopeRateLimitError):
        await ask(model, "Hi")
    await model.aclose()
    assert not limiter.acquire(blocking=False)


async def test_what_a_cache_answered_is_not_debited(
    monkeypatch: pytest.MonkeyPatch, dashscope_emulator: DashScopeEmulator
) -> None:
    settled: list[int] = []
    limiter = TokenRateLimiter()
    monkeypatch.setattr(limiter, "settle", settled.append)
    model = ChatDashScopeDeepSeek(
        model="deepseek-v4-pro", rate_limiter=limiter, callbacks=[limiter], cache=InMemoryCache()
    )
    await model.ainvoke("Hi")
    await model.ainvoke("Hi")
    await model.aclose()
    assert len(settled) == 1
