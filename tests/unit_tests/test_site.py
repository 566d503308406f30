"""The site has every page, each of its guides is reached from its start, and its languages are in step."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def test_every_page_is_in_the_navigation() -> None:
    """All but the one in the form of LangChain's integration pages, which repeats the others."""
    settings = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    named = set(re.findall(r"^ +- [^:\n]+: (\S+\.md)$", settings, re.MULTILINE))
    pages = {str(path.relative_to(DOCS)) for path in DOCS.glob("**/*.md")}
    assert pages - {"integration.md"} == named


def test_no_page_is_empty() -> None:
    assert not [path for path in DOCS.glob("**/*.md") if not path.read_text("utf-8").strip()]


# --- What there is in three languages ---

TRANSLATED = ("README.md", "docs/start.md")
LANGUAGES = ("zh-CN", "ja")


def in_all_languages(path: str) -> dict[str, str]:
    """Read a page in each of its languages, by the names of the files."""
    english = ROOT / path
    paths = [english, *(english.with_suffix(f".{language}.md") for language in LANGUAGES)]
    return {path.name: path.read_text(encoding="utf-8") for path in paths}


def parts(text: str, names: Collection[str]) -> tuple[list[str], list[str], list[str], int]:
    """Tell what is the same in each language: code, levels of headings, links, points of lists."""
    code = re.findall(r"^```.*?^```$", text, re.MULTILINE | re.DOTALL)
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    levels = re.findall(r"^(#+) ", prose, re.MULTILINE)
    links = [link for link in re.findall(r"\]\(([^)]+)\)", prose) if link not in names]
    return code, levels, links, len(re.findall(r"^- ", prose, re.MULTILINE))


@pytest.mark.parametrize("path", TRANSLATED)
def test_a_page_says_the_same_in_each_language(path: str) -> None:
    texts = in_all_languages(path)
    english, *others = (parts(text, texts) for text in texts.values())
    assert others == [english] * len(LANGUAGES)


@pytest.mark.parametrize("path", TRANSLATED)
def test_a_page_leads_to_its_other_languages_from_its_top(path: str) -> None:
    texts = in_all_languages(path)
    for name, text in texts.items():
        top = "\n".join(text.splitlines()[:6])
        assert {other for other in texts if f"]({other})" in top} == {*texts} - {name}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_page_of_the_site_says_its_language(language: str) -> None:
    """Browsers choose the shapes of characters by it, and screen readers the voice."""
    text = in_all_languages("docs/start.md")[f"start.{language}.md"]
    assert text.count(f'<div lang="{language}" markdown>\n') == 1
