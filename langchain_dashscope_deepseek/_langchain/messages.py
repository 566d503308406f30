"""Converts one LangChain message to one wire message; `history` converts a conversation. No I/O.

Reads all roles but the old function role, and the content blocks of all providers. langchain-core's
`content_blocks` is not used: it reads half of these forms, and drops options such as `max_pixels`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    convert_to_messages,
)

from langchain_dashscope_deepseek._dashscope.protocol.images import image_part, is_image, label_of
from langchain_dashscope_deepseek._dashscope.protocol.packets import (
    LONE_SURROGATE,
    WireMessage,
    fix_surrogates,
)
from langchain_dashscope_deepseek.capabilities import model_names
from langchain_dashscope_deepseek.errors import (
    DashScopeError,
    DashScopeInputError,
    DashScopeUnsupportedError,
)

_ROLES = {
    HumanMessage: "user",
    SystemMessage: "system",
    AIMessage: "assistant",
    ToolMessage: "tool",
}

_CHAT_ROLES = ("system", "developer", "user", "human", "assistant", "ai")

_MEDIA = frozenset(
    {
        *("audio", "audio_url", "input_audio", "video", "video_url", "media"),
        *("file", "input_file", "document", "file_url"),
    }
)
"""Types of content blocks, other than images, that no DeepSeek model reads."""

_TEXTS = frozenset(
    {"text", "input_text", "output_text", "text-plain", "refusal", "tool_result", "search_result"}
)
"""Types of text blocks. In a tool message, a dict that is no text or media is sent as JSON."""

PROVIDER = "dashscope_deepseek"
"""The `model_provider` of this package's messages. Another package uses `dashscope`."""


class Change(NamedTuple):
    """A difference between the messages and the request, to report to the user."""

    description: str
    """Shown in `response_metadata["request_changes"]`, so it does not quote the prompt."""
    warning: str
    """The text of the warning, equal for all changes of a kind, so that they warn once."""
    refusal: DashScopeError
    """Raised instead of the warning if warnings are errors."""


class Context(NamedTuple):
    """The circumstances of a message's conversion."""

    position: int
    text_only_model: str = ""
    """The model, if it cannot read images; empty if it reads them or may do so."""
    changes: list[Change] | None = None
    """Receives the omissions. `None` for the newest human message, which has to be complete."""
    role: str = ""
    """The role of the message, if its content is in blocks."""

    def record(self, change: str, refusal: DashScopeError) -> None:
        """Record an omission; raise the refusal instead if the message has to be complete."""
        if self.changes is None:
            raise refusal
        self.changes.append(
            Change(
                f"messages[{self.position}]: {change}",
                "Content that cannot be sent was left out or replaced in messages other than the "
                "newest human one: see response_metadata['request_changes'].",
                refusal.with_traceback(None),  # the frames would keep images in memory
            )
        )


@dataclass
class Call:
    """A tool call of an AI message."""

    id: str
    name: str
    args: Any
    """A dict, or the text of an invalid call."""
    answer: WireMessage | None = None


@dataclass
class Converted:
    """A message in wire format; `history` adds the answers to its calls."""

    position: int
    message: BaseMessage
    wire: WireMessage
    calls: list[Call]
    answers: list[WireMessage] = field(default_factory=list)


def normalise(message: BaseMessage, position: int) -> list[BaseMessage]:
    """Convert a `ChatMessage` by its role, and Anthropic's `tool_result`s to tool messages.

    The other blocks of such a message follow as a human message.
    """
    if isinstance(message, ChatMessage):
        if message.role not in _CHAT_ROLES:
            roles = ", ".join(_CHAT_ROLES)
            raise DashScopeInputError(
                f"messages[{position}] has the role {message.role!r}. Use one of {roles}"
            )
        kept = {"role", "content", "additional_kwargs", "response_metadata"}
        (message,) = convert_to_messages([message.model_dump(include=kept)])
    results = [b for b in blocks_of(message) if b.get("type") == "tool_result"]
    results = [block for block in results if block.get("tool_use_id")]
    if not results or not isinstance(message, HumanMessage):
        return [message]
    others = [block for block in message.content if block not in results]
    human = [message.model_copy(update={"content": others})] if others else []
    return [*map(_tool_message, results), *human]


def _tool_message(result: dict[str, Any]) -> ToolMessage:
    content = result.get("content") or ""
    error = ["Error:"] if result.get("is_error") else []
    content = [*error, *(content if isinstance(content, list) else [content])]
    return ToolMessage(content, tool_call_id=result["tool_use_id"])


def convert(message: BaseMessage, context: Context) -> Converted | None:
    """Convert a normalised message; `None` for an empty one."""
    role = next((role for kind, role in _ROLES.items() if isinstance(message, kind)), None)
    if role is None:
        raise DashScopeInputError(
            f"messages[{context.position}] is a {type(message).__name__}, which the service has no "
            "role for: use system, human, AI and tool messages. Convert a FunctionMessage to an "
            "AIMessage with tool_calls and a ToolMessage"
        )
    content = _content(message.content, context, role)
    calls = _calls(message) if isinstance(message, AIMessage) else []
    wire: WireMessage = {"role": role, "content": content}
    if isinstance(message, ToolMessage):
        wire["tool_call_id"] = message.tool_call_id
    elif not content and not calls:
        if role == "user":
            refusal = DashScopeInputError(
                f"messages[{context.position}] is an empty human message, which the service "
                "refuses: fill or drop it"
            )
            context.record("an empty human message was left out", refusal)
        return None
    return Converted(context.position, message, wire, calls)


