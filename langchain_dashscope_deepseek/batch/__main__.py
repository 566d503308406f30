"""Ask DeepSeek each row of a table of prompts, and keep every answer whatever happens."""

import argparse
import os
import shutil
import signal
import sqlite3
import sys
import tempfile
from contextlib import closing
from functools import partial
from pathlib import Path

from langchain_dashscope_deepseek.batch.actors import OPEN_FOLDER
from langchain_dashscope_deepseek.batch._asking import Asker
from langchain_dashscope_deepseek.batch._cluster import Options, run_on_ray, write_open
from langchain_dashscope_deepseek.batch.rows_and_totals import Counts, connect, lock, read_counts
from langchain_dashscope_deepseek.batch._running import run_here
from langchain_dashscope_deepseek.batch.options import parser, task_of
from langchain_dashscope_deepseek.batch.plan import plan
from langchain_dashscope_deepseek.batch._progress import Prices, Progress, count_aloud
from langchain_dashscope_deepseek.batch._prompts import Task, read_rows
from langchain_dashscope_deepseek.batch._ledger import Store
from langchain_dashscope_deepseek.batch.tables import StoppedError
from docs.examples.service import Settings, service
from langchain_dashscope_deepseek import TokenRateLimiter

SAMPLE = Path("docs/examples/batch/prompts.jsonl")
INTERRUPTED = 130
PATIENCE = 10.0  # seconds in which the last actor of a driver that died lets go of the folder


def main() -> int:
    """Run the command; without one, run the sample and show its answers."""
    if len(sys.argv) > 1:
        return run(parser().parse_args())
    with tempfile.TemporaryDirectory() as folder:
        code = run(parser().parse_args(["run", str(SAMPLE), "--out", folder]))
        for path in sorted(Path(folder).glob("part-*")):
            print(path.read_text(encoding="utf-8"), end="")
    return code


def run(arguments: argparse.Namespace) -> int:
    """Run a command, and end with one line where it cannot go on."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if arguments.command == "status":
            counts = status(arguments.out)
        else:
            with service() as where:
                counts = ask_all(arguments, task_of(arguments), where)
    except KeyboardInterrupt:
        print("Stopped. What had arrived is kept; the same command goes on from there.", flush=True)
        return INTERRUPTED
    except sqlite3.Error as error:
        print(f"Stopped. {arguments.out}: {error}", file=sys.stderr)
        return 1
    except (StoppedError, OSError) as error:
        print(f"Stopped. {error}", file=sys.stderr)
        return 1
    except ImportError as error:
        print(f"Stopped. {error}: install it, see the README.", file=sys.stderr)
        return 1
    failed = "; those are in dead-letters, and asked again by retry-failed" if counts.failed else ""
    print(f"{counts.done:,} of {counts.total:,} answered, {counts.failed:,} failed{failed}.")
    return 0


def ask_all(arguments: argparse.Namespace, task: Task, where: Settings) -> Counts:
    """Enter the whole input into the ledger, then ask what is open."""
    dead = arguments.command == "retry-failed"
    options = Options(
        folder=arguments.out,
        form=arguments.format,
        shard_rows=arguments.shard_rows,
        workers=arguments.workers,
        concurrency=arguments.concurrency,
        requests_per_minute=arguments.requests_per_minute,
        tokens_per_minute=arguments.tokens_per_minute,
        dead=dead,
    )
    prices = Prices(arguments.price_input, arguments.price_output)
    asker_of = partial(Asker, task, attempts=arguments.attempts, where=where, failed_before=dead)
    asker = asker_of(
        TokenRateLimiter(
            requests_per_minute=options.requests_per_minute,
            tokens_per_minute=options.tokens_per_minute,
        )
    )
    options.folder.mkdir(parents=True, exist_ok=True)
    # Held by the command for as long as it runs, while the other lock goes from hand to hand.
    with closing(lock(options.folder / "run.sqlite")):
        shutil.rmtree(options.folder / OPEN_FOLDER, ignore_errors=True)
        with closing(Store(options.folder, options.form, options.shard_rows, PATIENCE)) as store:
            print(f"Checking {arguments.input} before anything is asked.", flush=True)
            rows = count_aloud(read_rows(arguments.input, task))
            plan(store, rows, "keep" if dead else arguments.changed, reopen=not dead)
            rows = read_rows(arguments.input, task)
            groups = write_open(store, rows, options) if arguments.ray else 0
            if not groups:
                try:
                    with Progress(lambda: store.counts, prices):
                        run_here(store, rows, asker, concurrency=options.concurrency, dead=dead)
                finally:
                    store.finish()
                return store.counts
        return run_on_ray(asker_of, groups, options, prices)


def status(folder: Path) -> Counts:
    """Read the ledger; a run may be writing to it."""
    if not (folder / "ledger.sqlite").exists():
        raise StoppedError(f"{folder} holds no ledger: give the folder that was --out of a run.")
    with closing(connect(folder)) as db:
        return read_counts(db)


if __name__ == "__main__":
    ended = main()
    if ended == INTERRUPTED:  # all is kept: Python and Ray take seconds to tidy up what ends anyway
        os._exit(ended)
    sys.exit(ended)
