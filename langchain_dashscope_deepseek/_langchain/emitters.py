"""Convert an answer to one message, to chunks, or to the events of v3 streams. No I/O."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from langchain_core.callbacks import BaseRunManager
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.tool import invalid_tool_call, tool_call
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.utils.utils import LC_ID_PREFIX
from pydantic import BaseModel

from langchain_dashscope_deepseek._dashscope.protocol.packets import AnswerDelta
from langchain_dashscope_deepseek._dashscope.protocol.request import PreparedRequest
from langchain_dashscope_deepseek._langchain.answer import AnswerAccumulator
from langchain_dashscope_deepseek._langchain.messages import PROVIDER
from langchain_dashscope_deepseek._langchain.metadata import citations
from langchain_dashscope_deepseek.errors import DashScopeError

if TYPE_CHECKING:
    from langchain_protocol.protocol import MessagesData

T_co = TypeVar("T_co", covariant=True)


class Emitter(AbstractContextManager["Emitter[T_co]"], Generic[T_co]):
    """Converts an answer; a `DashScopeError` raised in its block gets the `partial_message`."""

    def __init__(self, request: PreparedRequest) -> None:
        self.answer = AnswerAccumulator(request)

    @abstractmethod
    def add(self, delta: AnswerDelta) -> Iterable[T_co]:
        """Add a delta, and return the parts that it completes."""

    @abstractmethod
    def end(self) -> Iterable[T_co]:
        """Return the last parts, when the answer is complete."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        answer = self.answer
        if isinstance(error, DashScopeError) and (answer.text or answer.reasoning or answer.calls):
            error.partial_message = answer.message()


class MessageEmitter(Emitter[AIMessage]):
    """Yields the whole message at the end."""

    def add(self, delta: AnswerDelta) -> tuple[()]:
        self.answer.add(delta)
        return ()

    def end(self) -> Iterator[AIMessage]:
        self.answer.warn()
        yield self.answer.message()


# --- Chunks ---


class ChunkEmitter(Emitter[ChatGenerationChunk]):
    """Yields chunks."""

    _started = False

    def add(self, delta: AnswerDelta) -> list[ChatGenerationChunk]:
        # Reasoning, text and tool calls of one packet get a chunk each. Core tells blocks apart by
        # their position in a chunk: text behind reasoning would not join the text of other chunks.
        reasoning, text, calls = self.answer.add(delta)
        chunks = []
        if reasoning:
            kwargs = {"reasoning_content": reasoning}
            chunks.append(make_chunk("", self._next_metadata(), additional_kwargs=kwargs))
        if text:
            chunks.append(make_chunk(text, self._next_metadata()))
        for piece in calls:
            # A chunk each: core does not merge two pieces of one call in the same `AIMessageChunk`.
            fields = _call_fields(piece)
            make = make_chunk if "tool_calls" in fields else plain_chunk
            chunks.append(make("", self._next_metadata(), **fields))
        return chunks

    def end(self) -> Iterator[ChatGenerationChunk]:
        self.answer.warn()
        endings = self.answer.end_calls()
        if endings:
            yield plain_chunk("", self._next_metadata(), tool_call_chunks=endings)
        metadata = {**self._next_metadata(), **self.answer.last_metadata}
        usage = self.answer.usage_metadata
        yield plain_chunk("", metadata, usage_metadata=usage, chunk_position="last")

    def _next_metadata(self) -> dict[str, Any]:
        """Return the metadata of the next chunk: the first one names model and request."""
        if self._started:
            return {}
        self._started = True
        return self.answer.first_metadata


def _call_fields(call: Any) -> dict[str, list[Any]]:
    """Return the tool-call fields of a chunk; without the parsed ones, if core has to parse."""
    # Core would take 70 µs for a few characters, and seconds for 50 KB with langchain-core 1.7.
    name, args, call_id = call["name"], call["args"], call["id"]
    valid, invalid = [], []
    if not args:
        valid.append(tool_call(name=name or "", args={}, id=call_id))
    elif not args.lstrip().startswith("{"):
        invalid.append(invalid_tool_call(name=name, args=args, id=call_id, error=None))
    else:
        return {"tool_call_chunks": [call]}
    return {"tool_call_chunks": [call], "tool_calls": valid, "invalid_tool_calls": invalid}


# A stream has a chunk for each token. `quick_chunk` makes one in 2 µs; core's constructors take
# 9 µs, about half of the time that this package spends on an event (`make bench`). `quick_chunk`
# fills the slots of pydantic's models without validation, so its result is compared with that of
# core's constructors when this module is imported.

_MESSAGE = AIMessageChunk(content="").__dict__
_CHUNK = ChatGenerationChunk(message=AIMessageChunk(content="")).__dict__
# All chunks share these two sets: each holds every field's name, so assigning a field adds none,
# and the garbage collector tracks fewer objects.
_MESSAGE_NAMES = set(AIMessageChunk.model_fields)
_CHUNK_NAMES = set(ChatGenerationChunk.model_fields)
_SLOTS = ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
_set_fields, _set_names, _set_extra, _set_private = (
    BaseModel.__dict__[slot].__set__ for slot in _SLOTS
)


