"""A light server in a process of its own: each answer carries its question, and fails as told.

A question's first word says what becomes of it: `answer`, `slow`, `busy`, `error`, `cut` or
`reset`. Behind every third answer or refusal it sends what nobody asked for: more of the answer,
another answer, half of one. Prints its port, and serves until its standard input ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import struct
import sys
from collections.abc import Iterator
from typing import Any

PIECES = 6
PAUSE = 0.05
"""Seconds between the packets of a slow answer."""
_BUSY = b'{"code":"Throttling.RateQuota","message":"Slow down.","request_id":"%s"}'
_HEAD = "HTTP/1.1 {}\r\ncontent-type: {}\r\n{}\r\n\r\n"
_MISBEHAVES = 1 / 3
_RESET = struct.pack("ii", 1, 0)


def answer_to(question: str) -> str:
    """Give the text that answers a question, and no other."""
    return f"You asked {question!r}: 你问的是 {question}"


def _packets(question: str) -> Iterator[bytes]:
    text = answer_to(question)
    size = -(-len(text) // PIECES)
    for start in range(0, len(text) + size, size):
        is_last = start >= len(text)
        yield _event(
            output={
                "choices": [
                    {
                        "message": {"role": "assistant", "content": text[start : start + size]},
                        "finish_reason": "stop" if is_last else "null",
                    }
                ]
            },
            usage={"input_tokens": len(question), "output_tokens": start, "total_tokens": 0},
            request_id=question,
        )


def _event(**document: Any) -> bytes:
    return b"event:result\ndata:" + json.dumps(document, ensure_ascii=False).encode() + b"\n\n"


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        while not writer.is_closing():
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
            body = json.loads(await reader.readexactly(length))
            await _answer(body["input"]["messages"][-1]["content"], writer)
    writer.close()


async def _answer(question: str, writer: asyncio.StreamWriter) -> None:
    kind = question.partition(" ")[0]
    if kind == "busy":
        body = _BUSY % question.partition(" ")[2].encode()
        head = _HEAD.format(
            "429 Busy", "application/json", f"x-should-retry: false\r\ncontent-length: {len(body)}"
        )
        writer.write(head.encode() + body + _unasked())
        await writer.drain()
        return
    head = _HEAD.format("200 OK", "text/event-stream", "transfer-encoding: chunked")
    writer.write(head.encode())
    for place, packet in enumerate(_packets(question)):
        if place == PIECES // 2 and kind in ("error", "cut", "reset"):
            _fail(kind, question, writer)
            break
        await asyncio.sleep(PAUSE if kind == "slow" else random.choice((0, 0, 0, 0.003)))
        writer.write(_chunk(packet))
        await writer.drain()
    if not writer.is_closing():
        more = random.choice([b"", _chunk(next(_packets("more")))]) if kind == "answer" else b""
        writer.write(more + _chunk(b"") + _unasked())
        await writer.drain()


def _unasked() -> bytes:
    """Give what comes behind an answer: mostly nothing."""
    if random.random() > _MISBEHAVES:
        return b""
    body = b"".join(_packets("something that nobody asked"))
    head = _HEAD.format("200 OK", "text/event-stream", f"content-length: {len(body)}")
    smuggled = head.encode() + body
    return random.choice([smuggled, smuggled * 2, smuggled[:-9], b"HTTP/1.1 100 \r\n\r\n", b"x"])


def _fail(kind: str, question: str, writer: asyncio.StreamWriter) -> None:
    if kind == "error":
        error = (_BUSY % question.partition(" ")[2].encode()).decode()
        writer.write(_chunk(f"event:error\n:HTTP_STATUS/429\ndata:{error}\n\n".encode()))
    elif kind == "reset":
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        writer.transport.abort()


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


async def main() -> None:
    """Serve until the standard input ends."""
    server = await asyncio.start_server(_serve, "127.0.0.1", 0, backlog=1_000)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
