"""The shapes of the wire, and what comes back: an event or a body becomes a `Reply` or an error.

Pure: no I/O, no LangChain. Reads tolerantly (unknown keys, missing keys, wrong types in a field)
and decides strictly: an answer, or one of our errors, never a raw exception.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, NoReturn

from langchain_dashscope_deepseek.errors import (
    DashScopeServerError,
    DashScopeStreamCutError,
    error_from_service,
)

logger = logging.getLogger(__name__)

WireMessage = dict[str, Any]
"""A message as the service takes it: a role, and what belongs to the role."""


class ToolCallDelta(NamedTuple):
    """A piece of a tool call; what a packet leaves empty is `None`."""

    wire_index: int | None
    id: str | None
    name: str | None
    arguments: str


class Usage(NamedTuple):
    """Token counts so far; cumulative within a stream. `None`: not sent."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None
    cache_creation_tokens: int | None = None


class Reply(NamedTuple):
    """One packet of a stream, or a whole answer."""

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()
    finish_reason: str | None = None
    usage: Usage | None = None
    request_id: str | None = None
    search_results: tuple[Mapping[str, Any], ...] = ()


class ReplyReader:
    """Reads what one HTTP answer holds, packet by packet, and knows whether it was all of it."""

    def __init__(self, status_code: int, headers: Mapping[str, str]) -> None:
        """Remember what every packet and every error of this answer has in common."""
        self._status_code = status_code
        self._headers = headers
        self.finished = False

    def event(self, name: str, data: str) -> Iterator[Reply]:
        """Read one server-sent event.

        Args:
            name: The event's name; `result`, `error`, or one that we do not know.
            data: Its data. Several JSON documents, one a line, where the service left out the
                blank line between events.

        Raises:
            DashScopeError: The event is an error of the service, or no JSON.
        """
        if not data:
            return
        for document in self._documents(name, data):
            reply = self._reply(document)
            if reply is not None:
                self.finished = self.finished or reply.finish_reason is not None
                yield reply

    def end(self) -> None:
        """Say that the stream has ended.

        Raises:
            DashScopeStreamCutError: No packet had a finish_reason, so the answer is not whole.
        """
        if not self.finished:
            msg = "The stream ended without a finish_reason: the answer was cut off"
            raise DashScopeStreamCutError(msg, request_id=self._headers.get("x-request-id"))

    def body(self, content: bytes) -> Iterator[Reply]:
        """Read a whole body: first as JSON, then as the text of events, whatever it is called.

        Raises:
            DashScopeError: The body holds an error, or nothing that we know.
        """
        text = content.decode("utf-8", "replace").strip()
        document = _load(text)
        if isinstance(document, dict):
            reply = self._reply(document)
            if reply is None or self._status_code >= 400:  # noqa: PLR2004
                self._refuse(f"an answer without choices ({len(content)} bytes of JSON)")
            yield reply
            return
        lines = [line[5:].strip() for line in text.splitlines() if line.startswith("data:")]
        replies = [reply for line in lines for reply in self.event("result", line)]
        if not replies or self._status_code >= 400:  # noqa: PLR2004
            kind = self._headers.get("content-type", "no content type").partition(";")[0]
            self._refuse(f"a body that is no answer ({kind}, {len(content)} bytes)")
        self.end()
        yield from replies

    def _documents(self, name: str, data: str) -> Iterator[Mapping[str, Any]]:
        whole = _load(data)
        for document in [whole] if whole is not None else map(_load, data.split("\n")):
            if isinstance(document, dict):
                yield document
            elif name in ("result", "error", "message"):
                msg = "The stream was cut off or garbled: an event is not a JSON object"
                raise DashScopeStreamCutError(msg, request_id=self._headers.get("x-request-id"))
            else:
                logger.debug("Skipped an event of unknown kind")

    def _reply(self, document: Mapping[str, Any]) -> Reply | None:
        """Read one JSON document; `None` if it holds neither an answer nor usage nor an error."""
        output = document.get("output")
        if not output and (document.get("code") or document.get("error")):
            self._raise_error(document)
        request_id = _string(document.get("request_id")) or self._headers.get("x-request-id")
        usage = _usage(document.get("usage"))
        if not isinstance(output, dict):
            return None if usage is None else Reply(usage=usage, request_id=request_id)
        search_info = output.get("search_info")
        search_results = search_info.get("search_results") if isinstance(search_info, dict) else ()
        choice = _first_choice(output)
        if choice is None and usage is None and not search_results:
            return None
        choice = choice or {}
        message = choice.get("message")
        message = message if isinstance(message, dict) else {}
        return Reply(
            text=_text(message.get("content")),
            reasoning=_string(message.get("reasoning_content")) or "",
            tool_calls=tuple(_tool_calls(message.get("tool_calls"))),
            finish_reason=_finish_reason(choice.get("finish_reason")),
            usage=usage,
            request_id=request_id,
            search_results=tuple(r for r in _list(search_results) if isinstance(r, dict)),
        )

    def _raise_error(self, document: Mapping[str, Any]) -> NoReturn:
        inner = document.get("error")
        facts = inner if isinstance(inner, dict) else document
        code = facts.get("code") or facts.get("type")
        raise error_from_service(
            _string(facts.get("message")) or "",
            code=None if code is None else str(code),
            status_code=self._status_code if self._status_code >= 400 else None,  # noqa: PLR2004
            request_id=_string(document.get("request_id")) or self._headers.get("x-request-id"),
            headers=self._headers,
            retry_after=retry_after(self._headers),
        )

    def _refuse(self, what: str) -> NoReturn:
        if self._status_code < 400:  # noqa: PLR2004
            msg = f"DashScope, or a proxy before it, sent {what}"
            raise DashScopeServerError(
                msg, status_code=self._status_code, request_id=self._headers.get("x-request-id")
            )
        raise error_from_service(
            f"the server, or a proxy before it, sent {what}",
            status_code=self._status_code,
            request_id=self._headers.get("x-request-id"),
            headers=self._headers,
            retry_after=retry_after(self._headers),
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


def _load(text: str) -> Any:
    """Parse JSON; `None` for what is none (and for `null`, which says as little)."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _first_choice(output: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if "choices" not in output and isinstance(output.get("text"), str):
        return {
            "message": {"content": output["text"]},
            "finish_reason": output.get("finish_reason"),
        }
    for choice in _list(output.get("choices")):
        if isinstance(choice, dict) and choice.get("index") in (None, 0):
            return choice
    return None


def _tool_calls(calls: Any) -> Iterator[ToolCallDelta]:
    for call in _list(calls):
        if not isinstance(call, dict):
            continue
        function = call.get("function")
        function = function if isinstance(function, dict) else {}
        arguments = function.get("arguments")
        index = call.get("index")
        yield ToolCallDelta(
            wire_index=index if type(index) is int else None,
            id=_string(call.get("id")),
            name=_string(function.get("name")),
            arguments=json.dumps(arguments, ensure_ascii=False)
            if isinstance(arguments, dict)
            else _string(arguments) or "",
        )


def _usage(usage: Any) -> Usage | None:
    if not isinstance(usage, dict):
        return None
    sent = _count(usage, "input_tokens")
    received = _count(usage, "output_tokens")
    total = _count(usage, "total_tokens")
    if sent is None and received is None and total is None:
        return None
    sent, received = sent or 0, received or 0
    return Usage(
        sent,
        received,
        sent + received if total is None else total,
        reasoning_tokens=_count(usage.get("output_tokens_details"), "reasoning_tokens"),
        cached_tokens=_count(usage.get("prompt_tokens_details"), "cached_tokens"),
        cache_creation_tokens=_count(
            usage.get("prompt_tokens_details"), "cache_creation_input_tokens"
        ),
    )


def _count(counts: Any, key: str) -> int | None:
    value = counts.get(key) if isinstance(counts, dict) else None
    return value if type(value) is int and value >= 0 else None


def _finish_reason(value: Any) -> str | None:
    # Unfinished packets carry the string "null"; JSON null is documented too.
    return None if value == "null" else _string(value)


def _text(content: Any) -> str:
    """Flatten content: a string, null, or a list of `{"text": ...}`."""
    if isinstance(content, list):
        return "".join(
            _text(part.get("text") if isinstance(part, dict) else part) for part in content
        )
    return content if isinstance(content, str) else ""


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _list(value: Any) -> list[Any] | tuple[Any, ...]:
    return value if isinstance(value, (list, tuple)) else ()


def _number(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None
