"""Each example runs by its one command, without a key, and reads like the documentation."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
NAMES = sorted(path.parent.name for path in EXAMPLES.glob("*/__main__.py"))
SAYS = {
    "agent": ["Thread 'trip': 0 messages so far.", "[Calls]", "[Says]"],
    "chat": ["You: Why is the sky blue?", "The thinking is dimmed.", "tokens"],
    "extraction": ["Asking again:", "Order(customer='Ada Lovelace'", "1 asked for again"],
    "rag": ["* [1] Parcels", "[3] Kettle K2"],
    "tenants": ["for acme: Bearer sk-acme, workspace ws-acme", "for acme: Bearer sk-acme-new"],
    "vision": ["A red disc on a white ground.", "tool ['text', 'image']"],
}
ARGUMENTS = {"chat": ["Why is the sky blue?"]}
WITHOUT_A_KEY = "DASHSCOPE_API_KEY is not set, so the bundled emulator answers."


def run(name: str, *arguments: str) -> str:
    bare = {key: value for key, value in os.environ.items() if "DASHSCOPE" not in key}
    done = subprocess.run(
        [sys.executable, "-m", f"docs.examples.{name}", *arguments],
        cwd=ROOT,
        env=bare,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_every_example_is_run() -> None:
    assert {*NAMES} == {*SAYS, "web"}  # test_web_example.py runs that one, in a browser


@pytest.mark.parametrize("name", SAYS)
def test_an_example_runs_without_a_key(name: str, tmp_path: Path) -> None:
    arguments = (
        ["--database", f"{tmp_path}/a.sqlite"] if name == "agent" else ARGUMENTS.get(name, [])
    )
    out = run(name, *arguments)
    assert WITHOUT_A_KEY in out
    for text in SAYS[name]:
        assert text in out


def test_the_batch_command_runs_without_a_key_over_its_sample(tmp_path: Path) -> None:
    sample, out = str(EXAMPLES / "batch" / "prompts.jsonl"), str(tmp_path)
    said = run("service", "langchain_dashscope_deepseek.batch", "run", sample, "--out", out)
    assert WITHOUT_A_KEY in said
    assert "12 of 12 answered, 0 failed." in said
    assert (tmp_path / "part-00001.jsonl").exists()


def test_the_agent_goes_on_where_it_was(tmp_path: Path) -> None:
    arguments = ["--database", f"{tmp_path}/a.sqlite"]
    run("agent", *arguments)
    out = run("agent", *arguments)
    assert "Thread 'trip': 0 messages" not in out
    assert "[Calls]" not in out


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_short_and_uses_what_is_public(name: str) -> None:
    sources = [path.read_text(encoding="utf-8") for path in (EXAMPLES / name).glob("*.py")]
    assert all(len(source.splitlines()) < 160 for source in sources)
    imported = {
        f"{node.module}.{alias.name}"
        for source in sources
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert not [each for each in imported if re.search(r"(^|\.)_", each)]
    ours = {each.rpartition(".")[0] for each in imported if each.startswith("langchain_dashscope")}
    assert ours <= {"langchain_dashscope_deepseek", "langchain_dashscope_deepseek.testing"}


@pytest.mark.parametrize("name", NAMES)
def test_an_example_says_in_a_few_lines_how_to_run_it(name: str) -> None:
    text = (EXAMPLES / name / "README.md").read_text(encoding="utf-8")
    before_code = text.partition("<!-- code of ")[0].splitlines()
    assert len(before_code) <= (32 if name == "web" else 16)
    assert f"make example NAME={name}" in text


@pytest.mark.parametrize("name", NAMES)
def test_the_page_of_an_example_shows_all_its_code(name: str) -> None:
    text = (EXAMPLES / name / "README.md").read_text(encoding="utf-8")
    shown = set(re.findall(rf'^--8<-- "docs/examples/{name}/(.+)"$', text, re.MULTILINE))
    assert shown == {path.name for path in (EXAMPLES / name).glob("*.[ph]*") if path.is_file()}
    assert "<!-- code of " in text
