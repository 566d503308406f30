"""One HTTP answer: bytes become replies, or one of our errors, and never a raw exception.

Pure: no I/O, no LangChain. A stream of events and a body in one piece are fed the same way; what an
event or a document says is read in `wire`.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from functools import cached_property
from itertools import chain
from typing import Any, NoReturn

from pydantic_core import from_json

from langchain_dashscope_deepseek._dashscope.protocol.error_codes import error_from_service
from langchain_dashscope_deepseek._dashscope.protocol.json_text import (
    LARGE,
    is_heavy,
    load,
    load_with_halves,
    without_halves,
)
from langchain_dashscope_deepseek._dashscope.protocol.packets import (
    Halves,
    Reply,
    UnreadableError,
    first_choice,
    is_silent,
    read_packet,
)
from langchain_dashscope_deepseek._dashscope.protocol.redaction import printable, redact_keys
from langchain_dashscope_deepseek._dashscope.protocol.sse import EventSplitter, data_of, name_of
from langchain_dashscope_deepseek._dashscope.protocol.usage import read_usage
from langchain_dashscope_deepseek.errors import (
    DashScopeAnswerTooLargeError,
    DashScopeError,
    DashScopeServerError,
    DashScopeStreamCutError,
)

logger = logging.getLogger(__name__)

_FIRST_ERROR = 400
_STATUS_COMMENT = re.compile(rb":HTTP_STATUS/(\d{3})")
_ENCODING = r"[a-z0-9, *_-]{1,40}"
_PIECE = 64 * 1024
_EVENT_NAMES = ("result", "error", "message")
"""The names of events that hold a packet; those of others may hold anything."""

_OPENAIS_END = b"[DONE]"
"""What gateways that speak OpenAI's protocol, too, send last."""


