"""The command: asks the rows of a table, retries failed ones, and prints a folder's progress."""

import argparse
import json
import os
import re
import signal
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import closing, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from langchain_dashscope_deepseek.batch._asking import Asker
from langchain_dashscope_deepseek.batch._cluster import Options, run_on_ray
from langchain_dashscope_deepseek.batch._ledger import Changed, Counts, Ledger, lock, read_counts
from langchain_dashscope_deepseek.batch._progress import Prices, progress, report_checked
from langchain_dashscope_deepseek.batch._prompts import StoppedError, Task, read_rows
from langchain_dashscope_deepseek.batch._running import run_here
from langchain_dashscope_deepseek.errors import DashScopeAuthenticationError
from langchain_dashscope_deepseek.rate_limiter import TokenRateLimiter

INTERRUPTED = 130
PATIENCE = 10.0  # seconds to wait for the lock, which an actor of a killed command may still hold


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit code."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        counts = read_counts(options.out) if options.command == "status" else _ask(options)
    except KeyboardInterrupt:
        print("Stopped. All answers so far are kept; run the same command to continue.", flush=True)
        return INTERRUPTED
    except ModuleNotFoundError as error:
        extra = "batch" if error.name == "pyarrow" else "ray"
        install = f'pip install "langchain-dashscope-deepseek[{extra}]"'
        print(f"Stopped. {error}: {install}", file=sys.stderr)
        return 1
    except (StoppedError, DashScopeAuthenticationError, OSError, sqlite3.Error) as error:
        print(f"Stopped. {error}", file=sys.stderr)
        return 1
    hint = ": the file dead-letters lists them when a run ends, and retry-failed sends them again"
    failed = f"{counts.failed:,} failed{hint if counts.failed else ''}"
    print(f"{counts.answered:,} of {counts.total:,} answered, {failed}.")
    return 0


def _ask(options: argparse.Namespace) -> Counts:
    """Enter the whole input into the ledger, then ask the open rows."""
    for name, is_needed in {"pyarrow": options.format == "parquet", "ray": options.ray}.items():
        if is_needed and find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    retry_failed = options.command == "retry-failed"
    changed: Changed | None = options.changed or ("keep" if retry_failed else None)
    prices = Prices(options.price_input, options.price_output)
    task, folder = _task(options), options.out
    files = (options.format, options.shard_rows)
    limits = (options.requests_per_minute, options.tokens_per_minute)
    make_asker = partial(Asker, task, options.attempts, retry_failed)
    asker = make_asker(TokenRateLimiter(requests_per_minute=limits[0], tokens_per_minute=limits[1]))
    asker.check_key()
    folder.mkdir(parents=True, exist_ok=True)
    # The command holds this lock until it ends; with --ray an actor holds the lock of the ledger.
    with closing(lock(folder / "run.sqlite")):
        with closing(Ledger(folder, *files, PATIENCE)) as ledger:
            print(f"Checking {options.input} before anything is asked.", flush=True)
            rows = report_checked(read_rows(options.input, task))
            queued = ledger.plan(rows, changed, retry_failed)
            if not (options.ray and queued):
                try:
                    with progress(lambda: ledger.counts, prices):
                        run_here(ledger, asker, queued, options.concurrency)
                finally:
                    ledger.finish()
                return ledger.counts
        cluster = Options(folder, *files, options.workers, options.concurrency, *limits)
        return run_on_ray(make_asker, queued, cluster, prices)


def _task(options: argparse.Namespace) -> Task:
    template = options.template
    if options.template_file:
        try:
            template = options.template_file.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            raise StoppedError(f"{options.template_file} is not UTF-8.") from None
    return Task(
        model=options.model,
        settings=dict(options.set),
        schema=options.schema,
        template=template,
        messages_column=options.messages_column,
        id_column=options.id_column,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m langchain_dashscope_deepseek.batch",
        description="Ask DeepSeek each row of a table, and keep every answer.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    _add_options(commands.add_parser("run", help="ask the rows that are not finished"))
    retry_help = "ask the rows that are not finished, and failed rows again"
    _add_options(commands.add_parser("retry-failed", help=retry_help))
    status = commands.add_parser("status", help="print the progress of a folder")
    status.add_argument("--out", type=Path, required=True)
    return parser


def _add_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("input", type=Path, help="a table: .jsonl, .csv or .parquet")
    add("--out", type=Path, required=True, help="the folder of the answers")
    add("--format", choices=["jsonl", "csv", "parquet"], default="jsonl", help="of the answers")
    add("--shard-rows", type=_positive, default=5000, help="answers in a file")
    add("--id-column", default="id")
    prompt = command.add_mutually_exclusive_group()
    help_template = "the prompt, with columns in braces, {{ for { and }} for }; by default {prompt}"
    prompt.add_argument("--template", default="{prompt}", help=help_template)
    prompt.add_argument("--template-file", type=Path)
    prompt.add_argument("--messages-column", help="a column of messages with role and content")
    add("--model", default="deepseek-v4.1-flash")
    help_set = "a setting of the model, with a JSON value: --set temperature=0"
    add("--set", type=_setting, action="append", default=[], metavar="NAME=VALUE", help=help_set)
    add("--schema", metavar="MODULE:CLASS", help="a pydantic class that answers must fit")
    add("--concurrency", type=_positive, default=64, help="requests at a time")
    help_attempts = "requests for a row at most, rate limit errors not counted"
    add("--attempts", type=_positive, default=6, help=help_attempts)
    add("--requests-per-minute", type=_positive)
    add("--tokens-per-minute", type=_positive, help="input and output together")
    add("--price-input", type=float, help="of a million tokens, for the cost in the progress")
    add("--price-output", type=float)
    help_changed = "what to do with an answered id that has another prompt or other parameters now"
    add("--changed", choices=["ask", "keep"], help=help_changed)
    add("--ray", action="store_true", help="on a Ray cluster: RAY_ADDRESS, or one on this machine")
    add("--workers", type=_positive, default=2, help="processes that ask, with --ray")


def _setting(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError("give NAME=VALUE, such as temperature=0")
    if name in {"model", "max_retries"} or re.search("api_key|api_base|base_url", name):
        raise argparse.ArgumentTypeError(
            f"{name} cannot be given with --set: use --model for the model, --attempts for "
            "retries, the variables DASHSCOPE_API_KEY and DASHSCOPE_HTTP_BASE_URL for the account"
        )
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def _positive(text: str) -> int:
    with suppress(ValueError):
        if int(text) > 0:
            return int(text)
    raise argparse.ArgumentTypeError("give a whole number above 0")


if __name__ == "__main__":
    exit_code: int = main()
    if exit_code == INTERRUPTED:  # nothing is lost; Python and Ray would need seconds to end
        os._exit(exit_code)
    sys.exit(exit_code)
