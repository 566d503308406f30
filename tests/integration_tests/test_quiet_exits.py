"""Nothing is printed at the end of a process, however its event loops end.

Each test runs a process, and reads its stderr.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.waiting import PATIENCE_SECONDS

pytestmark = [
    pytest.mark.emulator_only,
    pytest.mark.slow,
    pytest.mark.usefixtures("service"),
]

ASK = """
import asyncio
import gc
import threading
from contextlib import aclosing

from langchain_dashscope_deepseek import ChatDashScopeDeepSeek

model = ChatDashScopeDeepSeek(model="deepseek-v4-pro")


async def ask():
    async with aclosing(model.astream("left")) as stream:
        async for chunk in stream:
            if chunk.text:
                break
    assert "streamed" in "".join([chunk.text async for chunk in model.astream("streamed")])
    print((await model.ainvoke("hi")).text)  # leaves its connection open


async def leave():
    async for chunk in model.astream("hi"):
        if chunk.text:
            print(chunk.text, "“hi”")
            break
"""

RUN = {
    "once": "asyncio.run(ask())",
    "many times": "for _ in range(20): asyncio.run(ask())",
    "a stream that is left": "for _ in range(3): asyncio.run(leave())",
    "in a thread": """
        thread = threading.Thread(target=lambda: asyncio.run(ask()))
        thread.start()
        thread.join()
    """,
    "a model that is gone": "asyncio.run(ask()); del model; gc.collect()",
}

CLOSED_BY_HAND = {
    "once": "loop.run_until_complete(ask()); loop.close()",
    "while it is debugged": """
        loop.set_debug(True)
        loop.slow_callback_duration = 60
        loop.run_until_complete(ask())
        loop.close()
    """,
}

STRICT = ("-W", "error::ResourceWarning", "-W", "error::RuntimeWarning")


def assert_quiet(script: str, *flags: str) -> None:
    """It answers, ends well and prints nothing else."""
    done = subprocess.run(
        [sys.executable, *flags, "-c", ASK + textwrap.dedent(script)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        timeout=6 * PATIENCE_SECONDS,
        check=False,
    )
    assert (done.stderr, done.returncode) == ("", 0)
    assert "“hi”" in done.stdout


@pytest.mark.parametrize("script", RUN.values(), ids=RUN)
def test_a_loop_that_is_run_ends_quietly(script: str) -> None:
    assert_quiet(script, *STRICT)


@pytest.mark.parametrize("script", CLOSED_BY_HAND.values(), ids=CLOSED_BY_HAND)
def test_a_loop_that_is_closed_by_hand_ends_quietly(script: str) -> None:
    """Its asynchronous generators are not closed, and neither are its connections."""
    assert_quiet("loop = asyncio.new_event_loop()\n" + textwrap.dedent(script), *STRICT)


needs_uvloop = pytest.mark.skipif(sys.platform == "win32", reason="uvloop is not for Windows")


@needs_uvloop
@pytest.mark.parametrize("coroutine", ["ask()", "leave()"])
def test_uvloop_ends_quietly(coroutine: str) -> None:
    assert_quiet(f"import uvloop\nuvloop.run({coroutine})\nuvloop.run({coroutine})", *STRICT)


@needs_uvloop
def test_a_loop_of_uvloop_that_is_closed_by_hand_ends_quietly() -> None:
    """uvloop warns of open connections itself where warnings of resources are shown."""
    assert_quiet(
        "import uvloop\nloop = uvloop.new_event_loop()\n"
        "loop.run_until_complete(ask())\nloop.close()"
    )


NOTEBOOK = """
import nbformat
from nbclient import NotebookClient

source = {cells!r}
cells = [nbformat.v4.new_code_cell(cell) for cell in source]
notebook = nbformat.v4.new_notebook(cells=cells)
quiet = ["--IPKernelApp.log_level=ERROR"]  # or else it warns of itself
NotebookClient(notebook, kernel_name="python3", extra_arguments=quiet).execute()
for cell in notebook.cells:
    for output in cell.outputs:
        assert (output.output_type, output.name) == ("stream", "stdout"), output
        print(output.text)
"""

CELLS = {
    "awaited": ["await ask()", "await leave()", "await ask()"],
    "a model that is gone": ["await ask()", "del model; gc.collect();"],
}


@pytest.mark.parametrize("cells", CELLS.values(), ids=CELLS)
def test_a_notebook_prints_answers_only(
    cells: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")  # or else its debugger prints
    assert_quiet(NOTEBOOK.format(cells=[ASK, *cells]))
