"""LangChain's own cache in a file and its own rate limiter, around the model."""

from __future__ import annotations

import asyncio
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from langchain_core.rate_limiters import InMemoryRateLimiter

from langchain_dashscope_deepseek import ChatDashScopeDeepSeek
from langchain_dashscope_deepseek.testing import DashScopeEmulator
from tests.unit_tests.conftest import STYLES, Ask

with warnings.catch_warnings():
    # The package says that it is not maintained; its cache is still the one that people use.
    warnings.simplefilter("ignore", DeprecationWarning)
    from langchain_community.cache import SQLiteCache

pytest_plugins = ["langchain_dashscope_deepseek.testing.fixtures"]
pytestmark = pytest.mark.emulator_only

KEY = "sk-of-the-cache-tests"
QUESTION = "What is kept?"


@pytest.fixture(params=STYLES)
def ask(request: pytest.FixtureRequest) -> Ask:
    return STYLES[request.param]


@pytest.fixture(params=["invoke", "ainvoke"])
def ask_whole(request: pytest.FixtureRequest) -> Ask:
    """Ask for a whole message: streams are not cached by LangChain."""
    return STYLES[request.param]


# --- The cache ---


@pytest.fixture
def cache_file(tmp_path: Path) -> Path:
    return tmp_path / "cache.db"


@pytest.fixture
def cache(cache_file: Path) -> Iterator[SQLiteCache]:
    cache = SQLiteCache(str(cache_file))
    yield cache
    cache.engine.dispose()


# The cache reads with LangChain's old default of what may be loaded.
reads_the_cache = pytest.mark.filterwarnings(
    "ignore:The default value of `allowed_objects`:PendingDeprecationWarning"
)


@reads_the_cache
async def test_a_second_call_is_answered_by_the_cache_with_reasoning_and_metadata(
    ask_whole: Ask, cache: SQLiteCache, dashscope_emulator: DashScopeEmulator
) -> None:
    model = ChatDashScopeDeepSeek(model="deepseek-v4-pro", cache=cache)
    first = await ask_whole(model, QUESTION)
    second = await ask_whole(model, QUESTION)
    await model.aclose()

    assert len(dashscope_emulator.requests) == 1
    assert first.additional_kwargs["reasoning_content"]
    # What was not asked for again costs nothing, says LangChain.
    free = {**(first.usage_metadata or {}), "total_cost": 0}
    assert second.usage_metadata == free
    assert second.model_copy(update={"usage_metadata": first.usage_metadata}) == first


@reads_the_cache
async def test_models_with_other_settings_share_nothing_in_the_cache(
    ask_whole: Ask, cache: SQLiteCache, dashscope_emulator: DashScopeEmulator
) -> None:
    models = [
        ChatDashScopeDeepSeek(model="deepseek-v4-pro", cache=cache),
        ChatDashScopeDeepSeek(model="deepseek-v4-flash-0731", cache=cache),
        ChatDashScopeDeepSeek(model="deepseek-v4-pro", cache=cache, temperature=0),
        ChatDashScopeDeepSeek(model="deepseek-v4-pro", cache=cache, enable_thinking=False),
        ChatDashScopeDeepSeek(
            model="deepseek-v4-pro", cache=cache, model_kwargs={"logprobs": False}
        ),
    ]
    for model in models:
        await ask_whole(model, QUESTION)
        await model.aclose()
    assert len(dashscope_emulator.requests) == len(models)


@reads_the_cache
async def test_settings_of_one_call_share_nothing_in_the_cache(
    ask_whole: Ask, cache: SQLiteCache, dashscope_emulator: DashScopeEmulator
) -> None:
    model = ChatDashScopeDeepSeek(model="deepseek-v4-pro", cache=cache)
    await ask_whole(model, QUESTION)
    await ask_whole(model, QUESTION, enable_thinking=False)
    await ask_whole(model, QUESTION, stop=["kept"])
    await model.aclose()
    assert len(dashscope_emulator.requests) == 3


@reads_the_cache
async def test_another_key_gets_the_cached_answer(
    ask_whole: Ask, cache: SQLiteCache, dashscope_emulator: DashScopeEmulator
) -> None:
    """The key is no part of the cache's key, so a new key does not throw the cache away."""
    for key in ("sk-old", "sk-new"):
        model = ChatDashScopeDeepSeek(model="deepseek-v4-pro", cache=cache, api_key=key)
        await ask_whole(model, QUESTION)
        await model.aclose()
    assert len(dashscope_emulator.requests) == 1


async def test_the_file_of_the_cache_holds_the_question_and_no_key(
    ask_whole: Ask, cache: SQLiteCache, cache_file: Path, dashscope_emulator: DashScopeEmulator
) -> None:
    model = ChatDashScopeDeepSeek(
        model="deepseek-v4-pro",
        cache=cache,
        api_key=KEY,
        default_headers={"X-Secret": "hush-hush"},
    )
    await ask_whole(model, QUESTION)
    await model.aclose()
    content = await asyncio.to_thread(cache_file.read_bytes)
    assert QUESTION.encode() in content
    assert KEY.encode() not in content
    assert b"hush-hush" not in content


# --- The rate limiter ---


class CountingLimiter(InMemoryRateLimiter):
    """LangChain's limiter, counting how often it was asked."""

    asked = 0

    def acquire(self, *, blocking: bool = True) -> bool:
        self.asked += 1
        return super().acquire(blocking=blocking)

    async def aacquire(self, *, blocking: bool = True) -> bool:
        self.asked += 1
        return await super().aacquire(blocking=blocking)


async def test_calls_wait_for_the_rate_limiter(
    ask: Ask, dashscope_emulator: DashScopeEmulator
) -> None:
    limiter = InMemoryRateLimiter(
        requests_per_second=20, check_every_n_seconds=0.005, max_bucket_size=1
    )
    model = ChatDashScopeDeepSeek(model="deepseek-v4-pro", rate_limiter=limiter)
    began = time.monotonic()
    for _ in range(5):
        await ask(model, QUESTION)
    took = time.monotonic() - began
    await model.aclose()
    # The bucket is empty at first, and the clock of the limiter starts with the first call.
    assert took >= 5 / 20
    assert len(dashscope_emulator.requests) == 5


async def test_a_call_takes_one_token_however_often_it_is_retried(
    ask: Ask, dashscope_emulator: DashScopeEmulator
) -> None:
    limiter = CountingLimiter(requests_per_second=1000, check_every_n_seconds=0.001)
    model = ChatDashScopeDeepSeek(model="deepseek-v4-pro", rate_limiter=limiter)
    dashscope_emulator.fail(
        "Throttling.RateQuota", status=429, headers={"retry-after": "0"}, times=2
    )
    await ask(model, QUESTION)
    await model.aclose()
    assert (limiter.asked, len(dashscope_emulator.requests)) == (1, 3)
