"""Runs the benchmark: `make bench`, or `python -m benchmarks.run --quick --only stream`.

For each scenario the contenders take turns, each in a fresh process, round by round: what else the
machine does hits all of them alike, and no scenario leaves its garbage to the next one. A full run
writes `docs/benchmarks.md`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from statistics import median

from benchmarks.bars import judged
from benchmarks.contenders import CONTENDERS
from benchmarks.report import figures, write_docs
from benchmarks.results import Results
from benchmarks.scenarios import SCENARIOS

SAVED = Path(".benchmarks/results.json")
PATIENCE = 200
"""Seconds after which a contender counts as hanging; its figures are missing then."""


@contextmanager
def running_server() -> Iterator[str]:
    """Run the server in a process of its own; gives its URL."""
    command = [sys.executable, "-m", "benchmarks.server"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
        finally:
            server.terminate()


def run(
    results: Results, scenarios: list[str], contenders: list[str], rounds: int, *, quick: bool
) -> None:
    """Measure, round by round, in turns."""
    with running_server() as server:
        for number, name, contender in product(range(rounds), scenarios, contenders):
            if SCENARIOS[name].wants(contender, results.count(name, contender)):
                what = f"{name} of {contender}"
                print(f"round {number + 1}/{rounds}: {what}", file=sys.stderr, flush=True)
                _measure(results, server, contender, name, quick=quick)
                if not quick:
                    results.save(SAVED)


def _measure(results: Results, server: str, contender: str, scenario: str, *, quick: bool) -> None:
    options = [f"--server={server}", *(["--quick"] if quick else [])]
    command = [sys.executable, "-m", "benchmarks.measure", *options, contender, scenario]
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        # Those over OpenAI's protocol have been seen to wait for ever for one stream of many.
        print(f"{contender} hangs in {scenario}", file=sys.stderr, flush=True)
        return
    if done.returncode:
        sys.exit(f"{contender} failed:\n{done.stderr}")
    results.add(scenario, contender, json.loads(done.stdout))


def main() -> None:
    """Run, show the figures and the bars, and write the docs after a full run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, one round")
    parser.add_argument("--only", action="append", choices=SCENARIOS, metavar="SCENARIO")
    parser.add_argument("--contender", action="append", choices=CONTENDERS, metavar="NAME")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--check", action="store_true", help="fail where a bar is not met")
    parser.add_argument("--saved", action="store_true", help="measure nothing, show the last run")
    parser.add_argument("--add", action="store_true", help="add rounds to the last run")
    asked = parser.parse_args()
    results = Results.load(SAVED) if asked.saved or asked.add else Results()
    if not asked.saved:
        run(
            results,
            asked.only or list(SCENARIOS),
            asked.contender or list(CONTENDERS),
            1 if asked.quick else asked.rounds,
            quick=asked.quick,
        )
    print(figures(results))
    missed = 0
    for bar, values in judged(results):
        missed += not bar.holds(values)
        verdict = "PASS" if bar.holds(values) else "FAIL"
        print(f"{verdict} {bar.rule}: {median(values):.2f} ({bar.kind} {bar.limit:g})")
    if not (asked.quick or asked.only or asked.contender):
        write_docs(results)
    sys.exit(min(missed, 1) if asked.check else 0)


if __name__ == "__main__":
    main()
