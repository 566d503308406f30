"""Many streams over many tasks and several event loops: nothing leaks, is lost or crosses over.

Of thirty streams ten are abandoned, in five ways, three fail, in four ways, and the others are read
to their end. The server misbehaves at random behind its answers. One model object asks them all: in one loop after another, and in every third round in
two loops side by side.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import subprocess
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import cast

import psutil
from langchain_core.messages import AIMessageChunk

from langchain_dashscope_deepseek import (
    ChatDashScopeDeepSeek,
    DashScopeError,
    DashScopeRateLimitError,
    DashScopeStreamCutError,
)
from tests.soak.server import PAUSE, PIECES, answer_to

TASKS = 200
TOLERANCE = 0.05
"""The part by which memory may differ between two thirds of the rounds: arenas come and go, and a
leak of 400 bytes a stream is more."""

ERRORS: dict[str, type[DashScopeError]] = {
    "busy": DashScopeRateLimitError,
    "error": DashScopeRateLimitError,
    "cut": DashScopeStreamCutError,
    "reset": DashScopeStreamCutError,
}


@dataclass(frozen=True)
class Round:
    """What one round came to."""

    loops: int
    outcomes: Counter[str]
    idle: int
    """Sockets to the server that were open when all streams had ended, for the next request."""
    left: int
    """Sockets to the server that were open when the loops had ended."""
    dropped: int
    """Idle connections that were closed by the garbage collector."""
    mebibytes: float
    seconds: float

    def __str__(self) -> str:
        """Give a line of the table."""
        counts = "".join(f"{self.outcomes[kind]:>11,}" for kind in ("answer", "error", "abandoned"))
        return (
            f"{self.loops:>5}{counts}{self.idle:>6}{self.left:>6}{self.dropped:>9}"
            f"{self.mebibytes:>8.1f}{self.seconds:>8.1f}"
        )


HEADINGS = "loops    answers     errors  abandoned  idle  left  dropped     MiB       s"


class Soak:
    """A soak, and what it found."""

    def __init__(self, port: int) -> None:
        """Make the one model that asks everything."""
        self._port = port
        self._model = ChatDashScopeDeepSeek(
            model="deepseek-v4-pro",
            api_key="sk-soak",
            base_url=f"http://127.0.0.1:{port}/api/v1",
            max_retries=0,
        )
        self._outcomes: list[str] = []
        self._idle = self._dropped = 0
        self.rounds: list[Round] = []
        self.faults: list[str] = []

    def run(self, streams: int, rounds: int) -> Iterator[Round]:
        """Run the rounds and give each one as it ends."""
        with self._complaints():
            for place in range(rounds):
                yield self._round(range(streams * place // rounds, streams * (place + 1) // rounds))

    def growth(self) -> float:
        """Tell by which part the memory of the last third of rounds exceeds the second third's."""
        third = len(self.rounds) // 3
        before, after = self.rounds[third : 2 * third], self.rounds[2 * third :]
        return median(r.mebibytes for r in after) / median(r.mebibytes for r in before) - 1

    def _round(self, numbers: range) -> Round:
        begun, self._outcomes, self._dropped = time.monotonic(), [], 0
        loops = 2 if len(self.rounds) % 3 == 2 else 1
        threads = [
            threading.Thread(target=asyncio.run, args=[self._ask_all(numbers[place::loops])])
            for place in range(loops)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        gc.collect()
        process = psutil.Process()
        done = Round(
            loops,
            Counter(self._outcomes),
            self._idle,
            self._sockets(),
            self._dropped,
            process.memory_info().rss / 2**20,
            time.monotonic() - begun,
        )
        if done.outcomes.total() != len(numbers):
            self._blame(f"{len(numbers) - done.outcomes.total()} streams were lost")
        if done.left or done.idle > loops * TASKS:
            self._blame(f"{done.idle} sockets stayed open, {done.left} of them to the end")
        if done.dropped:
            self._blame(f"{done.dropped} connections were left to the garbage collector")
        self.rounds.append(done)
        return done

    async def _ask_all(self, numbers: range) -> None:
        waiting = iter(numbers)

        async def work() -> None:
            for number in waiting:
                self._outcomes.append(await self._ask(number))

        await asyncio.gather(*(work() for _ in range(TASKS)))
        await asyncio.sleep(0.1)  # what was left behind is closed by tasks of the loop
        gc.collect()
        self._idle = self._sockets()  # the last loop's count stands: the other one is done by then
        if len(self.rounds) % 2:
            await self._model.aclose()  # else the end of the loop does it

    async def _ask(self, number: int) -> str:
        """Ask one question, and check that the answer is its own."""
        place, turn = number % 30, number // 30
        kind = "slow" if place < 10 else [*ERRORS][turn % len(ERRORS)] if place < 13 else "answer"
        question, seen = f"{kind} {number}", list[str]()
        chunks = self._model.astream(question)
        error: DashScopeError | None = None
        try:
            await (WAYS[place % len(WAYS)] if kind == "slow" else _read)(chunks, seen)
        except DashScopeError as caught:
            error = caught
        text, whole = "".join(seen), answer_to(question)
        fits = text == whole if kind == "answer" else whole.startswith(text)
        if not fits or not isinstance(error, ERRORS.get(kind, type(None))):
            self._blame(f"{question!r} got {text!r} and {error!r}")
        elif error is not None and error.code and error.request_id != f"{number}":
            self._blame(f"{question!r} got the error of {error.request_id!r}")
        return "answer" if text == whole else "abandoned" if kind == "slow" else "error"

    def _unraisable(self, args: sys.UnraisableHookArgs) -> None:
        text = f"{args.exc_value!r} in {args.object!r}"
        if "unclosed transport" in text:
            self._dropped += 1
        elif "unclosed <socket" not in text:  # the transport's
            self._blame(text)

    def _blame(self, fault: str) -> None:
        self.faults.append(f"round {len(self.rounds) + 1}: {fault}")

    def _sockets(self) -> int:
        connections = psutil.Process().net_connections("tcp")
        return sum(bool(c.raddr) and c.raddr.port == self._port for c in connections)

    @contextmanager
    def _complaints(self) -> Iterator[None]:
        """Collect what asyncio and the interpreter complain of behind everybody's back."""
        hooks = sys.unraisablehook, threading.excepthook
        sys.unraisablehook = self._unraisable
        threading.excepthook = lambda args: self._blame(repr(args.exc_value))
        logger, handler = logging.getLogger("asyncio"), _Complaints(self._blame)
        logger.addHandler(handler)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                yield
        finally:
            sys.unraisablehook, threading.excepthook = hooks
            logger.removeHandler(handler)


class _Complaints(logging.Handler):
    """Keeps what is logged as a warning or worse."""

    def __init__(self, keep: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._keep = keep

    def emit(self, record: logging.LogRecord) -> None:
        self._keep(f"{record.getMessage()} {record.exc_info}")


@contextmanager
def server() -> Iterator[int]:
    """Run the server in a process of its own; gives its port."""
    command = [sys.executable, "-m", "tests.soak.server"]
    root = Path(__file__).parents[2]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=root, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())


# --- Reading and leaving a stream ---

Chunks = AsyncIterator[AIMessageChunk]


async def _read(chunks: Chunks, seen: list[str], most: int = 1_000) -> None:
    """Read, and break after so many chunks."""
    async for chunk in chunks:
        seen.append(str(chunk.content))
        if len(seen) == most:
            break


async def _break(chunks: Chunks, seen: list[str]) -> None:
    await _read(chunks, seen, most=random.randint(1, PIECES))


async def _break_and_close(chunks: Chunks, seen: list[str]) -> None:
    async with aclosing(cast("AsyncGenerator[AIMessageChunk]", chunks)):
        await _break(chunks, seen)


async def _cancel(chunks: Chunks, seen: list[str]) -> None:
    task = asyncio.create_task(_read(chunks, seen))
    await asyncio.sleep(_a_while())
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def _time_out(chunks: Chunks, seen: list[str]) -> None:
    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(_read(chunks, seen), _a_while())


async def _time_out_within(chunks: Chunks, seen: list[str]) -> None:
    """Wait for a single chunk, less and less long."""
    with suppress(asyncio.TimeoutError, StopAsyncIteration):
        for hurry in range(1, PIECES):
            chunk = await asyncio.wait_for(anext(chunks), 2 * PAUSE / hurry)
            seen.append(str(chunk.content))


def _a_while() -> float:
    return random.uniform(0, PIECES * PAUSE)


WAYS = (_break, _break_and_close, _cancel, _time_out, _time_out_within)
