"""Where the integration tests ask: the emulator, or the service if `DASHSCOPE_LIVE=1`."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from langchain_dashscope_deepseek._dashscope.protocol import refusals
from langchain_dashscope_deepseek.testing import DashScopeEmulator

LIVE = os.environ.get("DASHSCOPE_LIVE") == "1" and bool(os.environ.get("DASHSCOPE_API_KEY"))


@pytest.fixture(scope="session", autouse=True)
def service() -> Iterator[DashScopeEmulator | None]:
    """Point the environment at the emulator, or leave it as it is for the service."""
    if LIVE:
        yield None
        return
    # The standard suites hold a model to `required` among several tools.
    emulator = DashScopeEmulator(accepts=["required_with_several_tools"])
    with emulator, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DASHSCOPE_API_KEY", emulator.api_key)
        patch.setenv("DASHSCOPE_HTTP_BASE_URL", emulator.base_url)
        yield emulator


@pytest.fixture(autouse=True)
def _fresh_routes() -> None:
    """What was learnt of a server is not known of the next one, which may get its port."""
    refusals._remembered.clear()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let live tests out of the socket guard, and skip what only the emulator can do."""
    for item in items:
        if LIVE:
            item.add_marker(pytest.mark.enable_socket)
            if item.get_closest_marker("emulator_only"):
                item.add_marker(pytest.mark.skip(reason="scripts the emulator"))
