"""A conversation -> the wire's messages: what holds between messages.

Pure. Each tool call is answered at once and each answer has its call, since the service refuses
any other conversation for ever; the reasoning of a turn with tools goes back; images of tools go
where the service reads them. What a single message means is in `messages`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

from langchain_core.messages import AIMessage, BaseMessage, ChatMessage, HumanMessage, ToolMessage

from langchain_dashscope_deepseek._dashscope.json_text import HALF_OF_A_PAIR, without_halves
from langchain_dashscope_deepseek._dashscope.wire import WireMessage
from langchain_dashscope_deepseek._langchain.changes import Changes
from langchain_dashscope_deepseek._langchain.messages import (
    HUMAN_ROLES,
    Place,
    calls_of,
    convert,
    reasoning_of,
)
from langchain_dashscope_deepseek.errors import DashScopeInputError

_NOT_RUN = "This tool was not run: the conversation went on without it."


def to_wire(
    messages: Sequence[BaseMessage], *, replay_reasoning: bool, images_refused: str = ""
) -> tuple[list[WireMessage], list[str]]:
    """Convert a conversation to the wire's messages.

    System messages at the beginning become one, since the service documents one. A message's
    `name` has no place on the wire. AI messages that say nothing at all are left out. A content
    that holds images is a list of `{"text": ...}` and `{"image": ...}`, any other is a string. A
    last AI message with `additional_kwargs={"partial": True}` is marked for the model to continue.

    Args:
        messages: The conversation, oldest first.
        replay_reasoning: Send the reasoning of turns in which tools were called.
        images_refused: Why the model takes no images; `""` if it does.

    Returns:
        The messages as the wire has them, with what had to be changed: a thread that went on past
        a tool call, or that holds what this model does not read, must not be dead for that.

    Raises:
        DashScopeInputError: The conversation cannot be answered, or a tool call in it cannot be
            told from another, or an image of the newest human message cannot be sent; says which
            message and what to change.
        DashScopeUnsupportedError: The newest human message holds audio, video or a file, or an
            image that the model does not read.
    """
    if not messages:
        msg = "There are no messages: send at least one human message"
        raise DashScopeInputError(msg)
    changes = Changes()
    newest = _newest_human(messages)
    answered = _answered(messages)
    conversation = []
    for index, message in enumerate(messages):
        at = Place(index, images_refused, None if index == newest else changes)
        converted = convert(message, at, answered[index])
        if converted is not None:
            _mend_halves_of_characters(converted, at)
            conversation.append(Placed(index, message, converted))
    wire: list[WireMessage] = []
    shown = _ToolImages()
    loop = _ToolLoop(conversation, changes)
    kept = list(loop)
    for _, _, converted in kept:
        if converted["role"] == "tool":
            shown.take(converted)
        else:
            wire += shown.message()
        if converted["role"] == "system" and len(wire) == 1 and wire[0]["role"] == "system":
            wire[0]["content"] += f"\n\n{converted['content']}"
        else:
            wire.append(converted)
    if wire and wire[-1]["role"] == "assistant" and messages[-1].additional_kwargs.get("partial"):
        wire[-1]["partial"] = True
    elif not wire or wire[-1]["role"] not in ("user", "tool"):
        wire += loop.answer_at_the_end(messages[-1])
    if replay_reasoning:
        _replay_reasoning(kept)
    changes.say()
    return wire + shown.message(), changes.made


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


class Placed(NamedTuple):
    """A message of a conversation; `None` stands for one of ours."""

    position: int
    message: BaseMessage | None
    wire: WireMessage


def _newest_human(messages: Sequence[BaseMessage]) -> int:
    for index in range(len(messages) - 1, -1, -1):
        message = messages[index]
        if isinstance(message, HumanMessage):
            return index
        if isinstance(message, ChatMessage) and message.role in HUMAN_ROLES:
            return index
    return -1


def _answered(messages: Sequence[BaseMessage]) -> list[Collection[str]]:
    """List for each message the ids of its calls that a tool message behind it answers.

    An answer is that of the last call before it that has its id.
    """
    found: list[Collection[str]] = [()] * len(messages)
    behind: set[str] = set()
    for index in range(len(messages) - 1, -1, -1):
        message = messages[index]
        if isinstance(message, ToolMessage):
            behind.add(message.tool_call_id)
        elif isinstance(message, AIMessage):
            own = {call.get("id") for call in calls_of(message)}
            found[index] = behind & own
            behind -= own
    return found


def _replay_reasoning(conversation: Sequence[Placed]) -> None:
    """Send the reasoning of each turn, all between two human messages, in which tools were called.

    DeepSeek wants the reasoning of every message of such a turn in all later requests, that of the
    final answer included. What belongs to a turn is decided on the messages that are left. A human
    message right behind a tool's may look to the service like the tool's images, so it ends none.
    """
    turns: list[list[Placed]] = [[]]
    role_before = ""
    for said in conversation:
        role = said.wire["role"]
        if role == "user" and role_before != "tool":
            turns.append([])
        turns[-1].append(said)
        role_before = role
    for turn in turns:
        if any("tool_calls" in said.wire for said in turn):
            for _, message, wire in turn:
                if wire["role"] == "assistant" and message is not None:
                    wire["reasoning_content"] = reasoning_of(message)


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
        """Return the message with the images since the last one, if there are any."""
        parts, self._parts, self._count = self._parts, [], 0
        return [{"role": "user", "content": parts}] if parts else []


class _ToolLoop:
    """Yields a conversation in which each call is answered at once, and each answer has its call.

    A call that nobody answered is answered by a message of ours, or by its own answer where that
    comes later. Left out are an answer whose call is gone, an answer that is there twice, and a
    call without a name together with its answer.
    """

    def __init__(self, conversation: Sequence[Placed], changes: Changes) -> None:
        self._conversation = conversation
        self._changes = changes
        self._caller = 0
        self._open: dict[str, str] = {}
        self._nameless: set[str] = set()
        self._answers: dict[str, Any] = {}
        self._not_run: set[str] = set()
        self._moved: set[int] = set()
        self._places: dict[str, list[int]] | None = None
        self._left_out: tuple[Placed, DashScopeInputError] | None = None

    def __iter__(self) -> Iterator[Placed]:
        for place, said in enumerate(self._conversation):
            if said.wire["role"] != "tool":
                yield from self._answer_what_is_open(place, said.position)
                kept = self._call(said)
                if kept is not None:
                    self._left_out = None
                    yield kept
            elif place not in self._moved and self._has_call(said):
                yield said
        if self._open:  # nothing came behind it: the calls may still be under way
            call_id, name = next(iter(self._open.items()))
            raise self._unanswered(call_id, name, self._conversation[-1].position + 1)

    def answer_at_the_end(self, last: BaseMessage) -> list[WireMessage]:
        """Return what ends a conversation whose last answers were left out.

        Raises:
            DashScopeInputError: It ends with what the service does not answer.
        """
        if len(self._conversation) - 1 in self._moved:
            call_id = self._conversation[-1].wire["tool_call_id"]
            text = f"The answer to the call {call_id} has come: it stands right behind the call."
            return [{"role": "user", "content": text}]
        if self._left_out is None:
            msg = (
                f"The conversation ends with {_an(last)}, and the service answers human and tool "
                "messages only: end it with one of those"
            )
            raise DashScopeInputError(msg)
        said, refusal = self._left_out
        if said.wire["tool_call_id"] not in self._nameless:
            raise refusal
        content = said.wire["content"]
        head = "Your last tool call has no name, so it was not run."
        if isinstance(content, str):
            return [{"role": "user", "content": f"{head}\n{content}".rstrip()}]
        return [{"role": "user", "content": [{"text": head}, *content]}]

    def _call(self, said: Placed) -> Placed | None:
        """Take the calls of a message; `None` if it only made calls without a name."""
        calls = said.wire.get("tool_calls", ())
        self._caller, self._open, self._nameless = said.position, {}, set()
        for call in calls:
            call_id, name = call["id"], call["function"]["name"]
            if not name:
                self._nameless.add(call_id)
                self._changes.add(
                    f"message {said.position}: a tool call without a name was left out",
                    "A tool call without a name was left out of the request, with its answer.",
                    _unclear(said.position, call),
                )
            elif not call_id or call_id in self._open:
                raise _unclear(said.position, call)
            else:
                self._open[call_id] = name
                self._answers.pop(call_id, None)
        if not self._nameless:
            return said
        named = [call for call in calls if call["function"]["name"]]
        numbered = [{**call, "index": index} for index, call in enumerate(named)]
        wire = {**said.wire, "tool_calls": numbered}
        if not numbered:
            del wire["tool_calls"]
        return said._replace(wire=wire) if numbered or wire["content"] else None

    def _has_call(self, said: Placed) -> bool:
        """Tell whether a tool message answers a call that is open, and note it if it does not.

        Raises:
            DashScopeInputError: It answers a call that was answered otherwise.
        """
        call_id, content = said.wire["tool_call_id"], said.wire["content"]
        if self._open.pop(call_id, None) is not None:
            self._answers[call_id] = content
            return True
        msg = (
            f"Message {said.position} is a tool message for the call {call_id!r}, which the AI "
            "message before it did not make, or which is answered already: keep the AI message "
            "with that call right before it, or drop this one"
        )
        refusal = DashScopeInputError(msg)
        if self._answers.get(call_id, content) != content:
            raise refusal
        self._left_out = (said, refusal)
        if call_id not in self._nameless:
            self._changes.add(
                f"message {said.position}: a tool message for {call_id!r} was left out",
                "A tool message was left out of the request, since its call is gone or answered.",
                refusal,
            )
        return False

    def _answer_what_is_open(self, place: int, index: int) -> Iterator[Placed]:
        """Yield answers to what nobody answered before the message at a place."""
        for call_id, name in self._open.items():
            refusal = self._unanswered(call_id, name, index)
            late = self._late_answer(call_id, place)
            if late is None:
                what = "was answered by a message that says it was not run"
                wire = {"role": "tool", "content": _NOT_RUN, "tool_call_id": call_id}
                answer = Placed(index, None, wire)
                self._not_run.add(call_id)
            else:
                what = "was answered by a tool message that came later"
                answer = self._conversation[late]
                self._moved.add(late)
            self._answers[call_id] = answer.wire["content"]
            self._changes.add(
                f"message {self._caller}: the call {call_id!r} of {name!r} {what}",
                f"A call of {name} was not answered before the conversation went on: it {what}.",
                refusal,
            )
            yield answer
        self._open = {}

    def _late_answer(self, call_id: str, place: int) -> int | None:
        """Find the answer to a call behind a place, unless another call takes the id before it.

        Raises:
            DashScopeInputError: It may as well be the answer to an earlier call.
        """
        if self._places is None:
            self._places = defaultdict(list)
            for other, said in enumerate(self._conversation):
                calls = said.wire.get("tool_calls", ())
                for found in [said.wire.get("tool_call_id"), *(call["id"] for call in calls)]:
                    if found:
                        self._places[found].append(other)
        places = self._places[call_id]
        behind = places[bisect_right(places, place) :][:1]
        if not behind or self._conversation[behind[0]].wire["role"] != "tool":
            return None
        if call_id in self._not_run:
            msg = (
                f"Message {self._conversation[behind[0]].position} answers the call {call_id!r}, "
                "and two calls that nobody answered have that id: put it right behind its call"
            )
            raise DashScopeInputError(msg)
        return behind[0]

    def _unanswered(self, call_id: str, name: str, index: int) -> DashScopeInputError:
        return DashScopeInputError(
            f"Message {self._caller} calls the tool {name!r} (id {call_id!r}), and no tool "
            f"message answers it before message {index}: add one with tool_call_id="
            f"{call_id!r}, or drop the call"
        )


def _unclear(position: int, call: WireMessage) -> DashScopeInputError:
    name = call["function"]["name"]
    return DashScopeInputError(
        f"Message {position} calls the tool {name!r} with the id {call['id']!r}: each call of a "
        "message needs a name and an id of its own"
    )


def _an(message: BaseMessage) -> str:
    return {"ai": "an AI message", "system": "a system message"}.get(
        message.type, f"a message of type {message.type!r}"
    )
