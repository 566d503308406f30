"""What each model can do: one frozen row per model, and the lookup by name.

This table is the only place that knows facts about single models. It must not import
anything else of the package, and it knows neither LangChain nor HTTP.

Sources: Alibaba Cloud Model Studio's model pages (the v4 rows: mid-2026, the others: 2025
to February 2026). Where pages disagree, the row takes the reading that refuses less, because
the service has the last word.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Thinking = Literal["always", "on", "off", "never"]
"""When a model thinks.

- `"always"`: it cannot be switched off.
- `"on"`: hybrid, thinks unless `enable_thinking=False` is sent.
- `"off"`: hybrid, thinks only if `enable_thinking=True` is sent.
- `"never"`: it cannot be switched on.
"""

ToolUse = Literal["always", "when_not_thinking", "never"]
"""When a model calls functions: in both modes, only while it does not think, or never."""

ReasoningReplay = Literal["never", "with_tool_calls"]
"""Whether earlier reasoning goes back to the service.

- `"never"`: an assistant message is sent without its reasoning.
- `"with_tool_calls"`: an assistant message that calls tools carries its `reasoning_content`
  in all later requests that think; one without tool calls leaves it out.
"""

Status = Literal["current", "retired"]

COMMON_PARAMETERS = frozenset({"seed", "max_tokens", "max_completion_tokens", "stop"})
"""Parameters that every text-generation model takes."""


@dataclass(frozen=True, kw_only=True)
class ParameterDefaults:
    """What the service uses for a parameter that a request leaves out; `None`: no default.

    These figures are documentation: this package never sends them.

    Attributes:
        temperature: Sampling temperature.
        top_p: Nucleus sampling mass.
        repetition_penalty: Penalty on repeated tokens.
        presence_penalty: Penalty on tokens that already appeared.
        max_tokens: Longest answer, in tokens.
        thinking_budget: Longest reasoning, in tokens; `None` also where the reasoning
            shares `max_tokens` with the answer.
        reasoning_effort: How hard the model thinks.
    """

    temperature: float | None = None
    top_p: float | None = None
    repetition_penalty: float | None = None
    presence_penalty: float | None = None
    max_tokens: int | None = None
    thinking_budget: int | None = None
    reasoning_effort: str | None = None


@dataclass(frozen=True, kw_only=True)
class ModelCapabilities:
    """One row of the capability table: what a model can do and what may be sent to it.

    Declare one for a model that the table does not know, or to correct a row, and hand it
    to the model: `ChatDashScopeDeepSeek(model=..., capabilities=ModelCapabilities(...))`.
    Every field has a default that refuses nothing but tools.

    Attributes:
        thinking: When the model thinks.
        thinking_needs_stream: While thinking, the service answers streams only. `invoke`
            then streams underneath.
        context_tokens: Longest input and output together, in tokens.
        max_input_tokens: Longest input, in tokens.
        max_reasoning_tokens: Longest reasoning, in tokens; `None` where it shares
            `max_output_tokens` with the answer, or where there is none.
        max_output_tokens: Longest answer, in tokens.
        tools: When the model calls functions.
        json_object: `response_format={"type": "json_object"}` is supported.
        search: `enable_search` is supported.
        cache: Repeated prefixes of the input are cached by the service.
        settable: The parameters of the wire that may be set, besides `enable_thinking`,
            which follows from `thinking`, and the features above. `None`: all.
        reasoning_efforts: The values of `reasoning_effort` that the model knows.
        defaults: What the service uses for parameters that are left out.
        reasoning_replay: Whether earlier reasoning goes back.
        status: `"retired"` where the service has switched the model off, at least in
            cn-beijing. Requests are sent all the same: the service has the last word.
        retired_on: The day of that.
        replacement: The model to use instead.
    """

    thinking: Thinking = "never"
    thinking_needs_stream: bool = False
    context_tokens: int | None = None
    max_input_tokens: int | None = None
    max_reasoning_tokens: int | None = None
    max_output_tokens: int | None = None
    tools: ToolUse = "never"
    json_object: bool = True
    search: bool = True
    cache: bool = False
    settable: frozenset[str] | None = None
    reasoning_efforts: tuple[str, ...] = ()
    defaults: ParameterDefaults = field(default_factory=ParameterDefaults)
    reasoning_replay: ReasoningReplay = "never"
    status: Status = "current"
    retired_on: date | None = None
    replacement: str | None = None

    def thinks(self, enable_thinking: bool | None) -> bool:
        """Tell whether the model thinks when `enable_thinking` is sent (`None`: left out)."""
        if self.thinking in ("always", "never"):
            return self.thinking == "always"
        return self.thinking == "on" if enable_thinking is None else enable_thinking

    @property
    def is_hybrid(self) -> bool:
        """Whether thinking can be switched on and off."""
        return self.thinking in ("on", "off")

    def calls_tools(self, *, thinking: bool) -> bool:
        """Tell whether the model calls functions in this mode."""
        return self.tools == "always" or (self.tools == "when_not_thinking" and not thinking)

    def can_set(self, parameter: str) -> bool:
        """Tell whether a request may set this parameter of the wire."""
        return self.settable is None or parameter in self.settable


_OFF_BEIJING = date(2026, 10, 10)
_SAMPLING = frozenset({"temperature", "top_p"})

_V4 = ModelCapabilities(
    thinking="on",
    context_tokens=1_000_000,
    max_input_tokens=1_000_000,
    max_output_tokens=393_216,
    tools="always",
    json_object=True,
    search=True,
    cache=True,
    settable=COMMON_PARAMETERS | _SAMPLING | {"thinking_budget", "reasoning_effort"},
    reasoning_efforts=("high", "xhigh", "max"),
    defaults=ParameterDefaults(
        temperature=1.0, top_p=1.0, max_tokens=393_216, reasoning_effort="high"
    ),
    reasoning_replay="with_tool_calls",
)
_V4_LOW = replace(_V4, reasoning_efforts=("low", "high", "xhigh", "max"))

_V32 = ModelCapabilities(
    thinking="off",
    context_tokens=131_072,
    max_input_tokens=98_304,
    max_reasoning_tokens=32_768,
    max_output_tokens=65_536,
    tools="always",
    json_object=False,
    search=True,
    cache=True,
    settable=COMMON_PARAMETERS | _SAMPLING | {"thinking_budget"},
    defaults=ParameterDefaults(
        temperature=1.0, top_p=0.95, max_tokens=65_536, thinking_budget=32_768
    ),
    reasoning_replay="with_tool_calls",
    status="retired",
    retired_on=_OFF_BEIJING,
    replacement="deepseek-v4-flash",
)
_V32_EXP = replace(
    _V32,
    tools="when_not_thinking",
    cache=False,
    settable=COMMON_PARAMETERS | _SAMPLING | {"thinking_budget", "repetition_penalty"},
    defaults=ParameterDefaults(
        temperature=0.6,
        top_p=0.95,
        repetition_penalty=1.0,
        max_tokens=65_536,
        thinking_budget=32_768,
    ),
    reasoning_replay="never",
)
_V31 = replace(_V32_EXP, thinking_needs_stream=True, cache=True)

# One table lists max_tokens and thinking_budget among what cannot be set on r1 and the
# distills, others do not: they are sent, and the service decides.
_R1 = ModelCapabilities(
    thinking="always",
    context_tokens=131_072,
    max_input_tokens=98_304,
    max_reasoning_tokens=32_768,
    max_output_tokens=16_384,
    tools="always",
    json_object=False,
    search=True,
    cache=True,
    settable=COMMON_PARAMETERS | {"thinking_budget"},
    defaults=ParameterDefaults(
        temperature=0.6, top_p=0.95, presence_penalty=1, max_tokens=16_384, thinking_budget=32_768
    ),
    status="retired",
    retired_on=_OFF_BEIJING,
    replacement="deepseek-v4-pro",
)
_V3 = ModelCapabilities(
    thinking="never",
    context_tokens=131_072,
    max_input_tokens=131_072,
    max_output_tokens=16_384,
    tools="always",
    json_object=False,
    search=True,
    cache=True,
    settable=COMMON_PARAMETERS | _SAMPLING,
    defaults=ParameterDefaults(temperature=0.7, top_p=0.6, max_tokens=16_384),
    status="retired",
    retired_on=_OFF_BEIJING,
    replacement="deepseek-v4-flash",
)
_DISTILL = ModelCapabilities(
    thinking="always",
    context_tokens=32_768,
    max_input_tokens=32_768,
    max_reasoning_tokens=16_384,
    max_output_tokens=16_384,
    tools="never",
    json_object=False,
    search=False,
    cache=False,
    settable=COMMON_PARAMETERS | {"thinking_budget"},
    defaults=ParameterDefaults(
        temperature=0.6, top_p=0.95, presence_penalty=1, max_tokens=16_384, thinking_budget=16_384
    ),
)
_DISTILL_OFF = replace(
    _DISTILL, status="retired", retired_on=_OFF_BEIJING, replacement="deepseek-v4-flash"
)

MODELS: Mapping[str, ModelCapabilities] = {
    "deepseek-v4-pro": _V4,
    "deepseek-v4-pro-0813": _V4_LOW,
    "deepseek-v4-flash": _V4,
    "deepseek-v4-flash-0731": _V4_LOW,
    "deepseek-v4.1-flash": _V4_LOW,
    "deepseek-v3.2": _V32,
    "deepseek-v3.2-exp": _V32_EXP,
    "deepseek-v3.1": _V31,
    "deepseek-r1": _R1,
    "deepseek-r1-0528": replace(_R1, cache=False),
    "deepseek-v3": _V3,
    "deepseek-r1-distill-qwen-1.5b": _DISTILL,
    "deepseek-r1-distill-qwen-7b": _DISTILL_OFF,
    "deepseek-r1-distill-qwen-14b": _DISTILL_OFF,
    "deepseek-r1-distill-qwen-32b": _DISTILL_OFF,
    "deepseek-r1-distill-llama-8b": _DISTILL,
    "deepseek-r1-distill-llama-70b": _DISTILL,
}
"""The capability table: every DeepSeek model that DashScope documents."""

_MONTH, _DAY = r"(?:0[1-9]|1[0-2])", r"(?:0[1-9]|[12]\d|3[01])"
_DATE_SUFFIX = re.compile(rf"-(?:(?:\d{{4}})?{_MONTH}{_DAY}|\d{{4}}-{_MONTH}-{_DAY})$", re.ASCII)


def find_capabilities(model: str) -> ModelCapabilities | None:
    """Look up a model's row.

    A known name followed by a date (`-MMDD`, `-YYYYMMDD` or `-YYYY-MM-DD`) uses that model's
    row, unless it has one of its own. No other prefix does: `deepseek-r1-distill-new` must
    not inherit what `deepseek-r1` can do.

    Args:
        model: The model's name on DashScope.

    Returns:
        The row, or `None` for a name that the table does not know.
    """
    return MODELS.get(model) or MODELS.get(_DATE_SUFFIX.sub("", model))


def models_that(can: Callable[[ModelCapabilities], bool]) -> str:
    """Name the current models for which `can` holds, for an error message."""
    return ", ".join(name for name, row in MODELS.items() if row.status == "current" and can(row))
