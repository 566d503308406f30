"""One input of the fuzzer: what a server sends for each of several calls, HTTP and all.

`check` asks one model for all of them, which uses its connection again where it may, and a new one
for each: a call gets the same both times, so nothing of what was sent for another. No socket is
opened; what httpcore would read from one is what the fuzzer says.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any
from unittest.mock import patch

import httpcore
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from pydantic import SecretStr

from langchain_dashscope_deepseek import (
    ChatDashScopeDeepSeek,
    DashScopeError,
    DashScopeServerError,
)

SEPARATOR = b"\xff\xfe\xff"
"""Between what is sent for one call and for the next."""

MOST_CALLS = 4

TOKENS = (
    *(
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 429 No\r\n",
        "HTTP/1.1 100 \r\n\r\n",
        "\r\n\r\n",
        "0\r\n\r\n",
    ),
    *("content-length: ", "transfer-encoding: chunked\r\n", "connection: close\r\n", "101", "204"),
    *("content-type: text/event-stream\r\n", "content-type: application/json\r\n", "\xff\xfe\xff"),
    *(
        "data:",
        "\n\n",
        '"finish_reason":',
        '"null"',
        '"stop"',
        '"content":',
        '"usage":',
        "HTTP/1.0",
    ),
)
"""Words of the protocol, for the fuzzer to insert."""

Outcome = AIMessage | type[DashScopeError]


def answer(text: str, status: str = "200 OK", *, chunked: bool = False) -> bytes:
    """Write an answer with its head."""
    body = (
        b'data:{"output":{"choices":[{"finish_reason":"stop","message":{"content":"%b"}}]}}\n\n'
        % text.encode()
    )
    if chunked:
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    length = "transfer-encoding: chunked" if chunked else f"content-length: {len(body)}"
    head = f"HTTP/1.1 {status}\r\ncontent-type: text/event-stream\r\n{length}\r\n\r\n"
    return head.encode() + body


def seeds() -> dict[str, bytes]:
    """Give inputs to begin with: the size of pieces, and what is sent for each call."""
    first, second = answer("first"), answer("second", chunked=True)
    refused = answer("", "429 No")
    calls = {
        "one_after_another": [first, second, first],
        "answered_twice": [first * 2, second, first],
        "chunked_twice": [second * 2, first],
        "half_an_answer_more": [first + second[:80], first],
        "refused_and_answered": [refused + first, second],
        "interim": [b"HTTP/1.1 100 \r\n\r\n" + first + b"HTTP/1.1 103 \r\n\r\n", second],
        "more_packets": [second.replace(b"0\r\n\r\n", b"3\r\nx\n\n\r\n0\r\n\r\n"), first],
        "switched": [b"HTTP/1.1 101 Switching\r\n\r\n" + first, second],
        "closed": [first.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"), second],
    }
    return {
        f"{name}{size or ''}": bytes([size]) + SEPARATOR.join(sent)
        for name, sent in calls.items()
        for size in (0, 7)
    }


class Stream(httpcore.NetworkStream):
    """What a socket would be: it has something to read once something was asked."""

    def __init__(self, service: Service) -> None:
        self._service, self._left, self._is_asked = service, b"", False

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self._is_asked = False
        size = min(max_bytes, self._service.piece or max_bytes)
        piece, self._left = self._left[:size], self._left[size:]
        return piece

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if not self._is_asked:
            self._left += self._service.sent
        self._is_asked = True

    def close(self) -> None:
        self._left = b""

    def get_extra_info(self, info: str) -> Any:
        return bool(self._left) if info == "is_readable" else None


class Service:
    """Sends, for each call, what the fuzzer says."""

    def __init__(self, piece: int) -> None:
        self.piece = piece
        self.sent = b""
        self.connections = 0

    @contextmanager
    def instead_of_sockets(self) -> Iterator[None]:
        """Let httpcore connect to it."""
        with patch.object(httpcore.SyncBackend, "connect_tcp", self._connect):
            yield

    def _connect(self, *_: Any, **__: Any) -> Stream:
        self.connections += 1
        return Stream(self)


MODEL = ChatDashScopeDeepSeek(
    model="deepseek-v4-pro",
    api_key="sk-test",
    base_url="http://127.0.0.1:1/api/v1",
    max_retries=0,
    max_answer_size=2_000,
)
NUMBERS = count()
QUESTION: list[BaseMessage] = [HumanMessage("hi")]


def check(data: bytes) -> None:
    """Check that a call gets what was sent for it, whatever was sent before."""
    service = Service(data[0] if data else 0)
    calls = data[1:].split(SEPARATOR)[:MOST_CALLS]
    with service.instead_of_sockets():
        model = _another_tenant()
        in_turn = [_outcome(model, service, sent) for sent in calls]
        for sent, outcome in zip(calls, in_turn, strict=True):
            alone = _outcome(_another_tenant(), service, sent)
            # An answer that repeats the request_id before it is refused.
            assert outcome in (alone, DashScopeServerError), (sent, outcome, alone)
    assert not calls or service.connections  # else nothing was tried


def _another_tenant() -> ChatDashScopeDeepSeek:
    """Give a model whose key nobody has used: it has no connection yet."""
    return MODEL.model_copy(update={"api_key": SecretStr(f"sk-{next(NUMBERS)}")})


def _outcome(model: ChatDashScopeDeepSeek, service: Service, sent: bytes) -> Outcome:
    service.sent = sent
    try:
        message = model._generate(QUESTION).generations[0].message
    except DashScopeError as error:
        return type(error)
    assert isinstance(message, AIMessage)
    return message.model_copy(update={"id": None})