class AnswerReader:
    """Reads what one HTTP answer holds, piece by piece, and knows whether it was all of it.

    Attributes:
        status_code: The HTTP status.
        is_whole: Whether the answer has come to its end, whatever may follow.
        has_unread_tail: Whether something was dropped that came behind the end.
        request_id: The `request_id` of the last packet, or of the headers.
    """

    def __init__(
        self,
        status_code: int,
        headers: Mapping[str, str],
        max_size: int,
        redact: Callable[[str], str] = redact_keys,
        last_request_id: str | None = None,
    ) -> None:
        """Begin an answer of which the head has come.

        Args:
            status_code: The HTTP status.
            headers: The headers.
            max_size: The size of an answer that is still read, in bytes.
            redact: Takes secrets out of texts.
            last_request_id: The `request_id` of the answer before it on the same connection.
        """
        self._redact = redact
        self.status_code = status_code
        self._headers = headers
        self._last_request_id = last_request_id
        self.request_id = self.header_id
        self._max_size = max_size
        # Of an event a quarter: it is held several times over while it is found.
        self._longest_event = max(max_size // 4, min(max_size, LARGE))
        self._events = EventSplitter()
        self._has_packets = False
        self._comments = b""
        # All, until a packet was read: it may be no stream after all, whatever it is called.
        self._raw = bytearray()
        self._since_shown = 0
        self._halves: Halves | None = None
        self.is_whole = False
        self.has_unread_tail = False
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        self._is_stream = status_code in range(200, 300) and kind == "text/event-stream"

    @cached_property
    def header_id(self) -> str | None:
        """The request's id as the headers have it."""
        request_id = self._headers.get("x-request-id")
        return request_id and printable(self._redact(request_id))

    def feed(self, piece: bytes) -> Iterable[Reply]:
        """Take a piece of the body, and give what it says.

        Raises:
            DashScopeError: It holds an error of the service, is no JSON, or is too large. It comes
                after the replies that came before it, whoever reads them one by one.
        """
        if not self._has_packets:
            self._raw += piece
        if not self._is_stream:
            if len(self._raw) > self._max_size:
                raise too_large(self._max_size, self.header_id)
            return ()
        # Before the piece is counted: it may end the event, or hold many.
        if self._since_shown > self._longest_event:
            raise too_large(self._max_size, self.header_id)
        self._since_shown += len(piece)
        events = self._events.feed(piece)
        if len(events) == 1:
            return self._read(events[0])
        return chain.from_iterable(map(self._read, events))

    def end(self) -> Iterator[Reply]:
        """Say that the body has ended, and yield what is left; an answer in one piece comes now.

        Raises:
            DashScopeError: The answer is an error, nothing that we know, or not whole.
        """
        document = None if self._is_stream else self._document()
        if document is None:
            if not self._is_stream:
                yield from self._as_events()
            yield from chain.from_iterable(map(self._read, self._events.end()))
            if not (self.is_whole or self._has_packets):
                document = self._document()
        if document is not None:
            yield self._whole(document)
        if self.is_whole:
            return
        if self.status_code >= _FIRST_ERROR:
            self._refuse("a body that is no answer")
        msg = "The answer ended without a finish_reason: it was cut off"
        raise DashScopeStreamCutError(msg, request_id=self.header_id)

    def refuse_encoding(self, encoding: str) -> NoReturn:
        """Refuse a compressed body: none was asked for, and what it unpacks to has no bound."""
        shown = encoding if re.fullmatch(_ENCODING, encoding) else "an unreadable one"
        self._refuse(
            f"a compressed answer (content-encoding {shown}), though none was asked for: switch "
            "compression off in the proxy or gateway"
        )

    def cut_error(self) -> DashScopeError:
        """Return the error for a body of an error that could not be read to its end."""
        return self._error("the server, or a proxy before it, sent an error whose text was cut off")

    # --- Events ---

    def _read(self, event: bytes) -> Iterable[Reply]:
        data = data_of(event)
        if not data:
            self._comments = event  # the status of an error may stand before it
            return ()
        if self.is_whole:
            return self._behind_the_end(data)
        if len(data) > LARGE:
            self._weigh(data)
        if not self._has_packets:
            self._has_packets, self._raw = True, bytearray()
        document = self._load(data)
        if type(document) is dict:
            reply = self._packet(document, event)
            return () if reply is None else (reply,)
        return self._documents(event, data)

    def _documents(self, event: bytes, data: bytes) -> Iterator[Reply]:
        """Read several documents, one a line, where the blank line between events was left out."""
        for document in map(self._load, data.split(b"\n")):
            if isinstance(document, dict):
                reply = self._packet(document, event)
                if reply is not None:
                    yield reply
            elif name_of(event) in _EVENT_NAMES:
                msg = "The stream was cut off or garbled: an event is not a JSON object"
                raise DashScopeStreamCutError(msg, request_id=self.header_id)
            else:
                logger.debug("Skipped an event of unknown kind")

    def _load(self, data: bytes | bytearray) -> Any:
        try:
            return from_json(data, cache_strings="keys")
        except ValueError:  # what Python's parser may still take
            self._halves = self._halves or Halves()
            return load_with_halves(data)

    def _packet(self, document: Mapping[str, Any], event: bytes = b"") -> Reply | None:
        if "code" in document or "error" in document:
            is_error = document.get("code") or document.get("error")
            if is_error and first_choice(document.get("output")) is None:
                self._raise_error(document, event)
        if self.status_code >= _FIRST_ERROR:
            self._refuse("an error that holds no error")
        try:
            reply = read_packet(document)
        except UnreadableError as error:
            self._refuse(str(error))
        if reply is None:
            return None
        reply = self._with_id(reply)
        if self._halves is not None:
            reply = self._halves.join(reply)
        if reply.finish_reason:
            self.is_whole, self._since_shown = True, 0
        elif reply.text or reply.reasoning or reply.tool_calls:
            self._since_shown = 0
        return reply

    def _with_id(self, reply: Reply) -> Reply:
        """Note the `request_id`, and refuse that of the last answer."""
        if not reply.request_id:
            reply = reply._replace(request_id=self.header_id)
        self.request_id = reply.request_id
        if self.request_id is not None and self.request_id == self._last_request_id:
            self._refuse("the answer to the request before this one (the same request_id)")
        return reply

    def _behind_the_end(self, data: bytes) -> Iterable[Reply]:
        """Take usage from a packet that says nothing else; whatever follows another one is dropped.

        The answer is whole, and must not be lost, nor grow, for what a server sends behind it.
        """
        if self.has_unread_tail or data == _OPENAIS_END:
            return ()
        document = load(data)
        usage = document.get("usage") if isinstance(document, dict) else None
        is_bill = isinstance(usage, dict) and read_usage(usage) is not None
        if not is_bill or "code" in document or not is_silent(document):
            self.has_unread_tail = True
            logger.info("Dropped what came behind the end of an answer")
            return ()
        return (Reply(usage=usage),)

    # --- A body in one piece ---

    def _document(self) -> Mapping[str, Any] | None:
        """Parse all that came, and let go of a large document's bytes."""
        self._weigh(self._raw)
        document = self._load(self._raw)
        if not isinstance(document, dict):
            return None
        if len(self._raw) > LARGE:
            self._raw = bytearray()
        return document

    def _as_events(self) -> Iterator[Reply]:
        """Read the events of a body that is called something else."""
        if b"data:" not in self._raw:
            kind = self._headers.get("content-type", "no content type").partition(";")[0]
            kind = printable(self._redact(kind))
            self._refuse(f"a body that is no answer ({kind}, {len(self._raw)} bytes)")
        raw, self._raw, self._is_stream = bytes(self._raw), bytearray(), True
        for start in range(0, len(raw), _PIECE):
            yield from self.feed(raw[start : start + _PIECE])

    def _whole(self, document: Mapping[str, Any]) -> Reply:
        if self.status_code >= _FIRST_ERROR:
            self._raise_error(document)
        reply = self._packet(document)
        if reply is None or not first_choice(document.get("output")):
            self._refuse("an answer without choices")
        # In a whole message each element is a call, whatever its index says, and none is a piece.
        calls = tuple(
            c._replace(wire_index=i, name=c.name or "") for i, c in enumerate(reply.tool_calls)
        )
        return reply._replace(tool_calls=calls)

    def _weigh(self, data: bytes | bytearray) -> None:
        """Refuse a large document that would take many times its size when it is parsed.

        Raises:
            DashScopeAnswerTooLargeError: With it, an answer would take more than four times
                `max_answer_size`, and 32 MiB.
        """
        if len(data) > LARGE and is_heavy(data, 3 * self._max_size + 20 * LARGE):
            raise too_large(self._max_size, self.header_id)

    # --- Errors ---

    def _raise_error(self, document: Mapping[str, Any], event: bytes = b"") -> NoReturn:
        inner = document.get("error")
        facts = inner if isinstance(inner, dict) else document
        code = facts.get("code") or facts.get("type")
        raise self._error(
            _text(facts.get("message")) or _text(inner),
            code=None if code is None else str(code),
            status_code=self._error_status(event),
            request_id=_text(document.get("request_id")) or self.header_id,
        )

    def _error_status(self, event: bytes) -> int | None:
        """Find the status of an error: the answer's own, or the last one in a comment before it."""
        if self.status_code >= _FIRST_ERROR:
            return self.status_code
        statuses = map(int, _STATUS_COMMENT.findall(self._comments + event))
        return next((s for s in reversed([*statuses]) if s >= _FIRST_ERROR), None)

    def _refuse(self, what: str) -> NoReturn:
        if self.status_code < _FIRST_ERROR:
            msg = f"DashScope, or a proxy before it, sent {what}"
            raise DashScopeServerError(msg, status_code=self.status_code, request_id=self.header_id)
        raise self._error(f"the server, or a proxy before it, sent {what}")

    def _error(self, text: str, **facts: Any) -> DashScopeError:
        return error_from_service(
            text,
            headers=self._headers,
            retry_after=retry_after(self._headers),
            redact=self._redact,
            **{"status_code": self.status_code, "request_id": self.header_id, **facts},
        )


def too_large(max_size: int, request_id: str | None) -> DashScopeError:
    """Return the error for an answer that is larger than a user allows."""
    return DashScopeAnswerTooLargeError(
        f"The answer is larger than max_answer_size ({max_size:,}), and was not read to its end",
        request_id=request_id,
    )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Read how many seconds the server asks to wait, from `retry-after-ms` or `retry-after`."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _number(value)
    if seconds is not None or not value:
        return seconds
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _number(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None


def _text(value: Any) -> str:
    return without_halves(value) if isinstance(value, str) else ""
