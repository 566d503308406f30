"""Makes one call: prepares its request, and sends it until an attempt succeeds.

This module reads LangChain's keywords; `_dashscope` chooses the parameters and does the I/O.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import aclosing, closing
from typing import Any, TypeVar

from langchain_core.messages import BaseMessage

from langchain_dashscope_deepseek._dashscope.protocol.parameters import (
    check_overrides,
    override,
    read_overrides,
)
from langchain_dashscope_deepseek._dashscope.protocol.refusals import Negotiation
from langchain_dashscope_deepseek._dashscope.protocol.request import (
    PreparedRequest,
    choose_parameters,
    prepare,
)
from langchain_dashscope_deepseek._dashscope.reporting import CallLog, warn
from langchain_dashscope_deepseek._dashscope.transport.endpoint import Endpoint
from langchain_dashscope_deepseek._dashscope.transport.retry import Attempts, RetryPolicy
from langchain_dashscope_deepseek._dashscope.transport.sending import (
    Acquire,
    AsyncAcquire,
    asend,
    send,
)
from langchain_dashscope_deepseek._langchain.emitters import Emitter
from langchain_dashscope_deepseek._langchain.history import to_wire
from langchain_dashscope_deepseek._langchain.tools import wire_tool_choice, wire_tools
from langchain_dashscope_deepseek.capabilities import UNKNOWN_MODEL, ModelCapabilities


def prepare_call(
    messages: Sequence[BaseMessage],
    settings: Mapping[str, Any],
    overrides: Mapping[str, Any],
    row_of: Callable[[Mapping[str, Any]], ModelCapabilities | None],
    *,
    chunks: bool,
) -> PreparedRequest:
    """Prepare the request of a call; `chunks`: the caller receives chunks."""
    given = _in_wire_format(overrides)
    check_overrides(given, settings)
    values = override(settings, given)
    if values.get("structured_output_warning"):
        warn(values["structured_output_warning"])
    row = row_of(values) or UNKNOWN_MODEL
    parameters = choose_parameters(row, values)
    replays = row.reasoning_replay == "with_tool_calls" and row.thinks(
        parameters.get("enable_thinking")
    )
    reads_images = row.images is not False and "multimodal-generation" in row.routes
    asked, sent = values["tool_choice"], parameters.get("tool_choice")
    wire, changes = to_wire(
        messages,
        replay_reasoning=replays,
        text_only_model="" if reads_images else values["model"],
        must_call=asked != "auto" and sent == "auto",
    )
    off = values.get("stream") is False or values["streaming"] is False
    may_stream = not off and values["disable_streaming"] is not True
    return prepare(
        values,
        row,
        parameters,
        wire,
        stream=True if chunks else None if may_stream else False,
        endpoint=Endpoint(values),
        policy=RetryPolicy(values["max_retries"], max_seconds=values["max_seconds"]),
        changes=changes,
    )


def _in_wire_format(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Convert the tools and the tool choice of a call to DashScope's wire format."""
    given = read_overrides(overrides)
    if isinstance(given.get("tools"), (list, tuple)):
        given["tools"] = wire_tools(given["tools"])
    if "tool_choice" in given:
        given["tool_choice"] = wire_tool_choice(given["tool_choice"])
    return given


# --- Sending: `aask` is `ask` with `async` and `await` ---

T = TypeVar("T")
EmitterOf = Callable[[PreparedRequest], Emitter[T]]


def ask(acquire: Acquire, request: PreparedRequest, emitter_of: EmitterOf[T]) -> Generator[T]:
    """Yield the parts that an emitter makes of the answer to a request."""
    negotiation = Negotiation(request)
    with CallLog(request.model, request.route) as log:
        for attempt in Attempts(request.policy, negotiation.adapt):
            request = negotiation.request
            with attempt, emitter_of(request) as emitter:
                log.begin(attempt, request.route, emitter.answer.facts)
                with closing(send(acquire, request, attempt)) as coming:
                    for delta in coming:
                        for part in emitter.add(delta):
                            attempt.committed = True
                            yield part
                ending = list(emitter.end())
                break
    yield from ending  # outside the log's block: a caller that stops here has not abandoned a call


async def aask(
    acquire: AsyncAcquire, request: PreparedRequest, emitter_of: EmitterOf[T]
) -> AsyncGenerator[T]:
    """Yield the parts that an emitter makes of the answer to a request."""
    negotiation = Negotiation(request)
    with CallLog(request.model, request.route) as log:
        async for attempt in Attempts(request.policy, negotiation.adapt):
            request = negotiation.request
            with attempt, emitter_of(request) as emitter:
                log.begin(attempt, request.route, emitter.answer.facts)
                async with aclosing(asend(acquire, request, attempt)) as coming:
                    async for delta in coming:
                        for part in emitter.add(delta):
                            attempt.committed = True
                            yield part
                ending = list(emitter.end())
                break
    for part in ending:
        yield part
