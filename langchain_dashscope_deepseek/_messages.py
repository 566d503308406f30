"""LangChain's messages <-> the wire's messages, and the wire's usage -> LangChain's.

Pure. Knows which role and which content block of any provider means what; knows no model: whether
reasoning goes back is decided by the caller.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
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
        *("file", "input_file", "document", "file_url"),
    }
)
"""Types of content blocks that only a model with such inputs understands."""

_THOUGHTS_AND_CALLS = frozenset(
    {
        *("reasoning", "reasoning_content", "thinking", "redacted_thinking"),
        *("tool_use", "tool_call", "tool_call_chunk", "invalid_tool_call", "function_call"),
        *("input_json_delta", "server_tool_call", "server_tool_call_chunk", "server_tool_result"),
        *("server_tool_use", "web_search_tool_result", "web_search_call", "non_standard"),
    }
)
"""Types of content blocks of an AI message that hold no text: what of them counts is taken from
elsewhere, the rest was for the provider that wrote it."""

_CHAT_ROLES = {
    "system": SystemMessage,
    "developer": SystemMessage,
    "user": HumanMessage,
    "human": HumanMessage,
    "assistant": AIMessage,
    "ai": AIMessage,
}


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
        DashScopeInputError: The conversation cannot be answered; says what to change.
        DashScopeUnsupportedError: A message holds an image, audio or a file.
    """
    wire: list[WireMessage] = []
    for index, message in enumerate(messages):
        converted = _convert(message, index, replay_reasoning=replay_reasoning)
        if converted is None:
            continue
        if converted["role"] == "system" and len(wire) == 1 and wire[0]["role"] == "system":
            wire[0]["content"] += f"\n\n{converted['content']}"
        else:
            wire.append(converted)
    if not messages:
        msg = "There are no messages: send at least one human message"
        raise DashScopeInputError(msg)
    if not wire or wire[-1]["role"] not in ("user", "tool"):
        msg = (
            f"The conversation ends with a {messages[-1].type} message, and the service answers "
            "human and tool messages only: end it with one of those"
        )
        raise DashScopeInputError(msg)
    return wire


def usage_metadata(usage: Usage | None) -> UsageMetadata | None:
    """Convert token counts. Input includes the cached tokens, output the reasoning."""
    if usage is None:
        return None
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


def _convert(message: BaseMessage, index: int, *, replay_reasoning: bool) -> WireMessage | None:
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
        content = _text(message.content, index, joined_by="\n")
        return {"role": "system", "content": content} if content else None
    if issubclass(kind, AIMessage):
        return _assistant(message, index, replay_reasoning=replay_reasoning)
    if isinstance(message, ToolMessage):
        content = _text(message.content, index, joined_by="\n")
        return {"role": "tool", "content": content, "tool_call_id": message.tool_call_id}
    msg = (
        f"Message {index} is a {type(message).__name__}, which the service has no role for: use "
        "system, human, AI, tool or chat messages"
    )
    raise DashScopeInputError(msg)


def _user(message: BaseMessage, index: int) -> WireMessage:
    content = _text(message.content, index, joined_by="\n")
    if not content:
        msg = (
            f"Message {index} is an empty human message, which the service refuses: fill or drop it"
        )
        raise DashScopeInputError(msg)
    return {"role": "user", "content": content}


def _assistant(message: BaseMessage, index: int, *, replay_reasoning: bool) -> WireMessage | None:
    content = _text(message.content, index, joined_by="")
    calls = list(_tool_calls(message))
    if not calls:
        return {"role": "assistant", "content": content} if content else None
    wire: WireMessage = {"role": "assistant", "content": content, "tool_calls": calls}
    if replay_reasoning:
        wire["reasoning_content"] = reasoning_of(message)
    return wire


def _tool_calls(message: BaseMessage) -> Iterator[WireMessage]:
    """Give the calls of `tool_calls` (core fills it from `additional_kwargs`), else of blocks."""
    calls: Sequence[Any] = message.tool_calls if isinstance(message, AIMessage) else ()
    if not calls:
        calls = [
            {"id": block.get("id"), "name": block.get("name"), "args": arguments}
            for block in _blocks(message)
            if block.get("type") in ("tool_use", "tool_call")
            and isinstance(arguments := block.get("args", block.get("input")), dict)
        ]
    for index, call in enumerate(calls):
        yield {
            "index": index,
            "id": call.get("id") or "",
            "type": "function",
            "function": {
                "name": call.get("name") or "",
                "arguments": json.dumps(call["args"], ensure_ascii=False),
            },
        }


def reasoning_of(message: BaseMessage) -> str:
    """Find a message's reasoning: in `additional_kwargs`, else in v1 blocks; `""` if none."""
    reasoning = message.additional_kwargs.get("reasoning_content")
    if isinstance(reasoning, str):
        return reasoning
    blocks = (b.get("reasoning") for b in _blocks(message) if b.get("type") == "reasoning")
    return "".join(text for text in blocks if isinstance(text, str))


def _blocks(message: BaseMessage) -> list[dict[str, Any]]:
    content = message.content
    return (
        [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
    )


def _text(content: Any, index: int, *, joined_by: str) -> str:
    """Flatten content to the one string that the wire takes."""
    if isinstance(content, str):
        return content
    parts = (_block_text(block, index) for block in content)
    return joined_by.join(part for part in parts if part)


def _block_text(block: Any, index: int) -> str:
    if isinstance(block, str):
        return block
    kind = block.get("type", "text")
    if kind in _MEDIA:
        msg = (
            f"Message {index} holds a block of type {kind!r}, and DeepSeek on DashScope reads text "
            "only: put what matters into words, or ask a model with such inputs"
        )
        raise DashScopeUnsupportedError(msg)
    if kind in _THOUGHTS_AND_CALLS:
        return ""
    for key in ("text", "refusal"):
        if isinstance(block.get(key), str):
            return str(block[key])
    # A tool may answer with a list of plain dicts; anything else is for the model to read, too.
    return json.dumps(block, ensure_ascii=False, default=str)
