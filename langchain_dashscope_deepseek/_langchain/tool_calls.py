"""Tool calls as they grow, piece by piece: what belongs to which, and whether one may be run.

Pure. No tool may run with arguments that the model did not mean.
"""

from __future__ import annotations

import json
import math
from typing import Any

from langchain_core.messages import InvalidToolCall, ToolCall

from langchain_dashscope_deepseek._dashscope.protocol.json_text import joined, may_hold_half_a_pair
from langchain_dashscope_deepseek._dashscope.protocol.packets import ToolCallDelta

_FIRST_TOOL_INDEX = 1_000
"""In v1 streams core merges blocks of one index whatever their type, and counts text and reasoning
from 0: the calls' indexes stay out of their way."""


class Text:
    """A text as it grows: a piece of a character would take 76 bytes by itself."""

    def __init__(self) -> None:
        """Begin empty."""
        self._only = ""
        self._encoded = bytearray()

    def add(self, piece: str) -> int:
        """Append a piece; give how many bytes it has."""
        encoded = piece.encode("utf-8", "surrogatepass")
        if self._only:
            self._encoded += self._only.encode("utf-8", "surrogatepass")
            self._only = ""
        if self._encoded:
            self._encoded += encoded
        else:
            self._only = piece
        return len(encoded)

    def __bool__(self) -> bool:
        """Tell whether there is any."""
        return bool(self._only or self._encoded)

    @property
    def is_ascii(self) -> bool:
        """Whether Python takes a byte for a character; one that is wider makes all take 2 or 4."""
        return self._only.isascii() and self._encoded.isascii()

    def __str__(self) -> str:
        """Return all of it."""
        return self._only or self._encoded.decode("utf-8", "surrogatepass")


class ToolCallAccumulator:
    """A tool call as it grows.

    Attributes:
        position: Its place among the calls of its answer.
        index: What the wire calls it by; may be missing, or another one in every piece.
        wire_id: Its id on the wire.
        id: Its id, which no other call of the answer has.
    """

    def __init__(
        self, position: int, index: int | None, wire_id: str | None, given_id: str | None
    ) -> None:
        """Begin a call: the nth of its answer."""
        self.position = position
        self.chunk_index = _FIRST_TOOL_INDEX + position
        self.index = index
        self.wire_id = wire_id
        self.id: str | None = None
        self.name: str | None = None
        self.arguments = Text()
        self._given_id = given_id
        self._held_back = self._half = ""
        self._lost_a_half = False

    def takes(self, delta: ToolCallDelta) -> bool:
        """Tell whether a delta may be a piece of it, going by the name."""
        if delta.name and self.name and None is not delta.wire_index != self.index is not None:
            return False  # one more call, whatever its id
        is_one_more_piece = delta.wire_index == self.index is not None and not self.arguments
        return delta.name in (None, self.name) or self.name is None or is_one_more_piece

    def grow(self, delta: ToolCallDelta) -> dict[str, Any]:
        """Take a delta; give what is new of it. An id comes once, a name perhaps in pieces."""
        self.wire_id = self.wire_id or delta.id
        new_id = self._given_id if self.id is None else None
        self.id = self.id or new_id
        new_name = (delta.name or None) if delta.name != self.name else None
        if new_name:
            self.name = (self.name or "") + new_name
        arguments = self._held_back + delta.arguments
        # Some models write null for none; shown, it could not be taken back.
        self._held_back = arguments if not self.arguments and arguments.strip() == "null" else ""
        arguments = arguments.removesuffix(self._held_back) if self._held_back else arguments
        if self._half or not arguments.isascii():
            arguments = self._joined(arguments)
        if arguments:
            self.arguments.add(arguments)
        return {"id": new_id, "name": new_name, "args": arguments}

    def _joined(self, arguments: str) -> str:
        """Join halves of characters, and hold back the first half of one that may go on."""
        whole, self._half = joined(self._half + arguments)
        self._lost_a_half |= whole.count("\ufffd") > arguments.count("\ufffd")
        return whole

    def is_whole(self, *, may_be_empty: bool) -> bool:
        """Tell whether an agent may run it: it has a name, and its arguments are an object."""
        raw = str(self.arguments)
        if self._half or self._lost_a_half:
            return False
        return bool(self.name) and (_json_object(raw) is not None if raw else may_be_empty)

    def invalidate(self) -> str:
        """Append a closing bracket that matches nothing; give what was appended.

        Core mends cut JSON, so that arguments cut by `length` become a valid call that an agent
        runs. This, no parser mends.
        """
        half = self._half and "\ufffd"
        invalidating = half + unmatched_closing(str(self.arguments) + half)
        self.arguments.add(invalidating)
        return invalidating

    def parsed(self) -> ToolCall | InvalidToolCall:
        """Return the whole call, valid or not."""
        raw = str(self.arguments)
        arguments = _json_object(raw) if raw else {}
        if arguments is None:
            return InvalidToolCall(
                type="invalid_tool_call", name=self.name, args=raw, id=self.id, error=None
            )
        return ToolCall(type="tool_call", name=self.name or "", args=arguments, id=self.id)


def unmatched_closing(text: str) -> str:
    """Find the shortest end that makes a text no JSON, however a parser mends it.

    That is the end of the string that is open, if one is, and a bracket that does not match.
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
    """Parse strictly: an object, each number of it finite, and no half of a surrogate pair."""
    try:
        # A raw line end in a string has one reading.
        value = json.loads(text, parse_constant=_finite, parse_float=_finite, strict=False)
        if may_hold_half_a_pair(text):
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):  # NaN, Infinity, or as large as 1e400
        raise ValueError(number)
    return value
