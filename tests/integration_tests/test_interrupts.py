"""Wherever a call is interrupted, it leaves no socket, and the next call returns."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
import types
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from langchain_dashscope_deepseek import ChatDashScopeDeepSeek, DashScopeError
from langchain_dashscope_deepseek._dashscope.transport import pool
from langchain_dashscope_deepseek.testing import DashScopeEmulator
from tests.integration_tests.stage import Certificates, RawServer
from tests.integration_tests.test_crossed_answers import answer, playing
from tests.waiting import PATIENCE_SECONDS, eventually

pytest_plugins = ["langchain_dashscope_deepseek.testing.fixtures"]
pytestmark = [pytest.mark.emulator_only, pytest.mark.slow]

MOST_STEPS = 300
INTERRUPTS = 10_000


# --- A task that is cancelled ---


def in_pieces(text: str, *, streamed: bool) -> list[bytes]:
    """Let a call wait for each third of its answer."""
    written = answer(text, streamed=streamed)
    third = len(written) // 3
    return [written[:third], written[third:-third], written[-third:]]


class Cancelled:
    """Runs a coroutine and cancels its task at its nth step.

    Either while it waits, or when what it waits for is there and it has not gone on yet.
    """

    def __init__(self, step: int, *, when_ready: bool) -> None:
        self.steps = 0
        self._at, self._when_ready = step, when_ready

    @types.coroutine
    def run(self, work: Coroutine[Any, Any, object]) -> Generator[Any, Any, None]:
        task = asyncio.current_task()
        assert task is not None
        error: BaseException | None = None
        with suppress(StopIteration):
            while True:
                waits_for = work.throw(error) if error else work.send(None)
                error = None
                self.steps += 1
                if self.steps == self._at and waits_for is not None and self._when_ready:
                    waits_for.add_done_callback(lambda _: task.cancel())
                elif self.steps == self._at:
                    task.cancel()
                try:
                    yield waits_for
                except BaseException as raised:  # noqa: BLE001 - for the coroutine
                    error = raised


async def _ainvoke(model: ChatDashScopeDeepSeek) -> None:
    await model.ainvoke("question 1")


async def _astream(model: ChatDashScopeDeepSeek) -> None:
    async for _ in model.astream("question 1"):
        pass


@pytest.fixture(params=["plain", "tls"])
def server(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[tuple[RawServer, str]]:
    """A server and its base URL."""
    certificates = Certificates() if request.param == "tls" else None
    if certificates is not None:
        certificates.trusted.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    server = RawServer([playing(in_pieces)], certificates.right() if certificates else None)
    scheme = "http" if certificates is None else "https"
    yield server, f"{scheme}://{server.address}/api/v1"
    server.stop()


@pytest.mark.parametrize("is_kept", [False, True], ids=["new", "kept"])
@pytest.mark.parametrize("when_ready", [False, True], ids=["waiting", "ready"])
@pytest.mark.parametrize("ask", [_ainvoke, _astream], ids=["ainvoke", "astream"])
async def test_a_task_cancelled_at_any_step_leaves_no_socket(
    ask: Callable[[ChatDashScopeDeepSeek], Coroutine[Any, Any, None]],
    when_ready: bool,
    is_kept: bool,
    server: tuple[RawServer, str],
) -> None:
    """On a new connection, and on one that was used before."""
    listening, base_url = server
    model = ChatDashScopeDeepSeek(
        model="deepseek-v4-pro", api_key="sk-test", base_url=base_url, max_retries=0
    )
    for step in range(1, MOST_STEPS):
        if is_kept:
            await ask(model)
        cancelled = Cancelled(step, when_ready=when_ready)
        task = asyncio.ensure_future(_awaited(cancelled.run(ask(model))))
        with suppress(asyncio.CancelledError):
            await task
        connections = pool.loop_pool()
        left = len(connections._idle)
        assert left <= 1, f"{left} connections are left when cancelled at step {step}"
        assert not connections._in_use
        assert await asyncio.to_thread(eventually, lambda: listening.open <= left), step  # noqa: B023
        if not is_kept:
            await model.aclose()
        if cancelled.steps < step:
            break
    else:
        pytest.fail("It has more steps than were tried")
    assert step > 2
    await model.aclose()
    assert await asyncio.to_thread(eventually, lambda: listening.open == 0)


async def _awaited(work: Any) -> None:
    await work


# --- An interrupt ---

INTERRUPTED = """
    import os, random, signal, sys, time

    from langchain_dashscope_deepseek import ChatDashScopeDeepSeek
    from langchain_dashscope_deepseek._dashscope.transport.pool import process_pool

    def interrupt(number, frame):
        raise KeyboardInterrupt

    def sockets():
        names = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
        return sum(os.path.exists(n) and os.readlink(n).startswith("socket:") for n in names)

    model = ChatDashScopeDeepSeek(model="deepseek-v4-pro", api_key="sk-test", timeout=60)
    model.invoke("hi")
    def seconds():
        began = time.monotonic()
        model.invoke("hi")
        return time.monotonic() - began

    shortest = min(seconds() for _ in range(20))
    signal.signal(signal.SIGALRM, interrupt)
    interrupts = 0
    while interrupts < {times}:
        try:
            signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-6, shortest))
            try:
                if random.random() < 0.5:
                    model.invoke("hi")
                else:
                    list(model.stream("hi"))
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except KeyboardInterrupt:
            interrupts += 1
    assert "hi" in model.invoke("hi").text
    print(sockets(), len(process_pool()._in_use))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="signals and /proc")
def test_after_thousands_of_interrupts_a_call_returns(
    dashscope_emulator: DashScopeEmulator,
) -> None:
    """An interrupt comes between any two instructions, in httpx and httpcore as well.

    With the lock that httpcore's pool has, a call waits for ever after some 300 of them.
    """
    script = textwrap.dedent(INTERRUPTED).replace("{times}", str(INTERRUPTS))
    environment = {**os.environ, "DASHSCOPE_BASE_URL": dashscope_emulator.base_url}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        timeout=1_200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    sockets, in_use = map(int, done.stdout.split())
    # Between two instructions of the pool a connection may be lost: to its table, never to a caller.
    assert sockets <= 1 + INTERRUPTS / 500
    assert in_use <= INTERRUPTS / 500


# --- A model that is closed meanwhile ---


def test_a_model_closed_in_another_thread_ends_calls_by_our_errors_alone(
    dashscope_emulator: DashScopeEmulator,
) -> None:
    model = ChatDashScopeDeepSeek(model="deepseek-v4-pro", max_retries=0)
    is_over = threading.Event()

    def close() -> None:
        while not is_over.wait(0.001):
            model.close()

    closing = threading.Thread(target=close)
    closing.start()
    answers = 0
    try:
        for _ in range(60):
            with suppress(DashScopeError):
                assert "hi" in model.invoke("hi").text
                answers += 1
    finally:
        is_over.set()
        closing.join(PATIENCE_SECONDS)
    assert "hi" in model.invoke("hi").text
    model.close()


# --- The client of a user ---


def test_max_seconds_bounds_calls_of_the_users_client(
    dashscope_emulator: DashScopeEmulator,
) -> None:
    """It is checked with each piece of the response."""
    dashscope_emulator.reply("All of it.", piece_delay=0.15)
    with httpx.Client() as client:
        model = ChatDashScopeDeepSeek(
            model="deepseek-v4-pro", http_client=client, max_seconds=0.2, max_retries=0
        )
        with pytest.raises(DashScopeError, match="max_seconds"):
            list(model.stream("hi"))
