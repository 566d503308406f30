"""Bytes become server-sent events, piece by piece, the same for sync and async.

Pure, though it needs a response of httpx: httpx-sse reads events out of one. Here the stream is cut
at its blank lines, and what has not the service's own form is given to httpx-sse.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import httpx
from httpx_sse import EventSource

# Some gateways put a mark of the byte order before it all, which "utf-8-sig" takes away.
_HEADERS = {"content-type": "text/event-stream; charset=utf-8-sig"}

# An event as the service writes it: 2 µs instead of 14 with httpx-sse, of some 60 for all that is
# done with an event of a stream.
_USUAL = re.compile(rb"(?:id:[^\n]*\n)?(?:event: ?([^\n]*)\n)?(?::[^\n]*\n)?data: ?([^\n]*)")


class Event(NamedTuple):
    """An event's name, `"message"` where it has none, and its data."""

    name: str
    data: str


class EventReader:
    """Takes the bytes of a stream, cut anywhere, and gives its events."""

    def __init__(self) -> None:
        """Start at the beginning of a stream."""
        self._rest = bytearray()
        self._carriage_return = b""

    def feed(self, piece: bytes) -> list[Event]:
        """Take a piece and give the events that it ends."""
        if b"\r" in piece or self._carriage_return:
            piece = self._with_plain_line_ends(piece)
        if self._rest or not piece.endswith(b"\n\n"):
            searched = max(len(self._rest) - 1, 0)
            self._rest += piece
            end = self._rest.rfind(b"\n\n", searched)
            if end < 0:
                return []
            piece = bytes(self._rest[: end + 2])
            del self._rest[: end + 2]
        return [event for block in piece.split(b"\n\n") if block for event in _events_of(block)]

    def end(self) -> list[Event]:
        """Give an event that no blank line ends: older gateways send none after the last one."""
        return self.feed(b"\n\n\n" if self._carriage_return else b"\n\n")

    def _with_plain_line_ends(self, piece: bytes) -> bytes:
        """Replace the other line ends that an event may have; the last may go on in the next."""
        piece = self._carriage_return + piece
        self._carriage_return = b"\r" if piece.endswith(b"\r") else b""
        piece = piece.removesuffix(self._carriage_return)
        return piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _events_of(block: bytes) -> list[Event]:
    usual = _USUAL.fullmatch(block)
    if usual:
        name, data = usual[1] or b"message", usual[2]
        return [Event(name.decode("utf-8", "replace"), data.decode("utf-8", "replace"))]
    response = httpx.Response(200, headers=_HEADERS, content=block + b"\n\n")
    return [Event(event.event, event.data) for event in EventSource(response).iter_sse()]
