"""What each model can do: one frozen row per model, and the lookup by name.

This table is the only place that knows facts about single models. It must not import
anything else of the package, and it knows neither LangChain nor HTTP.

Each row says where its facts come from and when that was read. Where pages disagree, the row
takes the reading that refuses less, because the service has the last word.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Route = Literal["text-generation", "multimodal-generation"]
"""The two routes of the service. The gateway binds each model to exactly one of them."""

Thinking = Literal["always", "on", "off", "never", "unknown"]
"""When a model thinks.

- `"always"`: it cannot be switched off.
- `"on"`: hybrid, thinks unless `enable_thinking=False` is sent.
- `"off"`: hybrid, thinks only if `enable_thinking=True` is sent.
- `"never"`: it cannot be switched on.
- `"unknown"`: no page says; the switch is sent as it is, and the answer may think.
"""

ToolUse = Literal["always", "when_not_thinking", "never", "unknown"]
"""When a model calls functions: in both modes, only while it does not think, or never.

`"unknown"`: no page says, so none are sent until someone declares it.
"""

Partial = Literal["always", "when_not_thinking", "never", "unknown"]
"""When a model continues an AI message that ends the conversation (partial mode).

`"unknown"`: no page says, so such a conversation is sent as asked.
"""

ReasoningReplay = Literal["never", "with_tool_calls"]
"""Whether earlier reasoning goes back to the service.

- `"never"`: an assistant message is sent without its reasoning.
- `"with_tool_calls"`: in a turn (all between two human messages) in which tools were called,
  every assistant message carries its `reasoning_content` in all later requests that think, the
  final answer included. In turns without tool calls it is left out.
