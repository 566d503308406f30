"""A stream of server-sent events, cut at its blank lines, and what stands in each event.

Pure. What has not the form that nearly all have is read by httpx-sse, which reads events out of a
response.
"""

from __future__ import annotations

import codecs

import httpx
from httpx_sse import EventSource, ServerSentEvent

_HEADERS = {"content-type": "text/event-stream; charset=utf-8"}

# Stands before a stream, where it says nothing, and never again at the beginning of what is left
# of it. Behind it, some gateways put a mark of the byte order; anywhere else that is text.
_BEGINNING = b"\n\n"
_MARKED = _BEGINNING + codecs.BOM_UTF8


class EventSplitter:
    """Takes the bytes of a stream, cut anywhere, and gives the lines of each event."""

    def __init__(self) -> None:
        """Start at the beginning of a stream."""
        self._rest = bytearray(_BEGINNING)

    def feed(self, piece: bytes) -> list[bytes]:
        """Take a piece and give the events that it ends, without their blank lines."""
        if self._rest or b"\r" in piece or not piece.endswith(b"\n\n"):
            piece = self._joined(piece)
        events = piece.split(b"\n\n")
        events.pop()  # what is behind the last blank line: nothing
        return events

    def end(self) -> list[bytes]:
        """Return an event that no blank line ends: older gateways send none after the last one."""
        return self.feed(b"\n\n\n" if self._rest.endswith(b"\r") else b"\n\n")

    def _joined(self, piece: bytes) -> bytes:
        """Put a piece behind what is left of those before it, and give all up to a blank line."""
        rest = self._rest
        begins = rest.startswith(_BEGINNING)
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
        return ended.removeprefix(_MARKED) if begins else ended


def data_of(event: bytes) -> bytes:
    """Return the data of an event, `b""` if it has none, as it came and not decoded."""
    before, found, data = event.partition(b"\ndata:")
    if not found:
        before, found, data = (b"\n" + event).partition(b"\ndata:")
    if b"\n" not in data and b"data" not in before:  # as the service and most gateways write it
        return data.removeprefix(b" ")
    read = _by_the_book(event)
    return b"" if read is None else read.data.encode()


def name_of(event: bytes) -> str:
    """Return the name of an event; `message` where it has none."""
    read = _by_the_book(event)
    return "message" if read is None else read.event


def _by_the_book(event: bytes) -> ServerSentEvent | None:
    response = httpx.Response(200, headers=_HEADERS, content=event + b"\n\n")
    return next(EventSource(response).iter_sse(), None)
