"""What the command line takes."""

import argparse
import json
import math
import re
from pathlib import Path
from typing import Any

from langchain_dashscope_deepseek.batch._prompts import Task
from langchain_dashscope_deepseek.batch.schemas import load
from langchain_dashscope_deepseek.batch.tables import StoppedError


def parser() -> argparse.ArgumentParser:
    """Make the parser of the three commands."""
    whole = argparse.ArgumentParser(
        prog="batch", description="Ask DeepSeek each row of a table, and keep every answer."
    )
    commands = whole.add_subparsers(dest="command", required=True)
    for name, text in {
        "run": "ask what was not answered yet",
        "retry-failed": "ask the dead letters again, with the prompts of the input",
    }.items():
        _add_options(commands.add_parser(name, help=text))
    status = commands.add_parser("status", help="tell how far a folder is")
    status.add_argument("--out", type=Path, required=True)
    return whole


def _add_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("input", type=Path, help="a table: .jsonl, .csv or .parquet")
    add("--out", type=Path, required=True, help="the folder of the answers")
    add("--format", choices=["jsonl", "parquet"], default="jsonl", help="of the answers")
    add("--shard-rows", type=_positive, default=5000, help="answers in a file")
    add("--id-column", default="id")
    prompt = command.add_mutually_exclusive_group()
    prompt.add_argument(
        "--template", help="the prompt, by default {prompt}: a column in braces, {{ for a brace"
    )
    prompt.add_argument("--template-file", type=Path)
    prompt.add_argument("--messages-column", help="a column of messages with role and content")
    add("--model", default="deepseek-v4.1-flash")
    add(
        "--set", type=_setting, action="append", default=[], metavar="NAME=VALUE",
        help="a setting of the model, its value as JSON: --set temperature=0",
    )  # fmt: skip
    add("--schema", metavar="MODULE:CLASS", help="a pydantic class that answers must fit")
    add("--concurrency", type=_positive, default=64, help="requests at a time")
    add("--attempts", type=_positive, default=6, help="how often a row is asked at most")
    add("--requests-per-minute", type=_limit)
    add("--tokens-per-minute", type=_limit, help="input and output together")
    add("--price-input", type=_price, help="for a million tokens; for the cost in the progress")
    add("--price-output", type=_price)
    add(
        "--changed", choices=["ask", "keep"],
        help="what to do where an answered id has another prompt or other parameters now",
    )  # fmt: skip
    add("--ray", action="store_true", help="on a Ray cluster: RAY_ADDRESS, or one on this machine")
    add("--workers", type=_positive, default=2, help="processes that ask, with --ray")


def task_of(arguments: argparse.Namespace) -> Task:
    """Read what is to be asked.

    Raises:
        StoppedError: There is no such schema, or the template is none.
    """
    template = "{prompt}" if arguments.template is None else arguments.template
    if arguments.template_file:
        try:
            template = arguments.template_file.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            raise StoppedError(f"{arguments.template_file} is not UTF-8.") from None
    schema = load(arguments.schema).model_json_schema() if arguments.schema else None
    return Task(
        model=arguments.model,
        settings=dict(arguments.set),
        schema=arguments.schema,
        schema_text=json.dumps(schema, sort_keys=True),
        template=template,
        messages_column=arguments.messages_column,
        id_column=arguments.id_column,
    )


def _setting(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError("give NAME=VALUE, such as temperature=0")
    if name in {"model", "max_retries"} or re.search("api_key|api_base|base_url", name):
        raise argparse.ArgumentTypeError(f"{name} is not set here: see --help and the README")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def _limit(text: str) -> float:
    number = float(text)
    if not number > 0:
        raise argparse.ArgumentTypeError("give a number above 0; without the option there is none")
    return number


def _price(text: str) -> float:
    number = float(text)
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError("give a price")
    return number


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("give a number above 0")
    return number
