"""LangChain's messages <-> the wire's messages, and the wire's usage -> LangChain's.

Pure. Knows which role and which content block of any provider means what; knows no model: whether
reasoning goes back is decided by the caller.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import islice, takewhile
from typing import Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails, UsageMetadata

from langchain_dashscope_deepseek._wire import Usage, WireMessage
from langchain_dashscope_deepseek.errors import DashScopeInputError, DashScopeUnsupportedError

_MEDIA = frozenset(
    {
        *("image", "image_url", "input_image", "image_file"),
        *("audio", "audio_url", "input_audio", "video", "video_url", "media"),
        *("file", "input_file", "document", "file_url", "inline_data", "inlineData"),
        *("file_data", "fileData"),
    }
)
"""Types of content blocks that only a model with such inputs understands; Gemini's and Bedrock's
blocks have no type, and such a key instead."""

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


def to_wire(messages: Sequence[BaseMessage], *, replay_reasoning: bool) -> list[WireMessage]:
    """Convert a conversation to the wire's messages.

    System messages at the beginning become one, since the service documents one. A message's
    `name` has no place on the wire. AI messages that say nothing at all are left out.

    Args:
        messages: The conversation, oldest first.
        replay_reasoning: Send the reasoning of AI messages that call tools.

    Returns:
        The messages as the wire has them.

    Raises:
        DashScopeInputError: The conversation cannot be answered, or a tool call in it is not; says
            which message and what to change.
        DashScopeUnsupportedError: A message holds an image, audio or a file.
    """
    if not messages:
        msg = "There are no messages: send at least one human message"
        raise DashScopeInputError(msg)
    wire: list[WireMessage] = []
    loop = _ToolLoop()
    for index, message in enumerate(messages):
        answered = _answered_after(messages, index)
        converted = _convert(message, index, answered, replay_reasoning=replay_reasoning)
        if converted is None:
            continue
        loop.follow(index, converted)
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
    return wire


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


def countable_text(message: BaseMessage) -> str:
    """Give what of a message the model reads, for counting its tokens; never refuses anything."""
    role = "assistant" if isinstance(message, AIMessage) else "tool"
    content = message.content
    parts = [content] if isinstance(content, str) else []
    if isinstance(content, list):
        parts += [_countable_text_of(block, role) for block in content]
    calls = [*getattr(message, "tool_calls", ()), *getattr(message, "invalid_tool_calls", ())]
    for call in calls:
        arguments = json.dumps(call["args"], ensure_ascii=False, default=str)
        parts.append(f"{call['name']}{arguments}")
    if calls:
        parts.append(reasoning_of(message))
    return "\n".join(part for part in parts if part).encode("utf-8", "replace").decode()


def _countable_text_of(block: Any, role: str) -> str:
    try:
        return _block_text(block, 0, role=role)
    except DashScopeInputError:
        return ""  # would not be sent


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
    if sent:
        metadata["input_token_details"] = sent
    if usage.reasoning_tokens is not None:
        metadata["output_token_details"] = OutputTokenDetails(reasoning=usage.reasoning_tokens)
    return metadata


def _convert(
    message: BaseMessage, index: int, answered: frozenset[str], *, replay_reasoning: bool
) -> WireMessage | None:
    kind: Any = type(message)
    if isinstance(message, ChatMessage):
        if message.role not in _CHAT_ROLES:
            roles = ", ".join(_CHAT_ROLES)
            msg = f"Message {index} has the role {message.role!r}. Roles: {roles}"
            raise DashScopeInputError(msg)
        kind = _CHAT_ROLES[message.role]
    if issubclass(kind, HumanMessage):
        return _user(message, index)
    if issubclass(kind, SystemMessage):
        content = _text(message.content, index, role="system")
        return {"role": "system", "content": content} if content else None
    if issubclass(kind, AIMessage):
        return _assistant(message, index, answered, replay_reasoning=replay_reasoning)
    if isinstance(message, ToolMessage):
        content = _text(message.content, index, role="tool")
        return {"role": "tool", "content": content, "tool_call_id": message.tool_call_id}
    msg = (
        f"Message {index} is a {type(message).__name__}, which the service has no role for: use "
        "system, human, AI, tool or chat messages"
    )
    raise DashScopeInputError(msg)


def _user(message: BaseMessage, index: int) -> WireMessage:
    content = _text(message.content, index, role="user")
    if not content:
        msg = (
            f"Message {index} is an empty human message, which the service refuses: fill or drop it"
        )
        raise DashScopeInputError(msg)
    return {"role": "user", "content": content}


def _assistant(
    message: BaseMessage, index: int, answered: frozenset[str], *, replay_reasoning: bool
) -> WireMessage | None:
    content = _text(message.content, index, role="assistant")
    calls = list(_tool_calls(message, answered))
    if not calls:
        return {"role": "assistant", "content": content} if content else None
    wire: WireMessage = {"role": "assistant", "content": content, "tool_calls": calls}
    if replay_reasoning:
        wire["reasoning_content"] = reasoning_of(message)
    return wire


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


def _text(content: Any, index: int, *, role: str) -> str:
    """Flatten content to the one string that the wire takes."""
    if isinstance(content, str):
        return content
    parts = [_block_text(block, index, role=role) for block in content]
    # Blocks of an AI message are pieces of one text; those of others stand for themselves.
    return ("" if role == "assistant" else "\n").join(part for part in parts if part)


def _block_text(block: Any, index: int, *, role: str) -> str:
    if isinstance(block, str):
        return block
    if not isinstance(block, dict):
        msg = f"Message {index} holds a block that is neither text nor a dict"
        raise DashScopeInputError(msg)
    kind = block.get("type")
    source = block.get("source")
    if isinstance(source, dict) and source.get("type") == "text":
        return str(source.get("data", ""))
    media = kind if kind in _MEDIA else next(iter(_MEDIA & block.keys()), None)
    if media is not None and (role == "user" or kind in _MEDIA):
        msg = (
            f"Message {index} holds a block of type {media!r}, and DeepSeek on DashScope reads "
            "text only: put what matters into words, or ask a model with such inputs"
        )
        raise DashScopeUnsupportedError(msg)
    plain_dict = role == "tool" and kind not in _TEXTS
    for key in () if plain_dict else ("text", "refusal"):
        if key in block:
            return block[key] if isinstance(block[key], str) else ""
    if role == "assistant":
        # Thoughts, calls and results of other providers' own tools. The calls that count are
        # taken from elsewhere; the rest was for the provider that wrote it.
        return ""
    if not plain_dict and isinstance(block.get("content"), (str, list)):
        return _text(block["content"], index, role=role)
    if role == "tool":
        # A tool may answer with plain dicts, for the model to read.
        return json.dumps(block, ensure_ascii=False, default=str)
    msg = (
        f"Message {index} holds a block of type {kind!r}, which has no text to send: use blocks "
        'of type "text"'
    )
    raise DashScopeInputError(msg)
