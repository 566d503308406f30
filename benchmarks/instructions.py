"""Counts instructions instead of time, as a guard against growing slow: `make bench_instructions`.

Valgrind counts what a stream from a transport in memory executes. Streams of two lengths are
counted, so that their difference is what an event costs, without imports and set-up. Kept, in
`instructions.json`, is the ratio to the LangChain baseline, counted in the same run: it survives
another build of Python better than the count itself.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from benchmarks.answers import MODEL, answer, native_events

T = TypeVar("T")
KEPT = Path(__file__).with_name("instructions.json")
SHORT, LONG = 200, 1_200
MORE = 1.05
"""How much a ratio may grow before the guard fails; between runs it moves by less than 1 %."""


def stream_ours(events: int) -> int:
    """Stream an answer from memory through this package; gives how many chunks came.

    As many events are rendered whatever the length, so that the difference holds no rendering.
    """
    import httpx

    from langchain_dashscope_deepseek import ChatDashScopeDeepSeek

    pieces = _middle(native_events(answer("text", LONG)), events)

    class Body(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            return iter(pieces)

    def respond(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Body())

    http = httpx.Client(transport=httpx.MockTransport(respond))
    model = ChatDashScopeDeepSeek(model=MODEL, api_key="sk-benchmark", http_client=http)
    return sum(1 for _ in model.stream("Why?"))


def stream_ready(events: int) -> int:
    """Stream chunks that are ready through LangChain's base class.

    As many chunks are built whatever the length, so that the difference holds no building.
    """
    from benchmarks.contenders import QUESTION, Core

    baseline = Core("", "")
    baseline.prepare(answer("text", LONG), 1)
    (chunks,) = baseline.streams
    chunks[:] = _middle(chunks, events)
    return sum(1 for _ in baseline.stream(QUESTION))


def _middle(parts: list[T], events: int) -> list[T]:
    """Give a shorter stream: half of it thinks and half speaks, and the last part is the last."""
    start = (LONG - events) // 2
    return [*parts[start : start + events - 1], parts[-1]]


STREAMS: dict[str, Callable[[int], int]] = {"ours": stream_ours, "floor": stream_ready}


def instructions(stream: str, events: int) -> int:
    """Count what a process executes that streams an answer of so many events."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [
                *("valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out"),
                *(sys.executable, "-m", "benchmarks.instructions", stream, str(events)),
            ],
            env={**os.environ, "PYTHONHASHSEED": "0", "PYTHONWARNINGS": "ignore"},
            check=True,
            capture_output=True,
            text=True,
        )
    counted = re.search(r"Collected : (\d+)", done.stderr)
    assert counted is not None, done.stderr
    return int(counted[1])


def per_event() -> dict[str, float]:
    """Give the instructions of an event: the difference of a long stream and a short one."""
    runs = [(stream, events) for stream in STREAMS for events in (SHORT, LONG)]
    with ThreadPoolExecutor(max_workers=2) as processes:
        counts = dict(zip(runs, processes.map(lambda run: instructions(*run), runs), strict=True))
    return {
        stream: (counts[stream, LONG] - counts[stream, SHORT]) / (LONG - SHORT)
        for stream in STREAMS
    }


def main() -> None:
    """Count, show, and compare with what is kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stream", choices=STREAMS, nargs="?", help="only stream, count nothing")
    parser.add_argument("events", type=int, nargs="?")
    parser.add_argument("--keep", action="store_true", help="keep what was counted")
    asked = parser.parse_args()
    if asked.stream:
        assert STREAMS[asked.stream](asked.events) == asked.events
        return
    counts = per_event()
    counted = {
        "python": platform.python_version(),
        **{stream: round(count) for stream, count in counts.items()},
        "ratio": round(counts["ours"] / counts["floor"], 3),
    }
    print(json.dumps(counted, indent=2))
    if asked.keep:
        KEPT.write_text(json.dumps(counted, indent=2) + "\n", encoding="utf-8")
    kept = json.loads(KEPT.read_text(encoding="utf-8"))
    if counted["ratio"] > kept["ratio"] * MORE:
        sys.exit(f"An event costs more than {MORE:.0%} of what is kept: {kept['ratio']}")


if __name__ == "__main__":
    main()
