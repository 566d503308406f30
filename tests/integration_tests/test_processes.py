"""One model object everywhere: event loops, threads, processes, copies and pickles of it."""

from __future__ import annotations

import asyncio
import copy
import gc
import multiprocessing
import os
import pickle
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cloudpickle
import httpx
import pytest

from langchain_dashscope_deepseek import ChatDashScopeDeepSeek, DashScopeError, DashScopeInputError
from langchain_dashscope_deepseek.testing import DashScopeEmulator
from tests.leaks import open_descriptors
from tests.waiting import PATIENCE_SECONDS, eventually

pytest_plugins = ["langchain_dashscope_deepseek.testing.fixtures"]
pytestmark = [pytest.mark.emulator_only, pytest.mark.slow]

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


def make(**settings: Any) -> ChatDashScopeDeepSeek:
    return ChatDashScopeDeepSeek(model="deepseek-v4-pro", **settings)


def ask(model: ChatDashScopeDeepSeek, question: str) -> bool:
    """Ask in all four ways; tell whether each answer is to this question."""
    return answers(model, question) and asyncio.run(answers_async(model, question))


def answers(model: ChatDashScopeDeepSeek, question: str) -> bool:
    whole = model.invoke(question).text
    streamed = "".join(chunk.text for chunk in model.stream(question))
    return f"“{question}”" in whole and f"“{question}”" in streamed


async def answers_async(model: ChatDashScopeDeepSeek, question: str) -> bool:
    whole = (await model.ainvoke(question)).text
    streamed = "".join([chunk.text async for chunk in model.astream(question)])
    return f"“{question}”" in whole and f"“{question}”" in streamed


@pytest.fixture
def model(dashscope_emulator: DashScopeEmulator) -> Iterator[ChatDashScopeDeepSeek]:
    with make() as model:
        yield model


@pytest.fixture(params=["pooled", "user"])
def any_model(
    request: pytest.FixtureRequest, dashscope_emulator: DashScopeEmulator
) -> Iterator[ChatDashScopeDeepSeek]:
    if request.param == "pooled":
        with make() as model:
            yield model
    else:
        with httpx.Client() as client:
            yield make(http_client=client)


# --- Threads and event loops ---


def test_many_threads_use_one_model(any_model: ChatDashScopeDeepSeek) -> None:
    barrier = threading.Barrier(32)

    def ask_at_once(number: int) -> bool:
        barrier.wait()
        return answers(any_model, f"question {number}")

    with ThreadPoolExecutor(32) as pool:
        assert all(pool.map(ask_at_once, range(32)))


def test_event_loops_side_by_side_use_one_model(model: ChatDashScopeDeepSeek) -> None:
    barrier = threading.Barrier(8)

    async def ask_four(number: int) -> bool:
        questions = [f"question {number}-{i}" for i in range(4)]
        return all(await asyncio.gather(*(answers_async(model, q) for q in questions)))

    def run(number: int) -> bool:
        barrier.wait()
        return asyncio.run(ask_four(number))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(run, range(8)))


def test_event_loops_one_after_another_leave_nothing_open(model: ChatDashScopeDeepSeek) -> None:
    asyncio.run(answers_async(model, "the first"))
    gc.disable()  # nothing may be left to it
    try:
        before = open_descriptors()
        for number in range(20):
            assert asyncio.run(answers_async(model, f"question {number}"))
        # The server's end of a connection, in this process, closes a moment later.
        assert eventually(lambda: open_descriptors() <= before)
    finally:
        gc.enable()
    gc.collect()  # what warns when it is collected warns here


def test_a_loop_that_was_not_tidied_up_is_no_trouble_for_the_next(
    model: ChatDashScopeDeepSeek,
) -> None:
    """As in notebooks and old code, which close a loop with its connections open."""
    for number in range(3):
        loop = asyncio.new_event_loop()
        assert loop.run_until_complete(answers_async(model, f"question {number}"))
        loop.run_until_complete(model.aclose())
        loop.close()


# --- Processes ---


def _report(model: ChatDashScopeDeepSeek, question: str, pipe: Any) -> None:
    pipe.send(ask(model, question))


def _report_error(model: ChatDashScopeDeepSeek, pipe: Any) -> None:
    try:
        model.invoke("child")
    except DashScopeError as error:
        pipe.send(type(error))
    else:
        pipe.send(None)


def in_a_process(context: Any, model: ChatDashScopeDeepSeek, number: int) -> Callable[[], bool]:
    """Ask in a process; the result waits for it."""
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_report, args=(model, f"child {number}", there))
    process.start()
    there.close()

    def result() -> bool:
        answered = here.poll(PATIENCE_SECONDS) and here.recv()
        process.join(PATIENCE_SECONDS if answered else 0)
        process.kill()
        here.close()
        return answered is True and process.exitcode == 0

    return result


