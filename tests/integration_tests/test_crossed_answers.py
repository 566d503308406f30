"""A server that sends more than it was asked for: no call gets what was another's answer.

HTTP/1.1 cannot tell an answer that comes too late from the right one: its `request_id` can. RFC 9112, section 6.3: data behind a message must not be processed as the next response.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from pydantic import SecretStr

from langchain_dashscope_deepseek import ChatDashScopeDeepSeek, DashScopeServerError
from tests.integration_tests.stage import (
    Certificates,
    RawServer,
    Step,
    pause,
    read_request,
    receive,
)
from tests.unit_tests.conftest import STYLES, Ask

pytestmark = pytest.mark.slow

KEYS = ("sk-key-of-the-first-tenant", "sk-key-of-the-second-tenant")
CALLS = 10


NUMBERS = count()


def answer(text: str, *, streamed: bool, request_id: str | None = None) -> bytes:
    """Write an answer with its head, for a connection that stays open."""
    choice = {"finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    document: dict[str, Any] = {"output": {"choices": [choice]}, "usage": usage}
    document["request_id"] = request_id or f"request-{next(NUMBERS)}"
    body = json.dumps(document).encode()
    if streamed:
        body = b"id:1\nevent:result\n:HTTP_STATUS/200\ndata:" + body + b"\n\n"
    return head(streamed=streamed, size=len(body)) + body


def head(*, streamed: bool, size: int, status: str = "200 OK") -> bytes:
    kind = "text/event-stream" if streamed else "application/json"
    return f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {size}\r\n\r\n".encode()


def whole(text: str, *, streamed: bool) -> list[bytes]:
    """Behave."""
    return [answer(text, streamed=streamed)]


def twice(text: str, *, streamed: bool) -> list[bytes]:
    """Repeat the answer in the same segment, as a broken gateway does."""
    return [answer(text, streamed=streamed) * 2]


def twice_in_two_segments(text: str, *, streamed: bool) -> list[bytes]:
    """Repeat the answer a moment later, while nobody asks."""
    return [answer(text, streamed=streamed), answer(text, streamed=streamed)]


def chunked_twice(text: str, *, streamed: bool) -> list[bytes]:
    """Repeat a chunked answer in the same segment."""
    _, _, body = answer(text, streamed=streamed).partition(b"\r\n\r\n")
    start = head(streamed=streamed, size=0).replace(
        b"content-length: 0", b"transfer-encoding: chunked"
    )
    return [(start + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)) * 2]


def too_short_a_length(text: str, *, streamed: bool) -> list[bytes]:
    """Say a length behind which more follows, and let that be an answer."""
    return [answer(text, streamed=streamed) + answer("smuggled", streamed=streamed)]


def half_an_answer_more(text: str, *, streamed: bool) -> list[bytes]:
    """Begin another answer, whose rest never comes."""
    more = answer("smuggled", streamed=streamed)
    return [answer(text, streamed=streamed) + more[: len(more) // 2]]


def an_interim_answer_more(text: str, *, streamed: bool) -> list[bytes]:
    """Send an interim answer behind the last one."""
    return [answer(text, streamed=streamed) + b"HTTP/1.1 103 Early Hints\r\n\r\n"]


Tricks = Callable[..., list[bytes]]
TRICKS: list[Tricks] = [
    twice,
    twice_in_two_segments,
    chunked_twice,
    too_short_a_length,
    half_an_answer_more,
    an_interim_answer_more,
]


def playing(trick: Tricks) -> Step:
    """Answer each request with its own question, and play a trick behind it."""

    def step(peer: socket.socket) -> None:
        while True:
            raw = b""
            while not (found := re.search(rb'"(?:content|text)":"question (\d+)"', raw)):
                raw += receive(peer)
            streamed = b"enable" in raw.lower().partition(b"x-dashscope-sse:")[2][:9]
            text = f"answer {found[1].decode()}"
            first, *others = trick(text, streamed=streamed)
            peer.sendall(first)
            for other in others:
                pause(peer)
                peer.sendall(other)

    return step


@pytest.fixture(params=STYLES)
def ask(request: pytest.FixtureRequest) -> Ask:
    return STYLES[request.param]


@pytest.fixture(scope="module")
def certificates() -> Certificates:
    return Certificates()


def tunnelled(step: Step, tls: ssl.SSLContext) -> Step:
    """Be a proxy that is asked for a tunnel, and the server at its end."""

    def both(peer: socket.socket) -> None:
        read_request(peer)
        peer.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with tls.wrap_socket(peer, server_side=True) as inner:
            assert callable(step)
            step(inner)

    return both


@pytest.fixture(params=["plain", "tls", "proxy", "tunnel"])
def serve(
    request: pytest.FixtureRequest,
    certificates: Certificates,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Callable[[Step], tuple[RawServer, str]]]:
    """Serve a step, with TLS or without, directly or by a proxy; gives the server and the base URL."""
    servers: list[RawServer] = []
    way = request.param
    tls = certificates.right() if way in ("tls", "tunnel") else None
    scheme = "http" if tls is None else "https"
    certificates.trusted.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))

    def start(step: Step) -> tuple[RawServer, str]:
        if tls is not None and way == "tunnel":
            servers.append(RawServer([tunnelled(step, tls)]))
        else:
            servers.append(RawServer([step], tls))
        server = servers[-1]
        if way in ("plain", "tls"):
            return server, f"{scheme}://{server.address}/api/v1"
        monkeypatch.setenv(f"{scheme.upper()}_PROXY", f"http://{server.address}")
        monkeypatch.setenv("NO_PROXY", "")
        return server, f"{scheme}://127.0.0.1:1/api/v1"

    yield start
    for server in servers:
        server.stop()


def tenants_of(base_url: str, **settings: Any) -> list[ChatDashScopeDeepSeek]:
    """Make a model, and a copy of it with another key."""
    first = ChatDashScopeDeepSeek(
        model="deepseek-v4-pro", api_key=KEYS[0], base_url=base_url, max_retries=0, **settings
    )
    second = first.model_copy(update={"api_key": SecretStr(KEYS[1])})
    return [first, second]


@pytest.mark.parametrize("enable_thinking", [True, False])  # streamed underneath, or in one piece
@pytest.mark.parametrize("trick", TRICKS, ids=lambda trick: trick.__name__)
async def test_no_call_gets_what_came_behind_the_answer_of_another(
    trick: Tricks, enable_thinking: bool, ask: Ask, serve: Any
) -> None:
    _, base_url = serve(playing(trick))
    tenants = tenants_of(base_url, enable_thinking=enable_thinking)
    for number in range(CALLS):
        message: AIMessage = await ask(tenants[number % 2], f"question {number}")
        assert message.text == f"answer {number}"
        if trick is twice_in_two_segments:
            await asyncio.sleep(0.2)
    for tenant in tenants:
        await tenant.aclose()


@pytest.mark.parametrize("enable_thinking", [True, False], ids=["streamed", "whole"])
async def test_an_answer_that_repeats_the_request_id_before_it_is_refused(
    enable_thinking: bool, ask: Ask, serve: Any
) -> None:
    """As a gateway does that answers twice, late enough for the next request to be under way."""
    _, base_url = serve(
        playing(lambda text, *, streamed: [answer(text, streamed=streamed, request_id="r")])
    )
    model, _ = tenants_of(base_url, enable_thinking=enable_thinking)
    assert (await ask(model, "question 1")).text == "answer 1"
    with pytest.raises(DashScopeServerError, match="the same request_id") as caught:
        await ask(model, "question 2")
    assert caught.value.is_retryable
    assert (await ask(model, "question 3")).text == "answer 3"  # on a connection of its own
    await model.aclose()


async def test_connections_are_used_again_by_the_same_key_only(ask: Ask, serve: Any) -> None:
    """Else the rule above could be kept by closing each connection."""
    server, base_url = serve(playing(whole))
    tenants = tenants_of(base_url)
    for number in range(CALLS):
        await ask(tenants[number % 2], f"question {number}")
    assert server.seen == len(KEYS)
    for tenant in tenants:
        await tenant.aclose()


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 No"])
async def test_a_retry_does_not_take_what_came_behind_the_refusal(
    status: str, ask: Ask, serve: Any
) -> None:
    body = b'{"code":"Throttling","message":"Slow.","request_id":"r"}'
    refusal = head(streamed=False, size=len(body), status=status) + body
    refused: list[bool] = []

    def once(text: str, *, streamed: bool) -> list[bytes]:
        if refused:
            return whole(text, streamed=streamed)
        refused.append(True)
        return [refusal + answer("smuggled", streamed=streamed)]

    _, base_url = serve(playing(once))
    model, _ = tenants_of(base_url)
    model.max_retries = 1
    assert (await ask(model, "question 7")).text == "answer 7"
    await model.aclose()
