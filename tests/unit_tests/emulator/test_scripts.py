"""Answers that a test scripts."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import httpx
import pytest

from langchain_dashscope_deepseek.testing import DashScopeEmulator
from tests.unit_tests.emulator.asking import ROUTE, Client

pytest_plugins = ["langchain_dashscope_deepseek.testing.fixtures"]


def test_scripted_answers_come_in_order_and_then_its_own(
    client: Client, emulator: DashScopeEmulator
) -> None:
    emulator.reply("one", times=2)
    emulator.reply("two", finish_reason="length")
    assert emulator.pending == 3

    asked = [client.ask(stream=stream) for stream in (True, False, True, False)]

    assert [a.joined() for a in asked[:3]] == ["one", "one", "two"]
    assert [a.finish_reason for a in asked] == ["stop", "stop", "length", "stop"]
    assert "emulator" in asked[3].joined()


def test_malformed_arguments_can_be_scripted(client: Client, emulator: DashScopeEmulator) -> None:
    emulator.reply(tool_calls=[{"name": "f", "arguments": '{"a": ', "id": "call_x"}])

    assert client.ask().choices[0] == {
        "finish_reason": "tool_calls",
        "message": {
            "role": "assistant",
            "content": "",
            "reasoning_content": "",
            "tool_calls": [
                {
                    "function": {"name": "f", "arguments": '{"a": '},
                    "index": 0,
                    "id": "call_x",
                    "type": "function",
                }
            ],
        },
    }


def test_a_reply_does_not_switch_the_checks_off(
    client: Client, emulator: DashScopeEmulator
) -> None:
    emulator.reply("never seen")

    assert client.refused(temperature=3) == "Temperature should be in [0.0, 2.0)"
    assert emulator.pending == 0


def test_requests_are_remembered(client: Client, emulator: DashScopeEmulator) -> None:
    client.post(seed=1)

    [request] = emulator.requests
    assert (request.method, request.path) == ("POST", "/api/v1" + ROUTE)
    assert request.headers["authorization"] == "Bearer sk-emulator"
    assert request.body["parameters"] == {"seed": 1}
    assert json.loads(request.raw) == request.body
    emulator.clear()
    assert emulator.requests == []


@pytest.mark.parametrize(
    ("settings", "sent", "first"),
    [({}, 1_001, 1), ({"keep_requests": 2}, 3, 1), ({"keep_requests": None}, 1_001, 0)],
)
def test_the_last_requests_are_kept(
    http: httpx.Client, settings: dict[str, Any], sent: int, first: int
) -> None:
    with DashScopeEmulator(**settings) as emulator:
        for number in range(sent):
            http.get(f"{emulator.base_url}/{number}")

        paths = [request.path for request in emulator.requests]
        assert paths == [f"/api/v1/{number}" for number in range(first, sent)]


def test_delays_are_kept(client: Client, emulator: DashScopeEmulator) -> None:
    emulator.reply(pieces=["a", "b"], delay=0.05, piece_delay=0.05)
    start = time.monotonic()

    client.post(stream=True, enable_thinking=False)

    assert 0.15 <= time.monotonic() - start < 2


def test_many_clients_are_served_at_once(client: Client, emulator: DashScopeEmulator) -> None:
    emulator.reply("slow", delay=0.2, times=40)
    threads = [threading.Thread(target=client.post) for _ in range(40)]
    start = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(emulator.requests) == 40
    assert time.monotonic() - start < 4