def reasoning_of(message: BaseMessage) -> str:
    """Return a message's reasoning; `""` if it has none, or another provider's."""
    if message.response_metadata.get("model_provider", PROVIDER) != PROVIDER:
        return ""
    reasoning = message.additional_kwargs.get("reasoning_content")
    if isinstance(reasoning, str) and reasoning:
        return reasoning
    blocks = (b.get("reasoning") for b in blocks_of(message) if b.get("type") == "reasoning")
    return "".join(text for text in blocks if isinstance(text, str))


def blocks_of(message: BaseMessage) -> list[dict[str, Any]]:
    """Return the content blocks of a message that are dicts."""
    content = message.content
    return [] if isinstance(content, str) else [b for b in content if isinstance(b, dict)]


# --- Tool calls ---


def _calls(message: AIMessage) -> list[Call]:
    """Return the calls that name a tool, from the content blocks if `tool_calls` is empty."""
    calls = [
        Call(call["id"] or "", call["name"] or "", call["args"])
        for call in (*message.tool_calls, *message.invalid_tool_calls)
    ]
    calls = calls or [call for call in map(_call_of_block, blocks_of(message)) if call]
    return [call for call in calls if call.name]


def _call_of_block(block: dict[str, Any]) -> Call | None:
    """Read a tool call from a block of Anthropic, OpenAI, LangChain or (without a type) Gemini."""
    call = block.get("function_call") or block
    if call is block and block.get("type") not in ("tool_use", "tool_call", "function_call"):
        return None
    keys = ("args", "input", "partial_json", "arguments")
    args: Any = next((call[key] for key in keys if call.get(key)), {})
    if isinstance(args, str):
        with suppress(ValueError):
            args = json.loads(args)
    return Call(call.get("call_id") or call.get("id") or "", call.get("name") or "", args)


# --- Content ---


def _content(content: Any, context: Context, role: str) -> str | list[dict[str, Any]]:
    """Convert content to a string, or to a list of parts if it holds an image."""
    if isinstance(content, str):
        return _repaired(content, context)
    context = context._replace(role=role)
    separator = "" if context.role == "assistant" else "\n"  # an AI message is one text in blocks
    pieces = [piece for piece in _pieces(content, context) if piece]
    parts: list[dict[str, Any]] = []
    for is_text, group in groupby(pieces, key=lambda piece: isinstance(piece, str)):
        if is_text:
            parts.append({"text": _repaired(separator.join(map(str, group)), context)})
        else:
            parts += group  # type: ignore[arg-type]
    if any("image" in part for part in parts):
        return parts
    return "".join(part["text"] for part in parts)


def _repaired(text: str, context: Context) -> str:
    """Join surrogate pairs, and replace lone surrogates: tools list file names that hold some."""
    repaired = fix_surrogates(text)
    if repaired != text:
        refusal = DashScopeInputError(f"messages[{context.position}] {LONE_SURROGATE}")
        context.record("surrogates were joined, or replaced by U+FFFD", refusal)
    return repaired


def _pieces(content: Any, context: Context) -> Iterator[str | dict[str, Any]]:
    """Yield the texts and images of a message's content."""
    for block in [content] if isinstance(content, str) else content:
        if isinstance(block, str):
            yield block
            continue
        if not isinstance(block, dict):
            msg = f"messages[{context.position}] holds a block that is neither a string nor a dict"
            raise DashScopeInputError(msg)
        holds_image = is_image(block, typed_only=context.role != "user")
        try:
            if holds_image:
                yield _image(block, context)
            else:
                yield from _texts(block, context)
        except DashScopeInputError as refusal:
            part = "an image" if holds_image else "an attachment"
            context.record(f"{part} was left out", refusal)
            yield f"[{part}{label_of(block)} was left out here: you cannot read it]"


def _image(block: dict[str, Any], context: Context) -> dict[str, Any]:
    if context.text_only_model:
        readers = model_names(lambda row: row.images is True)
        reason = f"{context.text_only_model} reads text only. Models that read images: {readers}"
    elif context.role not in ("user", "tool"):
        reason = (
            "images can be sent in human and tool messages only: move it to one of those, or "
            "leave it out"
        )
    else:
        return image_part(block, context.position)
    raise DashScopeUnsupportedError(f"messages[{context.position}] holds an image, and {reason}")


def _texts(block: dict[str, Any], context: Context) -> Iterator[str | dict[str, Any]]:
    """Yield the text of a block that is not an image."""
    kind, source = block.get("type"), block.get("source")
    is_data = context.role == "tool" and kind not in _TEXTS
    if isinstance(source, dict) and source.get("type") == "text":
        yield str(source.get("data", ""))
    elif kind in _MEDIA:
        raise _unreadable(block, context)
    elif not is_data and ("text" in block or "refusal" in block):
        text = block.get("text", block.get("refusal"))
        yield text if isinstance(text, str) else ""
    elif context.role == "assistant":
        # A tool call, which `_calls` reads; reasoning, which `reasoning_of` reads; or the result of
        # a provider's built-in tool, which no other provider can use.
        return
    elif not is_data and isinstance(block.get("content"), (str, list)):
        yield from _pieces(block["content"], context)
    elif context.role == "tool":
        yield json.dumps(block, ensure_ascii=False, default=str)
    else:
        raise _unreadable(block, context)


def _unreadable(block: dict[str, Any], context: Context) -> DashScopeUnsupportedError:
    kind = block.get("type") or next(iter(block), "")
    return DashScopeUnsupportedError(
        f"messages[{context.position}] holds a block of type {kind!r}, which DeepSeek models do "
        "not read: describe it in text, or use a model of another provider that reads it"
    )
