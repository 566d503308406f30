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
    assert pages == named


@pytest.mark.parametrize(
    "path",
    ["docs/moving.md", "docs/start.md", "docs/integration.md"],
)
def test_a_page_for_newcomers_names_no_other_address(path: str) -> None:
    """Nothing is published yet, so no link may promise it."""
    text = (ROOT / path).read_text(encoding="utf-8")
    assert not re.findall(r"https://(?:github\.com|pypi\.org)\S*dashscope-deepseek", text)


# --- The readme in three languages ---

ENGLISH = (ROOT / "README.md").read_text(encoding="utf-8")
LANGUAGES = ("README.md", "README.zh-CN.md", "README.ja.md")


def parts(text: str) -> tuple[list[str], list[str], list[str]]:
    """Tell what is the same in each language: the code, the levels of headings, the links."""
    code = re.findall(r"^```.*?^```$", text, re.MULTILINE | re.DOTALL)
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    levels = re.findall(r"^(#+) ", prose, re.MULTILINE)
    links = [link for link in re.findall(r"\]\(([^)]+)\)", prose) if link not in LANGUAGES]
    return code, levels, links


@pytest.mark.parametrize("name", LANGUAGES[1:])
def test_a_readme_in_another_language_is_in_step(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert parts(text) == parts(ENGLISH)
    assert {other for other in LANGUAGES if f"]({other})" in text} == {*LANGUAGES} - {name}
    assert len(re.findall(r"^- ", text, re.MULTILINE)) == len(
        re.findall(r"^- ", ENGLISH, re.MULTILINE)
    )
