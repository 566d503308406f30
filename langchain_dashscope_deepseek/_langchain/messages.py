"""One of LangChain's messages -> the wire's message.

Pure. Knows which role and which content block of any provider means what; knows no model, and no
message but the one it is given: what holds between messages is in `history`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from langchain_dashscope_deepseek._dashscope.protocol.images import image_part, is_image, name_of
from langchain_dashscope_deepseek._dashscope.protocol.packets import WireMessage
from langchain_dashscope_deepseek._langchain.changes import Changes
from langchain_dashscope_deepseek.errors import (
    DashScopeError,
    DashScopeInputError,
    DashScopeUnsupportedError,
)

_MEDIA = frozenset(
    {
        *("audio", "audio_url", "input_audio", "video", "video_url", "media"),
        *("file", "input_file", "document", "file_url", "inline_data", "inlineData"),
        *("file_data", "fileData"),
    }
)
"""Types of content blocks that no DeepSeek understands; Gemini's and Bedrock's blocks have no type,
and such a key instead. Images are none of them."""

_TEXTS = frozenset(
    {"text", "input_text", "output_text", "text-plain", "refusal", "tool_result", "search_result"}
)
"""Types of content blocks of a tool message that are blocks; other dicts are the tool's data."""

_CHAT_ROLES = {
    "system": SystemMessage,
    "developer": SystemMessage,
    "user": HumanMessage,
    "human": HumanMessage,
    "assistant": AIMessage,
    "ai": AIMessage,
}

PROVIDER = "dashscope_deepseek"
"""How messages of this package name their provider. Another package is called `dashscope`: whose
thoughts a message holds must be told apart, and how its messages are read is its own affair."""


class Place(NamedTuple):
    """Where in a conversation a message stands, and what holds there.

    Attributes:
        position: Which message it is, from 0.
        images_refused: Why the model takes no images; `""` if it does.
        changes: Takes what is left out. `None`: what cannot be sent is refused, as it must be in
            the newest human message, which an answer without it would miss.
        role: The message's, on the wire.
    """

    position: int
    images_refused: str = ""
    changes: Changes | None = None
    role: str = "user"

    def leave_out(self, what: str, refusal: DashScopeError) -> None:
        """Note that something that cannot be sent is left out.

        Raises:
            DashScopeError: The refusal, where nothing may be left out.
        """
        if self.changes is None:
            raise refusal
        self.changes.add(
            f"message {self.position}: {what} was left out",
            "What cannot be sent was left out of older turns and tool messages: see "
            "response_metadata['request_changes'].",
            refusal,
        )

    def instead(self, what: str, block: Mapping[str, Any], refusal: DashScopeError) -> str:
        """Return the text that stands in the place of a block that cannot be sent."""
        self.leave_out(what, refusal)
        return f"[{what}{name_of(block)} was left out here: you cannot read it]"


@dataclass
class Call:
    """A tool call of an AI message.

    Attributes:
        id: Its id; `""` if it has none.
        name: The tool; `""` if the model named none.
        arguments: JSON.
        is_valid: Whether the model wrote a JSON object for its arguments.
        answer: The content of the tool message that answers it, as soon as that is known.
    """

    id: str
    name: str
    arguments: str
    is_valid: bool = True
    answer: Any = None


def countable(messages: Sequence[BaseMessage]) -> Iterator[tuple[str, int]]:
    """Return what the model reads of each message, for counting tokens: its text and its images.

    Refuses nothing. Reasoning counts in turns in which tools were called, where it goes back.
    """
    turns: list[list[BaseMessage]] = [[]]
    for message in messages:
        if isinstance(message, HumanMessage):
            turns.append([])
        turns[-1].append(message)
    for turn in turns:
        has_calls = any(_all_calls(message) for message in turn)
        for message in turn:
            yield _countable(message, with_reasoning=has_calls)


def _countable(message: BaseMessage, *, with_reasoning: bool) -> tuple[str, int]:
    kind = {AIMessage: "assistant", ToolMessage: "tool"}
    role = next((role for cls, role in kind.items() if isinstance(message, cls)), "user")
    content = message.content
    pieces: list[str | dict[str, Any]] = []
    for block in [content] if isinstance(content, str) else content:
        with suppress(DashScopeInputError):  # would not be sent
            pieces += _pieces([block], Place(0, role=role))
    texts = [piece for piece in pieces if isinstance(piece, str)]
    for call in _all_calls(message):
        arguments = json.dumps(call["args"], ensure_ascii=False, default=str)
        texts.append(f"{call['name']}{arguments}")
    if with_reasoning and isinstance(message, AIMessage):
        texts.append(reasoning_of(message))
    text = "\n".join(part for part in texts if part).encode("utf-8", "replace").decode()
    return text, len([piece for piece in pieces if not isinstance(piece, str)])


