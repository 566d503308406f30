"""The shapes of the wire, and what comes back: an event or a body becomes a `Reply` or an error.

Pure: no I/O, no LangChain. Reads tolerantly (unknown keys, missing keys, wrong types in a field)
and decides strictly: an answer, or one of our errors, never a raw exception.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from operator import itemgetter
from typing import Any, NamedTuple, NoReturn

from pydantic_core import from_json

from langchain_dashscope_deepseek._dashscope.usage import has_counts, read_usage
from langchain_dashscope_deepseek.errors import (
    DashScopeAnswerTooLargeError,
    DashScopeError,
    DashScopeServerError,
    DashScopeStreamCutError,
    error_from_service,
    without_keys,
)

logger = logging.getLogger(__name__)

_FIRST_ERROR = 400
_STATUS_COMMENT = re.compile(rb":HTTP_STATUS/(\d{3})")
_STATUS_WITHIN = 4_096
_LONGEST_ID = 100
_ENCODING = r"[a-z0-9, *_-]{1,40}"

WireMessage = dict[str, Any]
"""A message as the service takes it: a role, and what belongs to the role."""


class ToolCallDelta(NamedTuple):
    """A piece of a tool call; what a packet leaves empty is `None`."""

    wire_index: int | None
    id: str | None
    name: str | None
    arguments: str


class Reply(NamedTuple):
    """One packet of a stream, or a whole answer."""

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()
    finish_reason: str | None = None
    usage: Mapping[str, Any] | None = None
    """As the wire has it, since the last one counts; cumulative. `read_usage` reads it."""
    request_id: str | None = None
    search_results: tuple[Mapping[str, Any], ...] = ()


LARGE = 2**20
"""Bytes of a document that is parsed without a second thought."""

_SIZE_OF_A_VALUE = 100
"""Bytes that a value of JSON takes as an object of Python, at most."""

_WIDE = rb"[\xf0-\xf7]|\\[uU][dD]"
_MARKS = rb'(?s:\\.)|["\[{,]'
# Seldom needed, so compiled where they are: that takes a millisecond of an import.

_NOTHING = Reply()[:4]

_OPENAIS_END = b"[DONE]"
"""What gateways that speak OpenAI's protocol, too, send last."""

_PACKET = itemgetter("output", "usage", "request_id")


