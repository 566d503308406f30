"""Replies become chunks, and chunks and whole messages come from the same state.

Pure. `AnswerAccumulator` alone builds LangChain's messages, so that `_generate` and the merged
`_stream` of one answer are equal.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Generic, TypeVar

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import invalid_tool_call, tool_call, tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk

from langchain_dashscope_deepseek._dashscope.protocol.json_text import LARGE
from langchain_dashscope_deepseek._dashscope.protocol.packets import Reply, ToolCallDelta
from langchain_dashscope_deepseek._dashscope.protocol.reading import too_large
from langchain_dashscope_deepseek._dashscope.protocol.request import PreparedRequest
from langchain_dashscope_deepseek._dashscope.protocol.usage import read_usage
from langchain_dashscope_deepseek._dashscope.reporting import warn
from langchain_dashscope_deepseek._langchain.llm_output import token_usage
from langchain_dashscope_deepseek._langchain.messages import PROVIDER, usage_metadata
from langchain_dashscope_deepseek._langchain.tool_calls import Text, ToolCallAccumulator
from langchain_dashscope_deepseek.errors import DashScopeError

try:
    from langchain_dashscope_deepseek._langchain import quick_chunks
except ImportError:  # the file may be deleted: all works without it
    quick_chunks = None  # type: ignore[assignment]

T_co = TypeVar("T_co", covariant=True)

_SIZE_OF_A_CALL, _SIZE_OF_A_DELTA = 1_000, 20
"""What a tool call and a piece of one count beside their text, so that empty ones are not endless.
"""


_ENDS_OF_CALLS = ("stop", "tool_calls")
"""The reasons to finish under which a call without arguments has none; under others it was cut."""

_NORMALIZED = {"stop": "stop", "length": "length", "tool_calls": "tool_call"}
"""LangChain's word for each finish_reason; for one that no page names it is `"other"`.