def _all_calls(message: BaseMessage) -> list[Any]:
    return [*getattr(message, "tool_calls", ()), *getattr(message, "invalid_tool_calls", ())]


def is_human(message: BaseMessage) -> bool:
    """Tell whether a human wrote a message."""
    if isinstance(message, ChatMessage):
        return _CHAT_ROLES.get(message.role) is HumanMessage
    return isinstance(message, HumanMessage)


def split_results(message: BaseMessage) -> list[BaseMessage]:
    """Turn Anthropic's `tool_result` blocks of a human message into tool messages before it."""
    if isinstance(message.content, str) or not is_human(message):
        return [message]
    results: list[BaseMessage] = []
    rest: list[Any] = []
    block: Any
    for block in message.content:
        if _is_typed(block, "tool_result") and isinstance(block.get("tool_use_id"), str):
            content = block.get("content") or ""
            error = ["Error:"] if block.get("is_error") else []
            content = [*error, *(content if isinstance(content, list) else [content])]
            results.append(ToolMessage(content, tool_call_id=block["tool_use_id"]))
        else:
            rest.append(block)
    if not results:
        return [message]
    return [*results, message.model_copy(update={"content": rest})] if rest else results


def _is_typed(block: Any, kind: str) -> bool:
    return isinstance(block, dict) and block.get("type") == kind


def marks_cache(message: BaseMessage) -> bool:
    """Tell whether a message asks for an explicit cache, as Anthropic has it."""
    return any("cache_control" in block and "type" in block for block in blocks_of(message))


def convert(message: BaseMessage, at: Place) -> WireMessage | None:
    """Convert a message; `None` for one that says nothing.

    The `tool_calls` of an AI message are `Call`s.

    Raises:
        DashScopeInputError: It cannot be sent; says what to change.
        DashScopeUnsupportedError: It holds what the model does not read.
    """
    kind: Any = type(message)
    if isinstance(message, ChatMessage):
        if message.role not in _CHAT_ROLES:
            roles = ", ".join(_CHAT_ROLES)
            msg = f"Message {at.position} has the role {message.role!r}. Roles: {roles}"
            raise DashScopeInputError(msg)
        kind = _CHAT_ROLES[message.role]
    if issubclass(kind, HumanMessage):
        return _user(message, at._replace(role="user"))
    if issubclass(kind, SystemMessage):
        content = _text(message.content, at._replace(role="system"))
        return {"role": "system", "content": content} if content else None
    if issubclass(kind, AIMessage):
        return _assistant(message, at._replace(role="assistant"))
    if isinstance(message, ToolMessage):
        result = _content(message.content, at._replace(role="tool"))
        return {"role": "tool", "content": result, "tool_call_id": message.tool_call_id}
    msg = (
        f"Message {at.position} is a {type(message).__name__}, which the service has no role for: "
        "use system, human, AI, tool or chat messages"
    )
    raise DashScopeInputError(msg)


def _user(message: BaseMessage, at: Place) -> WireMessage | None:
    content = _content(message.content, at)
    if not content:
        msg = (
            f"Message {at.position} is an empty human message, which the service refuses: fill or "
            "drop it"
        )
        at.leave_out("an empty human message", DashScopeInputError(msg))
        return None
    return {"role": "user", "content": content}


def _assistant(message: BaseMessage, at: Place) -> WireMessage | None:
    content = _text(message.content, at)
    calls = _calls(message)
    if not calls:
        return {"role": "assistant", "content": content} if content else None
    return {"role": "assistant", "content": content, "tool_calls": calls}


def _calls(message: BaseMessage) -> list[Call]:
    """Read calls, which core fills from `additional_kwargs`; else those in blocks.

    An invalid call becomes valid JSON, since the service parses it.
    """
    valid: list[Any] = [*getattr(message, "tool_calls", ())]
    invalid = [
        {**call, "args": {"malformed_arguments": call.get("args")}}
        for call in getattr(message, "invalid_tool_calls", ())
    ]
    if not valid and not invalid:
        kept = message.additional_kwargs.get("tool_calls")
        blocks = kept if isinstance(kept, list) else blocks_of(message)
        valid = [call for call in map(_call_of_block, blocks) if call]
    return [
        Call(call.get("id") or "", call.get("name") or "", _arguments(call), is_valid)
        for calls, is_valid in ((valid, True), (invalid, False))
        for call in calls
    ]