"""

Status = Literal["current", "retired"]

TEXT_FIRST: tuple[Route, ...] = ("text-generation", "multimodal-generation")
MULTIMODAL_FIRST: tuple[Route, ...] = ("multimodal-generation", "text-generation")

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
    Every field has a default that refuses nothing but tools and JSON schemas.

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
        images: The model reads images. `None`: not known, so they are sent.
        json_object: `response_format={"type": "json_object"}` is supported. `None`: not known.
        json_schema: `response_format={"type": "json_schema", ...}` is supported. `None`: not known.
        partial: When the model continues an AI message that ends the conversation.
        search: `enable_search` is supported. `None`: not known.
        cache: Repeated prefixes of the input are cached by the service. `None`: not known.
        routes: The routes that the model may be on, the likeliest first. Where the service says
            that it is the wrong one, the other is asked once and remembered. One alone is pinned.
        documented_natively: A page documents the model over this protocol, and not only over
            the OpenAI-compatible one.
        search_missing_in: The regions where the documentation has no web search for the model.
        json_missing_in: The regions where it has no structured output for the model.
        settable: The parameters of the wire that may be set, besides `enable_thinking`,
            which follows from `thinking`, and the features above. `None`: all.
        unsettable: The parameters that may not be set, where the pages list these instead.
        reasoning_efforts: The values of `reasoning_effort` that the model knows.
        reasoning_effort_aliases: Further values, each with what the service takes it for; they
            are sent as they are.
        reasoning_effort_range: The least and the greatest whole number that it takes as well.
        defaults: What the service uses for parameters that are left out.
        reasoning_replay: Whether earlier reasoning goes back.
        status: `"retired"` where the service has switched the model off, at least in
            cn-beijing. Requests are sent all the same: the service has the last word.
        retired_on: The day of that, where a page names it.
        replacement: The model to use instead.
        display_name: The model's name for people.
        released: The day on which DeepSeek published the model.
        open_weights: The weights can be downloaded. `None`: not known.
        source: Where the row's facts come from.
        checked_on: The day of the newest copy of the source that was read.
    """

    thinking: Thinking = "unknown"
    thinking_needs_stream: bool = False
    context_tokens: int | None = None
    max_input_tokens: int | None = None
    max_reasoning_tokens: int | None = None
    max_output_tokens: int | None = None
    tools: ToolUse = "never"
    images: bool | None = None
    json_object: bool | None = True
    json_schema: bool | None = False
    partial: Partial = "unknown"
    search: bool | None = True
    cache: bool | None = False
    routes: tuple[Route, ...] = TEXT_FIRST
    documented_natively: bool = True
    search_missing_in: frozenset[str] = frozenset()
    json_missing_in: frozenset[str] = frozenset()
    settable: frozenset[str] | None = None
    unsettable: frozenset[str] = frozenset()
    reasoning_efforts: tuple[str, ...] = ()
    reasoning_effort_aliases: tuple[tuple[str, str], ...] = ()
    reasoning_effort_range: tuple[int, int] | None = None
    defaults: ParameterDefaults = field(default_factory=ParameterDefaults)
    reasoning_replay: ReasoningReplay = "never"
    status: Status = "current"
    retired_on: date | None = None
    replacement: str | None = None
    display_name: str | None = None
    released: date | None = None
    open_weights: bool | None = None
    source: str = ""
    checked_on: date | None = None

    def __post_init__(self) -> None:
        """Refuse routes that do not exist."""
        if not self.routes or isinstance(self.routes, str) or set(self.routes) - set(TEXT_FIRST):
            msg = f"routes takes a tuple of one or both of {', '.join(map(repr, TEXT_FIRST))}"
            raise ValueError(msg)

    def thinks(self, enable_thinking: bool | None) -> bool:
        """Tell whether the model thinks when `enable_thinking` is sent (`None`: left out)."""
        if self.thinking in ("always", "never"):
            return self.thinking == "always"
        if self.thinking == "unknown":
            return enable_thinking is not False  # it may
        return self.thinking == "on" if enable_thinking is None else enable_thinking

    @property
    def is_hybrid(self) -> bool:
        """Whether thinking can be switched on and off."""
        return self.thinking in ("on", "off")

    def calls_tools(self, *, thinking: bool) -> bool:
        """Tell whether the model calls functions in this mode."""
        return self.tools == "always" or (self.tools == "when_not_thinking" and not thinking)

    def takes_partial(self, *, thinking: bool) -> bool:
        """Tell whether an AI message may end the conversation, to be continued, in this mode."""
        return self.partial != "never" and not (self.partial == "when_not_thinking" and thinking)

    def takes_format(self, kind: str) -> bool | None:
        """Tell whether a `response_format` of this type is supported; `None`: not known."""
        known = {"text": True, "json_object": self.json_object, "json_schema": self.json_schema}
        return known.get(kind, False)

    def knows_effort(self, effort: str | int) -> bool:
        """Tell whether a page documents this `reasoning_effort`, an alias included."""
        if isinstance(effort, int):
            low, high = self.reasoning_effort_range or (1, 0)
            return low <= effort <= high
        return effort in self.reasoning_efforts or effort in dict(self.reasoning_effort_aliases)

    @property
    def efforts(self) -> str:
        """All values of `reasoning_effort` that are documented, for a reader; `""`: none."""
        names = [*self.reasoning_efforts, *(name for name, _ in self.reasoning_effort_aliases)]
        texts = list(map(repr, names))
        if self.reasoning_effort_range is not None:
            texts.append("a whole number from {} to {}".format(*self.reasoning_effort_range))
        return ", ".join(texts)

    def can_set(self, parameter: str) -> bool:
        """Tell whether a request may set this parameter of the wire."""
        listed = self.settable is None or parameter in self.settable
        return listed and parameter not in self.unsettable


_HELP = "https://www.alibabacloud.com/help/en/model-studio"
_REFERENCE = f"{_HELP}/deepseek-api, and the API reference"
_OFF_BEIJING = date(2026, 10, 10)
_OLD_PAGES = date(2026, 3, 24)
_BILLING = "the billing page of August 2026"
_AUGUST = date(2026, 8, 1)  # the copy has no day
_SAMPLING = frozenset({"temperature", "top_p"})