Source: langchain-core 1.8.4. Its `finish_state` is of turns that can be resumed, which DashScope
does not have.
"""

_MARKUP = (
    r"<[｜|] ?DSML ?[｜|]|<[｜|]tool[▁_ ]calls?[▁_ ](?:begin|sep)[｜|]>"
    r"|<(?:antml:)?(?:function_calls?>|tool_calls?>|invoke name=)"
)
"""How DeepSeek's models begin a call where they write it into the text: V3's and R1's own tokens,
V3.2's and later ones' DSML, and what they learnt of others."""

_LIMITS = ("max_tokens", "max_completion_tokens", "thinking_budget")
"""The parameters that limit an answer."""

_LONGEST_PARSED = 500
"""Characters of arguments up to which core may look for whole calls in a single chunk."""


class AnswerAccumulator:
    """One answer as it comes in.

    Attributes:
        model: The model that answers.
        calls: The tool calls so far.
        search_results: The sources of a web search, as the service has them.
    """

    def __init__(self, request: PreparedRequest) -> None:
        """Begin the answer to a request."""
        self.model = request.model
        self.calls: list[ToolCallAccumulator] = []
        self._latest: dict[Any, ToolCallAccumulator] = {}
        """The last call of each id, of each index, and of each pair of them."""
        self.search_results: list[dict[str, Any]] = []
        self._max_size = max_size = request.endpoint.max_answer_size
        self._longest_wide = max(max_size // 3, min(max_size, LARGE))
        self._size = 0
        self._changes = dict(request.changes)
        self._parameters = request.body["parameters"]
        self._text = Text()
        self._reasoning = Text()
        self._finish_reason: str | None = None
        self._usage: Mapping[str, Any] | None = None
        self._request_id: str | None = None

    def add(self, reply: Reply) -> list[Any]:
        """Take a reply; give what is new of tool calls, as core's `ToolCallChunk`s.

        Raises:
            DashScopeAnswerTooLargeError: The answer is larger than it may be.
        """
        text, reasoning, deltas, finish_reason, usage, request_id, search_results = reply
        if text:
            self._size += self._text.add(text)
        if reasoning:
            self._size += self._reasoning.add(reasoning)
        new = self._add_calls(deltas) if deltas else []
        size = self._size + _SIZE_OF_A_CALL * len(self.calls)
        if size > self._max_size or (size > self._longest_wide and self._is_wide()):
            raise too_large(self._max_size, self._request_id or request_id)
        # DashScope repeats the running total on every event and LangChain adds chunks up: the
        # last one counts.
        self._usage = usage or self._usage
        self._finish_reason = finish_reason or self._finish_reason
        self._request_id = self._request_id or request_id  # the first chunk has said it
        if search_results:
            self.search_results = [dict(result) for result in search_results]
        return new

    def end_calls(self) -> list[Any]:
        """End the calls: an id for those without one, and no valid JSON where one is not whole.

        Returns:
            What is new of them, as core's `ToolCallChunk`s.
        """
        endings = []
        is_whole = self._finish_reason in _ENDS_OF_CALLS
        # Arguments that belong to no call may be those of one that has none.
        are_placed = all(call.name or not call.arguments for call in self.calls)
        for call in self.calls:
            new_id = None if call.id else f"call_{self._request_id or 'unknown'}_{call.position}"
            call.id = call.id or new_id
            may_be_empty = are_placed and (is_whole or call is not self.calls[-1])
            invalidating = "" if call.is_whole(may_be_empty=may_be_empty) else call.invalidate()
            if invalidating or new_id:
                endings.append(
                    tool_call_chunk(id=new_id, args=invalidating, index=call.chunk_index)
                )
        return endings

    def warn(self) -> None:
        """Warn of what an agent would take for a final answer, and is none."""
        if self.markup:
            warn(
                f"The model wrote a tool call into its text ({self.markup}), so no tool runs: ask "
                "again. It stands in response_metadata['tool_call_markup']."
            )
        if self.is_only_reasoning:
            usage = self.usage_metadata
            spent = "" if usage is None else f" after {usage['output_tokens']:,} output tokens"
            limits = {name: self._parameters.get(name) for name in _LIMITS}
            given = ", ".join(f"{name}={value}" for name, value in limits.items() if value)
            warn(
                f"The answer of {self.model} was cut off{spent}, and all of it is reasoning: there "
                f"is no text. Raise max_tokens ({given or 'not set'}), shorten the "
                "reasoning by thinking_budget or reasoning_effort, or set enable_thinking=False. "
                "It stands in response_metadata['only_reasoning']."
            )

    def message(self) -> AIMessage:
        """Return the whole message."""
        self.end_calls()
        calls = [call.parsed() for call in self.calls]
        return AIMessage(
            content=self.text,
            additional_kwargs=self.additional_kwargs,
            tool_calls=[call for call in calls if call["type"] == "tool_call"],
            invalid_tool_calls=[call for call in calls if call["type"] == "invalid_tool_call"],
            usage_metadata=self.usage_metadata,
            response_metadata=self.response_metadata,
        )

    @property
    def text(self) -> str:
        """All text."""
        return str(self._text)

    @property
    def reasoning(self) -> str:
        """All reasoning."""
        return str(self._reasoning)

    @property
    def is_only_reasoning(self) -> bool:
        """Whether the length limit cut the answer before it began, which agents do not see."""
        nothing = not self._text and not self.calls
        return self._finish_reason == "length" and nothing and bool(self._reasoning)

    @property
    def markup(self) -> str:
        """The beginning of a tool call that stands in the text; `""` if there is none."""
        found = re.search(_MARKUP, self.text) if self._parameters.get("tools") else None
        return found[0] if found else ""

    @property
    def additional_kwargs(self) -> dict[str, Any]:
        """Return the reasoning where LangChain looks for it."""
        reasoning = self.reasoning
        return {"reasoning_content": reasoning} if reasoning else {}

    @property
    def usage_metadata(self) -> UsageMetadata | None:
        """The bill, if there is one."""
        usage = None if self._usage is None else read_usage(self._usage)
        return None if usage is None else usage_metadata(usage)

    @property
    def first_metadata(self) -> dict[str, Any]:
        """What is known at the first packet; who stops early has what a support ticket needs."""
        return {"model_name": self.model, "model_provider": PROVIDER, **self.request_metadata}

    @property
    def request_metadata(self) -> dict[str, Any]:
        """What names the request, as soon as it is known."""
        return {"request_id": self._request_id} if self._request_id else {}

    @property
    def finish(self) -> dict[str, Any]:
        """Why the answer ended, in the service's word and in LangChain's."""
        reason = self._finish_reason
        if reason is None:
            return {}
        # The service ends a forced call with "stop".
        word = "tool_calls" if reason == "stop" and self.calls else reason
        normalized = _NORMALIZED.get(word, "other")
        return {
            "finish_reason": reason,
            "normalized_finish_reason": normalized,
            "finish_state": "complete",  # the other state is "suspended", which no page knows here
        }

    @property
    def last_metadata(self) -> dict[str, Any]:
        """What is known after the answer."""
        plugins = (self._usage or {}).get("plugins")
        metadata = {
            # Again: core asks for the reader of the sources by it. It merges equal ones.
            "model_provider": PROVIDER,
            **self.finish,
            "search_results": self.search_results,
            "request_changes": self._changes,
            "tool_call_markup": self.markup,
            "only_reasoning": self.is_only_reasoning,
            "token_usage": token_usage(self.usage_metadata),
            # How often the service used what it has of its own, such as its search.
            "plugins": plugins if isinstance(plugins, dict) else None,
        }
        return {key: value for key, value in metadata.items() if value}

    @property
    def response_metadata(self) -> dict[str, Any]:
        """What stands beside the answer."""
        return {**self.first_metadata, **self.last_metadata}

    def _is_wide(self) -> bool:
        """Tell whether Python takes more than a byte for each character of a text."""
        texts = (self._text, self._reasoning, *(call.arguments for call in self.calls))
        return not all(text.is_ascii for text in texts)

    def facts(self) -> tuple[str | None, str | None, UsageMetadata | None]:
        """The request's id, the finish_reason and the bill, for the log."""
        return self._request_id, self._finish_reason, self.usage_metadata

    def keep_in(self, error: DashScopeError) -> None:
        """Hand what has arrived to an error, as `partial_message`."""
        if self._size:
            error.partial_message = self.message()

    def _add_calls(self, deltas: Sequence[ToolCallDelta]) -> list[Any]:
        """Take the deltas of a packet; one chunk a call, since core joins none within a message."""
        grown: dict[int, Any] = {}
        for delta in deltas:
            texts = (delta.arguments, delta.id or "", delta.name or "")
            self._size += sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
            self._size += _SIZE_OF_A_DELTA
            call = self._call_of(delta)
            if call is None:
                continue
            new = call.grow(delta)
            old = grown.get(call.chunk_index, {"id": None, "name": None, "args": ""})
            grown[call.chunk_index] = {
                "id": old["id"] or new["id"],
                "name": f"{old['name'] or ''}{new['name'] or ''}" or None,
                "args": old["args"] + new["args"],
            }
        return [tool_call_chunk(**pieces, index=index) for index, pieces in grown.items()]

    def _call_of(self, delta: ToolCallDelta) -> ToolCallAccumulator | None:
        """Find the call that a delta belongs to, or open one; `None` for a delta that is nothing.

        A known id finds its call whatever the index. Else the same index goes on, whatever the id,
        unless a name comes with another id. What has neither id nor name goes on with the last
        call, and is never one of its own.
        """
        call_id, index = delta.id, delta.wire_index
        with_id = self._latest.get(call_id) if call_id else None
        at_index = None if index is None else self._latest.get(index)
        known = self._latest.get((call_id, index), with_id) if with_id and at_index else with_id
        if known is None and at_index is not None:
            has_another_id = call_id and at_index.wire_id and delta.name
            known = None if has_another_id else at_index
        elif known is None and call_id is None and (delta.name is None or index is None):
            known = self.calls[-1] if self.calls else None
        if known is None or not known.takes(delta):
            if not (call_id or delta.name or delta.arguments):
                return None
            given = None if with_id else call_id  # of two equal ids, the second becomes one of ours
            known = ToolCallAccumulator(len(self.calls), index, call_id, given)
            self.calls.append(known)
            self._latest |= {call_id: known, index: known, (call_id, index): known}
        elif call_id and not known.wire_id:
            self._latest |= {call_id: known, (call_id, index): known}
        return known


