"""Rows of a table asked by the thousand: `python -m benchmarks.rows`, the end of `make bench`.

Each contender asks the same rows, as many at a time, of the same server, in a fresh process: once a
quarter of them and once all, so that the difference holds no start. Its rows a second and its CPU a
row, are printed beside those of bare `httpx`, which keeps nothing. The
contenders take turns, round by round, as in `benchmarks.run`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from benchmarks.contenders import CONTENDERS
from benchmarks.run import running_server

MODEL = "deepseek-v4-flash-0731"
EVENTS = 50
PATHS = {"after a second": "late", "at once": "text"}
"""When the server answers, and the kind of answer that stands for it in its URL."""

AT_LEAST = 0.9
"""What one process of the command must reach of bare `httpx`, where the server takes its time."""

TWO_AT_LEAST = 1.7
"""What two workers must reach of one process, on a machine with the cores for it."""

CORES = 6
"""For the driver, the ledger, two workers, the limits and the server."""


class Asked:
    """What a contender is asked to do."""

    def __init__(self, server: str, path: str, rows: int, at_a_time: int) -> None:
        """Take the size of the work, and where it is done."""
        self.server, self.path = server, f"{path}{EVENTS}"
        self.rows, self.at_a_time = rows, at_a_time
        self.base_url = f"{server}/{self.path}/api/v1"

    @property
    def prompts(self) -> Iterator[str]:
        """The prompts, one a row."""
        return (f"Name a colour, please: {number}" for number in range(self.rows))


def bare(asked: Asked) -> None:
    """Post by one `httpx.AsyncClient`, and read the JSON: what a script of ten lines does."""
    url = f"{asked.base_url}/services/aigc/text-generation/generation"

    async def post() -> None:
        todo = asked.prompts
        limits = httpx.Limits(max_connections=asked.at_a_time)
        async with httpx.AsyncClient(limits=limits, timeout=60) as client:

            async def worker() -> None:
                for prompt in todo:
                    messages = [{"role": "user", "content": prompt}]
                    body = {"model": MODEL, "input": {"messages": messages}}
                    response = await client.post(url, json=body)
                    assert response.json()["output"]

            await asyncio.gather(*(worker() for _ in range(asked.at_a_time)))

    asyncio.run(post())


def batched(name: str) -> Callable[[Asked], None]:
    """Ask by LangChain's own `abatch`, which holds all answers in memory."""

    def run(asked: Asked) -> None:
        contender: Any = CONTENDERS[name](asked.server, asked.path, streamed=False)
        config: Any = {"max_concurrency": asked.at_a_time}
        answers = asyncio.run(contender.model.abatch(list(asked.prompts), config=config))
        assert len(answers) == asked.rows

    return run


def command_line(*options: str) -> Callable[[Asked], None]:
    """Ask by the batch command of this package, which keeps each answer on disk."""

    def run(asked: Asked) -> None:
        with tempfile.TemporaryDirectory() as folder:
            table = Path(folder, "prompts.jsonl")
            with table.open("w", encoding="utf-8") as lines:
                for number, prompt in enumerate(asked.prompts):
                    lines.write(json.dumps({"id": str(number), "prompt": prompt}) + "\n")
            command = [sys.executable, "-m", "langchain_dashscope_deepseek.batch"]
            command += ["run", str(table), "--out", f"{folder}/out"]
            command += ["--model", MODEL, "--set", "streaming=false"]
            command += ["--set", "enable_thinking=false", "--concurrency", str(asked.at_a_time)]
            where = {"DASHSCOPE_API_KEY": "sk-x", "DASHSCOPE_HTTP_BASE_URL": asked.base_url}
            log = Path(folder, "log")
            with log.open("w", encoding="utf-8") as out:
                done = subprocess.run(
                    [*command, *options],
                    check=False,
                    stdout=out,
                    stderr=out,
                    env={**os.environ, **where},
                )
            assert done.returncode == 0, log.read_text(encoding="utf-8")[-2_000:]

    return run


def ray_data_llm(asked: Asked) -> None:
    """Ask by Ray Data's own processor of HTTP requests."""
    import ray
    from ray.data.llm import HttpRequestProcessorConfig, build_processor

    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)
    config = HttpRequestProcessorConfig(
        url=f"{asked.base_url}/services/aigc/text-generation/generation",
        headers={"Authorization": "Bearer sk-x"},
        batch_size=asked.at_a_time,
        concurrency=2,
    )
    processor = build_processor(
        config,
        preprocess=lambda row: {
            "payload": {
                "model": MODEL,
                "input": {"messages": [{"role": "user", "content": row["prompt"]}]},
            }
        },
        postprocess=lambda row: {"text": str(row["http_response"])},
    )
    rows = ray.data.from_items([{"prompt": prompt} for prompt in asked.prompts])
    assert processor(rows).count() == asked.rows
    ray.shutdown()


