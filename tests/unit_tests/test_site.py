"""The site has every page, each of its guides is reached from its start, and its languages are in step."""

from __future__ import annotations

import ast
import re
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


def test_an_example_has_the_same_title_in_the_navigation() -> None:
    settings = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    named = re.findall(r"^ +- ([^:\n]+): (examples/\S+\.md)$", settings, re.MULTILINE)
    for title, path in named:
        assert (DOCS / path).read_text(encoding="utf-8").startswith(f"# {title}\n")
    assert len(named) == len([*DOCS.glob("examples/*/README.md")])


def test_no_page_is_empty() -> None:
    assert not [path for path in DOCS.glob("**/*.md") if not path.read_text("utf-8").strip()]


# --- Pages in more than one language ---

LANGUAGES = ("zh-CN", "ja")
SERVICE_DOCS = ("https://help.aliyun.com/zh/", "https://www.alibabacloud.com/help/en/")
"""A page links to the service's own documentation in its language."""
TRANSLATED = sorted(
    {
        path.relative_to(ROOT).as_posix().replace(f".{language}.md", ".md")
        for language in LANGUAGES
        for path in (*ROOT.glob(f"*.{language}.md"), *DOCS.glob(f"**/*.{language}.md"))
    }
)


def in_all_languages(path: str) -> dict[str, str]:
    """Read a page in each of its languages, by the names of the files; English is first."""
    english = ROOT / path
    paths = [english, *(english.with_suffix(f".{language}.md") for language in LANGUAGES)]
    return {path.name: path.read_text(encoding="utf-8") for path in paths if path.exists()}


def same_code(block: str) -> str:
    """Leave out comments and docstrings, which are translated."""
    kind, _, code = block.removeprefix("```").removesuffix("```").partition("\n")
    if kind != "python":
        return re.sub(r"(^|\s+)# .*$", "", block, flags=re.MULTILINE)
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            node.body = [
                each
                for number, each in enumerate(node.body)
                if number or not (isinstance(each, ast.Expr) and ast.get_docstring(node))
            ]
    return ast.dump(tree)


def parts(text: str) -> tuple[list[str], list[str], list[str], int]:
    """Tell what is the same in each language: code, levels of headings, links, points of lists."""
    code = re.findall(r"^```.*?^```$", text, re.MULTILINE | re.DOTALL)
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    levels = re.findall(r"^(#+) ", prose, re.MULTILINE)
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)]+)\)", prose)]
    for language in LANGUAGES:
        links = [link.replace(f".{language}.md", ".md") for link in links]
    for address in SERVICE_DOCS:
        links = [link.replace(address, "") for link in links]
    return [*map(same_code, code)], levels, links, len(re.findall(r"^- ", prose, re.MULTILINE))


@pytest.mark.parametrize("path", TRANSLATED)
def test_a_page_says_the_same_in_each_language(path: str) -> None:
    english, *others = map(parts, in_all_languages(path).values())
    assert others == [english] * len(others)


@pytest.mark.parametrize("path", TRANSLATED)
def test_a_page_leads_to_its_other_languages_from_its_top(path: str) -> None:
    texts = in_all_languages(path)
    for name, text in texts.items():
        top = "\n".join(text.splitlines()[:6])
        assert {other for other in texts if f"]({other})" in top} == {*texts} - {name}


@pytest.mark.parametrize("path", TRANSLATED)
def test_a_page_leads_to_pages_in_its_language(path: str) -> None:
    for name, text in in_all_languages(path).items():
        for language in LANGUAGES:
            if name.endswith(f".{language}.md"):
                below = "\n".join(text.splitlines()[6:])
                links = re.findall(r"\]\(([\w./-]+)\.md[#)]", below)
                folder = (ROOT / path).parent
                assert not [it for it in links if (folder / f"{it}.{language}.md").exists()]


@pytest.mark.parametrize("path", [path for path in TRANSLATED if path.startswith("docs/")])
def test_a_page_of_the_site_says_its_language(path: str) -> None:
    """Browsers choose the shapes of characters by it, and screen readers the voice."""
    for name, text in in_all_languages(path).items():
        language = next((each for each in LANGUAGES if name.endswith(f".{each}.md")), None)
        assert text.count(f'<div lang="{language}" markdown>\n') == bool(language)
