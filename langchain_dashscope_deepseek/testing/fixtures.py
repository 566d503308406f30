"""A pytest fixture: `pytest_plugins = ["langchain_dashscope_deepseek.testing.fixtures"]`."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from langchain_dashscope_deepseek.testing.emulator import DashScopeEmulator


@pytest.fixture
def dashscope_emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[DashScopeEmulator]:
    """A running emulator; environment variables direct clients to it."""
    with DashScopeEmulator() as emulator:
        monkeypatch.setenv("DASHSCOPE_API_KEY", emulator.api_key)
        monkeypatch.setenv("DASHSCOPE_HTTP_BASE_URL", emulator.base_url)
        for name in ("NO_PROXY", "no_proxy"):  # a proxy from the environment cannot reach it
            monkeypatch.setenv(name, ",".join(filter(None, (os.environ.get(name), "127.0.0.1"))))
        yield emulator