class ReplyReader:
    """Reads what one HTTP answer holds, packet by packet, and knows whether it was all of it.

    Attributes:
        finished: Whether the answer has come to its end.
        held_more: Whether something was dropped that came behind the end.
    """

    def __init__(
        self,
        status_code: int,
        headers: Mapping[str, str],
        max_size: int,
        blot: Callable[[str], str] = str,
    ) -> None:
        """Remember what every packet and every error of this answer has in common.

        Args:
            status_code: The HTTP status.
            headers: The headers of the answer, their names in any case.
            max_size: Bytes of one event, or of a body in one piece.
            blot: Takes out of a foreign text what was sent.
        """
        self._blot = blot
        self.status_code = status_code
        self._headers = headers
        self._max_size = self._longest = max_size
        self._raw = bytearray()
        self._since_shown = 0
        self._has_events = False
        self.finished = False
        self.held_more = False

    @property
    def header_id(self) -> str | None:
        """The request's id as the headers have it."""
        request_id = self._headers.get("x-request-id")
        return request_id and self._blot(request_id)[:_LONGEST_ID]

    def expect_events(self) -> None:
        """Take it that the body is a stream, of which an event may have a quarter of the size.

        It is held several times over while it is found among the bytes; what fits a body in one
        piece would take more memory than a user allows.
        """
        self._longest = max(self._max_size // 4, min(self._max_size, LARGE))

    def watch(self, piece: bytes) -> None:
        """Look at raw bytes on their way to the events.

        Kept is everything until an event was read, since it may be no event stream after all, and
        then the end, where the status of an error stands in a comment that is lost later.

        Raises:
            DashScopeAnswerTooLargeError: There is no end of an event in sight, or none that shows
                anything.
        """
        # Before the piece is counted: it may end the event, or hold many.
        if self._since_shown > self._longest:
            raise too_large(self._max_size, self.header_id)
        self._since_shown += len(piece)
        self._raw += piece
        if self._has_events and len(self._raw) > 2 * _STATUS_WITHIN:
            del self._raw[:-_STATUS_WITHIN]

    def event(self, name: bytes, data: bytes) -> Iterable[Reply]:
        """Read one server-sent event.

        Args:
            name: The event's name; `result`, `error`, or one that we do not know.
            data: Its data. Several JSON documents, one a line, where the service left out the
                blank line between events.

        Raises:
            DashScopeError: The event is an error of the service, or no JSON.
        """
        if not data:
            return ()
        if self.finished:
            return self._behind_the_end(data)
        self._weigh(data)
        reply = self.usual(data)
        if reply is not None:
            return (reply,)
        self._has_events = True
        return self._documents(name, data)

    def _behind_the_end(self, data: bytes) -> Iterable[Reply]:
        """Take usage from a packet that says nothing else; whatever follows another one is dropped.

        The answer is whole, and must not be lost, nor grow, for what a server sends behind it.
        """
        if self.held_more or data == _OPENAIS_END:
            return ()
        document = _load(data)
        usage = document.get("usage") if isinstance(document, dict) else None
        is_whole = isinstance(usage, dict) and read_usage(usage) is not None
        if not is_whole or "code" in document or not _is_silent(document):
            self.held_more = True
            logger.info("Dropped what came behind the end of an answer")
            return ()
        return (Reply(usage=usage),)

    def end(self) -> Iterator[Reply]:
        """Say that the stream has ended; gives an answer that came in one piece after all.

        Raises:
            DashScopeError: No packet had a finish_reason, so the answer is not whole.
        """
        if self.finished:
            return
        document = None if self._has_events else self._taken()
        if isinstance(document, dict):
            yield self._whole(document)
            return
        if self.status_code >= _FIRST_ERROR:
            self._refuse("a body that is no answer")
        msg = "The stream ended without a finish_reason: the answer was cut off"
        raise DashScopeStreamCutError(msg, request_id=self.header_id)

    def body(self) -> Reply | bytes:
        """Read all that was watched as JSON, whatever it is called.

        Returns:
            The answer, or the body itself if it holds the text of events.

        Raises:
            DashScopeError: The body holds an error, or nothing that we know.
        """
        if len(self._raw) > self._max_size:
            raise too_large(self._max_size, self.header_id)
        document = self._taken()
        if isinstance(document, dict):
            return self._whole(document)
        if b"data:" not in self._raw:
            kind = self._headers.get("content-type", "no content type").partition(";")[0]
            kind = without_keys(self._blot(kind))[:_LONGEST_ID]
            self._refuse(f"a body that is no answer ({kind}, {len(self._raw)} bytes)")
        self.expect_events()
        raw, self._raw, self._since_shown = bytes(self._raw), bytearray(), 0
        return raw

    def _taken(self) -> Any:
        """Parse all that was watched, and let go of a large document's bytes."""
        self._weigh(self._raw)
        document = _load(self._raw)
        if isinstance(document, dict) and len(self._raw) > LARGE:
            self._raw = bytearray()
        return document

    def _weigh(self, data: bytes | bytearray) -> None:
        """Refuse a large document that would take many times its size when it is parsed.

        Raises:
            DashScopeAnswerTooLargeError: With it, an answer would take more than four times
                `max_answer_size`, and 32 MiB.
        """
        if len(data) > LARGE and _is_heavy(data, 3 * self._max_size + 20 * LARGE):
            raise too_large(self._max_size, self.header_id)

    def _whole(self, document: Mapping[str, Any]) -> Reply:
        if self.status_code >= _FIRST_ERROR:
            self._raise_error(document)
        reply = self._reply(document)
        if reply is None or not _first_choice(document.get("output")):
            self._refuse("an answer without choices")
        # In a whole message each element is a call, whatever its index says, and none is a piece.
        calls = tuple(
            c._replace(wire_index=i, name=c.name or "") for i, c in enumerate(reply.tool_calls)
        )
        return reply._replace(tool_calls=calls)

    def refuse_encoding(self, encoding: str) -> NoReturn:
        """Refuse a compressed body: none was asked for, and what it unpacks to has no bound."""
        shown = encoding if re.fullmatch(_ENCODING, encoding) else "an unreadable one"
        self._refuse(
            f"a compressed answer (content-encoding {shown}), though none was asked for: switch "
            "compression off in the proxy or gateway"
        )

    def cut_error(self) -> DashScopeError:
        """Give the error for a body of an error that could not be read to its end."""
        return error_from_service(
            "the server, or a proxy before it, sent an error whose text was cut off",
            status_code=self.status_code,
            request_id=self.header_id,
            headers=self._headers,
            retry_after=retry_after(self._headers),
            blot=self._blot,
        )

    def usual(self, data: bytes) -> Reply | None:
        """Read a packet as nearly all are, whose checks are few: some µs less for each token.

        A test holds it to the long way.

        Returns:
            What the packet says. `None`: nothing was read, it is for `watch` and `event`.
        """
        try:
            output, usage, request_id = _PACKET(from_json(data, cache_strings="keys"))
            (choice,) = output["choices"]
            message = choice["message"]
            text = message["content"]
            if type(text) is not str:
                text = _lone_text(text)
            tokens = usage["output_tokens"]
        except (LookupError, TypeError, ValueError):
            return None
        reasoning = message.get("reasoning_content", "")
        is_usual = (
            type(text) is type(reasoning) is type(request_id) is str
            and request_id
            and choice.get("finish_reason") == "null"
            and choice.get("index", 0) == 0
            and len(output) == 1
            and type(tokens) is int
            and tokens >= 0
            and self.status_code < _FIRST_ERROR
        )
        if not is_usual:
            return None
        calls = message.get("tool_calls") or ()
        if calls:
            calls = self._calls(calls)
        if not (text or reasoning or calls):
            return None
        self._has_events = True
        self._since_shown = 0
        # Not Reply(...), which takes 0.5 µs more.
        return tuple.__new__(Reply, (text, reasoning, calls, None, usage, request_id, ()))

    def _documents(self, name: bytes, data: bytes) -> Iterator[Reply]:
        """Read the documents of an event, mostly one; what is none is skipped or refused."""
        whole = _load(data)
        documents = [whole] if isinstance(whole, dict) else map(_load, data.split(b"\n"))
        for document in documents:
            if isinstance(document, dict):
                reply = self._reply(document)
                if reply is not None:
                    yield reply
            elif name in (b"result", b"error", b"message"):
                msg = "The stream was cut off or garbled: an event is not a JSON object"
                raise DashScopeStreamCutError(msg, request_id=self.header_id)
            else:
                logger.debug("Skipped an event of unknown kind")

    def _reply(self, document: Mapping[str, Any]) -> Reply | None:
        """Read one JSON document; `None` if it holds neither an answer nor usage nor an error."""
        output = document.get("output")
        choice = _first_choice(output)
        if choice is None and (document.get("code") or document.get("error")):
            self._raise_error(document)
        if self.status_code >= _FIRST_ERROR:
            self._refuse("an error that holds no error")
        usage = document.get("usage")
        if usage is not None and not has_counts(usage):
            usage = None
        search_results = _search_results(output)
        if choice is None and usage is None and not search_results:
            return None
        request_id = document.get("request_id")
        if type(request_id) is not str or not request_id:
            request_id = self.header_id
        said = self._said(choice) if choice else _NOTHING
        return Reply(*said, usage, request_id, search_results)

    def _said(
        self, choice: Mapping[str, Any]
    ) -> tuple[str, str, tuple[ToolCallDelta, ...], str | None]:
        """Read text, reasoning, tool calls and finish_reason, and note that something shows."""
        message = choice.get("message") or {}
        if type(message) is not dict:
            self._refuse_type("message", message)
        text = message.get("content") or ""
        if type(text) is not str:
            text = self._flat(text)
        reasoning = message.get("reasoning_content")
        if type(reasoning) is not str:
            reasoning = ""
        calls = message.get("tool_calls") or ()
        if calls:
            calls = self._calls(calls)
        finish_reason = choice.get("finish_reason")
        if finish_reason is not None:
            # Unfinished packets carry the string "null"; JSON null is documented too.
            finish_reason = None if finish_reason == "null" else _string(finish_reason)
        if finish_reason:
            self.finished = True
        if text or reasoning or calls or finish_reason:
            self._since_shown = 0
        return text, reasoning, calls, finish_reason

    def _flat(self, content: Any) -> str:
        if type(content) is not list:
            self._refuse_type("content", content)
        return _text(content)

    def _calls(self, calls: Any) -> tuple[ToolCallDelta, ...]:
        if type(calls) is not list:
            self._refuse_type("tool_calls", calls)
        calls = [call for call in calls if call or call == {}]
        for call in calls:
            if type(call) is not dict:
                self._refuse_type("tool call", call)
        return tuple(map(_tool_call, calls))

    def _refuse_type(self, name: str, value: Any) -> NoReturn:
        """Refuse what must be part of an answer and cannot be read: it would be lost."""
        self._refuse(f"an answer whose {name} is of the wrong type ({type(value).__name__})")

    def _raise_error(self, document: Mapping[str, Any]) -> NoReturn:
        inner = document.get("error")
        facts = inner if isinstance(inner, dict) else document
        code = facts.get("code") or facts.get("type")
        raise error_from_service(
            _string(facts.get("message")) or _string(inner) or "",
            code=None if code is None else str(code),
            status_code=self._error_status(),
            request_id=_string(document.get("request_id")) or self.header_id,
            headers=self._headers,
            retry_after=retry_after(self._headers),
            blot=self._blot,
        )

    def _error_status(self) -> int | None:
        """Find the status of an error: the answer's own, or the last one in a comment."""
        if self.status_code >= _FIRST_ERROR:
            return self.status_code
        statuses = [int(status) for status in _STATUS_COMMENT.findall(self._raw)]
        return next((s for s in reversed(statuses) if s >= _FIRST_ERROR), None)

    def _refuse(self, what: str) -> NoReturn:
        if self.status_code < _FIRST_ERROR:
            msg = f"DashScope, or a proxy before it, sent {what}"
            raise DashScopeServerError(msg, status_code=self.status_code, request_id=self.header_id)
        raise error_from_service(
            f"the server, or a proxy before it, sent {what}",
            status_code=self.status_code,
            request_id=self.header_id,
            headers=self._headers,
            retry_after=retry_after(self._headers),
            blot=self._blot,
        )


def too_large(max_size: int, request_id: str | None) -> DashScopeError:
    """Give the error for an answer that is larger than a user allows."""
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


def _load(data: bytes | bytearray) -> Any:
    """Parse JSON; `None` for what is none (and for `null`, which says as little).

    What pydantic's parser refuses, Python's may still take: bytes that are no UTF-8 and halves of
    surrogate pairs, which break whoever prints, stores or sends them, become U+FFFD.
    """
    try:
        return from_json(data, cache_strings="keys")  # 2 µs an event, where json.loads takes 4
    except ValueError:
        if len(data) > 2 * LARGE:  # mending takes some ten times as much
            return None
        text = data.decode("utf-8-sig", "replace")
    try:
        value = json.loads(text)
        if may_hold_half_a_pair(text):
            value = json.loads(without_halves(json.dumps(value, ensure_ascii=False)))
    except (ValueError, RecursionError):
        return None
    return value


def _is_heavy(data: bytes | bytearray, allowed: int) -> bool:
    """Estimate whether a document takes more memory than is allowed, before it is parsed.

    One character beyond the first 65,536 makes all of a text take 4 bytes each, and a value of two
    characters, as `[]`, takes a hundred.
    """
    width = 6 if re.search(_WIDE, data) else 1 if data.isascii() else 3
    allowed -= len(data) * width
    if data.count(b",") + data.count(b"[") + data.count(b"{") + data.count(b'"') // 2 > (
        allowed // _SIZE_OF_A_VALUE
    ):
        values, is_in_text = 0, False
        for mark in re.finditer(_MARKS, data):
            if mark[0] == b'"':
                is_in_text = not is_in_text
                values += is_in_text
            else:
                values += not is_in_text and len(mark[0]) == 1
            if values * _SIZE_OF_A_VALUE > allowed:
                return True
    return allowed < 0


