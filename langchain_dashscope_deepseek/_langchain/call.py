"""A call's messages and keywords, and a model's settings, become a request.

Pure. LangChain's keywords are read here; `_dashscope` decides what is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.messages import BaseMessage

from langchain_dashscope_deepseek._dashscope.protocol.aliases import is_idle
from langchain_dashscope_deepseek._dashscope.protocol.parameters import (
    ALIASES,
    OVERRIDABLE,
    check_extra_headers,
    check_model_kwargs,
    check_names,
    check_row,
    overridden,
)
from langchain_dashscope_deepseek._dashscope.protocol.request import (
    PreparedRequest,
    choose_parameters,
    prepare,
)
from langchain_dashscope_deepseek._dashscope.transport.endpoint import endpoint_of
from langchain_dashscope_deepseek._dashscope.transport.retry import RetryPolicy
from langchain_dashscope_deepseek._dashscope.warnings import warn
from langchain_dashscope_deepseek._langchain.history import to_wire
from langchain_dashscope_deepseek._langchain.tools import wire_tool_choice, wire_tools
from langchain_dashscope_deepseek.capabilities import ModelCapabilities, models_that

_CALL_ONLY = ("capabilities", "stream", "extra_headers", "structured_output_note")
"""Keywords of a call that are not settings of the model."""

_KEYWORDS = OVERRIDABLE.union(_CALL_ONLY)


def check_recorded(overrides: Mapping[str, Any]) -> None:
    """Refuse unknown keywords, and those that may hold a secret, before a tracer records them."""
    check_names({*_normalise(overrides)}.difference(_CALL_ONLY))
    if overrides.get("extra_headers") is not None:
        check_extra_headers(overrides["extra_headers"])
    check_model_kwargs(overrides.get("model_kwargs"))


def prepare_call(
    messages: Sequence[BaseMessage],
    settings: Mapping[str, Any],
    overrides: Mapping[str, Any],
    row_of: Callable[[str], ModelCapabilities | None],
    *,
    shows: bool,
) -> PreparedRequest:
    """Prepare the request of a call.

    Args:
        messages: The conversation.
        settings: The values of `SETTINGS`.
        overrides: The call's keywords: `OVERRIDABLE` and `_CALL_ONLY`.
        row_of: Finds a model's row by its name.
        shows: Whether the caller receives chunks.
    """
    given = _normalise(overrides)
    if isinstance(given.get("tools"), (list, tuple)):
        given["tools"] = wire_tools(given["tools"])
    if "tool_choice" in given:
        given["tool_choice"] = wire_tool_choice(given["tool_choice"])
    row, is_streamed, headers, note = (given.pop(name, None) for name in _CALL_ONLY)
    check_row(row)
    if headers is not None:
        check_extra_headers(headers)
    if note:
        warn(note)
    values = overridden(settings, given)
    row = row or row_of(values["model"])
    parameters = choose_parameters(row, values)
    replays = (
        row is not None
        and row.reasoning_replay == "with_tool_calls"
        and row.thinks(parameters.get("enable_thinking"))
    )
    asked, sent = values["tool_choice"], parameters.get("tool_choice")
    wire, changes = to_wire(
        messages,
        replay_reasoning=replays,
        images_refused=_images_refused(values["model"], row),
        must_call=asked != "auto" and sent == "auto",
    )
    may_stream = not (
        is_streamed is False or values["streaming"] is False or values["disable_streaming"] is True
    )
    return prepare(
        values,
        row,
        parameters,
        wire,
        stream=True if shows else None if may_stream else False,
        endpoint=endpoint_of(values, headers),
        policy=RetryPolicy(values["max_retries"], max_seconds=values["max_seconds"]),
        changes=changes,
    )


def _normalise(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Resolve aliases, and drop unknown keywords whose value has no effect."""
    given = {ALIASES.get(name, name): value for name, value in overrides.items()}
    return {k: v for k, v in given.items() if k in _KEYWORDS or not is_idle(k, v)}


def _images_refused(model: str, row: ModelCapabilities | None) -> str:
    """Say why the model takes no images; `""` if it does, or if that is unknown."""
    if row is None or (row.images is not False and "multimodal-generation" in row.routes):
        return ""
    readers = models_that(lambda other: other.images is True)
    return f"{model} reads text only. Models that read images: {readers}"
