"""What the emulator is asked with: plain HTTP, and nothing of the client."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import httpx

from langchain_dashscope_deepseek.testing import DashScopeEmulator

ROUTE = "/services/aigc/text-generation/generation"
V4, V32, V31, V3, R1 = (f"deepseek-{name}" for name in ("v4-pro", "v3.2", "v3.1", "v3", "r1"))
DISTILL = "deepseek-r1-distill-qwen-7b"
HELLO = [{"role": "user", "content": "Hello"}]
CALLED: dict[str, Any] = {
    "role": "assistant",
    "content": "",
    "tool_calls": [
        {
            "id": "call_1",
            "type": "function",
            "function": {"name": "get_weather", "arguments": '{"location": "Paris"}'},
        }
    ],
}
RESULT = {"role": "tool", "content": "It is sunny.", "tool_call_id": "call_1"}


def function(name: str, description: str = "", **properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {
        "type": "function",
        "function": {"name": name, "description": description, "parameters": schema},
    }


WEATHER = function("get_weather", "获取现在的天气", location={"type": "string"})


class Asked:
    """What came back: the status, and the packets, or the one body."""

    def __init__(self, response: httpx.Response) -> None:
        self.response, self.status = response, response.status_code
        lines = response.text.splitlines()
        self.packets = [json.loads(line[5:]) for line in lines if line.startswith("data:")]
        self.body = self.packets[-1] if self.packets else response.json()
        self.code, self.error = self.body.get("code"), self.body.get("message")
        self.usage = self.body.get("usage")

    @property
    def choices(self) -> list[dict[str, Any]]:
        packets = self.packets or [self.body]
        return [c for packet in packets for c in packet["output"].get("choices", ())]

    @property
    def finish_reason(self) -> str:
        return str(self.choices[-1]["finish_reason"])

    def joined(self, key: str = "content") -> str:
        return "".join(choice["message"].get(key, "") for choice in self.choices)

    @property
    def calls(self) -> list[tuple[str, Any]]:
        """The tool calls, put together from their deltas."""
        calls: dict[int, list[str]] = {}
        for choice in self.choices:
            for delta in choice["message"].get("tool_calls", ()):
                call = calls.setdefault(delta["index"], ["", ""])
                call[0] += delta["function"].get("name", "")
                call[1] += delta["function"]["arguments"]
        return [(name, json.loads(arguments)) for name, arguments in calls.values()]


class Client:
    """The least client that can talk to the service."""

    def __init__(self, emulator: DashScopeEmulator, http: httpx.Client) -> None:
        self.emulator, self.http = emulator, http

    def post(
        self, messages: Any = HELLO, model: str = V4, *, stream: bool = False, **parameters: Any
    ) -> httpx.Response:
        response: httpx.Response
        with self.open(messages, model, stream=stream, **parameters) as response:
            response.read()
        return response

    def open(
        self, messages: Any = HELLO, model: str = V4, *, stream: bool = False, **parameters: Any
    ) -> Any:
        headers = {"Authorization": f"Bearer {self.emulator.api_key}"}
        if stream:
            headers["X-DashScope-SSE"] = "enable"
            parameters = {"incremental_output": True, **parameters}
        if isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        body = {"model": model, "input": {"messages": messages}, "parameters": parameters}
        return self.http.stream("POST", self.emulator.base_url + ROUTE, headers=headers, json=body)

    def ask(self, *args: Any, **kwargs: Any) -> Asked:
        return Asked(self.post(*args, **kwargs))

    def refused(self, *args: Any, **kwargs: Any) -> str:
        asked = self.ask(*args, **kwargs)
        assert (asked.status, asked.code) == (400, "InvalidParameter")
        assert set(asked.body) == {"code", "message", "request_id"}
        return str(asked.error)


def eventually(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + 5
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    return condition()
