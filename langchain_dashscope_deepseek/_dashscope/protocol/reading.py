"""Reads one HTTP response: splits its bytes into events, and returns deltas or raises an error.

No I/O. A stream of events and a JSON document are fed in the same way; `packets` reads the JSON.
"""

from __future__ import annotations

import codecs
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from io import IncrementalNewlineDecoder
from itertools import chain
from typing import Any, NoReturn

import httpx
from httpx_sse import EventSource

from langchain_dashscope_deepseek._dashscope.protocol.error_codes import error_from_service
from langchain_dashscope_deepseek._dashscope.protocol.packets import (
    AnswerDelta,
    UnreadableError,
    first_choice,
    load_json,
    read_packet,
    read_usage,
    text_of,
)
from langchain_dashscope_deepseek._dashscope.protocol.redaction import printable, redact_keys
from langchain_dashscope_deepseek.errors import (
    DashScopeAnswerTooLargeError,
    DashScopeError,
    DashScopeServerError,
    DashScopeStreamCutError,
)

logger = logging.getLogger(__name__)

_SENT = "DashScope or a proxy in between sent "
_FIRST_ERROR = 400
_SSE = {"content-type": "text/event-stream; charset=utf-8"}
_STATUS_COMMENT = re.compile(rb":HTTP_STATUS/(\d{3})")
_OTHER_EVENT = re.compile(rb"^event:(?! ?(?:result|error|message)?$)", re.MULTILINE)
"""Matches an event of another type, whose data need not be a packet."""


class AnswerReader:
    """Reads the pieces of one HTTP response, and tells whether the answer is complete.

    Attributes:
        header_id: The request's id in the headers.
        request_id: The request's id in the last packet, else the one in the headers.
        is_complete: Whether a `finish_reason` has arrived.
        has_dropped_data: Whether data other than token counts followed the answer, and was dropped.
    """

    def __init__(
        self,
        status_code: int,
        headers: Mapping[str, str],
        max_size: int,
        redact: Callable[[str], str] = redact_keys,
        last_request_id: str | None = None,
    ) -> None:
        self._redact = redact
        self.status_code = status_code
        self._headers = headers
        self._max_size = max_size  # bytes of an event, or of a single document
        self._last_request_id = last_request_id  # of the previous answer on the connection
        header_id = headers.get("x-request-id")
        self.header_id = header_id and printable(redact(header_id))
        self.request_id = self.header_id
        self._events = EventSplitter()
        self._size = 0  # bytes of the body so far
        self._has_packets = False
        self._document = b""  # an event without data, or a body of one document
        self.is_complete = False
        self.has_dropped_data = False

    def feed(self, piece: bytes) -> Iterable[AnswerDelta]:
        """Read a piece of the body; return its deltas, and raise an error after them."""
        self._size += len(piece)
        events = self._events.feed(piece)
        if len(self._events.unfinished) > self._max_size:
            raise too_large(self._max_size, self.header_id)
        if len(events) == 1:
            return self._read(events[0])
        return chain.from_iterable(map(self._read, events))

    def end(self) -> Iterator[AnswerDelta]:
        """Yield the last deltas: all of them, if the body is a single document.

        Raises an error if the body holds no answer or an incomplete one.
        """
        yield from chain.from_iterable(map(self._read, self._events.end()))
        if not self._has_packets:
            kind = self._headers.get("content-type", "no content type").partition(";")[0].strip()
            document = load_json(self._document)
            if isinstance(document, dict):
                yield self._read_document(document)
            elif kind.lower() != "text/event-stream" or self.status_code >= _FIRST_ERROR:
                kind = printable(self._redact(kind))
                self._refuse(f"a body that is no answer ({kind}, {self._size} bytes)")
        if not self.is_complete:
            msg = "The answer ended without a finish_reason: it was cut off"
            raise DashScopeStreamCutError(msg, request_id=self.header_id)

    def refuse_encoding(self, encoding: str) -> NoReturn:
        """Raise an error for a compressed body, whose decompressed size is not known."""
        self._refuse(
            f"a compressed answer (content-encoding {printable(self._redact(encoding))}): leave "
            "Accept-Encoding out of your headers, or switch compression off in the gateway"
        )

    def cut_error(self) -> DashScopeError:
        """Return the error for an HTTP error status whose body was cut off."""
        return self._error("an error that was cut off", prefix=_SENT)

    # --- Events ---

    def _read(self, event: bytes) -> Iterable[AnswerDelta]:
        data = data_of(event)
        if not data:
            self._document = event.strip() or self._document
            return ()
        if self.is_complete:
            return self._read_tail(data)
        document = load_json(data)
        if type(document) is dict:
            delta = self._read_packet(document, event)
            return () if delta is None else (delta,)
        return self._read_lines(event, data)

    def _read_lines(self, event: bytes, data: bytes) -> Iterator[AnswerDelta]:
        """Read one document per line: some gateways send no blank lines between events."""
        for document in map(load_json, data.split(b"\n")):
            if isinstance(document, dict):
                delta = self._read_packet(document, event)
                if delta is not None:
                    yield delta
            elif _OTHER_EVENT.search(event):
                logger.debug("Skipped an event of an unknown type")
            else:
                msg = "The stream was cut off or garbled: an event is not a JSON object"
                raise DashScopeStreamCutError(msg, request_id=self.header_id)

    def _read_packet(self, document: Mapping[str, Any], event: bytes = b"") -> AnswerDelta | None:
        self._has_packets = True
        if "code" in document or "error" in document:
            is_error = document.get("code") or document.get("error")
            if is_error and first_choice(document.get("output")) is None:
                self._raise_error(document, event)
        if self.status_code >= _FIRST_ERROR:
            self._refuse("an error status, and no error in the body")
        try:
            delta = read_packet(document)
        except UnreadableError as error:
            self._refuse(str(error))
        if delta is None:
            return None
        if not delta.request_id:
            delta = delta._replace(request_id=self.header_id)
        self.request_id = delta.request_id
        if self.request_id is not None and self.request_id == self._last_request_id:
            self._refuse("the answer to the request before this one (the same request_id)")
        if delta.finish_reason:
            self.is_complete = True
        return delta

    def _read_tail(self, data: bytes) -> Iterable[AnswerDelta]:
        """Read the usage from a packet after the end of the answer; drop all other data."""
        if self.has_dropped_data:
            return ()
        document = load_json(data)
        if isinstance(document, dict) and "code" not in document:
            with suppress(UnreadableError):
                delta = read_packet(document) or AnswerDelta()
                is_empty = not (delta.text or delta.reasoning or delta.tool_calls)
                if is_empty and read_usage(delta.usage):
                    return (AnswerDelta(usage=delta.usage),)
        self.has_dropped_data = True
        logger.info("Dropped data after the end of an answer")
        return ()

    def _read_document(self, document: Mapping[str, Any]) -> AnswerDelta:
        if self.status_code >= _FIRST_ERROR:
            self._raise_error(document)
        delta = self._read_packet(document)
        if delta is None or not first_choice(document.get("output")):
            self._refuse("an answer without choices")
        # Each is a whole call; without a name it would be taken for the rest of another one.
        calls = tuple(
            c._replace(wire_index=i, name=c.name or "") for i, c in enumerate(delta.tool_calls)
        )
        return delta._replace(tool_calls=calls)

    # --- Errors ---

    def _raise_error(self, document: Mapping[str, Any], event: bytes = b"") -> NoReturn:
        inner = document.get("error")
        facts = inner if isinstance(inner, dict) else document
        code = facts.get("code") or facts.get("type")
        raise self._error(
            text_of(facts.get("message")) or text_of(inner),
            code=None if code is None else str(code),
            status_code=self._error_status(event),
            request_id=text_of(document.get("request_id")) or self.header_id,
        )

    def _error_status(self, event: bytes) -> int | None:
        """Return the status of the response, or that in the comment of an event in a stream."""
        if self.status_code >= _FIRST_ERROR:
            return self.status_code
        statuses = map(int, _STATUS_COMMENT.findall(event))
        return max((status for status in statuses if status >= _FIRST_ERROR), default=None)

    def _refuse(self, what: str) -> NoReturn:
        if self.status_code < _FIRST_ERROR:
            msg = f"{_SENT}{what}"
            raise DashScopeServerError(msg, status_code=self.status_code, request_id=self.header_id)
        raise self._error(what, prefix=_SENT)

    def _error(self, text: str, **facts: Any) -> DashScopeError:
        return error_from_service(
            text,
            headers=self._headers,
            redact=self._redact,
            **{"status_code": self.status_code, "request_id": self.header_id, **facts},
        )


