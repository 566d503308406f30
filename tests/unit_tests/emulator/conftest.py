"""An emulator, and who asks it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from langchain_dashscope_deepseek.testing import DashScopeEmulator
from tests.unit_tests.emulator.asking import Client


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with httpx.Client() as client:
        yield client


@pytest.fixture
def client(dashscope_emulator: DashScopeEmulator, http: httpx.Client) -> Client:
    return Client(dashscope_emulator, http)


@pytest.fixture
def emulator(dashscope_emulator: DashScopeEmulator) -> DashScopeEmulator:
    return dashscope_emulator