# Names and days of publication are those of models.dev's files of DeepSeek's own models.
_V4_PRO = ModelCapabilities(
    thinking="on",
    context_tokens=1_000_000,
    max_input_tokens=1_000_000,
    max_output_tokens=393_216,
    tools="always",
    images=False,
    json_object=True,
    json_schema=None,  # on no page, but a client's three requests of 2026-09-30 were answered
    partial="never",
    search=True,
    cache=True,
    search_missing_in=frozenset({"eu-central-1", "us-east-1"}),
    json_missing_in=frozenset({"us-east-1"}),
    settable=COMMON_PARAMETERS | _SAMPLING | {"thinking_budget", "reasoning_effort"},
    reasoning_efforts=("high", "max"),
    reasoning_effort_aliases=(("low", "high"), ("medium", "high"), ("xhigh", "max")),
    defaults=ParameterDefaults(
        temperature=1.0, top_p=1.0, max_tokens=393_216, reasoning_effort="high"
    ),
    reasoning_replay="with_tool_calls",
    display_name="DeepSeek V4 Pro",
    released=date(2026, 4, 24),
    open_weights=True,
    source=_REFERENCE,
    checked_on=date(2026, 9, 22),
)
_V4_PRO_0813 = replace(
    _V4_PRO,
    reasoning_efforts=("low", "high", "max"),
    reasoning_effort_aliases=(("medium", "high"), ("xhigh", "high")),
    display_name="DeepSeek V4 Pro 0813",
    released=date(2026, 8, 12),
)
_V4_FLASH_0731 = replace(
    _V4_PRO_0813,
    json_schema=False,
    display_name="DeepSeek V4 Flash 0731",
    released=date(2026, 7, 31),
)
_V4_FLASH = replace(
    _V4_PRO,
    json_schema=False,
    display_name="DeepSeek V4 Flash",
    status="retired",
    retired_on=_OFF_BEIJING,
    replacement="deepseek-v4-flash-0731",
    source=f"{_REFERENCE}; switched off: a router's table of August 2026",
)
# Multimodal first, with images and without: the models that read images are on that route, dify
# calls this one over it, and the official command line asks there first. No recording shows it.
_V41_FLASH = replace(
    _V4_FLASH_0731,
    images=True,
    routes=MULTIMODAL_FIRST,
    reasoning_effort_aliases=(
        *(("minimal", "low"), ("medium", "high"), ("xhigh", "high")),
        ("ultra", "max"),  # one page maps it, another refuses it
    ),
    reasoning_effort_range=(1, 100),
    display_name="DeepSeek V4.1 Flash",
    released=date(2026, 9, 10),
    source=f"{_HELP}, the model's own page; https://models.dev",
    checked_on=date(2026, 9, 21),
)
_US: Mapping[str, Any] = {
    "json_object": False,
    "json_schema": False,
    "search": False,
    "search_missing_in": frozenset(),
    "json_missing_in": frozenset(),
    "source": f"{_REFERENCE}; {_BILLING}; the list of models of dashscope-us.aliyuncs.com",
    "checked_on": _AUGUST,
}
"""How the models of the scope "US" (Virginia) differ from those without `-us`."""


