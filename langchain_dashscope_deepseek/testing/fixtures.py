"""A pytest fixture: `pytest_plugins = ["langchain_dashscope_deepseek.testing.fixtures"]`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from langchain_dashscope_deepseek.testing.emulator import DashScopeEmulator


@pytest.fixture
def dashscope_emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[DashScopeEmulator]:
    """A running emulator that clients find by the environment, without arguments."""
    with DashScopeEmulator() as emulator:
        monkeypatch.setenv("DASHSCOPE_API_KEY", emulator.api_key)
        monkeypatch.setenv("DASHSCOPE_HTTP_BASE_URL", emulator.base_url)
        yield emulator
