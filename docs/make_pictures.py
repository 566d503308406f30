"""Take the pictures of docs/examples/web in headless Chromium: `python -m docs.make_pictures`."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Page, expect, sync_playwright

from tests.running import find_browser, running

DOCS = Path(__file__).parent
LONGEST_SECONDS = 60


def ask(page: Page, address: str, question: str) -> None:
    """Open a page and send a question."""
    page.goto(address)
    page.get_by_label("Your question").fill(question)
    page.keyboard.press("Enter")


def main() -> None:
    """Take a picture of the chat, and one of the agent that asks for approval."""
    expect.set_options(timeout=LONGEST_SECONDS * 1000)
    command = ["-m", "docs.examples.web", "--port", "0"]
    with (
        TemporaryDirectory() as folder,
        running(command, Path(folder, "log"), {}) as address,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
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