def quick_chunk(content: str, metadata: dict[str, Any], **fields: Any) -> ChatGenerationChunk:
    """Make a chunk of valid fields."""
    message = AIMessageChunk.__new__(AIMessageChunk)
    state = {
        **_MESSAGE,
        "content": content,
        "additional_kwargs": {},
        "response_metadata": metadata,
        "tool_calls": [],
        "invalid_tool_calls": [],
        "tool_call_chunks": [],
        **fields,
    }
    _set_fields(message, state)
    _set_names(message, _MESSAGE_NAMES)
    _set_extra(message, {})
    _set_private(message, None)
    chunk = ChatGenerationChunk.__new__(ChatGenerationChunk)
    _set_fields(chunk, {**_CHUNK, "text": content, "message": message})
    _set_names(chunk, _CHUNK_NAMES)
    _set_extra(chunk, None)
    _set_private(chunk, None)
    return chunk


def plain_chunk(content: str, metadata: dict[str, Any], **fields: Any) -> ChatGenerationChunk:
    """Make a chunk with core's constructors."""
    message = AIMessageChunk(content=content, response_metadata=metadata, **fields)
    return ChatGenerationChunk(message=message)


def _quick_equals_plain() -> bool:
    """Tell whether both functions make equal chunks, except for `model_fields_set`."""
    kwargs = {"reasoning_content": "a"}
    quick: Any = quick_chunk("c", {"model_name": "b"}, additional_kwargs=kwargs)
    plain: Any = plain_chunk("c", {"model_name": "b"}, additional_kwargs=kwargs)
    pairs = ((quick, plain), (quick.message, plain.message))
    return all(one == other and vars(one) == vars(other) for one, other in pairs)


make_chunk = quick_chunk if _quick_equals_plain() else plain_chunk


# --- Events of v3 streams ---

_NOT_JSON = "Failed to parse tool call arguments as JSON"  # the text that core uses


class EventEmitter(Emitter["MessagesData"]):
    """Yields the events that core would make of the chunks, without making chunks."""

    def __init__(self, request: PreparedRequest, run_manager: BaseRunManager | None) -> None:
        super().__init__(request)
        self._message_id = "" if run_manager is None else f"{LC_ID_PREFIX}-{run_manager.run_id}"
        self._indexes: dict[str | int, int] = {}  # of the open blocks

    def add(self, delta: AnswerDelta) -> list[MessagesData]:
        reasoning, text, calls = self.answer.add(delta)
        events = []
        if reasoning:
            events += self._grow("reasoning", {"type": "reasoning-delta", "reasoning": reasoning})
        if text:
            events += self._grow("text", {"type": "text-delta", "text": text})
        if calls:
            events += self._grow_calls(calls)
        return events

    def end(self) -> Iterator[MessagesData]:
        answer = self.answer
        answer.warn()
        yield from self._grow_calls(answer.end_calls())
        sources = citations(answer.search_results)
        if sources:
            yield from self._grow("text", None)
        yield from self._start()
        finished: dict[str | int, Any] = {
            "reasoning": {"type": "reasoning", "reasoning": str(answer.reasoning)},
            "text": {"type": "text", "text": str(answer.text)},
            **{call.chunk_index: call.parsed(_NOT_JSON) for call in answer.calls},
        }
        if sources:
            finished["text"]["annotations"] = sources
        for key, index in self._indexes.items():
            yield _event("content-block-finish", index=index, content=finished[key])
        finish = {
            **answer.finish,
            "usage": answer.usage_metadata,
            "metadata": {**answer.first_metadata, **answer.last_metadata},
            "additional_kwargs": answer.additional_kwargs,
        }
        yield _event("message-finish", **{name: value for name, value in finish.items() if value})

    def _grow_calls(self, calls: list[Any]) -> list[MessagesData]:
        events = []
        for call in calls:
            delta = {"type": "tool-call-delta", "args": call["args"]} if call["args"] else None
            events += self._grow(call["index"], delta, {**call, "args": ""})
        return events

    def _grow(self, key: str | int, delta: Any, block: Any = None) -> list[MessagesData]:
        """Open a block (and the message before the first block) if it is new; add a delta."""
        events = []
        if key not in self._indexes:
            events = self._start()
            index = self._indexes[key] = len(self._indexes)
            block = block or {"type": key, key: ""}
            events.append(_event("content-block-start", index=index, content=block))
        if delta is not None:
            events.append(_event("content-block-delta", index=self._indexes[key], delta=delta))
        return events

    def _start(self) -> list[MessagesData]:
        """Return the event before the first block."""
        if self._indexes:
            return []
        metadata = {"provider": PROVIDER, "model": self.answer.model}
        return [_event("message-start", role="ai", id=self._message_id, metadata=metadata)]


def _event(kind: str, **data: Any) -> Any:
    """Make an event. Core has a type for each kind of event; at run time they are dicts."""
    return {"event": kind, **data}
