"""Converts a conversation to DashScope's wire format; `messages` converts a single message.

No I/O but warnings and log lines. The service refuses a conversation in which a tool call has no
tool message right behind it, a tool message has no call, or the last message is neither a user's
nor a tool's. An agent whose stored thread is of that kind would fail in every later call, so the
request is repaired where the repair is unambiguous.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from langchain_core.messages import BaseMessage, HumanMessage

from langchain_dashscope_deepseek._dashscope.protocol.packets import WireMessage
from langchain_dashscope_deepseek._dashscope.reporting import warn
from langchain_dashscope_deepseek._langchain.messages import (
    Call,
    Change,
    Context,
    Converted,
    blocks_of,
    convert,
    normalise,
    reasoning_of,
)
from langchain_dashscope_deepseek.errors import DashScopeInputError, DashScopeWarning

logger = logging.getLogger(__name__)

_NO_RESULT = (
    "No result of this call was recorded. The tool may have run: before you repeat a call that "
    "costs or changes something, check whether it took effect."
)
_GO_ON = "Continue in the language of this conversation."
_CALL_A_TOOL = "Continue by calling one of your tools."


def to_wire(
    messages: Sequence[BaseMessage],
    *,
    replay_reasoning: bool,
    text_only_model: str = "",
    must_call: bool = False,
) -> tuple[list[WireMessage], list[str]]:
    """Return the wire's messages, and a description of each repair.

    Not described: system messages at the beginning are joined, since the service documents a single
    one; images of tool messages are moved behind them; the `name` of messages, empty system and AI
    messages, blocks of AI messages that are not text, and unanswered invalid calls are left out.
    `text_only_model`: see `Context`. `must_call`: a call was asked for, but sent as "auto".
    """
    blocks = (block for message in messages for block in blocks_of(message))
    if any("cache_control" in block and "type" in block for block in blocks):
        warn("cache_control has no effect, since DeepSeek has no explicit cache: leave it out.")
    changes: list[Change] = []
    parts = [(n, part) for n, message in enumerate(messages) for part in normalise(message, n)]
    newest = next((part for _, part in reversed(parts) if isinstance(part, HumanMessage)), None)
    converted = [
        convert(part, Context(position, text_only_model, None if part is newest else changes))
        for position, part in parts
    ]
    conversation = _match_answers(filter(None, converted), changes)
    if not conversation:
        raise DashScopeInputError(
            "There is nothing to answer (empty messages and tool messages without a call are left "
            "out): send at least one human message"
        )
    if replay_reasoning:
        _replay_reasoning(conversation)
    sent: list[WireMessage] = []
    for message in conversation:
        if message.wire["role"] == "system" and [m["role"] for m in sent] == ["system"]:
            sent[0]["content"] += f"\n\n{message.wire['content']}"
        else:
            sent.append(message.wire)
        sent += _with_images_behind(message.answers)
    _fix_end(sent, conversation[-1], _CALL_A_TOOL if must_call else _GO_ON, changes)
    _report(changes)
    return sent, [change.description for change in changes]


def countable(messages: Sequence[BaseMessage]) -> Iterator[tuple[str, int]]:
    """Yield each message's text, with the reasoning that may be sent back, and its image count."""
    conversation: list[Converted] = []
    for position, message in enumerate(messages):
        with suppress(DashScopeInputError):  # it would not be sent
            context = Context(position, changes=[])
            converted = [convert(part, context) for part in normalise(message, position)]
            conversation += filter(None, converted)
    _replay_reasoning(conversation)
    for sent in conversation:
        content = sent.wire["content"]
        parts = [{"text": content}] if isinstance(content, str) else content
        texts = [part["text"] for part in parts if "text" in part]
        texts += [
            call.name + json.dumps(call.args, ensure_ascii=False, default=str)
            for call in sent.calls
        ]
        texts.append(sent.wire.get("reasoning_content", ""))
        yield "\n".join(filter(None, texts)), sum("image" in part for part in parts)


def _match_answers(conversation: Iterable[Converted], changes: list[Change]) -> list[Converted]:
    """Move each tool message to the `answers` of the nearest earlier AI message with its call."""
    kept: list[Converted] = []
    latest: dict[str, Call] = {}
    callers: dict[str, Converted] = {}
    for message in conversation:
        if message.wire["role"] != "tool":
            kept.append(message)
            for call in reversed(message.calls):  # so that of two equal ids the first counts
                latest[call.id], callers[call.id] = call, message
            continue
        call_id = message.wire["tool_call_id"]
        called = latest.get(call_id)
        if called is None or called.answer:
            changes.append(_dropped(message, called))
            continue
        caller, called.answer = callers[call_id], message.wire
        caller.answers.append(message.wire)
        if caller is not kept[-1]:
            if any(c.id == call_id and not c.answer for m in kept for c in m.calls):
                raise DashScopeInputError(
                    f"messages[{message.position}] answers the call {call_id!r}, and two "
                    "unanswered calls have that id: move it right behind the AI message whose call "
                    "it answers"
                )
            how = "was answered by a later tool message, which was moved right behind it"
            changes.append(_unanswered(caller, called, how))
    for message in kept:
        _finish_calls(message, changes)
    return [message for message in kept if message.wire["content"] or message.calls]


