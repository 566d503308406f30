"""Validates conversations: roles, tool calls and reasoning."""

from __future__ import annotations

import json
from typing import Any

from langchain_dashscope_deepseek.testing._contents import (
    EMPTY_CONTENT_ERROR,
    ContentRules,
    read_message,
)
from langchain_dashscope_deepseek.testing._errors import refuse
from langchain_dashscope_deepseek.testing._render import Json
from langchain_dashscope_deepseek.testing._turns import split_turns

_ROLES = ("user", "assistant", "system", "function", "plugin", "tool")
_LAST_ROLES = ("user", "function", "tool")
_ROLE_ERROR = (
    'Role must be in ["user","assistant","system","function","plugin","tool"] and the role in last '
    'message must be in ["user","function","tool"]'
)
_ORPHAN_ERROR = (
    'messages with role "tool" must be a response to a preceeding message with "tool_calls"'
)
_REPLAY_ERROR = "The `reasoning_content` in the thinking mode must be passed back to the API."


def check_messages(messages: Any, rules: ContentRules, *, partial: bool) -> list[Json]:
    """Check the messages; return each with a string as its content and a list of images.

    `partial` allows a last assistant message that is marked as partial, for the model to continue.
    """
    if not isinstance(messages, list) or not messages:
        refuse(EMPTY_CONTENT_ERROR)
    if any(not isinstance(message, dict) for message in messages):
        refuse("messages must be a list of objects.")
    roles = [message.get("role") for message in messages]
    is_continued = partial and roles[-1] == "assistant" and messages[-1].get("partial") is True
    if any(role not in _ROLES for role in roles) or not (roles[-1] in _LAST_ROLES or is_continued):
        refuse(_ROLE_ERROR)
    read = []
    for number, message in enumerate(messages):
        read.append(read_message(message, number, rules))
        if not isinstance(message.get("reasoning_content", ""), str):
            refuse("reasoning_content must be a string.")
        if message["role"] == "assistant" and "tool_calls" in message:
            _check_calls(message["tool_calls"])
    _check_pairs(read)
    return read


def check_replay(messages: list[Json], *, needs_replay: bool, thinking: bool) -> None:
    """Check the reasoning of earlier answers.

    Not `needs_replay`: no message may have it. `needs_replay` and `thinking`: in a turn with tool
    calls all assistant messages need it, the final one too. Otherwise it is ignored.
    """
    if not needs_replay:
        if any("reasoning_content" in message for message in messages):
            refuse("The reasoning_content of earlier answers must not be sent to this model.")
        return
    if not thinking:
        return
    for turn in split_turns(messages):
        answers = [message for message in turn if message["role"] == "assistant"]
        has_calls = any(message.get("tool_calls") for message in answers)
        if has_calls and not all("reasoning_content" in message for message in answers):
            refuse(_REPLAY_ERROR)


def _check_calls(calls: Any) -> None:
    if not isinstance(calls, list) or not calls:
        refuse("messages.tool_calls must be a list that is not empty.")
    for call in calls:
        match call:
            case {
                "id": str(call_id),
                "type": "function",
                "function": {"name": str(name), "arguments": str(arguments)},
            } if call_id and name:
                if not _is_object(arguments):
                    refuse('The "function.arguments" parameter must be in JSON format.')
            case _:
                refuse(
                    "messages.tool_calls must have an id, the type function, and a function with "
                    "a name and arguments that are a string."
                )


def _is_object(arguments: str) -> bool:
    try:
        return isinstance(json.loads(arguments), dict)
    except ValueError:
        return False


def _check_pairs(messages: list[Json]) -> None:
    """Check that the messages right behind a call answer it exactly once."""
    unanswered: set[str] = set()
    for message in messages:
        if message["role"] == "tool":
            answered = message.get("tool_call_id")
            if not isinstance(answered, str) or answered not in unanswered:
                refuse(_ORPHAN_ERROR)
            unanswered.remove(answered)
            continue
        _refuse_unanswered(unanswered)
        unanswered = {call["id"] for call in message.get("tool_calls") or ()}
    _refuse_unanswered(unanswered)


def _refuse_unanswered(unanswered: set[str]) -> None:
    if unanswered:
        refuse(
            'An assistant message with "tool_calls" must be followed by tool messages responding '
            'to each "tool_call_id". The following tool_call_ids did not have response messages: '
            + ", ".join(sorted(unanswered))
        )