@needs_fork
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_parent_and_children_go_on_after_a_fork(
    model: ChatDashScopeDeepSeek, capfd: pytest.CaptureFixture[str]
) -> None:
    async def fork_within_a_loop() -> None:
        assert await answers_async(model, "before")
        assert answers(model, "before")
        context = multiprocessing.get_context("fork")
        results = [in_a_process(context, model, number) for number in range(3)]
        for number in range(10):
            assert await answers_async(model, f"parent {number}")
            assert answers(model, f"parent {number}")
        assert [result() for result in results] == [True] * 3

    asyncio.run(fork_within_a_loop())
    assert capfd.readouterr().err == ""


@needs_fork
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_leaves_the_connections_of_its_parent_alone(
    model: ChatDashScopeDeepSeek, dashscope_emulator: DashScopeEmulator
) -> None:
    """A stream that is under way during a fork belongs to the parent."""
    dashscope_emulator.reply(pieces=["one ", "two ", "three"], piece_delay=0.2)
    stream = model.stream("long")
    text = str(next(stream).text)
    result = in_a_process(multiprocessing.get_context("fork"), model, 1)
    assert result()
    text += "".join(chunk.text for chunk in stream)
    assert text == "one two three"


@needs_fork
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_users_client_is_refused_after_a_fork(
    dashscope_emulator: DashScopeEmulator,
) -> None:
    """Its connections are the parent's: two processes on one would get each other's answers."""
    with httpx.Client() as client:
        model = make(http_client=client, max_retries=0, timeout=10)
        assert answers(model, "before")
        here, there = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.get_context("fork").Process(
            target=_report_error, args=(model, there)
        )
        process.start()
        process.join()
        assert here.recv() is DashScopeInputError
        assert answers(model, "the parent")
        here.close()
        there.close()


@pytest.mark.parametrize("used", [False, True], ids=["before use", "after use"])
def test_a_spawned_process_takes_the_key_from_its_environment(
    used: bool, model: ChatDashScopeDeepSeek, dashscope_emulator: DashScopeEmulator
) -> None:
    if used:
        assert ask(model, "before")
    result = in_a_process(multiprocessing.get_context("spawn"), model, 1)
    assert ask(model, "parent")
    assert result()
    keys = {request.headers["authorization"] for request in dashscope_emulator.requests}
    assert keys == {f"Bearer {os.environ['DASHSCOPE_API_KEY']}"}


# --- Copies and pickles ---


def _by_pickle(model: ChatDashScopeDeepSeek) -> Any:
    return pickle.loads(pickle.dumps(model))


def _by_cloudpickle(model: ChatDashScopeDeepSeek) -> Any:
    return cloudpickle.loads(cloudpickle.dumps(model))


COPIES: dict[str, Callable[[ChatDashScopeDeepSeek], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "model_copy": lambda model: model.model_copy(),
    "deep model_copy": lambda model: model.model_copy(deep=True),
    "pickle": _by_pickle,
    "cloudpickle": _by_cloudpickle,
}


@pytest.mark.parametrize("used", [False, True], ids=["before use", "after use"])
@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
async def test_a_copy_and_its_original_both_answer(
    used: bool,
    copied: Callable[[ChatDashScopeDeepSeek], ChatDashScopeDeepSeek],
    dashscope_emulator: DashScopeEmulator,
) -> None:
    async with make(temperature=0.5, stop=["x"]) as model:
        if used:
            assert answers(model, "before")
            assert await answers_async(model, "before")
        async with copied(model) as other:
            assert other.model_dump() == model.model_dump()
            assert answers(other, "the copy")
            assert await answers_async(other, "the copy")
        assert answers(model, "the original")
        assert await answers_async(model, "the original")


@pytest.mark.parametrize("name", ["copy", "deepcopy", "model_copy", "deep model_copy"])
async def test_copies_share_the_users_clients(
    name: str, dashscope_emulator: DashScopeEmulator
) -> None:
    with httpx.Client() as client:
        async with httpx.AsyncClient() as async_client:
            model = make(http_client=client, http_async_client=async_client)
            assert answers(model, "before")
            other = COPIES[name](model)
            assert (other.http_client, other.http_async_client) == (client, async_client)
            assert answers(other, "the copy")
            assert await answers_async(other, "the copy")


@pytest.mark.parametrize("dumps", [pickle.dumps, cloudpickle.dumps], ids=["pickle", "cloudpickle"])
def test_a_users_client_cannot_be_pickled(
    dumps: Callable[[Any], bytes], dashscope_emulator: DashScopeEmulator
) -> None:
    with httpx.Client() as client, pytest.raises(TypeError, match="construct it again"):
        dumps(make(http_client=client))


def test_a_chain_is_carried_by_cloudpickle(model: ChatDashScopeDeepSeek) -> None:
    """Spark, Ray and Dask carry lambdas and all."""
    chain = model.bind(temperature=0.5) | (lambda message: message.text.upper())
    assert "“HI”" in cloudpickle.loads(cloudpickle.dumps(chain)).invoke("hi")
