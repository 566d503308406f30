"""Bytes become server-sent events, piece by piece, the same for sync and async.

Pure, though it needs a response of httpx: httpx-sse reads events out of one. Here the stream is cut
at its blank lines, and what has not the service's own form is given to httpx-sse.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import httpx
from httpx_sse import EventSource

# Some gateways put a mark of the byte order before it all, which "utf-8-sig" takes away.
_HEADERS = {"content-type": "text/event-stream; charset=utf-8-sig"}

# An event as the service writes it: 1 µs instead of 14 with httpx-sse, of some 40 for all that is
# done with an event of a stream.
_HEAD = re.compile(rb"(?:id:[^\n]*\n)?(?:event: ?([^\n]+)\n)?(?::[^\n]*\n)?data: ?")

Event = tuple[bytes, ...]
"""An event's name, `message` where it has none, and its data; both as they came, not decoded."""


class EventReader:
    """Takes the bytes of a stream, cut anywhere, and gives its events."""

    def __init__(self) -> None:
        """Start at the beginning of a stream."""
        self._rest = bytearray()

    def lone(self, piece: bytes) -> bytes | None:
        """Give the data of a piece that is one event as the service writes it, as most pieces are.

        Returns:
            The data. `None`: nothing was read, feed it.
        """
        head = None if self._rest or b"\r" in piece else _HEAD.match(piece)
        return None if head is None else _data_after(head, piece)

    def feed(self, piece: bytes) -> Sequence[Event]:
        """Take a piece and give the events that it ends."""
        rest = self._rest
        if rest.endswith(b"\r"):
            piece = b"\r" + piece
            del rest[-1:]
        held = b"\r" if piece.endswith(b"\r") else b""  # a line feed may come yet
        piece = piece.removesuffix(held).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        searched = max(len(rest) - 1, 0)
        rest += piece
        end = rest.rfind(b"\n\n", searched)
        ended = bytes(rest[: end + 2]) if end >= 0 else b""
        del rest[: len(ended)]
        rest += held
        blocks = (block + b"\n\n" for block in ended.split(b"\n\n") if block)
        return [event for block in blocks for event in _events_of(block)]

    def end(self) -> Sequence[Event]:
        """Give an event that no blank line ends: older gateways send none after the last one."""
        return self.feed(b"\n\n\n" if self._rest.endswith(b"\r") else b"\n\n")


def _data_after(head: re.Match[bytes], block: bytes) -> bytes | None:
    """Give the rest of the line, unless more than a blank line follows it."""
    start, end = head.end(), len(block) - 2
    is_all = block.find(b"\n", start) == end and block.endswith(b"\n\n")
    return block[start:end] if is_all else None


def _events_of(block: bytes) -> list[Event]:
    head = _HEAD.match(block)
    data = None if head is None else _data_after(head, block)
    if head is not None and data is not None:
        return [(head[1] or b"message", data)]
    response = httpx.Response(200, headers=_HEADERS, content=block)
    return [(e.event.encode(), e.data.encode()) for e in EventSource(response).iter_sse()]
