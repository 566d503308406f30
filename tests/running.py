"""Runs a server of the examples as a process, and finds a browser for its page."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.waiting import PATIENCE_SECONDS, eventually

ROOT = Path(__file__).parents[1]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def running(arguments: list[str], log: Path, settings: Mapping[str, str]) -> Iterator[str]:
    """Run Python with arguments, give the address that uvicorn logs, and end it as Ctrl-C does."""
    bare = {k: v for k, v in os.environ.items() if not k.startswith("DASHSCOPE_")}
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-u", *arguments],
            cwd=ROOT,
            env={**bare, **settings, "PYTHONIOENCODING": "utf-8"},
            stdout=file,
            stderr=subprocess.STDOUT,
        )

    def find_address() -> str | None:
        found = re.search(r"running on (http://127\.0\.0\.1:\d+)", log.read_text(encoding="utf-8"))
        return found and found[1]

    try:
        assert eventually(lambda: bool(find_address() or process.poll() is not None))
        address = find_address()
        assert address, log.read_text(encoding="utf-8")
        yield address
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)
    assert "Traceback" not in log.read_text(encoding="utf-8")


def find_browser() -> str | None:
    """Return the path of the Chromium of this machine."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)
