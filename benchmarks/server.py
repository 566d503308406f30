"""Replays the answers over HTTP, in a process of its own: `python -m benchmarks.server`.

The path says what to answer: `/text1000/api/v1` is the base URL of a DashScope whose answers have
1,000 events, `/text1000/v1` that of an OpenAI; `tools` calls a tool, `held10` never gets past its
tenth event, and `late10` answers after a second. Bytes are rendered once. Each event is a chunk
of HTTP of its own, as the service sends them, but all are one write: the server must cost less than
any client, and a client that waits for single packets would measure the kernel.
"""

from __future__ import annotations

import asyncio
import re
from functools import lru_cache
from itertools import count

from benchmarks.answers import (
    REQUEST_ID,
    answer,
    native_body,
    native_events,
    openai_body,
    openai_events,
)

LATE = 1.0
"""Seconds."""

_PATH = re.compile(rb"POST /([a-z]+)(\d+)/")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_NATIVE_STREAM = re.compile(rb"\r\nx-dashscope-sse: *enable", re.IGNORECASE)
_NUMBERS = count()
_OPENAI_STREAM = re.compile(rb'"stream": *true')


class Replay(asyncio.Protocol):
    """One connection, kept alive."""

    def __init__(self) -> None:
        """Begin with no bytes."""
        self._received = bytearray()
        self._transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer once the request is whole."""
        self._received += data
        head, _, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if length is None or len(body) < int(length[1]):
            return
        self._received.clear()
        path = _PATH.match(head)
        assert path is not None, bytes(head)
        is_native = b"/api/v1/" in head.partition(b"\r\n")[0]
        streamed = _NATIVE_STREAM.search(head) if is_native else _OPENAI_STREAM.search(body)
        kind, events = path[1].decode(), int(path[2])
        response = _response(kind, events, is_native, streamed is not None)
        # No two answers of the service have the same id.
        response = response.replace(REQUEST_ID.encode(), b"%036d" % next(_NUMBERS))
        if kind == "late":
            asyncio.get_running_loop().call_later(LATE, self._transport.write, response)
        else:
            self._transport.write(response)


@lru_cache(maxsize=32)
def _response(kind: str, events: int, is_native: bool, is_streamed: bool) -> bytes:
    said = answer("text" if kind in ("held", "late") else kind, events)
    if not is_streamed:
        body = native_body(said) if is_native else openai_body(said)
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
        return head + b"content-length: %d\r\n\r\n%b" % (len(body), body)
    rendered = native_events(said) if is_native else openai_events(said)
    chunks = [b"%x\r\n%b\r\n" % (len(event), event) for event in rendered]
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream;charset=UTF-8\r\n"
    end = [] if kind == "held" else [b"0\r\n\r\n"]
    shown = chunks[:-1] if kind == "held" else chunks
    return head + b"transfer-encoding: chunked\r\n\r\n" + b"".join(shown + end)


async def serve() -> None:
    """Serve until the process is ended, and say on which port."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Replay, "127.0.0.1", 0, backlog=2_000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve())