class Emitter(AbstractContextManager["Emitter[T_co]"], Generic[T_co]):
    """A way to show an answer; an error that leaves its block is handed what has arrived."""

    def __init__(self, answer: AnswerAccumulator) -> None:
        """Begin; the answer takes the replies."""
        self._answer = answer

    @abstractmethod
    def add(self, reply: Reply) -> Iterable[T_co]:
        """Take a reply and give what it shows, if anything."""

    @abstractmethod
    def end(self) -> Iterable[T_co]:
        """Return what ends the answer."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Hand what has arrived to the error."""
        if isinstance(error, DashScopeError):
            self._answer.keep_in(error)

    def _end_calls(self) -> list[Any]:
        self._answer.warn()
        return self._answer.end_calls()


class MessageEmitter(Emitter[AIMessage]):
    """The answer as one message, at its end."""

    def add(self, reply: Reply) -> tuple[()]:
        """Take a reply, of which nothing shows yet."""
        self._answer.add(reply)
        return ()

    def end(self) -> Iterator[AIMessage]:
        """Yield the message."""
        self._answer.warn()
        yield self._answer.message()


class ChunkEmitter(Emitter[ChatGenerationChunk]):
    """The answer as chunks."""

    def __init__(self, answer: AnswerAccumulator) -> None:
        """Begin; the answer takes the replies."""
        super().__init__(answer)
        self._started = self._named_request = False
        self._names = set(AIMessageChunk.model_fields)

    def add(self, reply: Reply) -> list[ChatGenerationChunk]:
        """Take a reply and give its chunks.

        Reasoning, text and tool calls of one packet get a chunk each: core opens a second text
        block where a chunk holds reasoning and text.
        """
        calls = self._answer.add(reply)
        chunks = []
        if reply.reasoning:
            kwargs = {"reasoning_content": reply.reasoning}
            chunks.append(make_chunk("", kwargs, self._start(), {}, self._names))
        if reply.text:
            chunks.append(make_chunk(reply.text, {}, self._start(), {}, self._names))
        if calls:
            read = _read_calls(calls)
            chunks.append(
                self._chunk(tool_call_chunks=calls)
                if read is None
                else make_chunk("", {}, self._start(), read, self._names)
            )
        return chunks

    def end(self) -> Iterator[ChatGenerationChunk]:
        """Yield what ends the stream: the last chunk is empty and carries usage and metadata."""
        endings = self._end_calls()
        if endings:
            yield self._chunk(tool_call_chunks=endings)
        metadata = self._answer.last_metadata
        if self._started and not self._named_request:  # the first packet had no id
            metadata = {**metadata, **self._answer.request_metadata}
        yield self._chunk(
            usage_metadata=self._answer.usage_metadata,
            response_metadata=metadata,
            chunk_position="last",
        )

    def _chunk(self, **fields: Any) -> ChatGenerationChunk:
        metadata = {**self._start(), **fields.pop("response_metadata", {})}
        message = AIMessageChunk(content="", response_metadata=metadata, **fields)
        return ChatGenerationChunk(message=message)

    def _start(self) -> dict[str, Any]:
        """Return the metadata of the next chunk: the first one says who answers."""
        if self._started:
            return {}
        self._started = True
        self._named_request = bool(self._answer.request_metadata)
        return self._answer.first_metadata


