"""docs/compatibility.md names the versions that pyproject.toml declares."""

from __future__ import annotations

import re
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]


def test_the_lowest_versions_are_those_that_are_declared() -> None:
    page = (ROOT / "docs" / "compatibility.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([\w-]+)[^|]* \| ([\d.]+) \|", page, re.MULTILINE)
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = settings["project"]
    declared = [
        f"Python{project['requires-python']}",
        *project["dependencies"],
        *(text for text in settings["dependency-groups"]["unit"] if isinstance(text, str)),
    ]
    lowest = dict(re.findall(r"^([\w-]+)\D*>=([\d.]+)", "\n".join(declared), re.MULTILINE))
    named = dict(rows)
    assert {"Python", "langchain-core", "langchain", "httpx", "pydantic"} <= named.keys()
    for name, version in named.items():
        if name != "langgraph":  # declared by langchain
            assert lowest[name] == version