ROWS: dict[str, Callable[[Asked], None]] = {
    "bare httpx": bare,
    "batch, one process": command_line(),
    "batch, Ray, 2 workers": command_line("--ray", "--workers", "2"),
    "abatch": batched("this package"),
    "langchain-deepseek's abatch": batched("langchain-deepseek"),
    "Ray Data LLM's HTTP processor": ray_data_llm,
}


FEWER = {"Ray Data LLM's HTTP processor": 40}
"""Of those that ask one row after the other (its `session.post` waits until it is awaited)."""


def measure(name: str, asked: Asked) -> None:
    """Ask, and print rows a second and the seconds of CPU a row, without what the start takes."""
    many = asked.rows // FEWER.get(name, 1)
    few = many // 4
    took = []
    for rows in (few, many):
        asked.rows = rows
        began, used = time.perf_counter(), _cpu()
        ROWS[name](asked)
        took.append((time.perf_counter() - began, _cpu() - used))
    seconds, cpu = (more - less for less, more in zip(*took, strict=True))
    print(json.dumps([(many - few) / seconds, cpu / (many - few)]))


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def compare(names: list[str], sizes: list[str], rounds: int) -> dict[str, list[list[float]]]:
    """Measure each contender in a process of its own, in turns."""
    found: dict[str, list[list[float]]] = {name: [] for name in names}
    with running_server() as server:
        for _ in range(rounds):
            for name in names:
                command = [sys.executable, "-m", "benchmarks.rows", "--measure", name]
                done = subprocess.run(
                    [*command, "--server", server, *sizes],
                    check=False, capture_output=True, text=True,
                )  # fmt: skip
                if done.returncode:
                    sys.exit(f"{name} failed:\n{done.stderr[-3_000:]}")
                found[name].append(json.loads(done.stdout.splitlines()[-1]))
                print(f"{name}: {found[name][-1]}", file=sys.stderr, flush=True)
    return found


def judge(found: dict[str, list[list[float]]], when: str) -> None:
    """Say whether the bars are met, where both sides of them were measured."""
    bars = [("batch, one process", "bare httpx", AT_LEAST)] if PATHS[when] == "late" else []
    if PATHS[when] == "text" and (os.cpu_count() or 1) >= CORES:  # else a wait hides the cores
        bars += [("batch, Ray, 2 workers", "batch, one process", TWO_AT_LEAST)]
    print()
    for ours, theirs, limit in bars:
        pairs = zip(found.get(ours, []), found.get(theirs, []), strict=False)
        if shares := [mine[0] / other[0] for mine, other in pairs]:
            verdict = "PASS" if median(shares) >= limit else "FAIL"
            print(f"{verdict} {ours} over {theirs}: {median(shares):.2f} (at least {limit})")


def main() -> None:
    """Compare, and print a table for each kind of server."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=4_000)
    parser.add_argument("--at-a-time", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", action="append", choices=ROWS)
    parser.add_argument("--answers", action="append", choices=PATHS)
    parser.add_argument("--measure", choices=ROWS, help=argparse.SUPPRESS)
    parser.add_argument("--server", help=argparse.SUPPRESS)
    parser.add_argument("--path", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        measure(asked.measure, Asked(asked.server, asked.path, asked.rows, asked.at_a_time))
        return
    for when in asked.answers or PATHS:
        sizes = ["--path", PATHS[when], "--rows", str(asked.rows)]
        sizes += ["--at-a-time", str(asked.at_a_time)]
        found = compare(asked.only or list(ROWS), sizes, asked.rounds)
        print(f"\n{asked.rows:,} rows, {asked.at_a_time} at a time, answered {when}:\n")
        print("| | rows/s | over bare httpx | CPU a row (ms) |\n| --- | --- | --- | --- |")
        for name, figures in found.items():
            rate, cpu = median(f[0] for f in figures), median(f[1] for f in figures)
            shares = [
                f[0] / b[0] for f, b in zip(figures, found.get("bare httpx", []), strict=False)
            ]
            share = f"{median(shares):.2f}" if shares else "-"
            # The processes of Ray are no children of this one.
            shown = "-" if "Ray" in name else f"{1e3 * cpu:.2f}"
            print(f"| {name} | {rate:,.0f} | {share} | {shown} |")
        judge(found, when)


if __name__ == "__main__":
    main()
