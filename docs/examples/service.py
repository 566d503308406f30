"""The service if DASHSCOPE_API_KEY is set, else the bundled emulator, for the examples.

`python -m docs.examples.service MODULE ...` runs a command of the package with it.
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
    """Settings of the model: none for the service, both for the emulator."""

    base_url: str
    api_key: str


@contextmanager
def service(script: Callable[[DashScopeEmulator], None] | None = None) -> Iterator[Settings]:
    """Yield the settings of the model, and run the emulator if there is no key.

    Args:
        script: Scripts the answers of the emulator.

    Yields:
        The keyword arguments of the model.

    Raises:
        SystemExit: With one line, if an error of the package was not handled inside.
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
