"""Take the pictures of docs/examples/web in headless Chromium: `python -m docs.make_pictures`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

DOCS = Path(__file__).parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
LONGEST_SECONDS = 60


@contextmanager
def serving() -> Iterator[str]:
    """Run the example with the emulator; yields its address."""
    bare = {name: value for name, value in os.environ.items() if "DASHSCOPE" not in name}
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "docs.examples.web", "--port", "0"],
        cwd=DOCS.parent,
        env=bare,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None  # noqa: S101 - it is a pipe
        for line in process.stderr:
            if found := re.search(r"running on (http://\S+)", line):
                yield found[1]
                break
    finally:
        process.terminate()
        process.wait()


def ask(page: Page, address: str, question: str) -> None:
    """Open a page and send a question."""
    page.goto(address)
    page.get_by_label("Your question").fill(question)
    page.keyboard.press("Enter")


def main() -> None:
    """Take a picture of the chat, and one of the agent that asks for approval."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    expect.set_options(timeout=LONGEST_SECONDS * 1000)
    with serving() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        size = {"width": 840, "height": 640}
        page = browser.new_page(viewport=size, device_scale_factor=1.5)  # type: ignore[arg-type]

        ask(page, address, "Why is the sky blue?")
        expect(page.locator(".facts")).to_be_visible()
        page.locator("summary").click()
        page.screenshot(path=DOCS / "chat-page.png")

        ask(page, f"{address}/agent", "The kettle of order 7 is broken. Please refund it.")
        expect(page.get_by_role("button", name="Approve")).to_be_visible()
        page.screenshot(path=DOCS / "agent-page.png")
        browser.close()


if __name__ == "__main__":
    main()