def too_large(max_size: int, request_id: str | None) -> DashScopeError:
    """Return the error for an answer that is larger than `max_answer_size`."""
    return DashScopeAnswerTooLargeError(
        f"The answer is larger than max_answer_size ({max_size:,}), and was not read to its end",
        request_id=request_id,
    )


class EventSplitter:
    """Splits the bytes of a stream, in pieces of any size, into events."""

    def __init__(self) -> None:
        self.unfinished = bytearray()  # the event that has not ended
        self._line_ends = IncrementalNewlineDecoder(None, translate=True)

    def feed(self, piece: bytes) -> list[bytes]:
        """Add a piece, and return the events that end in it, without their blank lines."""
        if self.unfinished or b"\r" in piece or not piece.endswith(b"\n\n"):
            piece = self._join(piece)
        events = piece.split(b"\n\n")
        events.pop()  # empty: it follows the last blank line
        return events

    def end(self) -> list[bytes]:
        """Return the last event: older gateways send no blank line after it."""
        self.unfinished += self._line_ends.decode("", final=True).encode()
        return self.feed(b"\n\n")

    def _join(self, piece: bytes) -> bytes:
        """Append a piece to the unfinished event, and return all up to the last blank line."""
        # The decoder replaces \r\n and \r, also if \r\n is split. Latin-1 keeps every byte.
        piece = self._line_ends.decode(piece.decode("latin-1")).encode("latin-1")
        searched = max(len(self.unfinished) - 1, 0)
        self.unfinished += piece
        end = self.unfinished.rfind(b"\n\n", searched)
        ended = bytes(self.unfinished[: end + 2]) if end >= 0 else b""
        del self.unfinished[: len(ended)]
        return ended


def data_of(event: bytes) -> bytes:
    """Return the data of an event, not decoded; `b""` if it has none."""
    before, found, data = event.partition(b"\ndata:")
    if not found:
        # Some gateways begin the stream with a byte order mark.
        event = event.removeprefix(codecs.BOM_UTF8)
        before, found, data = (b"\n" + event).partition(b"\ndata:")
    if b"\n" not in data and b"data" not in before:  # as the service and most gateways write it
        return data.removeprefix(b" ")
    # httpx-sse reads events in any other form that the standard allows.
    response = httpx.Response(200, headers=_SSE, content=event + b"\n\n")
    read = next(EventSource(response).iter_sse(), None)
    return b"" if read is None else read.data.encode()
