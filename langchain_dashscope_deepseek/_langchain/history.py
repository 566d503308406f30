"""Conversations become the wire's messages: the rules between messages; `messages` converts one.

Pure. The service refuses a conversation in which a tool call has no tool message right behind it, a
tool message has no call, or the last message is neither a user's nor a tool's. A stored thread
would be refused forever, so it is mended here, on the way out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import BaseMessage

from langchain_dashscope_deepseek._dashscope.protocol.json_text import (
    HALF_OF_A_PAIR,
    without_halves,
)
from langchain_dashscope_deepseek._dashscope.protocol.packets import WireMessage
from langchain_dashscope_deepseek._dashscope.reporting import warn
from langchain_dashscope_deepseek._langchain.changes import Changes
from langchain_dashscope_deepseek._langchain.messages import (
    Call,
    Place,
    convert,
    is_human,
    marks_cache,
    reasoning_of,
    split_results,
)
from langchain_dashscope_deepseek.errors import DashScopeInputError

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
    images_refused: str = "",
    must_call: bool = False,
) -> tuple[list[WireMessage], list[str]]:
    """Convert a conversation to the wire's messages.

    System messages at the beginning become one, since the service documents one. A message's
    `name` has no place on the wire. AI messages that say nothing are left out. A content with
    images is a list of `{"text": ...}` and `{"image": ...}`, any other content is a string. A last
    AI message with `additional_kwargs={"partial": True}` is marked for the model to continue.

    Args:
        messages: The conversation, oldest first.
        replay_reasoning: Send the reasoning of turns in which tools were called.
        images_refused: Why the model takes no images; `""` if it does.
        must_call: Ask for a call of a tool where a human message that asks to continue is added:
            the choice that forces one is not sent.

    Returns:
        The wire's messages, and a description of each change that was made to them.

    Raises:
        DashScopeInputError: The conversation holds nothing to answer, a tool call cannot be told
            from another, or an image of the newest human message cannot be sent.
        DashScopeUnsupportedError: The newest human message holds audio, video or a file, or an
            image that the model does not read.
    """
    if any(map(marks_cache, messages)):
        warn("cache_control has no effect: DeepSeek has no explicit cache, only an implicit one.")
    changes = Changes()
    parts = [(at, part) for at, message in enumerate(messages) for part in split_results(message)]
    newest = next((n for n in reversed(range(len(parts))) if is_human(parts[n][1])), -1)
    converted = []
    for number, (position, message) in enumerate(parts):
        at = Place(position, images_refused, None if number == newest else changes)
        wire = convert(message, at)
        if wire is not None:
            _mend_halves_of_characters(wire, at)
            converted.append(_Converted(position, message, wire))
    conversation = _with_answers(converted, changes)
    if not conversation:
        msg = (
            "There is nothing to answer (empty AI messages and tool messages without a call are "
            "left out): send at least one human message"
        )
        raise DashScopeInputError(msg)
    if replay_reasoning:
        _replay_reasoning(conversation)
    sent: list[WireMessage] = []
    for said in conversation:
        if said.wire["role"] == "system" and len(sent) == 1 and sent[0]["role"] == "system":
            sent[0]["content"] += f"\n\n{said.wire['content']}"
        else:
            sent.append(said.wire)
        sent += _with_images_behind(said.answers)
    _mend_end(sent, conversation[-1], _CALL_A_TOOL if must_call else _GO_ON, changes)
    changes.say()
    return sent, changes.made


@dataclass
class _Converted:
    """A message in the wire's form, with the tool messages that answer its calls."""

    position: int
    message: BaseMessage
    wire: WireMessage
    answers: list[WireMessage] = field(default_factory=list)


def _mend_halves_of_characters(message: WireMessage, at: Place) -> None:
    """Replace what UTF-8 cannot carry, as file names that a tool lists may hold.

    In the newest human message it stays, and is refused where the request is encoded.
    """
    content = message["content"]
    mended = (
        without_halves(content)
        if isinstance(content, str)
        else [
            {**part, "text": without_halves(part["text"])} if "text" in part else part
            for part in content
        ]
    )
    if at.changes is not None and mended != content:
        msg = f"Message {at.position} {HALF_OF_A_PAIR}"
        at.leave_out("half of a character", DashScopeInputError(msg))
        message["content"] = mended


def _with_answers(conversation: Iterable[_Converted], changes: Changes) -> list[_Converted]:
    """Move tool messages into the `answers` of their callers.

    A tool message answers the last call before it that has its id.
    """
    kept: list[_Converted] = []
    latest: dict[str, tuple[_Converted, Call]] = {}
    superseded: set[str] = set()
    for said in conversation:
        if said.wire["role"] != "tool":
            kept.append(said)
            for call in reversed(said.wire.get("tool_calls", ())):
                if call.id in latest and latest[call.id][1].answer is None:
                    superseded.add(call.id)
                latest[call.id] = (said, call)
            continue
        call_id = said.wire["tool_call_id"]
        found = latest.get(call_id)
        if found is None or found[1].answer is not None:
            _leave_out(said, found and found[1], changes)
            continue
        caller, call = found
        call.answer = said.wire["content"]
        if not call.name:
            continue  # left out with its call
        caller.answers.append(said.wire)
        if caller is not kept[-1]:
            if call_id in superseded:
                msg = (
                    f"Message {said.position} answers the call {call_id!r}, and two calls without "
                    "an answer have that id: put it right behind its call"
                )
                raise DashScopeInputError(msg)
            how = "was answered by a tool message that came later"
            _note_unanswered(caller, call, how, changes)
    for said in kept:
        _finish_calls(said, changes)
    return [said for said in kept if said.wire["content"] or "tool_calls" in said.wire]