_V32 = ModelCapabilities(
    thinking="off",
    context_tokens=131_072,
    max_input_tokens=98_304,
    max_reasoning_tokens=32_768,
    max_output_tokens=65_536,
    tools="always",
    images=False,
    json_object=False,
    partial="never",
    search=True,
    cache=True,
    settable=COMMON_PARAMETERS | _SAMPLING | {"thinking_budget"},
    defaults=ParameterDefaults(
        temperature=1.0, top_p=0.95, max_tokens=65_536, thinking_budget=32_768
    ),
    reasoning_replay="with_tool_calls",
    display_name="DeepSeek V3.2",
    released=date(2025, 12, 1),
    open_weights=True,
    status="retired",
    retired_on=_OFF_BEIJING,
    replacement="deepseek-v4.1-flash",
    source=_REFERENCE,
    checked_on=_OLD_PAGES,
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
    display_name="DeepSeek V3.2 Exp",
    released=date(2025, 9, 29),
)
_V31 = replace(
    _V32_EXP,
    thinking_needs_stream=True,
    cache=True,
    display_name="DeepSeek V3.1",
    released=date(2025, 8, 21),
)

# One table lists max_tokens and thinking_budget among what cannot be set on r1 and the
# distills, others do not: they are sent, and the service decides.
_R1 = ModelCapabilities(
    thinking="always",
    context_tokens=131_072,
    max_input_tokens=98_304,
    max_reasoning_tokens=32_768,
    max_output_tokens=16_384,
    tools="always",
    images=False,
    json_object=False,
    partial="never",
    search=True,
    cache=True,
    settable=COMMON_PARAMETERS | {"thinking_budget"},
    defaults=ParameterDefaults(
        temperature=0.6, top_p=0.95, presence_penalty=1, max_tokens=16_384, thinking_budget=32_768
    ),
    display_name="DeepSeek R1",
    released=date(2025, 1, 20),
    open_weights=True,
    status="retired",
    retired_on=_OFF_BEIJING,
    replacement="deepseek-v4.1-flash",
    source=_REFERENCE,
    checked_on=_OLD_PAGES,
)
_V3 = ModelCapabilities(
    thinking="never",
    context_tokens=131_072,
    max_input_tokens=131_072,
    max_output_tokens=16_384,
    tools="always",
    images=False,
    json_object=False,
    partial="never",
    search=True,
    cache=True,
    settable=COMMON_PARAMETERS | _SAMPLING,
    defaults=ParameterDefaults(temperature=0.7, top_p=0.6, max_tokens=16_384),
    display_name="DeepSeek V3",
    released=date(2024, 12, 26),
    open_weights=True,
    status="retired",
    retired_on=_OFF_BEIJING,
    replacement="deepseek-v4.1-flash",
    source=_REFERENCE,
    checked_on=_OLD_PAGES,
)
_DISTILL = ModelCapabilities(
    thinking="always",
    context_tokens=32_768,
    max_input_tokens=32_768,
    max_reasoning_tokens=16_384,
    max_output_tokens=16_384,
    tools="never",
    images=False,
    json_object=False,
    partial="never",
    search=False,
    cache=False,
    settable=COMMON_PARAMETERS | {"thinking_budget"},
    defaults=ParameterDefaults(
        temperature=0.6, top_p=0.95, presence_penalty=1, max_tokens=16_384, thinking_budget=16_384
    ),
    released=date(2025, 1, 20),
    open_weights=True,
    source=_REFERENCE,
    checked_on=_OLD_PAGES,
)
_DISTILL_OFF = replace(_DISTILL, status="retired", replacement="deepseek-v4.1-flash")

# Hosted by partners, each to be activated by itself: nothing is known of them but what the
# partners' pages and the page on function calling say, and nothing follows from the name behind
# the prefix.
_VANCHIN_V41_FLASH = ModelCapabilities(
    context_tokens=1_048_576,
    tools="unknown",
    json_object=None,
    json_schema=None,
    search=None,
    cache=None,
    documented_natively=False,
    source="Model Studio's catalogue of models",
    checked_on=date(2026, 9, 24),
)
_VANCHIN = replace(
    _VANCHIN_V41_FLASH,
    context_tokens=None,
    thinking="on",
    tools="always",
    json_object=True,
    partial="always",
    search=False,
    cache=True,
    unsettable=frozenset({"thinking_budget", "seed", "repetition_penalty"}),
    defaults=ParameterDefaults(temperature=0.6, top_p=0.95),
    source=f"{_HELP}, Vanchin's page and the page on function calling",
    checked_on=date(2026, 9, 22),
)
_VANCHIN_OLD = replace(_VANCHIN, thinking="off", unsettable=frozenset())
_SILICONFLOW = ModelCapabilities(
    thinking="off",
    tools="always",
    json_object=False,
    partial="when_not_thinking",
    search=False,
    cache=False,
    unsettable=frozenset({"repetition_penalty", "presence_penalty"}),
    source="https://help.aliyun.com/en/model-studio/siliconflow-deepseek-api",
    checked_on=date(2026, 9, 22),
)

