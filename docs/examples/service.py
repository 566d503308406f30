"""Where the examples ask: the service if DASHSCOPE_API_KEY is set, else the bundled emulator.

`python -m docs.examples.service MODULE ...` runs a command of the package there.
"""

import os
import runpy
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypedDict

from langchain_dashscope_deepseek import DashScopeError
from langchain_dashscope_deepseek.testing import DashScopeEmulator


class Settings(TypedDict, total=False):
    """What the model must be told: nothing for the service, both for the emulator."""

    base_url: str
    api_key: str


@contextmanager
def service(script: Callable[[DashScopeEmulator], None] | None = None) -> Iterator[Settings]:
    """Give the settings of the model, and keep the emulator running meanwhile if it is needed.

    Args:
        script: Is handed the emulator before it is asked, to script its answers.

    Yields:
        What to hand to the model.

    Raises:
        SystemExit: With one line, where an error of the package was not handled inside.
    """
    try:
        if os.environ.get("DASHSCOPE_API_KEY"):
            yield {}
            return
        print("DASHSCOPE_API_KEY is not set, so the bundled emulator answers.\n")
        with DashScopeEmulator() as emulator:
            if script:
                script(emulator)
            yield {"base_url": emulator.base_url, "api_key": emulator.api_key}
    except DashScopeError as error:
        sys.exit(f"\n{type(error).__name__}: {error}")


if __name__ == "__main__":
    with service() as settings:
        if settings:
            os.environ["DASHSCOPE_API_KEY"] = settings["api_key"]
            os.environ["DASHSCOPE_HTTP_BASE_URL"] = settings["base_url"]
        sys.argv = sys.argv[1:]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
