"""The site has every page, each of its guides is reached from its start, and its languages are in step."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def test_every_page_is_in_the_navigation() -> None:
    settings = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    named = set(re.findall(r"^ +- [^:\n]+: (\S+\.md)$", settings, re.MULTILINE))
    pages = {str(path.relative_to(DOCS)) for path in DOCS.glob("**/*.md")}
    assert {page for page in pages if not page.startswith("examples/")} == named


@pytest.mark.parametrize(
    "path",
    ["docs/moving.md", "docs/start.md", "docs/integration.md"],
)
def test_a_page_for_newcomers_names_no_other_address(path: str) -> None:
    """Nothing is published yet, so no link may promise it."""
    text = (ROOT / path).read_text(encoding="utf-8")
    assert not re.findall(r"https://(?:github\.com|pypi\.org)\S*dashscope-deepseek", text)