MODELS: Mapping[str, ModelCapabilities] = {
    "deepseek-v4.1-flash": _V41_FLASH,
    "deepseek-v4-pro": _V4_PRO,
    "deepseek-v4-pro-0813": _V4_PRO_0813,
    "deepseek-v4-flash-0731": _V4_FLASH_0731,
    "deepseek-v4-pro-us": replace(_V4_PRO, **_US),
    "deepseek-v4-flash-0731-us": replace(_V4_FLASH_0731, **_US),
    "deepseek-v4-flash": _V4_FLASH,
    "deepseek-v4-flash-us": replace(_V4_FLASH, **_US, replacement="deepseek-v4-flash-0731-us"),
    "deepseek-v3.2": _V32,
    "deepseek-v3.2-exp": _V32_EXP,
    "deepseek-v3.1": _V31,
    "deepseek-r1": _R1,
    "deepseek-r1-0528": replace(
        _R1, cache=False, display_name="DeepSeek R1 0528", released=date(2025, 5, 28)
    ),
    "deepseek-v3": _V3,
    "deepseek-r1-distill-qwen-1.5b": replace(
        _DISTILL, display_name="DeepSeek R1 Distill Qwen 1.5B"
    ),
    "deepseek-r1-distill-qwen-7b": replace(
        _DISTILL_OFF, retired_on=_OFF_BEIJING, display_name="DeepSeek R1 Distill Qwen 7B"
    ),
    "deepseek-r1-distill-qwen-14b": replace(
        _DISTILL_OFF, retired_on=_OFF_BEIJING, display_name="DeepSeek R1 Distill Qwen 14B"
    ),
    "deepseek-r1-distill-qwen-32b": replace(
        _DISTILL_OFF, retired_on=_OFF_BEIJING, display_name="DeepSeek R1 Distill Qwen 32B"
    ),
    "deepseek-r1-distill-llama-8b": replace(
        _DISTILL_OFF,
        display_name="DeepSeek R1 Distill Llama 8B",
        source=f"{_REFERENCE}; switched off: {_BILLING}",
        checked_on=_AUGUST,
    ),
    "deepseek-r1-distill-llama-70b": replace(
        _DISTILL,
        display_name="DeepSeek R1 Distill Llama 70B",
        source=f"{_REFERENCE}; free trial only: {_BILLING}",
        checked_on=_AUGUST,
    ),
    "vanchin/deepseek-v4.1-flash": _VANCHIN_V41_FLASH,
    "vanchin/deepseek-v4-pro": _VANCHIN,
    "vanchin/deepseek-v4-pro-0813": _VANCHIN,
    "vanchin/deepseek-v3.2-think": _VANCHIN_OLD,
    "vanchin/deepseek-v3.1-terminus": replace(
        _VANCHIN_OLD,
        json_object=False,
        json_schema=False,
        partial="never",
        defaults=ParameterDefaults(temperature=0.7, top_p=0.95),
    ),
    "vanchin/deepseek-r1": replace(
        _VANCHIN_OLD,
        thinking="always",
        json_object=False,
        json_schema=False,
        defaults=ParameterDefaults(temperature=1.0, top_p=0.8),
    ),
    "vanchin/deepseek-v3": replace(
        _VANCHIN_OLD, thinking="never", defaults=ParameterDefaults(temperature=1.0, top_p=1.0)
    ),
    "vanchin/deepseek-ocr": replace(
        _VANCHIN_OLD,
        thinking="never",
        tools="never",
        partial="never",
        cache=False,
        defaults=ParameterDefaults(temperature=1.0, top_p=1.0),
    ),
    "siliconflow/deepseek-v3.2": _SILICONFLOW,
    "siliconflow/deepseek-v3.1-terminus": _SILICONFLOW,
    "siliconflow/deepseek-r1-0528": replace(_SILICONFLOW, thinking="always", partial="never"),
    "siliconflow/deepseek-v3-0324": replace(_SILICONFLOW, thinking="never", partial="always"),
}
"""The capability table: every DeepSeek model that DashScope documents, the first choice first."""

