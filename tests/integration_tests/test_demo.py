"""`make demo`, without make: the first code that a newcomer runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[2] / "docs" / "examples" / "demo.py"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    unset = ("DASHSCOPE_API_KEY", "DASHSCOPE_HTTP_BASE_URL")
    environment = {k: v for k, v in os.environ.items() if k not in unset}
    return subprocess.run(
        [sys.executable, "-W", "error", str(DEMO), *arguments],
        env={**environment, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("question", ["Why is the sky blue?", "天空为什么是蓝色的？"])
def test_the_demo_shows_reasoning_then_the_answer_then_the_bill(question: str) -> None:
    done = run(question)
    assert done.stderr == ""
    assert done.returncode == 0
    assert re.search(
        r"emulator answers\..*--- Reasoning ---.*--- Answer ---.*"
        r"Tokens: \d+ input, \d+ output, \d+ of it reasoning\. Request: [\w-]{36}\n$",
        done.stdout,
        re.DOTALL,
    )


def test_the_demo_asks_another_model() -> None:
    assert "deepseek-v3" in run("--model", "deepseek-v3", "Hello").stdout


def test_the_demo_says_what_went_wrong() -> None:
    done = run("--model", "no-such-model", "Hello")
    assert done.returncode == 1
    assert "DashScopeNotFoundError" in done.stderr
    assert "Traceback" not in done.stderr
