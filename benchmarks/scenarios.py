"""What is measured, and how: each scenario gives samples of one figure for one contender.

CPU is that of the whole process, its threads included, after a warm-up; what is checked is checked
after the clock was stopped. Sizes are small where `quick` is on, which shows that all works.
"""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import tracemalloc
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, aclosing, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from time import process_time
from typing import Any, TypeVar

from benchmarks.answers import Answer, answer
from benchmarks.contenders import CONTENDERS, QUESTION, Contender
from benchmarks.installed import brought_along, size_of

Samples = list[float]
Result = TypeVar("Result")
OURS = frozenset({"this package", "LangChain baseline", "httpx baseline"})


@dataclass(frozen=True)
class Bench:
    """One contender in one process.

    Attributes:
        make: The contender.
        server: The URL of the server.
        quick: Whether to do just enough to see that all works.
    """

    make: type[Contender]
    server: str
    quick: bool = False

    def ask(self, kind: str, events: int, *, streamed: bool = True) -> tuple[Contender, Answer]:
        """Make the contender, and say what it will be answered."""
        path = f"{kind}{events}"
        return self.make(self.server, path, streamed=streamed), answer(kind, events)

    def few(self, size: int) -> int:
        """Shrink a size if this is to be quick."""
        return max(size // 20, 10) if self.quick else size


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A figure.

    Attributes:
        title: Title of the figure.
        unit: The unit shown; a key of `UNITS`.
        measure: Returns samples, in seconds or bytes.
        way: The method that a contender needs.
        only: The contenders, if not all.
        without: Excluded contenders.
        rounds: The maximum number of rounds, for steady figures.
        peer_rounds: The maximum number for peers, for slow figures.
    """

    title: str
    unit: str
    measure: Callable[[Bench], Samples]
    way: str = "construct"
    only: frozenset[str] = frozenset(CONTENDERS)
    without: frozenset[str] = frozenset({"this package by default"})
    rounds: int = 1_000
    peer_rounds: int = 1_000

    def wants(self, contender: str, measured: int) -> bool:
        """Tell whether a contender that was measured so often takes part in the next round."""
        can = contender in self.only - self.without and hasattr(CONTENDERS[contender], self.way)
        rounds = self.rounds if contender in OURS else min(self.rounds, self.peer_rounds)
        return can and measured < rounds


UNITS = {"µs": 1e6, "ms": 1e3, "MB": 1e-6, "kB": 1e-3, "": 1.0}
"""Factors from seconds or bytes to the units shown."""


def check(contender: Contender, said: Answer, chunks: list[Any], *, one_each: bool = False) -> None:
    """Refuse an answer that is not what the server sent, or that was merged to look fast."""
    parts = [contender.read(chunk) for chunk in chunks]
    reasoning, text, arguments = ("".join(part[i] for part in parts) for i in range(3))
    expected = ("" if contender.without_reasoning else said.joined[0], *said.joined[1:])
    if (reasoning, text, arguments) != expected:
        msg = f"{type(contender).__name__} did not say what the server sent"
        raise ValueError(msg)
    if one_each and contender.chunk_per_event and len(chunks) != said.events:
        msg = f"{type(contender).__name__} gave {len(chunks)} chunks for {said.events} events"
        raise ValueError(msg)


# --- Streams ---


def streamed(
    bench: Bench, *, way: str, kind: str = "text", events: int = 2_000, times: int = 8
) -> Samples:
    """CPU per event of one stream after the other, so long that the call itself hardly counts."""
    contender, said = bench.ask(kind, bench.few(events))

    def once() -> float:
        contender.prepare(said, 1)
        gc.collect()
        start = process_time()
        chunks = list(getattr(contender, way)(QUESTION))
        spent = process_time() - start
        check(contender, said, chunks, one_each=way == "stream")
        return spent / said.events

    return [once() for _ in range(times + 1)][1:]


def streamed_at_once(bench: Bench, *, streams: int, events: int = 200) -> Samples:
    """CPU per event of many streams that all begin at once, right after a garbage collection."""
    streams = bench.few(streams)
    contender, said = bench.ask("text", events)
    contender.prepare(said, streams * 2)

    async def one() -> list[Any]:
        return [chunk async for chunk in _astream(contender)]

    async def once() -> float:
        gc.collect()
        start = process_time()
        answers = await asyncio.gather(*(one() for _ in range(streams)))
        spent = process_time() - start
        for chunks in answers:
            check(contender, said, chunks, one_each=True)
        return spent / (streams * said.events)

    return [_run(once()) for _ in range(2)][1:]


def streamed_in_turn(bench: Bench, *, streams: int, in_a_row: int, events: int = 200) -> Samples:
    """CPU per event where so many tasks each ask for several streams, one after the other.

    What is measured begins when each had its first one: connections are open then, and the garbage
    collector comes as often as it does in a long run.
    """
    streams = bench.few(streams)
    contender, said = bench.ask("text", events)
    contender.prepare(said, streams * (1 + in_a_row))

    async def ask(clock: Clock, times: int) -> None:
        for _ in range(times):
            chunks = [chunk async for chunk in _astream(contender)]
            with clock.stopped():
                check(contender, said, chunks, one_each=True)

    async def all_of_them(times: int) -> float:
        clock = Clock()
        await asyncio.gather(*(ask(clock, times) for _ in range(streams)))
        return clock.seconds() / (streams * times * said.events)

    gc.collect()
    return [_run(all_of_them(times)) for times in (1, in_a_row)][1:]


class Clock:
    """Counts the CPU of the process, but for what is done while it is stopped."""

    def __init__(self) -> None:
        """Start."""
        self._start = process_time()

    def seconds(self) -> float:
        """Tell how much was taken until now."""
        return process_time() - self._start

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Do not count. The garbage collector waits, since it would come for what is counted."""
        start = process_time()
        gc.disable()
        try:
            yield
        finally:
            gc.enable()
            self._start += process_time() - start


@cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


def _run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run in the one loop of this process: some peers cannot change it."""
    return _loop().run_until_complete(work)


def _astream(contender: Any) -> AsyncGenerator[Any]:
    chunks: AsyncGenerator[Any] = contender.astream(QUESTION)
    return chunks


def first_chunk(bench: Bench, *, times: int = 50) -> Samples:
    """CPU from the call to the first chunk, on a connection that is open."""
    contender: Any
    contender, said = bench.ask("text", 20)

    def once() -> float:
        contender.prepare(said, 1)
        start = process_time()
        chunks = iter(contender.stream(QUESTION))
        first = next(chunks)
        spent = process_time() - start
        check(contender, said, [first, *chunks])
        return spent

    return [once() for _ in range(times + 5)][5:]


def discarded(bench: Bench, *, events: int, way: str = "stream_directly") -> Samples:
    """CPU per event where nobody keeps the chunks."""
    contender, said = bench.ask("text", bench.few(events))
    contender.prepare(said, 3)

    def once() -> float:
        gc.collect()
        start = process_time()
        for _ in getattr(contender, way)(QUESTION):
            pass
        return (process_time() - start) / said.events

    return [once() for _ in range(3)][1:]


# --- Whole answers ---


def invoked(bench: Bench, *, events: int = 200, calls: int = 50, times: int = 5) -> Samples:
    """CPU per call, one after the other."""
    contender: Any
    contender, said = bench.ask("text", events, streamed=False)
    calls = bench.few(calls)

    def once() -> float:
        contender.prepare(said, calls)
        gc.collect()
        start = process_time()
        messages = [contender.invoke(QUESTION) for _ in range(calls)]
        spent = process_time() - start
        for message in messages:
            check(contender, said, [message])
        return spent / calls

    return [once() for _ in range(times + 1)][1:]


def ainvoked(bench: Bench, *, events: int = 200, calls: int = 50, times: int = 5) -> Samples:
    """CPU per call, one after the other, asynchronously."""
    contender: Any
    contender, said = bench.ask("text", events, streamed=False)
    calls = bench.few(calls)

    async def once() -> float:
        contender.prepare(said, calls)
        gc.collect()
        start = process_time()
        messages = [await contender.ainvoke(QUESTION) for _ in range(calls)]
        spent = process_time() - start
        for message in messages:
            check(contender, said, [message])
        return spent / calls

    async def all_of_them() -> Samples:
        return [await once() for _ in range(times + 1)][1:]

    return _run(all_of_them())


def batched(bench: Bench, *, events: int = 200, calls: int = 1_000) -> Samples:
    """CPU per call of one batch in threads."""
    contender: Any
    contender, said = bench.ask("text", events, streamed=False)

    def once(calls: int) -> float:
        contender.prepare(said, calls)
        gc.collect()
        start = process_time()
        messages = contender.batch(QUESTION, calls)
        spent = process_time() - start
        for message in messages:
            check(contender, said, [message])
        return spent / calls

    return [once(calls) for calls in (20, bench.few(calls), bench.few(calls))][1:]


def with_history(bench: Bench, *, messages: int) -> Samples:
    """CPU of a call with so long a history and a short answer."""
    contender: Any
    contender, said = bench.ask("text", 20, streamed=False)
    pair = [
        ("user", [{"type": "text", "text": text} for text in ("And why?", "In a sentence.")]),
        ("assistant", "Air scatters short waves more than long ones. " * 5),
    ]
    system = [("system", "Be brief.")] * (messages % 2 == 0)
    history = [*system, *pair * ((messages - 1) // 2), *QUESTION]

    def once() -> float:
        contender.prepare(said, 1)
        gc.collect()
        start = process_time()
        message = contender.invoke(history)
        spent = process_time() - start
        check(contender, said, [message])
        return spent

    return [once() for _ in range(2 if bench.quick or messages > 100 else 10)][1:]


def with_blocks(bench: Bench, *, blocks: int) -> Samples:
    """CPU of a call with so many blocks of text beside an image, and a short answer."""
    contender: Any
    contender, said = bench.ask("text", 20, streamed=False)
    seeing = contender.model.bind(model="deepseek-v4.1-flash")
    texts = [{"type": "text", "text": "What is new? " * 100}] * bench.few(blocks)
    question = [("user", [*texts, {"type": "image", "url": "https://example.com/cat.png"}])]

    def once() -> float:
        contender.prepare(said, 1)
        gc.collect()
        start = process_time()
        message = seeing.invoke(question)
        spent = process_time() - start
        check(contender, said, [message])
        return spent

    return [once() for _ in range(6)][1:]


# --- Before the first call ---


def imported(bench: Bench) -> Samples:
    """CPU of importing, in processes of their own, from bytecode, as where it is installed."""
    code = (
        f"import time; s = time.process_time(); {bench.make.imports}; print(time.process_time()-s)"
    )
    command = [sys.executable, "-W", "ignore", "-c", code]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(Path(".benchmarks/bytecode").resolve())

    def once() -> float:
        done = subprocess.run(command, check=True, capture_output=True, env=environment)
        return float(done.stdout)

    return [once() for _ in range(8)][1:]


def constructed(bench: Bench, *, times: int = 20) -> Samples:
    """CPU of making the object that is asked; whatever it puts off is not in it."""
    contender, _ = bench.ask("text", 20)

    def once() -> float:
        gc.collect()
        start = process_time()
        contender.construct()
        return process_time() - start

    return [once() for _ in range(times)]


def from_nothing(bench: Bench) -> Samples:
    """CPU of making the object and getting its first chunk, which is once in a process."""
    said = answer("text", 20)
    start = process_time()
    contender: Any = bench.make(bench.server, "text20")
    spent = process_time() - start
    contender.prepare(said, 1)
    start = process_time()
    next(iter(contender.stream(QUESTION)))
    return [spent + process_time() - start]


# --- Memory ---


def peak_of(bench: Bench, *, way: str, events: int) -> Samples:
    """Peak of Python's memory above what was there before an answer of so many events."""
    contender, said = bench.ask("text", bench.few(events))

    def ask() -> Any:
        if way == "generate_directly":
            return contender.read(getattr(contender, way)(QUESTION))[1]
        for _ in getattr(contender, way)(QUESTION):
            pass
        return said.joined[1]

    small: Any
    small, _ = bench.ask("text", 20)
    for _ in small.stream_directly(QUESTION):
        pass
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    text = ask()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    if text != said.joined[1]:
        raise ValueError("The text is not what the server sent")
    return [float(peak - before)]


def open_streams(bench: Bench, *, streams: int = 1_000) -> Samples:
    """Python's memory for each stream that is open and has given its first chunk."""
    streams = bench.few(streams)
    contender, said = bench.ask("held", 10)
    contender.prepare(said, streams)

    async def hold() -> float:
        gc.collect()
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        async with AsyncExitStack() as stack:
            held = [_astream(contender) for _ in range(streams)]
            for stream in held:
                await stack.enter_async_context(aclosing(stream))
            await asyncio.gather(*(anext(stream) for stream in held))
            gc.collect()
            now, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return (now - before) / streams

    return [_run(hold())]


# --- On disk ---


def distributions(bench: Bench) -> Samples:
    """How many distributions come beyond what langchain-core and httpx bring."""
    return [float(len(brought_along(bench.make.distribution)))]


def size_on_disk(bench: Bench) -> Samples:
    """Bytes of the distribution and of all that it needs."""
    return [float(size_of(bench.make.distribution))]


DEFAULTS = frozenset[str]()
"""Excludes no client: `invoke` of this package is also measured with its defaults."""

SCENARIOS: dict[str, Scenario] = {
    "stream": Scenario(
        title="`stream`, CPU per event",
        unit="µs",
        way="stream",
        measure=partial(streamed, way="stream"),
    ),
    "tools": Scenario(
        title="`stream` of a tool call, CPU per event",
        unit="µs",
        way="stream",
        measure=partial(streamed, way="stream", kind="tools", times=3),
        rounds=2,
    ),
    "v3": Scenario(
        title="`stream_events` v3, CPU per event",
        unit="µs",
        way="stream_events",
        measure=partial(streamed, way="stream_events"),
    ),
    "async_50": Scenario(
        title="`astream`, 50 at once, CPU per event",
        unit="µs",
        way="astream",
        measure=partial(streamed_at_once, streams=50),
    ),
    "async_500": Scenario(
        title="`astream`, 500 at once, CPU per event",
        unit="µs",
        way="astream",
        measure=partial(streamed_at_once, streams=500),
        peer_rounds=1,
    ),
    **{
        f"lasting_{streams}": Scenario(
            title=f"`astream`, {streams} tasks with several streams each, CPU per event",
            unit="µs",
            way="astream",
            measure=partial(streamed_in_turn, streams=streams, in_a_row=in_a_row),
            only=frozenset({"this package"}),
        )
        for streams, in_a_row in ((50, 6), (500, 2))
    },
    "invoke": Scenario(
        title="`invoke`, CPU per call",
        unit="µs",
        way="invoke",
        measure=invoked,
        without=DEFAULTS,
    ),
    "ainvoke": Scenario(
        title="`ainvoke`, CPU per call",
        unit="µs",
        way="ainvoke",
        measure=ainvoked,
        without=DEFAULTS,
        rounds=2,
    ),
    "batch": Scenario(
        title="`batch` of 1,000, CPU per call",
        unit="µs",
        way="batch",
        measure=batched,
        peer_rounds=5,
    ),
    "first_chunk": Scenario(
        title="CPU to the first chunk, connection open",
        unit="µs",
        way="stream",
        measure=first_chunk,
        peer_rounds=2,
    ),
    "from_nothing": Scenario(
        title="CPU to create the model and receive the first chunk, new process",
        unit="ms",
        way="stream",
        measure=from_nothing,
        rounds=2,
    ),
    "import": Scenario(title="CPU to import", unit="ms", measure=imported, peer_rounds=2),
    "construction": Scenario(
        title="CPU to create the model", unit="µs", measure=constructed, rounds=2
    ),
    **{
        f"history_{messages}": Scenario(
            title=f"`invoke` with {messages:,} messages, CPU per call",
            unit="ms",
            way="invoke",
            measure=partial(with_history, messages=messages),
            rounds=5,
            peer_rounds=1,
        )
        for messages in (10, 100, 1_000, 5_000)
    },
    **{
        f"blocks_{blocks}": Scenario(
            title=f"`invoke` with {blocks:,} blocks of text and an image, CPU per call",
            unit="ms",
            way="invoke",
            measure=partial(with_blocks, blocks=blocks),
            rounds=5,
            only=frozenset({"this package"}),
        )
        for blocks in (1_000, 4_000)
    },
    "long_stream": Scenario(
        title="`stream` of 100,000 events, CPU per event",
        unit="µs",
        way="stream",
        measure=partial(discarded, events=100_000, way="stream"),
        rounds=5,
        only=OURS,
    ),
    **{
        f"long_direct_{events}": Scenario(
            title=f"`_stream` of {events:,} events, CPU per event",
            unit="µs",
            way="stream_directly",
            measure=partial(discarded, events=events),
            rounds=5,
            only=frozenset({"this package"}),
        )
        for events in (10_000, 100_000)
    },
    **{
        f"memory_{way}_{events}": Scenario(
            title=f"`_{way}` of {events:,} events, peak memory",
            unit="kB",
            way=f"{way}_directly",
            measure=partial(peak_of, way=f"{way}_directly", events=events),
            only=frozenset({"this package"}),
            rounds=5,
        )
        for way in ("stream", "generate")
        for events in (10_000, 100_000)
    },
    "open_streams": Scenario(
        title="Memory per stream, of 1,000 open streams",
        unit="kB",
        way="astream",
        measure=open_streams,
        # They open 100 connections at most, and would wait for ever.
        without=frozenset({"this package by default", "dashscope 1.x", "dashscope 2.x"}),
        rounds=1,
    ),
    "distributions": Scenario(
        title="Additional distributions",
        unit="",
        measure=distributions,
        rounds=1,
    ),
    "size_on_disk": Scenario(
        title="Installed size with dependencies", unit="MB", measure=size_on_disk, rounds=1
    ),
}
