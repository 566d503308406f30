"""Assembles tool calls from their pieces, and marks incomplete ones as invalid. No I/O.

An incomplete call must not reach a tool: its arguments are not those that the model intended.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from langchain_core.messages import InvalidToolCall, ToolCall
from langchain_core.messages.tool import invalid_tool_call, tool_call, tool_call_chunk

from langchain_dashscope_deepseek._dashscope.protocol.packets import ToolCallDelta, fix_surrogates

_FIRST_TOOL_INDEX = 1_000
"""The index of the first call. With `output_version="v1"` core merges all blocks with the same
index, and numbers those of text and reasoning from 0, so the calls use a range of their own."""


class Text:
    """A text in pieces. Joins surrogate pairs that arrive in two pieces."""

    def __init__(self) -> None:
        self._encoded = bytearray()  # a list of pieces takes ten times as much
        self._half = ""  # of a surrogate pair, until the next piece arrives
        self.is_damaged = False  # whether it had a lone surrogate

    def add(self, piece: str) -> str:
        """Append a piece; return it without half of a surrogate pair at its end."""
        if self._half or not piece.isascii():
            piece = self._join(piece)
        self._encoded += piece.encode()
        return piece

    def _join(self, piece: str) -> str:
        text = self._half + piece
        self._half = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
        text = text.removesuffix(self._half)
        joined = fix_surrogates(text)
        self.is_damaged |= joined.count("\ufffd") > text.count("\ufffd")
        return joined

    def __bool__(self) -> bool:
        return bool(self._encoded)

    def __str__(self) -> str:
        return self._encoded.decode()


class ToolCallAccumulator:
    """One tool call."""

    def __init__(
        self, chunk_index: int, index: int | None, wire_id: str | None, unique_id: str | None
    ) -> None:
        self.chunk_index = chunk_index  # in the message's content
        self.index = index  # on the wire, where it may be missing or differ from piece to piece
        self.wire_id = wire_id
        self.id = self._unsent_id = unique_id  # unique in the answer
        self.name: str | None = None
        self.arguments = Text()
        self._held_back = ""

    def accepts(self, delta: ToolCallDelta) -> bool:
        """Tell by its name whether a piece may belong to this call."""
        if delta.name is None or self.name is None:
            return True
        if delta.wire_index is not None and self.index is not None:
            if delta.wire_index != self.index:
                return False  # another call, even under the same id
            if not self.arguments:
                return True  # it may continue the name
        return delta.name == self.name

    def grow(self, delta: ToolCallDelta) -> Any:
        """Append a piece; return its additions. A name may arrive in pieces, or repeatedly."""
        new_id, self._unsent_id = self._unsent_id, None
        new_name = delta.name if delta.name and delta.name != self.name else None
        if new_name:
            self.name = (self.name or "") + new_name
        arguments = self._held_back + delta.arguments
        # Some models write null for no arguments. A chunk with it could not be revoked.
        is_null = arguments.strip() == "null" and not self.arguments
        self._held_back, arguments = (arguments, "") if is_null else ("", arguments)
        new_args = self.arguments.add(arguments)
        return tool_call_chunk(id=new_id, name=new_name, args=new_args, index=self.chunk_index)

    def end(self, *, may_be_empty: bool) -> str:
        """Append an unmatched closing bracket if the call may not run; return the addition.

        An agent may run it if it has a name, and a JSON object as arguments.
        """
        raw = str(self.arguments)
        is_object = _json_object(raw) is not None if raw else may_be_empty
        may_run = is_object and self.name and not self.arguments.is_damaged
        # Core completes truncated JSON, so an agent would run a call that the length limit cut off.
        # No parser completes JSON with an unmatched bracket.
        return "" if may_run else self.arguments.add(unmatched_closing(raw))

    def parsed(self, error: str | None = None) -> ToolCall | InvalidToolCall:
        """Return the whole call; an invalid one with the text of an error, if given."""
        raw = str(self.arguments)
        arguments = _json_object(raw) if raw else {}
        if arguments is None:
            return invalid_tool_call(name=self.name, args=raw, id=self.id, error=error)
        return tool_call(name=self.name or "", args=arguments, id=self.id)


class ToolCalls(list[ToolCallAccumulator]):
    """The tool calls of one answer."""

    def __init__(self) -> None:
        super().__init__()
        # The last call of each id, of each index, and of each pair of them.
        self._latest: dict[Any, ToolCallAccumulator] = {}

    def add(self, deltas: Iterable[ToolCallDelta]) -> list[Any]:
        """Add the pieces of a packet; return the additions as core's `ToolCallChunk`s."""
        grown = []
        for delta in deltas:
            call = self._find_or_open(delta)
            if call is not None:
                grown.append(call.grow(delta))
        return grown

    def end(self, *, is_cut: bool, request_id: str | None) -> list[Any]:
        """End the calls; return the additions as core's `ToolCallChunk`s.

        A call without an id gets one, and a call that may not run becomes invalid JSON.
        """
        endings = []
        # Arguments of a call without a name may be those of a call whose own arguments are empty.
        has_stray_arguments = any(call.arguments and not call.name for call in self)
        for number, call in enumerate(self):
            new_id = None if call.id else f"call_{request_id or 'unknown'}_{number}"
            call.id = call.id or new_id
            may_be_empty = not has_stray_arguments and not (is_cut and call is self[-1])
            suffix = call.end(may_be_empty=may_be_empty)
            if suffix or new_id:
                endings.append(tool_call_chunk(id=new_id, args=suffix, index=call.chunk_index))
        return endings

    def _find_or_open(self, delta: ToolCallDelta) -> ToolCallAccumulator | None:
        """Find the call that a piece belongs to, or open one; `None` for an empty piece."""
        # 1. A known id decides, with any index.
        # 2. Else a known index decides, unless the piece has a name and another id than that call.
        # 3. Else a piece without an id that lacks a name or an index belongs to the last call.
        call_id, index = delta.id, delta.wire_index
        with_id = self._latest.get(call_id) if call_id else None
        at_index = None if index is None else self._latest.get(index)
        call = None
        if with_id is not None:
            call = self._latest.get((call_id, index), with_id)
        elif at_index is not None:
            is_another = call_id and at_index.wire_id and delta.name
            call = None if is_another else at_index
        elif self and call_id is None and (delta.name is None or index is None):
            call = self[-1]
        if call is None or not call.accepts(delta):
            if not (call_id or delta.name or delta.arguments):
                return None
            # Of two calls with one id, the second gets another.
            unique_id = None if with_id else call_id
            chunk_index = _FIRST_TOOL_INDEX + len(self)
            call = ToolCallAccumulator(chunk_index, index, call_id, unique_id)
            self.append(call)
            self._latest |= {call_id: call, index: call, (call_id, index): call}
        elif call_id and not call.wire_id:
            call.wire_id = call_id
            self._latest |= {call_id: call, (call_id, index): call}
        return call


def unmatched_closing(text: str) -> str:
    """Return the shortest suffix that makes a text invalid JSON, even for parsers that repair it.

    It closes the open string, if there is one, and adds an unmatched bracket.
    """
    inside_string = escaped = False
    opened: list[str] = []
    for char in text:
        if inside_string:
            inside_string = char != '"' or escaped
            escaped = char == "\\" and not escaped
        elif char == '"':
            inside_string = True
        elif char in "{[":
            opened.append(char)
        elif char in "}]" and opened:
            opened.pop()
    end_of_string = ('""' if escaped else '"') if inside_string else ""
    return end_of_string + ("}" if opened and opened[-1] == "[" else "]")


def _json_object(text: str) -> dict[str, Any] | None:
    """Parse strictly: an object with finite numbers and without lone surrogates."""
    try:
        # `strict=False` accepts raw line ends in strings, which are unambiguous.
        value = json.loads(text, strict=False)
        # Fails on NaN, Infinity and lone surrogates.
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