HALF_OF_A_PAIR = (
    "holds half of a surrogate pair, which UTF-8 cannot carry. Repair it: "
    "text.encode('utf-16', 'surrogatepass').decode('utf-16', 'replace')"
)
"""What to say of a text that cannot be sent."""


def without_halves(text: str) -> str:
    """Join halves of surrogate pairs, and replace those that stand alone."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def may_hold_half_a_pair(text: str) -> bool:
    """Tell whether JSON holds escapes that stand for halves of characters, whole pairs or not."""
    return "\\ud" in text or "\\uD" in text


def _first_choice(output: Any) -> Mapping[str, Any] | None:
    if type(output) is not dict:
        return None
    choices = output.get("choices")
    if type(choices) is list:
        for choice in choices:
            if type(choice) is dict and choice.get("index") in (None, 0):
                return choice
    elif "choices" not in output and isinstance(output.get("text"), str):
        message = {"content": output["text"]}
        return {"message": message, "finish_reason": output.get("finish_reason")}
    return None


def _is_silent(document: Mapping[str, Any]) -> bool:
    """Tell whether a packet shows nothing of an answer."""
    output = document.get("output") or {}
    choice = _first_choice(output) or {}
    message = choice.get("message") or {} if type(choice) is dict else None
    return type(message) is dict and not any(
        message.get(name) for name in ("content", "reasoning_content", "tool_calls")
    )


def _search_results(output: Any) -> tuple[Mapping[str, Any], ...]:
    info = output.get("search_info") if type(output) is dict else None
    if type(info) is not dict:
        return ()
    return tuple(result for result in _list(info.get("search_results")) if isinstance(result, dict))


def _tool_call(call: Mapping[str, Any]) -> ToolCallDelta:
    function = call.get("function")
    function = function if isinstance(function, dict) else {}
    index = call.get("index")
    return ToolCallDelta(
        wire_index=index if type(index) is int else None,
        id=_string(call.get("id")),
        name=_string(function.get("name")),
        arguments=_arguments(function.get("arguments")),
    )


def _arguments(arguments: Any) -> str:
    """Give arguments as text; what is neither text nor an object is found to be none later."""
    if isinstance(arguments, str):
        return arguments
    try:
        return json.dumps(arguments, ensure_ascii=False) if arguments or arguments == {} else ""
    except RecursionError:
        return "["


def _lone_text(content: list[Any]) -> Any:
    """Give the text of a content of the multimodal route that has one part, or none."""
    if not content:
        return ""
    (part,) = content
    return part["text"]


def _text(content: Any) -> str:
    """Flatten content: a string, null, or a list of `{"text": ...}`."""
    if isinstance(content, list):
        return "".join(
            _text(part.get("text") if isinstance(part, dict) else part) for part in content
        )
    return content if isinstance(content, str) else ""


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _number(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None
