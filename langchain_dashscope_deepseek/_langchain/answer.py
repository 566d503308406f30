"""Collects the deltas of one answer, and makes LangChain's message of them. No I/O.

All emitters take the parts of a message from `AnswerAccumulator`, so `invoke` and the merged chunks
of `stream` give equal messages.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, cast

from langchain_core.messages import AIMessage
from langchain_core.messages.ai import UsageMetadata

from langchain_dashscope_deepseek._dashscope.protocol.packets import (
    AnswerDelta,
    fix_surrogates,
    read_usage,
)
from langchain_dashscope_deepseek._dashscope.protocol.reading import too_large
from langchain_dashscope_deepseek._dashscope.protocol.request import PreparedRequest
from langchain_dashscope_deepseek._dashscope.reporting import warn
from langchain_dashscope_deepseek._langchain.messages import PROVIDER
from langchain_dashscope_deepseek._langchain.metadata import token_usage
from langchain_dashscope_deepseek._langchain.tool_calls import Text, ToolCalls

_COMPLETE = ("stop", "tool_calls")
"""The finish reasons of a complete answer, whose last call may have empty arguments."""

_NORMALIZED = {"stop": "stop", "length": "length", "tool_calls": "tool_call"}
"""The `normalized_finish_reason` of langchain-core 1.8.4 for each documented finish_reason; that of
any other one is `"other"`."""

_MARKUP = (
    r"<[｜|] ?DSML ?[｜|]|<[｜|]tool[▁_ ]calls?[▁_ ](?:begin|sep)[｜|]>"
    r"|<(?:antml:)?(?:function_calls?>|tool_calls?>|invoke name=)"
)
"""The beginnings of tool calls that DeepSeek's models write into their text by mistake: the special
tokens of V3 and R1, the DSML markup of V3.2 and later, and the markup of other models."""

_LIMITS = ("max_tokens", "max_completion_tokens", "thinking_budget")


class AnswerAccumulator:
    """Accumulates the deltas of one answer into the parts of its message."""

    def __init__(self, request: PreparedRequest) -> None:
        self.model = request.model
        self.text = Text()
        self.reasoning = Text()
        self.calls = ToolCalls()
        self._max_size = request.endpoint.max_answer_size
        self._size = 0  # characters of text, reasoning and arguments
        self._first_at: float | None = None  # when the first delta came
        self._changes = dict(request.changes)
        self._parameters = request.body["parameters"]
        self._finish_reason: str | None = None
        self._usage: Mapping[str, Any] | None = None
        self._request_id: str | None = None
        self._search_results: Sequence[Mapping[str, Any]] = ()

    def add(self, delta: AnswerDelta) -> tuple[str, str, list[Any]]:
        """Add a delta; return its reasoning, its text, and its calls as core's `ToolCallChunk`s."""
        text, reasoning, call_deltas, finish_reason, usage, request_id, search_results = delta
        self._first_at = self._first_at or time.monotonic()
        if text:
            text = self.text.add(text)
        if reasoning:
            reasoning = self.reasoning.add(reasoning)
        self._size += len(text) + len(reasoning)
        new_calls = []
        if call_deltas:
            new_calls = self.calls.add(call_deltas)
            self._size += sum(len(call.arguments) for call in call_deltas)
        if self._size > self._max_size:
            raise too_large(self._max_size, self._request_id or request_id)
        # DashScope sends the running total with every event: the last one is the answer's.
        self._usage = usage or self._usage
        self._finish_reason = finish_reason or self._finish_reason
        self._request_id = self._request_id or request_id
        self._search_results = search_results or self._search_results
        return reasoning, text, new_calls

    def end_calls(self) -> list[Any]:
        """End the tool calls; return the additions as core's `ToolCallChunk`s."""
        return self.calls.end(
            is_cut=self._finish_reason not in _COMPLETE, request_id=self._request_id
        )

    def warn(self) -> None:
        """Warn of an answer that agents misread: a call in its text, or nothing but reasoning."""
        if self.markup:
            warn(
                f"The model wrote a tool call into its text ({self.markup}), where no agent runs "
                "it: ask again. See response_metadata['tool_call_markup']."
            )
        if self.is_only_reasoning:
            usage = self.usage_metadata
            spent = "" if usage is None else f" after {usage['output_tokens']:,} output tokens"
            limits = {name: self._parameters.get(name) for name in _LIMITS}
            given = ", ".join(f"{name}={value}" for name, value in limits.items() if value)
            warn(
                f"The answer of {self.model} was cut off{spent} ({given or 'max_tokens not set'}), "
                "and all of it is reasoning: there is no text. Raise max_tokens, shorten the "
                "reasoning by thinking_budget or reasoning_effort, or set enable_thinking=False. "
                "See response_metadata['only_reasoning']."
            )

    def message(self) -> AIMessage:
        """Return the whole message."""
        self.end_calls()
        calls = [call.parsed() for call in self.calls]
        return AIMessage(
            content=str(self.text),
            additional_kwargs=self.additional_kwargs,
            tool_calls=[call for call in calls if call["type"] == "tool_call"],
            invalid_tool_calls=[call for call in calls if call["type"] == "invalid_tool_call"],
            usage_metadata=self.usage_metadata,
            response_metadata={**self.first_metadata, **self.last_metadata},
        )

    def facts(self) -> tuple[float | None, str | None, str | None, UsageMetadata | None]:
        """Return the time of the first delta, the id, the finish_reason and the usage, to log."""
        return self._first_at, self._request_id, self._finish_reason, self.usage_metadata

    # --- The parts of the message ---

    @property
    def is_only_reasoning(self) -> bool:
        """Whether the length limit ended the answer before its text began."""
        is_empty = not self.text and not self.calls
        return self._finish_reason == "length" and is_empty and bool(self.reasoning)

    @property
    def markup(self) -> str:
        """The beginning of a tool call that was written into the text."""
        found = re.search(_MARKUP, str(self.text)) if self._parameters.get("tools") else None
        return found[0] if found else ""

    @property
    def additional_kwargs(self) -> dict[str, Any]:
        return {"reasoning_content": str(self.reasoning)} if self.reasoning else {}

    @cached_property  # read at the end, several times
    def usage_metadata(self) -> UsageMetadata | None:
        return cast("UsageMetadata | None", read_usage(self._usage))

    @property
    def search_results(self) -> list[dict[str, Any]]:
        """The sources of a web search. Their titles may be cut within a character."""
        text = json.dumps(self._search_results, ensure_ascii=False)
        results: list[dict[str, Any]] = json.loads(fix_surrogates(text))
        return results

    @property
    def first_metadata(self) -> dict[str, Any]:
        """The metadata that is known at the first packet, so that a stream left early has it."""
        metadata = {
            "model_name": self.model,  # the requested model
            "model_provider": PROVIDER,  # `"dashscope_deepseek"`
            "request_id": self._request_id,  # the service's ID of the request
        }
        return {key: value for key, value in metadata.items() if value}

    @property
    def finish(self) -> dict[str, Any]:
        """Why the answer ended, in the service's terms and in LangChain's."""
        reason = self._finish_reason
        if reason is None:
            return {}
        # The service ends a forced call with "stop".
        word = "tool_calls" if reason == "stop" and self.calls else reason
        return {
            "finish_reason": reason,  # the service's value, such as `"stop"`
            "normalized_finish_reason": _NORMALIZED.get(word, "other"),  # langchain-core's value
            "finish_state": "complete",  # always `"complete"`: only other providers pause answers
        }

    @property
    def last_metadata(self) -> dict[str, Any]:
        """The metadata that is known after the answer."""
        plugins = (self._usage or {}).get("plugins")
        metadata = {
            "model_provider": PROVIDER,  # again, since core finds our function for blocks by it
            **self.finish,
            "search_results": self._search_results and self.search_results,  # of a web search
            "request_changes": self._changes,  # what was sent differently than requested
            "tool_call_markup": self.markup,  # the beginning of a tool call that is in the text
            "only_reasoning": self.is_only_reasoning,  # `True` if the length limit left no text
            "token_usage": token_usage(self.usage_metadata),  # token counts under OpenAI's names
            "plugins": plugins if isinstance(plugins, dict) else None,  # how often it searched
        }
        return {key: value for key, value in metadata.items() if value}
