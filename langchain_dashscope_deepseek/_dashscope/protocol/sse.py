"""Splits a stream of server-sent events at its blank lines, and finds the data of an event.

Pure. httpx-sse reads the events that are not written as DashScope writes them.
"""

from __future__ import annotations

import codecs

import httpx
from httpx_sse import EventSource

_HEADERS = {"content-type": "text/event-stream; charset=utf-8"}


class EventSplitter:
    """Takes the bytes of a stream in pieces of any size, and returns the lines of each event."""

    def __init__(self) -> None:
        self._unfinished = bytearray()

    @property
    def unfinished_size(self) -> int:
        """The bytes of the event that has not ended."""
        return len(self._unfinished)

    def feed(self, piece: bytes) -> list[bytes]:
        """Take a piece, and return the events that it ends, without their blank lines."""
        if self._unfinished or b"\r" in piece or not piece.endswith(b"\n\n"):
            piece = self._join(piece)
        events = piece.split(b"\n\n")
        events.pop()  # empty: it follows the last blank line
        return events

    def end(self) -> list[bytes]:
        """Return the last event: older gateways send no blank line after it."""
        return self.feed(b"\n\n\n" if self._unfinished.endswith(b"\r") else b"\n\n")

    def _join(self, piece: bytes) -> bytes:
        """Append a piece to the unfinished event, and return all up to the last blank line."""
        unfinished = self._unfinished
        if unfinished.endswith(b"\r"):
            piece = b"\r" + piece
            del unfinished[-1:]
        held = b"\r" if piece.endswith(b"\r") else b""  # its line feed may be in the next piece
        piece = piece.removesuffix(held).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        searched = max(len(unfinished) - 1, 0)
        unfinished += piece
        end = unfinished.rfind(b"\n\n", searched)
        ended = bytes(unfinished[: end + 2]) if end >= 0 else b""
        del unfinished[: len(ended)]
        unfinished += held
        return ended


def data_of(event: bytes) -> bytes:
    """Return the data of an event as it was sent; `b""` if it has none."""
    before, found, data = event.partition(b"\ndata:")
    if not found:
        # Some gateways begin the stream with a byte order mark.
        event = event.removeprefix(codecs.BOM_UTF8)
        before, found, data = (b"\n" + event).partition(b"\ndata:")
    if b"\n" not in data and b"data" not in before:  # as the service and most gateways write it
        return data.removeprefix(b" ")
    response = httpx.Response(200, headers=_HEADERS, content=event + b"\n\n")
    read = next(EventSource(response).iter_sse(), None)
    return b"" if read is None else read.data.encode()
