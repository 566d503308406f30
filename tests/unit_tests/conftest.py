"""A model over a scripted transport, and one way to ask it in every call style."""

from __future__ import annotations

import json
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from hypothesis import settings
from langchain_core.messages import AIMessage, AIMessageChunk, message_chunk_to_message

from langchain_dashscope_deepseek import ChatDashScopeDeepSeek, find_capabilities
from langchain_dashscope_deepseek._dashscope.protocol import refusals
from langchain_dashscope_deepseek.capabilities import Route

TRANSCRIPTS = Path(__file__).parent / "transcripts"
EVENTS = {"content-type": "text/event-stream;charset=UTF-8"}
JSON = {"content-type": "application/json"}

Ask = Callable[..., Awaitable[AIMessage]]

# Without deadlines, which a busy machine misses.
settings.register_profile(
    "ci", max_examples=100, deadline=None, derandomize=True, database=None, print_blob=True
)
settings.register_profile("long", max_examples=2_000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        *("DASHSCOPE_API_KEY", "DASHSCOPE_API_KEY_FILE_PATH"),
        *("DASHSCOPE_HTTP_BASE_URL", "DASHSCOPE_BASE_URL"),
        *("DASHSCOPE_REGION", "DASHSCOPE_API_REGION"),
        *("DASHSCOPE_WORKSPACE_ID", "DASHSCOPE_WORKSPACE"),
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _fresh_routes() -> None:
    """What one test learnt of a route is not known to the next."""
    refusals._remembered.clear()


def transcript(name: str) -> bytes:
    return (TRANSCRIPTS / f"{name}.sse").read_bytes()


class Pieces(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that arrives in pieces of a size, or of sizes in turn, and may break at its end."""

    def __init__(
        self, body: bytes, size: int | Sequence[int] | None, breaks: Exception | None = None
    ) -> None:
        self._body, self._breaks = body, breaks
        sizes = [size] if isinstance(size, int) else list(size or ())
        self._sizes = sizes if any(sizes) else [max(len(body), 1)]
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        start, sizes = 0, cycle(self._sizes)
        while start < len(self._body):
            end = start + next(sizes)
            yield self._body[start:end]
            start = end
        if self._breaks is not None:
            raise self._breaks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece

    def close(self) -> None:
        self.closed = True

    async def aclose(self) -> None:
        self.closed = True


@dataclass
class Scripted(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Answers requests from a list; the last answer is repeated."""

    answers: list[Callable[[], httpx.Response] | Exception] = field(default_factory=list)
    requests: list[httpx.Request] = field(default_factory=list)
    bodies: list[Pieces] = field(default_factory=list)
    route: Route = "text-generation"
    """On the other one, models without a row of the test's are pinned to it, and contents are lists.
    """
    http_version: bytes = b"HTTP/1.1"

    def answer(
        self,
        body: bytes | str | Mapping[str, Any],
        *,
        status: int = 200,
        headers: Mapping[str, str] = EVENTS,
        size: int | Sequence[int] | None = None,
        breaks: Exception | None = None,
    ) -> None:
        if isinstance(body, Mapping):
            body, headers = json.dumps(body), JSON if headers is EVENTS else headers
        raw = body.encode() if isinstance(body, str) else body
        if self.route == "multimodal-generation":
            raw = _CONTENT.sub(lambda match: b'"content":' + _listed(match[1]), raw)

        def build() -> httpx.Response:
            self.bodies.append(Pieces(raw, size, breaks))
            extensions = {"http_version": self.http_version}
            stream = self.bodies[-1]
            return httpx.Response(status, headers=headers, stream=stream, extensions=extensions)

        self.answers.append(build)

    def fail(self, error: Exception) -> None:
        self.answers.append(error)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        answer = self.answers[min(len(self.requests), len(self.answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return self.handle_request(request)

    @property
    def sent(self) -> dict[str, Any]:
        """The body of the last request."""
        body: dict[str, Any] = json.loads(self.requests[-1].content)
        return body

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of the last request, without the two that are always there."""
        ours = ("result_format", "incremental_output")
        return {k: v for k, v in self.sent["parameters"].items() if k not in ours}

    def model(self, model: str = "deepseek-v4-pro", **settings: Any) -> ChatDashScopeDeepSeek:
        """Build a model that asks this transport."""
        clients = {
            "http_client": httpx.Client(transport=self),
            "http_async_client": httpx.AsyncClient(transport=self),
        }
        row = find_capabilities(model)
        if self.route == "multimodal-generation" and row is not None:
            settings = {"capabilities": replace(row, routes=(self.route,)), **settings}
        return ChatDashScopeDeepSeek(
            model=model, **{"api_key": "sk-test-key", "max_retries": 0, **clients, **settings}
        )


_CONTENT = re.compile(rb'"content": ?("(?:[^"\\\\]|\\\\.)*")')


def _listed(text: bytes) -> bytes:
    return b"[]" if text == b'""' else b'[{"text":' + text + b"}]"


@pytest.fixture
def service() -> Scripted:
    return Scripted()


async def _invoke(model: Any, messages: Any, /, **kwargs: Any) -> AIMessage:
    return cast("AIMessage", model.invoke(messages, **kwargs))


async def _ainvoke(model: Any, messages: Any, /, **kwargs: Any) -> AIMessage:
    return cast("AIMessage", await model.ainvoke(messages, **kwargs))


async def _stream(model: Any, messages: Any, /, **kwargs: Any) -> AIMessage:
    return merged(list(model.stream(messages, **kwargs)))


async def _astream(model: Any, messages: Any, /, **kwargs: Any) -> AIMessage:
    return merged([chunk async for chunk in model.astream(messages, **kwargs)])


def merged(chunks: list[AIMessageChunk]) -> AIMessage:
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole = whole + chunk
    message = message_chunk_to_message(whole)
    assert isinstance(message, AIMessage)
    return message


STYLES: dict[str, Ask] = {
    "invoke": _invoke,
    "ainvoke": _ainvoke,
    "stream": _stream,
    "astream": _astream,
}


@pytest.fixture(params=STYLES)
def ask(request: pytest.FixtureRequest) -> Ask:
    """Ask in one of the four call styles; a stream is merged into its message."""
    return STYLES[request.param]


@pytest.fixture(params=["stream", "astream"])
def ask_stream(request: pytest.FixtureRequest) -> Ask:
    return STYLES[request.param]


def answer_of(text: str = "hi", **message: Any) -> dict[str, Any]:
    """Render an answer in one piece."""
    return {
        "output": {
            "choices": [
                {
                    "finish_reason": "stop",
                    "message": {"role": "assistant", "content": text, **message},
                }
            ]
        },
        "usage": {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7},
        "request_id": "request-1",
    }
