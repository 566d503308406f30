"""The shapes of the wire, and the one reading of a packet: a JSON document becomes a `Reply`.

Pure: no I/O, no LangChain. Reads tolerantly (unknown keys, missing keys, wrong types in a field);
what would be lost is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from langchain_dashscope_deepseek._dashscope.protocol.json_text import (
    joined,
    mended,
    without_halves,
)
from langchain_dashscope_deepseek._dashscope.protocol.redaction import printable
from langchain_dashscope_deepseek._dashscope.protocol.usage import has_counts

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


class Halves:
    """Joins characters whose UTF-16 halves come in two packets: JSON may escape each by itself."""

    def __init__(self) -> None:
        """Begin an answer."""
        self._text = self._reasoning = ""

    def join(self, reply: Reply) -> Reply:
        """Return a reply without halves; calls join those of their arguments themselves."""
        text, self._text = joined(self._text + reply.text)
        reasoning, self._reasoning = joined(self._reasoning + reply.reasoning)
        if reply.finish_reason:
            text += self._text and "\ufffd"
            reasoning += self._reasoning and "\ufffd"
        return reply._replace(
            text=text,
            reasoning=reasoning,
            tool_calls=tuple(
                call._replace(
                    id=call.id and without_halves(call.id),
                    name=call.name and without_halves(call.name),
                )
                for call in reply.tool_calls
            ),
            usage=mended(reply.usage),
            search_results=tuple(mended(reply.search_results) or ()),
        )


class UnreadableError(Exception):
    """Part of an answer has a type that cannot be read, and would be lost; the text names it."""


def read_packet(document: Mapping[str, Any]) -> Reply | None:
    """Read a packet, or an answer in one piece, which is no error.

    Returns:
        What it says; `None` if it holds neither an answer nor token counts nor sources.

    Raises:
        UnreadableError: Names the part.
    """
    output: Any = document.get("output")
    choice = first_choice(output)
    usage = document.get("usage")
    if usage is not None and not has_counts(usage):
        usage = None
    request_id = document.get("request_id")
    request_id = printable(request_id) or None if type(request_id) is str else None
    found = _search_results(output) if choice is None or "search_info" in output else ()
    if choice is None:
        silent = Reply(usage=usage, request_id=request_id, search_results=found)
        return silent if usage is not None or found else None
    message = choice.get("message") or {}
    if type(message) is not dict:
        raise _unreadable("message", message)
    text = message.get("content") or ""
    if type(text) is not str:
        if type(text) is not list:
            raise _unreadable("content", text)
        text = _text(text)
    reasoning = message.get("reasoning_content")
    if type(reasoning) is not str:
        reasoning = ""
    calls = message.get("tool_calls") or ()
    if calls:
        calls = _tool_calls(calls)
    finish_reason = _string(choice.get("finish_reason"))
    # Unfinished packets carry the string "null"; JSON null is documented too.
    finish_reason = None if finish_reason in (None, "null") else printable(finish_reason)
    # As `Reply(...)` does it, without the call in between: one for each token of a stream.
    return tuple.__new__(Reply, (text, reasoning, calls, finish_reason, usage, request_id, found))


def first_choice(output: Any) -> Mapping[str, Any] | None:
    """Find the answer in the output of a packet; `None` if there is none."""
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


def is_silent(document: Mapping[str, Any]) -> bool:
    """Tell whether a packet shows nothing of an answer, whatever else it holds."""
    output = document.get("output") or {}
    choice = first_choice(output) or {}
    message = choice.get("message") or {} if type(choice) is dict else None
    return type(message) is dict and not any(
        message.get(name) for name in ("content", "reasoning_content", "tool_calls")
    )


def _unreadable(name: str, value: Any) -> UnreadableError:
    return UnreadableError(f"an answer whose {name} is of the wrong type ({type(value).__name__})")


def _search_results(output: Any) -> tuple[Mapping[str, Any], ...]:
    info = output.get("search_info") if type(output) is dict else None
    results = info.get("search_results") if type(info) is dict else None
    if type(results) is not list:
        return ()
    return tuple(result for result in results if isinstance(result, dict))


def _tool_calls(calls: Any) -> tuple[ToolCallDelta, ...]:
    if type(calls) is not list:
        raise _unreadable("tool_calls", calls)
    calls = [call for call in calls if call or call == {}]
    for call in calls:
        if type(call) is not dict:
            raise _unreadable("tool call", call)
    return tuple(map(_tool_call, calls))


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
    """Return arguments as text; what is neither text nor an object is found to be none later."""
    if isinstance(arguments, str):
        return arguments
    try:
        return json.dumps(arguments, ensure_ascii=False) if arguments or arguments == {} else ""
    except RecursionError:
        return "["


def _text(content: Any) -> str:
    """Flatten content: a string, null, or a list of `{"text": ...}`."""
    if isinstance(content, list):
        return "".join(
            _text(part.get("text") if isinstance(part, dict) else part) for part in content
        )
    return content if isinstance(content, str) else ""


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
