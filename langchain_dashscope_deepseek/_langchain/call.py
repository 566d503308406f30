"""One call: LangChain's messages, a model's settings and a call's keywords become a request.

Pure. What a keyword means to LangChain is read here; what is sent is decided in `_dashscope`.
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
from langchain_dashscope_deepseek._dashscope.reporting import warn
from langchain_dashscope_deepseek._dashscope.transport.endpoint import endpoint_of
from langchain_dashscope_deepseek._dashscope.transport.retry import RetryPolicy
from langchain_dashscope_deepseek._langchain.history import to_wire
from langchain_dashscope_deepseek._langchain.tools import wire_tool_choice, wire_tools
from langchain_dashscope_deepseek.capabilities import UNKNOWN_MODEL, ModelCapabilities, models_that

_OF_A_CALL = ("capabilities", "stream", "extra_headers", "structured_output_note")
"""What a call takes besides the settings that it may override."""

_TAKEN = OVERRIDABLE.union(_OF_A_CALL)


def check_recorded(overrides: Mapping[str, Any]) -> None:
    """Refuse what no call takes, or what may be a secret, before a tracer records it.

    Raises:
        DashScopeInputError: Says what to write; quotes no value.
    """
    check_names({*_given(overrides)}.difference(_OF_A_CALL))
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
        messages: What to ask.
        settings: The values of `SETTINGS`.
        overrides: What the caller gave for this call: values of `OVERRIDABLE`, and besides a row as
            `capabilities`, `extra_headers`, core's `stream`, and how structured output was asked
            for.
        row_of: Finds a model's row by its name.
        shows: Whether the answer is shown while it comes in.

    Raises:
        DashScopeInputError: Something cannot be sent; says what to change.
        DashScopeUnsupportedError: The model cannot do what is asked.
        DashScopeAuthenticationError: There is no key, or it cannot be one.
    """
    given = _as_on_the_wire(overrides)
    row, is_streamed, headers, note = (given.pop(name, None) for name in _OF_A_CALL)
    check_row(row)
    if headers is not None:
        check_extra_headers(headers)
    if note:
        warn(note)
    values = overridden(settings, given)
    row = row or row_of(values["model"]) or UNKNOWN_MODEL
    parameters = choose_parameters(row, values)
    replays = row.reasoning_replay == "with_tool_calls" and row.thinks(
        parameters.get("enable_thinking")
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


def _as_on_the_wire(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Give tools and their choice their form on the wire."""
    given = _given(overrides)
    if isinstance(given.get("tools"), (list, tuple)):
        given["tools"] = wire_tools(given["tools"])
    if "tool_choice" in given:
        given["tool_choice"] = wire_tool_choice(given["tool_choice"])
    return given


def _given(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Give what was written for a call its own names, without what is as good as left out."""
    given = {ALIASES.get(name, name): value for name, value in overrides.items()}
    return {k: v for k, v in given.items() if k in _TAKEN or not is_idle(k, v)}


def _images_refused(model: str, row: ModelCapabilities) -> str:
    """Say why images are refused; `""` where they are not, or where nobody knows."""
    if row.images is not False:
        if "multimodal-generation" in row.routes:
            return ""
        return (
            f"the row of {model} pins it to the text route, which carries none: leave routes out "
            "of its ModelCapabilities, or the image out of the message"
        )
    readers = models_that(lambda other: other.images is True)
    return f"{model} reads text only. Models that read images: {readers}"
