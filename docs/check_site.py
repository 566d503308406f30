"""Look at the built site in a real browser: run by `make site`, after `make docs`.

Every page is opened at the width of a desk, light and dark, and of a phone: no error in the
console, nothing that is missing, no dead link or anchor, no scrolling sideways, no text that is
hard to read (by axe-core), and the search is reached by the keyboard and finds words in English
and Chinese.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urldefrag, urljoin

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError

from tests.running import find_browser

SITE = Path(__file__).parents[1] / "build" / "site"
LOOKS = (("desk", 1280, "light"), ("desk", 1280, "dark"), ("phone", 375, "light"))
RULES = ("color-contrast", "image-alt", "link-name", "button-name", "html-has-lang", "label")
SEARCHES = {  # words, and what the address of a result has
    "structured": "/structured-output/",
    "模拟器": ".zh-CN/",
    "限流": ".zh-CN/",
    "结构化输出": ".zh-CN/",
}


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def served() -> Iterator[str]:
    """Serve the site on this machine; yields its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(SITE)))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


def pages() -> list[str]:
    """List the pages of the site, by their paths."""
    found = (path.relative_to(SITE).parent.as_posix() for path in SITE.glob("**/index.html"))
    return sorted("" if path == "." else f"{path}/" for path in found)


def look(page: Page, address: str, shot: Path | None) -> Iterator[str]:
    """Open a page, and yield what is wrong with it as it stands."""
    wrong: list[str] = []
    page.on("console", lambda m: wrong.append(f"console: {m.text}") if m.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(f"script: {error}"))
    page.on("requestfailed", lambda request: wrong.append(f"not loaded: {request.url}"))
    page.goto(address)
    wide, seen = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    if wide > seen:
        yield f"scrolls sideways: {wide} px in {seen}"
    results = Axe().run(page, options={"runOnly": list(RULES), "resultTypes": ["violations"]})
    for violation in results.response["violations"]:
        for node in violation["nodes"]:
            yield f"{violation['id']}: {' '.join(node['html'].split())[:120]}"
    if shot is not None:
        page.screenshot(path=shot, full_page=False)
    yield from wrong


def check_looks(browser: Browser, address: str, shots: Path | None) -> Iterator[str]:
    """Look at every page in every way."""
    for name, width, scheme in LOOKS:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if scheme == "dark" else "light",
        )
        for path in pages():
            page = context.new_page()
            shot = shots and shots / f"{path.replace('/', '_') or 'home'}-{name}-{scheme}.png"
            for problem in look(page, address + path, shot):
                yield f"/{path} ({name}, {scheme}): {problem}"
            page.close()
        context.close()


def check_links(page: Page, address: str) -> Iterator[str]:
    """Follow every link within the site to a page, and to an anchor there."""
    anchors: dict[str, set[str]] = {}
    links: dict[str, list[str]] = {}
    for path in pages():
        page.goto(address + path)
        anchors[address + path] = set(
            page.eval_on_selector_all("[id]", "all => all.map(e => e.id)")
        )
        hrefs = "all => all.map(e => e.getAttribute('href'))"
        links[address + path] = page.eval_on_selector_all("a[href]", hrefs)
    for source, hrefs_of_page in links.items():
        for href in hrefs_of_page:
            target, anchor = urldefrag(urljoin(source, href))
            if not target.startswith(address):
                continue
            name = target.removesuffix("index.html")
            if name not in anchors and not (SITE / target.removeprefix(address)).is_file():
                yield f"{source.removeprefix(address)}: a link to nowhere, {href}"
            elif anchor and unquote(anchor) not in anchors.get(name, {unquote(anchor)}):
                yield f"{source.removeprefix(address)}: an anchor that is not there, {href}"


def check_search(page: Page, address: str) -> Iterator[str]:
    """Find each section with a word, in English and in Chinese, with the keyboard alone."""
    sections = json.loads((SITE / "search.json").read_text(encoding="utf-8"))["items"]
    texts = [f"{section['title']} {section['text']}".lower() for section in sections]
    for word, path in SEARCHES.items():
        page.goto(address)
        box = page.get_by_role("combobox", include_hidden=True)
        status = page.get_by_role("status").filter(has_text="result")
        try:
            box.wait_for(state="attached")
            page.keyboard.press("/")
            box.wait_for()
            page.keyboard.insert_text(word)
            page.locator(f"a[role=option][href*='{path}']", has_text=word).first.wait_for()
        except PlaywrightTimeoutError:
            yield f"the search is not reached by '/', or shows no result at {path} with {word}"
            continue
        found = int(status.inner_text().split()[0])
        having = sum(bool(re.search(f"(?<![a-z]){word}", text)) for text in texts)
        if found < having:
            yield f"the search for {word} finds {found} of the {having} sections that have it"


def main() -> int:
    """Print what is wrong; tell whether anything is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shots", type=Path, help="keep a picture of each page in this folder")
    shots: Path | None = parser.parse_args().shots
    if shots is not None:
        shots.mkdir(parents=True, exist_ok=True)
    found = find_browser()
    if found is None:
        print("There is no Chromium here: install it, by apt-get install chromium or the like")
        return 1
    with served() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        problems = [
            *check_looks(browser, address, shots),
            *check_links(browser.new_page(), address),
            *check_search(browser.new_page(), address),
        ]
        browser.close()
    for problem in problems:
        print(problem)
    print(f"{len(pages())} pages, {len(problems)} problems")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
