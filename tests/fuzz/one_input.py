"""One input of the fuzzer: four bytes say how a body arrives, the rest is the body.

`check` asks for it through the methods that LangChain calls, below its callbacks and tracers, which
would cost most of the time and hold none of this package's code.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine
from functools import cache
from typing import Any, TypeVar

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    message_chunk_to_message,
)
from langchain_core.outputs import ChatResult

from langchain_dashscope_deepseek import DashScopeError
from tests.unit_tests.conftest import EVENTS, JSON, TRANSCRIPTS, Scripted

STATUSES = (200, 200, 200, 200, 204, 302, 400, 429, 500)
HEADERS: tuple[dict[str, str], ...] = (
    EVENTS,
    EVENTS,
    JSON,
    {},
    {"content-type": "text/html"},
    {**EVENTS, "content-encoding": "gzip"},
    {**JSON, "retry-after": "-1", "x-should-retry": "true", "x-request-id": "r"},
)

TOKENS = (
    *("data:", "id:1", "event:error", "event:result", ":HTTP_STATUS/429", "\n\n", "\r\n"),
    *('"output":', '"choices":', '"message":', '"content":', '"reasoning_content":', '"role":'),
    *('"finish_reason":', '"null"', '"stop"', '"length"', '"tool_calls":', '"index":', '"id":'),
    *('"function":', '"name":', '"arguments":', '"usage":', '"input_tokens":', '"total_tokens":'),
    *('"code":', '"error":', '"request_id":', '"search_info":', '"search_results":', '"text":'),
    *("null", "true", "-1", "1e999", "NaN", '""', "[]", "{}", "[[", '\\"', "\\ud83d"),
)
"""Words of the protocol, for the fuzzer to insert."""

T = TypeVar("T")
Outcome = AIMessage | type[DashScopeError]


def seeds() -> dict[str, bytes]:
    """Give inputs to begin with: every transcript, and what else a service sends."""
    answer = b'{"output":{"choices":[{"finish_reason":"stop","message":{"content":"hi"}}]}}'
    error = b'{"code":"Throttling","message":"Slow down.","request_id":"r"}'
    return {
        **{path.stem: b"\0\0\7\x40" + path.read_bytes() for path in TRANSCRIPTS.glob("*.sse")},
        "whole_answer": b"\0\2\0\0" + answer,
        "whole_answer_as_events": b"\0\0\1\0" + answer,
        "error": b"\7\2\0\0" + error,
        "error_event": b"\0\0\0\0id:1\nevent:error\n:HTTP_STATUS/429\ndata:" + error + b"\n\n",
        "error_event_as_json": b"\6\2\0\0id:1\nevent:error\n:HTTP_STATUS/400\ndata:" + error,
        "openai_error": b'\6\2\0\0{"error":{"message":"m","type":"t","code":null}}',
        "page_of_a_proxy": b"\x08\4\0\0<html>502</html>",
    }


def check(data: bytes) -> None:
    """Check what holds for any bytes; raises what breaks it."""
    (status, headers, *sizes), body = data[:4].ljust(4, b"\0"), data[4:]
    SERVICE.answers.clear()
    SERVICE.requests.clear()
    SERVICE.bodies.clear()
    SERVICE.answer(
        body,
        status=STATUSES[status % len(STATUSES)],
        headers=HEADERS[headers % len(HEADERS)],
        size=sizes,
    )
    ways = (_invoke, _stream, _ainvoke, _astream)
    # Two ways for the cost of one: which twin is asked follows from the input.
    outcomes = [_outcome(way) for way in (ways[:2] if len(data) % 2 else ways[2:])]
    assert outcomes[0] == outcomes[1], outcomes
    if isinstance(outcomes[0], AIMessage):
        assert isinstance(outcomes[0].content_blocks, list)
        assert may_be_whole(body), outcomes[0]


def may_be_whole(body: bytes) -> bool:
    """Tell whether a finish_reason stands in a body somewhere."""
    if b"\\u" in body or body.startswith(b"\x1f\x8b"):
        return True  # a finish_reason may be spelt in many ways
    joined = re.sub(rb"[\r\n]+data: ?", b"", body)
    return re.search(rb'finish_reason"\s*:\s*"(?!null")', joined) is not None


SERVICE = Scripted()
MODEL = SERVICE.model(
    base_url="https://service.invalid/api/v1",
    max_answer_size=2_000,  # below what the fuzzer sends
)
QUESTION: list[BaseMessage] = [HumanMessage("hi")]


@cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


def _outcome(ask: Callable[[], AIMessage]) -> Outcome:
    try:
        message = ask()
    except DashScopeError as error:
        return type(error)
    return message.model_copy(update={"id": None})


def _whole(result: ChatResult) -> AIMessage:
    message = result.generations[0].message
    assert isinstance(message, AIMessage)
    return message


def _merged(chunks: list[BaseMessage]) -> AIMessage:
    first, *others = chunks
    assert isinstance(first, AIMessageChunk)
    message = message_chunk_to_message(first + others)
    assert isinstance(message, AIMessage)
    return message


def _invoke() -> AIMessage:
    return _whole(MODEL._generate(QUESTION))


def _ainvoke() -> AIMessage:
    return _whole(_run(MODEL._agenerate(QUESTION)))


def _stream() -> AIMessage:
    return _merged([chunk.message for chunk in MODEL._stream(QUESTION)])


def _astream() -> AIMessage:
    async def ask() -> list[BaseMessage]:
        return [chunk.message async for chunk in MODEL._astream(QUESTION)]

    return _merged(_run(ask()))


def _run(asked: Coroutine[Any, Any, T]) -> T:
    try:
        return _loop().run_until_complete(asked)
    finally:
        # What was left to the garbage collector is closed by tasks of the loop.
        _loop().run_until_complete(asyncio.sleep(0))
