"""The batch command, with an emulator and a folder of its own."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet
from pydantic import BaseModel
from typing_extensions import Self

from langchain_dashscope_deepseek.batch.__main__ import main
from langchain_dashscope_deepseek.testing import DashScopeEmulator

ROOT = Path(__file__).parents[2]


class Marks(BaseModel, extra="forbid"):
    """What an answer must fit."""

    marks: dict[str, int]
    weight: float = 1


class Odd(BaseModel):
    """What no JSON schema can say."""

    marks: Callable[[int], int]


class Batch:
    """The command line, with an emulator and an out folder of its own."""

    def __init__(self, folder: Path, emulator: DashScopeEmulator) -> None:
        self.folder, self.out, self.emulator = folder, folder / "results", emulator
        self._processes: list[subprocess.Popen[str]] = []
        self.environment = {
            **{key: value for key, value in os.environ.items() if "DASHSCOPE" not in key},
            "DASHSCOPE_API_KEY": emulator.api_key,
            "DASHSCOPE_HTTP_BASE_URL": emulator.base_url,
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()

    def write(self, rows: list[dict[str, Any]], form: str = "jsonl") -> Path:
        path = self.folder / f"prompts.{form}"
        match form:
            case "jsonl":
                lines = (json.dumps(row, ensure_ascii=False) for row in rows)
                path.write_text("\n".join(lines), encoding="utf-8")
            case "csv":
                with path.open("w", encoding="utf-8", newline="") as file:
                    writer = csv.DictWriter(file, [*rows[0]])
                    writer.writeheader()
                    writer.writerows(rows)
            case "parquet":
                parquet.write_table(pa.Table.from_pylist(rows), path)
        return path

    def rows(self, count: int, form: str = "jsonl") -> Path:
        return self.write([{"id": f"r{n}", "prompt": f"Say {n}."} for n in range(count)], form)

    def command(self, table: Path, *options: str, command: str = "run") -> list[str]:
        model = ("--model", "deepseek-v4-flash-0731", "--set", "enable_thinking=false")
        return [command, str(table), "--out", str(self.out), *model, *options]

    def start(self, table: Path, *options: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "langchain_dashscope_deepseek.batch",
                *self.command(table, *options),
            ],
            cwd=ROOT,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._processes.append(process)
        return process

    def run(self, table: Path, *options: str, command: str = "run", code: int = 0) -> str:
        return self.call(*self.command(table, *options, command=command), code=code)

    def call(self, *arguments: str, code: int = 0) -> str:
        """Run a command in this process: a new one takes seconds to import everything."""
        out, err, before = StringIO(), StringIO(), signal.getsignal(signal.SIGTERM)
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            for name in ("DASHSCOPE_API_KEY", "DASHSCOPE_HTTP_BASE_URL"):
                patch.setenv(name, self.environment[name])
            ended = main(arguments)
        signal.signal(signal.SIGTERM, before)
        assert (ended, err.getvalue() if code == 0 else "") == (code, "")
        return out.getvalue() + err.getvalue()

    def asked(self) -> Counter[str]:
        return Counter(
            request.body["input"]["messages"][-1]["content"]
            for request in self.emulator.requests
            if request.body  # whoever is killed may have sent half of one
        )

    def answers(self) -> list[dict[str, Any]]:
        return [record for path in sorted(self.out.glob("part-*")) for record in read(path)]

    def dead(self) -> list[dict[str, Any]]:
        return [record for path in self.out.glob("dead-letters.*") for record in read(path)]


def read(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        found: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
        return found
    if path.suffix == ".csv":
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def ids(records: list[dict[str, Any]]) -> list[str]:
    return sorted((record["id"] for record in records), key=lambda name: int(name[1:]))


def names(count: int) -> list[str]:
    return [f"r{n}" for n in range(count)]