def plain_chunk(
    content: str,
    additional_kwargs: dict[str, Any],
    metadata: dict[str, Any],
    calls: dict[str, list[Any]],
    _: set[str],
) -> ChatGenerationChunk:
    """Make a chunk as anybody does."""
    message = AIMessageChunk(
        content=content,
        additional_kwargs=additional_kwargs,
        response_metadata=metadata,
        tool_call_chunks=calls.get("tool_call_chunks", []),
    )
    return ChatGenerationChunk(message=message)


make_chunk = (
    plain_chunk
    if quick_chunks is None or not quick_chunks.IS_LIKE_CORES
    else (quick_chunks.quick_chunk)
)


def _read_calls(calls: list[Any]) -> dict[str, list[Any]] | None:
    """Return the fields that core reads out of a chunk's pieces of calls; `None`: let core do it.

    Core looks for whole or cut objects in each piece and mends them. That takes 80 µs for a piece
    that is no JSON, as most are, a second for 5 KB and minutes for 50 KB: what does not begin as
    an object is none however it is mended, and what is long is not looked into.
    """
    fields: dict[str, list[Any]] = {
        "tool_call_chunks": calls,
        "tool_calls": [],
        "invalid_tool_calls": [],
    }
    for call in calls:
        name, args, call_id = call["name"], call["args"], call["id"]
        if not args:
            fields["tool_calls"].append(tool_call(name=name or "", args={}, id=call_id))
        elif not args.lstrip().startswith("{"):
            invalid = invalid_tool_call(name=name, args=args, id=call_id, error=None)
            fields["invalid_tool_calls"].append(invalid)
        elif len(args) <= _LONGEST_PARSED:
            return None
    return fields