def _arguments(call: dict[str, Any]) -> str:
    try:
        return json.dumps(call["args"], ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        msg = (
            f"The arguments of the call {call.get('id')!r} of {call.get('name')!r} hold what JSON "
            "cannot carry: use strings, finite numbers, booleans, None, lists and dicts"
        )
    raise DashScopeInputError(msg)


def _call_of_block(block: dict[str, Any]) -> dict[str, Any] | None:
    """Read a tool call out of a block of any provider."""
    kind = block.get("type")
    if isinstance(block.get("function_call"), dict):
        block, kind = block["function_call"], "function_call"
    elif isinstance(block.get("function"), dict):
        block, kind = {**block["function"], "id": block.get("id")}, "function_call"
    if kind not in ("tool_use", "tool_call", "function_call"):
        return None
    keys = ("args", "input", "partial_json", "arguments")
    arguments: Any = next((block[key] for key in keys if block.get(key)), {})
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except ValueError:
            arguments = None
    if not isinstance(arguments, dict):
        return None
    call_id = block.get("call_id") or block.get("id")
    return {"id": call_id, "name": block.get("name"), "args": arguments}


def reasoning_of(message: BaseMessage) -> str:
    """Find a message's reasoning: in `additional_kwargs`, else in v1 blocks.

    `""` if there is none, or if another provider's model thought it.
    """
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


def _content(content: Any, at: Place) -> str | list[dict[str, Any]]:
    """Flatten content to a string, or to a list of parts if it holds an image."""
    pieces = [piece for piece in _pieces(content, at) if piece]
    if all(isinstance(piece, str) for piece in pieces):
        return "\n".join(str(piece) for piece in pieces)
    parts: list[Any] = []
    for is_text, group in groupby(pieces, key=lambda piece: isinstance(piece, str)):
        if is_text:
            parts.append({"text": "\n".join(map(str, group))})
        else:
            parts.extend(group)
    return parts


def _text(content: Any, at: Place) -> str:
    """Flatten content to the one string that the wire takes where no image may stand."""
    if at.role != "assistant" or isinstance(content, str):
        return "\n".join(str(piece) for piece in _pieces(content, at) if piece)
    # Blocks of an AI message are pieces of one text; a refusal is a text of its own.
    groups = groupby(content, key=lambda block: id(block) if _is_typed(block, "refusal") else 0)
    texts = ("".join(str(piece) for piece in _pieces(group, at)) for _, group in groups)
    return "\n".join(text for text in texts if text)


def _pieces(content: Any, at: Place) -> Iterator[str | dict[str, Any]]:
    """Yield the texts and images of a content."""
    if isinstance(content, str):
        yield content
        return
    for block in content:
        if isinstance(block, str):
            yield block
        elif not isinstance(block, dict):
            msg = f"Message {at.position} holds a block that is neither text nor a dict"
            raise DashScopeInputError(msg)
        elif is_image(block, typed_only=at.role != "user"):
            yield _image(block, at)
        else:
            yield from _pieces_of(block, at)


def _image(block: dict[str, Any], at: Place) -> dict[str, Any] | str:
    refusal: DashScopeError
    if at.images_refused:
        msg = f"Message {at.position} holds an image, and {at.images_refused}"
        refusal = DashScopeUnsupportedError(msg)
    elif at.role not in ("user", "tool"):
        msg = (
            f"Message {at.position} holds an image, which the service takes in human and tool "
            "messages only: put it into one of those, or leave it out"
        )
        refusal = DashScopeUnsupportedError(msg)
    else:
        try:
            return image_part(block, at.position)
        except DashScopeInputError as error:
            refusal = error
    return at.instead("an image", block, refusal)


def _pieces_of(block: dict[str, Any], at: Place) -> Iterator[str | dict[str, Any]]:
    """Yield what a block says that is no image."""
    kind, role = block.get("type"), at.role
    source = block.get("source")
    if isinstance(source, dict) and source.get("type") == "text":
        yield str(source.get("data", ""))
        return
    media = kind if kind in _MEDIA else next(iter(_MEDIA & block.keys()), None)
    if media is not None and (role == "user" or kind in _MEDIA):
        msg = (
            f"Message {at.position} holds a block of type {media!r}, and DeepSeek on DashScope "
            "reads text, and images on some models: put what matters into words, or ask a model "
            "with such inputs"
        )
        yield at.instead(_an_input(media), block, DashScopeUnsupportedError(msg))
        return
    plain_dict = role == "tool" and kind not in _TEXTS
    text = next((block[key] for key in ("text", "refusal") if key in block), None)
    if not plain_dict and ("text" in block or "refusal" in block):
        yield text if isinstance(text, str) else ""
    elif role == "assistant":
        # Thoughts, calls and results of other providers' own tools. The calls that count are
        # taken from elsewhere; the rest was for the provider that wrote it.
        return
    elif not plain_dict and isinstance(block.get("content"), (str, list)):
        yield from _pieces(block["content"], at)
    elif role == "tool":
        # A tool may answer with plain dicts, for the model to read.
        yield json.dumps(block, ensure_ascii=False, default=str)
    else:
        msg = (
            f"Message {at.position} holds a block of type {kind!r}, which has no text to send: use "
            'blocks of type "text"'
        )
        yield at.instead("a block without a text", {}, DashScopeInputError(msg))


def _an_input(media: str) -> str:
    return "an audio" if "audio" in media else "a video" if "video" in media else "a file"