def _leave_out(said: _Converted, call: Call | None, changes: Changes) -> None:
    """Note that a tool message whose call is gone or answered is left out.

    Refused if it says something else than the first answer to the call.
    """
    call_id = said.wire["tool_call_id"]
    msg = (
        f"Message {said.position} is a tool message for the call {call_id!r}, which no AI message "
        "before it made, or which is answered already: keep the AI message with that call right "
        "before it, or drop this one"
    )
    if call is not None and call.answer != said.wire["content"]:
        raise DashScopeInputError(msg)
    changes.add(
        f"message {said.position}: a tool message for {call_id!r} was left out",
        "A tool message was left out of the request, since its call is gone or answered.",
        DashScopeInputError(msg),
    )


def _finish_calls(said: _Converted, changes: Changes) -> None:
    """Bring the calls of a message to the wire's form, and give each an answer."""
    calls: dict[str, Any] = {}
    for call in said.wire.pop("tool_calls", ()):
        if call.answer is None and not call.is_valid:
            continue  # agents run no invalid call, and few answer one
        unclear = DashScopeInputError(
            f"Message {said.position} calls the tool {call.name!r} with the id {call.id!r}: each "
            "call of a message needs a name and an id of its own"
        )
        if not call.name:
            changes.add(
                f"message {said.position}: a tool call without a name was left out",
                "A tool call without a name was left out of the request, with its answer.",
                unclear,
            )
            continue
        if not call.id or call.id in calls:
            raise unclear
        if call.answer is None:
            how = "has no recorded result and may have run: a tool message that says so was added"
            _note_unanswered(said, call, how, changes)
            answer = {"role": "tool", "content": _NO_RESULT, "tool_call_id": call.id}
            said.answers.append(answer)
        calls[call.id] = {
            "index": len(calls),
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }
    if calls:
        said.wire["tool_calls"] = list(calls.values())


def _note_unanswered(caller: _Converted, call: Call, how: str, changes: Changes) -> None:
    msg = (
        f"Message {caller.position} calls the tool {call.name!r} (id {call.id!r}), and no tool "
        f"message right behind it answers the call: add one with tool_call_id={call.id!r}, or drop "
        "the call"
    )
    changes.add(
        f"message {caller.position}: the call {call.id!r} of {call.name!r} {how}",
        f"A call of {call.name} {how}.",
        DashScopeInputError(msg),
    )


def _replay_reasoning(conversation: Sequence[_Converted]) -> None:
    """Send the reasoning of each turn, all between two human messages, in which tools were called.

    DeepSeek wants the reasoning of every message of such a turn in all later requests, that of the
    final answer included. What belongs to a turn is decided on the messages that are left. A human
    message right behind a tool's may look to the service like the tool's images, so it ends none.
    """
    turns: list[list[_Converted]] = [[]]
    for said in conversation:
        if said.wire["role"] == "user" and not (turns[-1] and turns[-1][-1].answers):
            turns.append([])
        turns[-1].append(said)
    for turn in turns:
        if any("tool_calls" in said.wire for said in turn):
            for said in turn:
                if said.wire["role"] == "assistant":
                    said.wire["reasoning_content"] = reasoning_of(said.message)


def _with_images_behind(answers: list[WireMessage]) -> list[WireMessage]:
    """Move the images of tool messages into a user message behind them.

    The service documents text for tool messages, and images for user messages: this works whether
    or not it takes images in tool messages.
    """
    images: list[dict[str, Any]] = []
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


def _mend_end(sent: list[WireMessage], last: _Converted, go_on: str, changes: Changes) -> None:
    """Make a user's message the last one, unless the service answers the last one as it is."""
    role = sent[-1]["role"]
    if role in ("user", "tool"):
        return
    if role == "assistant" and last.message.additional_kwargs.get("partial"):
        sent[-1]["partial"] = True
        return
    kind = "an AI message" if role == "assistant" else "a system message"
    if role == "system" and len(sent) == 1:
        sent[0]["role"] = "user"
        what = f"{kind} was alone, and was sent as a human message"
    else:
        sent.append({"role": "user", "content": go_on})
        what = f"{kind} was the last one: a human message that asks to continue was added"
    msg = (
        f"Message {last.position} is {kind} and the last one, and the service answers human and "
        "tool messages only: end the conversation with one of those"
    )
    changes.add(
        f"message {last.position}: {what}",
        f"{what[0].upper()}{what[1:]}.",
        DashScopeInputError(msg),
    )
