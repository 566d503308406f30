"""Replies become the events of LangChain's v3 streams, with no chunk in between.

Pure. Without this core would make events of our chunks, each of which it takes apart again; the
events are the same, which a test holds them to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from langchain_dashscope_deepseek._dashscope.protocol.packets import Reply
from langchain_dashscope_deepseek._langchain.citations import citations
from langchain_dashscope_deepseek._langchain.messages import PROVIDER
from langchain_dashscope_deepseek._langchain.stream import AnswerAccumulator, Emitter
from langchain_dashscope_deepseek._langchain.tool_calls import ToolCallAccumulator

if TYPE_CHECKING:
    from langchain_protocol.protocol import MessagesData


class EventEmitter(Emitter["MessagesData"]):
    """The answer as events."""

    def __init__(self, answer: AnswerAccumulator, message_id: str) -> None:
        """Begin; the answer takes the replies, and the message gets that id."""
        super().__init__(answer)
        self._message_id = message_id
        self._indexes: dict[str | int, int] = {}
        self._started = False

    def add(self, reply: Reply) -> list[MessagesData]:
        """Take a reply and give its events."""
        calls = self._answer.add(reply)
        events: list[MessagesData] = []
        if reply.reasoning:
            if "reasoning" not in self._indexes:
                events += self._open("reasoning", {"type": "reasoning", "reasoning": ""})
            delta = {"type": "reasoning-delta", "reasoning": reply.reasoning}
            events.append(self._delta("reasoning", delta))
        if reply.text:
            if "text" not in self._indexes:
                events += self._open("text", {"type": "text", "text": ""})
            events.append(self._delta("text", {"type": "text-delta", "text": reply.text}))
        return events + self._grow_calls(calls) if calls else events

    def end(self) -> Iterator[MessagesData]:
        """Yield what ends the stream: every block as a whole, usage and metadata."""
        answer = self._answer
        yield from self._grow_calls(self._end_calls())
        yield from self._start()
        sources = citations(answer.search_results)
        if sources and "text" not in self._indexes:
            yield from self._open("text", {"type": "text", "text": ""})
        wholes: dict[str | int, dict[str, Any]] = {
            "reasoning": {"type": "reasoning", "reasoning": answer.reasoning},
            "text": {"type": "text", "text": answer.text},
            **{call.chunk_index: _block(call) for call in answer.calls},
        }
        if sources:
            wholes["text"]["annotations"] = sources
        for key, index in self._indexes.items():
            yield _event("content-block-finish", index=index, content=wholes[key])
        usage = answer.usage_metadata
        finish = {
            **answer.finish,
            **({"usage": usage} if usage else {}),
            "metadata": answer.response_metadata,
            **({"additional_kwargs": answer.additional_kwargs} if answer.reasoning else {}),
        }
        yield _event("message-finish", **finish)

    def _grow_calls(self, calls: list[Any]) -> list[MessagesData]:
        events: list[MessagesData] = []
        for call in calls:
            if call["index"] not in self._indexes:
                events += self._open(call["index"], {**call, "args": ""})
            if call["args"]:
                delta = {"type": "tool-call-delta", "args": call["args"]}
                events.append(self._delta(call["index"], delta))
        return events

    def _delta(self, key: str | int, delta: Mapping[str, Any]) -> MessagesData:
        event = {"event": "content-block-delta", "index": self._indexes[key], "delta": delta}
        return cast("MessagesData", event)

    def _open(self, key: str | int, block: Mapping[str, Any]) -> list[MessagesData]:
        """Open a block, and the message before its first one."""
        index = self._indexes[key] = len(self._indexes)
        return [*self._start(), _event("content-block-start", index=index, content=block)]

    def _start(self) -> list[MessagesData]:
        if self._started:
            return []
        self._started = True
        metadata = {"provider": PROVIDER, "model": self._answer.model}
        return [_event("message-start", role="ai", id=self._message_id, metadata=metadata)]


def _block(call: ToolCallAccumulator) -> dict[str, Any]:
    block = dict(call.parsed())
    if block["type"] == "invalid_tool_call":
        block["error"] = "Failed to parse tool call arguments as JSON"  # in core's words
    return block


def _event(kind: str, **data: Any) -> MessagesData:
    """Name an event. Core's types of events are one for each kind, and equal at run time."""
    return cast("MessagesData", {"event": kind, **data})