def _dropped(message: Converted, call: Call | None) -> Change:
    """Describe a tool message that has no open call; refuse a second answer that differs."""
    call_id = message.wire["tool_call_id"]
    refusal = DashScopeInputError(
        f"messages[{message.position}] is a tool message for the call {call_id!r}, which no AI "
        "message before it made, or which is answered already: keep the AI message with that call "
        "right before it, or drop this one"
    )
    if call and call.answer and call.answer["content"] != message.wire["content"]:
        raise refusal
    return Change(
        f"messages[{message.position}]: a tool message for {call_id!r} was left out",
        "A tool message was left out of the request, since its call is missing or answered.",
        refusal,
    )


def _finish_calls(message: Converted, changes: list[Change]) -> None:
    """Convert the calls of a message to the wire format, and add the answers that are missing."""
    # Invalid calls without an answer are dropped: agents do not run them.
    message.calls = [c for c in message.calls if c.answer or isinstance(c.args, dict)]
    calls: dict[str, WireMessage] = {}
    for call in message.calls:
        if not call.id or call.id in calls:
            raise DashScopeInputError(
                f"messages[{message.position}] calls the tool {call.name!r} with the id "
                f"{call.id!r}: each call of a message needs an id of its own"
            )
        if call.answer is None:
            how = "has no recorded result and may have run: a tool message that says so was added"
            changes.append(_unanswered(message, call, how))
            answer = {"role": "tool", "content": _NO_RESULT, "tool_call_id": call.id}
            message.answers.append(answer)
        calls[call.id] = {
            "index": len(calls),
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": _arguments(call, message.position)},
        }
    if calls:
        message.wire["tool_calls"] = list(calls.values())


def _arguments(call: Call, position: int) -> str:
    """Return the arguments as JSON: the service also parses those of an invalid call."""
    args = call.args if isinstance(call.args, dict) else {"malformed_arguments": call.args}
    try:
        return json.dumps(args, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError):
        raise DashScopeInputError(
            f"messages[{position}] calls the tool {call.name!r} (id {call.id!r}) with arguments "
            "that JSON cannot represent: use strings, finite numbers, booleans, None, lists and "
            "dicts"
        ) from None


def _unanswered(caller: Converted, call: Call, how: str) -> Change:
    return Change(
        f"messages[{caller.position}]: the call {call.id!r} of {call.name!r} {how}",
        f"A call of {call.name} {how}.",
        DashScopeInputError(
            f"messages[{caller.position}] calls the tool {call.name!r} (id {call.id!r}), and no "
            "tool message right behind it answers the call: add or move one with "
            f"tool_call_id={call.id!r} there, or drop the call"
        ),
    )


def _replay_reasoning(conversation: Sequence[Converted]) -> None:
    """Add the reasoning to the AI messages of turns in which tools were called."""
    # A turn is the messages between two human messages. DeepSeek requires the reasoning of all AI
    # messages of such a turn in later requests, the final answer included. A human message right
    # behind a tool message ends no turn: users pass on the images of a tool in such a message.
    turns: list[list[Converted]] = [[]]
    for message in conversation:
        if message.wire["role"] == "user" and not (turns[-1] and turns[-1][-1].answers):
            turns.append([])
        turns[-1].append(message)
    for turn in turns:
        if any(message.calls for message in turn):
            for message in turn:
                if message.wire["role"] == "assistant":
                    message.wire["reasoning_content"] = reasoning_of(message.message)


def _with_images_behind(answers: list[WireMessage]) -> list[WireMessage]:
    """Move images into a user message behind: they are not documented for tool messages."""
    images: list[dict[str, str]] = []
    for answer in answers:
        if isinstance(answer["content"], str):
            continue
        texts = []
        for part in answer["content"]:
            if "image" in part:
                texts.append(f"[image {len(images) // 2 + 1} of the tool results]")
                images += [{"text": texts[-1]}, part]
            else:
                texts.append(part["text"])
        answer["content"] = "\n".join(texts)
    return [*answers, {"role": "user", "content": images}] if images else answers


def _fix_end(sent: list[WireMessage], last: Converted, go_on: str, changes: list[Change]) -> None:
    """End the conversation with a user message, unless the service accepts the last message."""
    role = sent[-1]["role"]
    if role in ("user", "tool"):
        return
    if role == "assistant" and last.message.additional_kwargs.get("partial"):
        sent[-1]["partial"] = True
        return
    kind = "an AI message" if role == "assistant" else "a system message"
    if role == "system" and len(sent) == 1:
        sent[0]["role"] = "user"
        text = f"{kind} was alone, and was sent as a human message"
    else:
        sent.append({"role": "user", "content": go_on})
        text = f"{kind} was the last one: a human message that asks to continue was added"
    refusal = DashScopeInputError(
        f"messages[{last.position}] is {kind} and the last one, and the service answers human and "
        "tool messages only: end the conversation with one of those"
    )
    warning = f"{text[0].upper()}{text[1:]}."
    changes.append(Change(f"messages[{last.position}]: {text}", warning, refusal))


def _report(changes: Iterable[Change]) -> None:
    """Log each change, and warn once for each kind."""
    warned: set[str] = set()
    for change in changes:
        logger.info("Changed in the request: %s", change.description)
        if change.warning in warned:
            continue
        warned.add(change.warning)
        try:
            warn(change.warning)
        except DashScopeWarning:
            raise change.refusal from None
