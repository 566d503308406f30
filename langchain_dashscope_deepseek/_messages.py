"""LangChain's messages <-> the wire's messages, and the wire's usage -> LangChain's.

Pure. Knows which role and which content block of any provider means what; knows no model: whether
reasoning goes back and images are read is decided by the caller.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice, takewhile
from typing import Any, NamedTuple

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails, UsageMetadata

from langchain_dashscope_deepseek._images import image_part, is_image
from langchain_dashscope_deepseek._wire import Usage, WireMessage
from langchain_dashscope_deepseek.errors import DashScopeInputError, DashScopeUnsupportedError

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


PROVIDER = "dashscope"
"""How messages of this package name their provider."""


def to_wire(
    messages: Sequence[BaseMessage], *, replay_reasoning: bool, images_refused: str = ""
) -> list[WireMessage]:
    """Convert a conversation to the wire's messages.

    System messages at the beginning become one, since the service documents one. A message's
    `name` has no place on the wire. AI messages that say nothing at all are left out. A content
    that holds images is a list of `{"text": ...}` and `{"image": ...}`, any other is a string.

    Args:
        messages: The conversation, oldest first.
        replay_reasoning: Send the reasoning of turns in which tools were called.
        images_refused: Why the model takes no images; `""` if it does.

    Returns:
        The messages as the wire has them.

    Raises:
        DashScopeInputError: The conversation cannot be answered, or a tool call in it is not, or an
            image cannot be sent; says which message and what to change.
        DashScopeUnsupportedError: A message holds audio, video or a file, or an image that the
            model does not read.
    """
    if not messages:
        msg = "There are no messages: send at least one human message"
        raise DashScopeInputError(msg)
    wire: list[WireMessage] = []
    loop, turn, shown = _ToolLoop(), _Turn(), _ToolImages()
    for index, message in enumerate(messages):
        at = _Place(index, images_refused)
        converted = _convert(message, at, _answered_after(messages, index))
        if converted is None:
            continue
        loop.follow(index, converted)
        if converted["role"] == "tool":
            shown.take(converted)
        else:
            wire += shown.message()
        if replay_reasoning:
            turn.follow(message, converted)
        if converted["role"] == "system" and len(wire) == 1 and wire[0]["role"] == "system":
            wire[0]["content"] += f"\n\n{converted['content']}"
        else:
            wire.append(converted)
    if not wire or wire[-1]["role"] not in ("user", "tool"):
        msg = (
            f"The conversation ends with {_an(messages[-1])}, and the service answers human and "
            "tool messages only: end it with one of those"
        )
        raise DashScopeInputError(msg)
    loop.end(len(messages))
    turn.end()
    return wire + shown.message()


class _Place(NamedTuple):
    """Where in a conversation a block stands, and what holds there."""

    position: int
    images_refused: str = ""
    role: str = "user"

    def of(self, role: str) -> _Place:
        return _Place(self.position, self.images_refused, role)


class _Turn:
    """Follows a turn, all between two human messages: where tools are called, reasoning goes back.

    DeepSeek wants the reasoning of every message of such a turn in all later requests, that of the
    final answer included. What belongs to a turn is decided on the messages that are left. A human
    message right behind a tool's may look to the service like the tool's images, so it ends none.
    """

    def __init__(self) -> None:
        self._answers: list[tuple[BaseMessage, WireMessage]] = []
        self._has_calls = False
        self._role = ""

    def follow(self, message: BaseMessage, converted: WireMessage) -> None:
        role_before, self._role = self._role, converted["role"]
        if converted["role"] == "user" and role_before != "tool":
            self.end()
        elif converted["role"] == "assistant":
            self._answers.append((message, converted))
            self._has_calls |= "tool_calls" in converted

    def end(self) -> None:
        if self._has_calls:
            for message, converted in self._answers:
                converted["reasoning_content"] = reasoning_of(message)
        self._answers, self._has_calls = [], False


class _ToolImages:
    """Moves the images of tool messages into a user message behind them.

    The service documents text for tool messages, and images for user messages: this way both
    answers to whether a tool message may hold one work.
    """

    def __init__(self) -> None:
        self._parts: list[dict[str, Any]] = []
        self._count = 0

    def take(self, message: WireMessage) -> None:
        if isinstance(message["content"], str):
            return
        texts = []
        for part in message["content"]:
            if "image" in part:
                self._count += 1
                name = f"[image {self._count} of the tool results]"
                self._parts += [{"text": name}, part]
                texts.append(name)
            else:
                texts.append(part["text"])
        message["content"] = "\n".join(texts)

    def message(self) -> list[WireMessage]:
        """Give the message with the images since the last one, if there are any."""
        parts, self._parts, self._count = self._parts, [], 0
        return [{"role": "user", "content": parts}] if parts else []


def _answered_after(messages: Sequence[BaseMessage], index: int) -> frozenset[str]:
    """Give the ids that the tool messages right behind a message answer."""
    if not isinstance(messages[index], AIMessage):
        return frozenset()
    behind = takewhile(lambda m: isinstance(m, ToolMessage), islice(messages, index + 1, None))
    return frozenset(m.tool_call_id for m in behind if isinstance(m, ToolMessage))


class _ToolLoop:
    """Follows a conversation: each call is answered at once, and each answer has its call."""

    def __init__(self) -> None:
        self._open: dict[str, str] = {}
        self._index = 0

    def follow(self, index: int, message: WireMessage) -> None:
        if message["role"] == "tool":
            call_id = message["tool_call_id"]
            if self._open.pop(call_id, None) is None:
                msg = (
                    f"Message {index} is a tool message for the call {call_id!r}, which the AI "
                    "message before it did not make, or which is answered already: keep the AI "
                    "message with that call right before it, or drop this one"
                )
                raise DashScopeInputError(msg)
            return
        self.end(index)
        self._index = index
        self._open = {}
        for call in message.get("tool_calls", ()):
            call_id, name = call["id"], call["function"]["name"]
            if not call_id or not name or call_id in self._open:
                msg = (
                    f"Message {index} calls the tool {name!r} with the id {call_id!r}: each call "
                    "of a message needs a name and an id of its own"
                )
                raise DashScopeInputError(msg)
            self._open[call_id] = name

    def end(self, index: int) -> None:
        for call_id, name in self._open.items():
            msg = (
                f"Message {self._index} calls the tool {name!r} (id {call_id!r}), and no tool "
                f"message answers it before message {index}: add one with tool_call_id="
                f"{call_id!r}, or drop the call"
            )
            raise DashScopeInputError(msg)


def countable(messages: Sequence[BaseMessage]) -> Iterator[tuple[str, int]]:
    """Give what the model reads of each message, for counting tokens: its text and its images.

    Refuses nothing. Reasoning counts in turns in which tools were called, where it goes back.
    """
    turns: list[list[BaseMessage]] = [[]]
    for message in messages:
        if isinstance(message, HumanMessage):
            turns.append([])
        turns[-1].append(message)
    for turn in turns:
        has_calls = any(_calls_of(message) for message in turn)
        for message in turn:
            yield _countable(message, with_reasoning=has_calls)


def _countable(message: BaseMessage, *, with_reasoning: bool) -> tuple[str, int]:
    kind = {AIMessage: "assistant", ToolMessage: "tool"}
    role = next((role for cls, role in kind.items() if isinstance(message, cls)), "user")
    content = message.content
    pieces: list[str | dict[str, Any]] = []
    for block in [content] if isinstance(content, str) else content:
        with suppress(DashScopeInputError):  # would not be sent
            pieces += _pieces([block], _Place(0, role=role))
    texts = [piece for piece in pieces if isinstance(piece, str)]
    for call in _calls_of(message):
        arguments = json.dumps(call["args"], ensure_ascii=False, default=str)
        texts.append(f"{call['name']}{arguments}")
    if with_reasoning and isinstance(message, AIMessage):
        texts.append(reasoning_of(message))
    text = "\n".join(part for part in texts if part).encode("utf-8", "replace").decode()
    return text, len([piece for piece in pieces if not isinstance(piece, str)])


def _calls_of(message: BaseMessage) -> list[Any]:
    return [*getattr(message, "tool_calls", ()), *getattr(message, "invalid_tool_calls", ())]


def usage_metadata(usage: Usage) -> UsageMetadata:
    """Convert token counts. Input includes the cached tokens, output the reasoning."""
    metadata = UsageMetadata(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        total_tokens=usage.total_tokens,
    )
    sent: InputTokenDetails = {}
    if usage.cached_tokens is not None:
        sent["cache_read"] = usage.cached_tokens
    if usage.cache_creation_tokens is not None:
        sent["cache_creation"] = usage.cache_creation_tokens
    if usage.image_tokens is not None:
        sent["image"] = usage.image_tokens  # type: ignore[typeddict-unknown-key]
    if sent:
        metadata["input_token_details"] = sent
    if usage.reasoning_tokens is not None:
        metadata["output_token_details"] = OutputTokenDetails(reasoning=usage.reasoning_tokens)
    return metadata


def _convert(message: BaseMessage, at: _Place, answered: frozenset[str]) -> WireMessage | None:
    kind: Any = type(message)
    if isinstance(message, ChatMessage):
        if message.role not in _CHAT_ROLES:
            roles = ", ".join(_CHAT_ROLES)
            msg = f"Message {at.position} has the role {message.role!r}. Roles: {roles}"
            raise DashScopeInputError(msg)
        kind = _CHAT_ROLES[message.role]
    if issubclass(kind, HumanMessage):
        return _user(message, at.of("user"))
    if issubclass(kind, SystemMessage):
        content = _text(message.content, at.of("system"))
        return {"role": "system", "content": content} if content else None
    if issubclass(kind, AIMessage):
        return _assistant(message, at.of("assistant"), answered)
    if isinstance(message, ToolMessage):
        result = _content(message.content, at.of("tool"))
        return {"role": "tool", "content": result, "tool_call_id": message.tool_call_id}
    msg = (
        f"Message {at.position} is a {type(message).__name__}, which the service has no role for: "
        "use system, human, AI, tool or chat messages"
    )
    raise DashScopeInputError(msg)


def _user(message: BaseMessage, at: _Place) -> WireMessage:
    content = _content(message.content, at)
    if not content:
        msg = (
            f"Message {at.position} is an empty human message, which the service refuses: fill or "
            "drop it"
        )
        raise DashScopeInputError(msg)
    return {"role": "user", "content": content}


def _assistant(message: BaseMessage, at: _Place, answered: frozenset[str]) -> WireMessage | None:
    content = _text(message.content, at)
    calls = list(_tool_calls(message, answered))
    if not calls:
        return {"role": "assistant", "content": content} if content else None
    return {"role": "assistant", "content": content, "tool_calls": calls}


def _tool_calls(message: BaseMessage, answered: frozenset[str]) -> Iterator[WireMessage]:
    """Give the calls of `tool_calls`, which core fills from `additional_kwargs`; else of blocks.

    An invalid call goes back where a tool message answers it, and then as valid JSON, since the
    service parses it; one that nobody answered is left out.
    """
    calls: list[Any] = []
    left_out: set[str | None] = set()
    if isinstance(message, AIMessage):
        calls += message.tool_calls
        for call in message.invalid_tool_calls:
            if call.get("id") in answered:
                calls.append({**call, "args": {"malformed_arguments": call.get("args")}})
            else:
                left_out.add(call.get("id"))
    if not calls:
        kept = message.additional_kwargs.get("tool_calls")
        blocks = kept if isinstance(kept, list) else _blocks(message)
        found = [call for call in map(_call_of_block, blocks) if call]
        calls += [call for call in found if call["id"] not in left_out]
    for index, call in enumerate(calls):
        yield {
            "index": index,
            "id": call.get("id") or "",
            "type": "function",
            "function": {
                "name": call.get("name") or "",
                "arguments": _arguments(call),
            },
        }


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
    blocks = (b.get("reasoning") for b in _blocks(message) if b.get("type") == "reasoning")
    return "".join(text for text in blocks if isinstance(text, str))


def _blocks(message: BaseMessage) -> list[dict[str, Any]]:
    content = message.content
    return (
        [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
    )


def _an(message: BaseMessage) -> str:
    return {"ai": "an AI message", "system": "a system message"}.get(
        message.type, f"a message of type {message.type!r}"
    )


def _content(content: Any, at: _Place) -> str | list[dict[str, Any]]:
    """Flatten content to a string, or to a list of parts if it holds an image."""
    pieces = [piece for piece in _pieces(content, at) if piece]
    if all(isinstance(piece, str) for piece in pieces):
        return "\n".join(str(piece) for piece in pieces)
    parts: list[dict[str, Any]] = []
    for piece in pieces:
        if not isinstance(piece, str):
            parts.append(piece)
        elif parts and "text" in parts[-1]:
            parts[-1]["text"] += f"\n{piece}"
        else:
            parts.append({"text": piece})
    return parts


def _text(content: Any, at: _Place) -> str:
    """Flatten content to the one string that the wire takes where no image may stand."""
    # Blocks of an AI message are pieces of one text; those of others stand for themselves.
    joint = "" if at.role == "assistant" else "\n"
    return joint.join(str(piece) for piece in _pieces(content, at) if piece)


def _pieces(content: Any, at: _Place) -> Iterator[str | dict[str, Any]]:
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


def _image(block: dict[str, Any], at: _Place) -> dict[str, Any]:
    if at.images_refused:
        msg = f"Message {at.position} holds an image, and {at.images_refused}"
        raise DashScopeUnsupportedError(msg)
    if at.role not in ("user", "tool"):
        msg = (
            f"Message {at.position} holds an image, which the service takes in human and tool "
            "messages only: put it into one of those, or leave it out"
        )
        raise DashScopeUnsupportedError(msg)
    return image_part(block, at.position)


def _pieces_of(block: dict[str, Any], at: _Place) -> Iterator[str | dict[str, Any]]:
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
        raise DashScopeUnsupportedError(msg)
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
        raise DashScopeInputError(msg)
