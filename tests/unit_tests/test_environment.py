"""docs/environment.md names every variable that the package reads."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import langchain_dashscope_deepseek as package

ROOT = Path(package.__file__).parent
PAGE = ROOT.parent / "docs" / "environment.md"
VARIABLE = re.compile(r"[A-Z]+(_[A-Z]+)+")
OF_URLLIB = {"HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"}
"""What `getproxies` reads, which is asked for proxies."""


def read_by_the_package() -> set[str]:
    texts = {
        node.value
        for path in ROOT.rglob("*.py")
        if path.parent.name != "batch"  # a command with a page of its own, which sets Ray's
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return {text for text in texts if VARIABLE.fullmatch(text)} | OF_URLLIB


def named_in_the_table() -> set[str]:
    page = PAGE.read_text(encoding="utf-8")
    table = page.partition("## What the package reads")[2].partition("##")[0]
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("|")]
    names = {name for first_cell in rows for name in re.findall("`([^`]+)`", first_cell)}
    return {name for name in names if VARIABLE.fullmatch(name)}


def test_the_table_names_every_variable_that_the_package_reads() -> None:
    assert named_in_the_table() == read_by_the_package()