_MONTH, _DAY = r"(?:0[1-9]|1[0-2])", r"(?:0[1-9]|[12]\d|3[01])"
_DATE_SUFFIX = re.compile(rf"-(?:(?:\d{{4}})?{_MONTH}{_DAY}|\d{{4}}-{_MONTH}-{_DAY})$", re.ASCII)


def find_capabilities(model: str) -> ModelCapabilities | None:
    """Look up a model's row.

    A known name followed by a date (`-MMDD`, `-YYYYMMDD` or `-YYYY-MM-DD`) uses that model's
    row, without its display name and release date, unless it has one of its own. No other
    prefix does: `deepseek-r1-distill-new` must not inherit what `deepseek-r1` can do.

    Args:
        model: The model's name on DashScope.

    Returns:
        The row, or `None` for a name that the table does not know.
    """
    row = MODELS.get(model)
    if row is None and (undated := MODELS.get(_DATE_SUFFIX.sub("", model))) is not None:
        return replace(undated, display_name=None, released=None)
    return row


def models_that(can: Callable[[ModelCapabilities], bool]) -> str:
    """Name the current models for which `can` holds; partners' only where no other does."""
    names = [name for name, row in MODELS.items() if row.status == "current" and can(row)]
    return ", ".join([name for name in names if "/" not in name] or names)


def nearest_model(model: str) -> str:
    """Name the current model whose name is most like this one; the first choice if none is."""
    from difflib import get_close_matches  # noqa: PLC0415 - 2 ms, for a rare error

    known = [n for n, row in MODELS.items() if row.documented_natively and row.status == "current"]
    near = get_close_matches(_bare(model), known, n=1, cutoff=0.5)
    return near[0] if near else known[0]


def _bare(model: str) -> str:
    """Return a name without what stands before it on a hub, as in `deepseek-ai/DeepSeek-V3`."""
    return model.lower().strip().rpartition("/")[2]


_OWN_NAMES: Mapping[str, str] = {
    "deepseek-chat": "deepseek-v4.1-flash with enable_thinking=False",
    "deepseek-reasoner": "deepseek-v4.1-flash, which thinks by default",
    "deepseek-flash": "deepseek-v4.1-flash",
    "deepseek-v4": "deepseek-v4-pro or deepseek-v4.1-flash",
    "deepseek-v4.1": "deepseek-v4.1-flash",
    "deepseek-coder": "deepseek-v4.1-flash, as all models for code are now",
}
"""What DeepSeek's own API, and people, call models that have another name here."""


def what_it_may_be(model: str) -> str:
    """Say which model of the table an unknown name may mean."""
    name = model.lower().strip()
    if name in _OWN_NAMES:
        return f"Model Studio has no {model!r}: here it is {_OWN_NAMES[name]}."
    if name != model and find_capabilities(name) is not None:
        how = "in small letters" if name != model.strip() else "without spaces"
        return f"Names are written {how} here: {name!r}."
    return f"The nearest name that is known here is {nearest_model(model)!r}."
