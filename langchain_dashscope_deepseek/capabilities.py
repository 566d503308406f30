"""The capability table: one frozen row per model, and the lookup by name.

All facts about individual models are here. Each row names its source and the source's date. Where
sources disagree, the row takes the more permissive one, and the service decides.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, Literal

Route = Literal["text-generation", "multimodal-generation"]
"""The two routes of the service, which offers each model on exactly one of them."""

Thinking = Literal["always", "on", "off", "never", "unknown"]
"""When a model thinks.

- `"always"`: thinking cannot be switched off.
- `"on"`: hybrid; the model thinks unless `enable_thinking=False` is sent.
- `"off"`: hybrid; the model thinks only if `enable_thinking=True` is sent.
- `"never"`: thinking cannot be switched on.
- `"unknown"`: not documented; `enable_thinking` is sent as given, and the model may think.
"""

Modes = Literal["always", "when_not_thinking", "never", "unknown"]
"""In which modes a model has a feature; `"unknown"`: not documented."""

TEXT_FIRST: tuple[Route, ...] = ("text-generation", "multimodal-generation")

COMMON_PARAMETERS = frozenset({"seed", "max_tokens", "max_completion_tokens", "stop"})
"""Parameters that every model hosted by Alibaba accepts."""


@dataclass(frozen=True, kw_only=True)
class ParameterDefaults:
    """The service's defaults for parameters that a request leaves out; `None`: not documented.

    These figures are documentation: this package does not send them. `thinking_budget` is also
    `None` if the reasoning and the answer share `max_tokens`.
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
    """One row of the capability table: the features of a model.

    To add a model that is not in the table, or to correct a row, pass one to the model:
    `ChatDashScopeDeepSeek(model=..., capabilities=ModelCapabilities(...))`.
    With the defaults, only tools and JSON schemas are refused.

    Attributes:
        thinking: When the model thinks; `"on"` and `"off"` are defaults that can be changed.
        thinking_needs_stream: The model thinks in streams only, so `invoke` streams internally.
        context_tokens: Longest input and output together, in tokens.
        max_input_tokens: Longest input, in tokens.
        max_reasoning_tokens: Longest reasoning, in tokens; `None` if it counts as output, or is
            not documented.
        max_output_tokens: Longest answer, in tokens.
        tools: When the model calls tools. `"unknown"`: tools are refused.
        images: The model reads images. `None`: not known; they are sent if `routes` allows it.
        json_object: `response_format={"type": "json_object"}` is supported. `None`: not known.
        json_schema: `response_format={"type": "json_schema", ...}` is supported. `None`: not known.
        partial: When the model continues a last AI message that has
            `additional_kwargs={"partial": True}`. `"unknown"`: such a message is sent.
        search: `enable_search` is supported. `None`: not known.
        cache: The service caches repeated prefixes of the input. `None`: not known.
        routes: The routes to try, in this order. The one that works is remembered.
        documented_natively: Documented for the native protocol, not only for the OpenAI-compatible
            one.
        search_missing_in: Regions in which `enable_search` is not documented; it is sent there.
        json_missing_in: The same for a JSON `response_format`.
        settable: Of the sampling and length parameters, those that may be set; `None`: all. It also
            lists `reasoning_effort`, of which `reasoning_efforts` has the values; if that is empty,
            only `None` lets a request set it.
        unsettable: Of the same parameters, those that may not be set.
        reasoning_efforts: The documented values of `reasoning_effort`.
        reasoning_effort_aliases: Further values, and the value that the service maps each to.
        reasoning_effort_range: The smallest and largest integer accepted as `reasoning_effort`.
        defaults: The service's defaults for parameters that are left out.
        reasoning_replay: Whether earlier reasoning is sent back. `"with_tool_calls"`: in a turn
            (everything between two human messages) with tool calls, all assistant messages, the
            final one included, carry it in later requests with thinking on.
        status: `"retired"`: switched off, at least in cn-beijing. Requests are sent nevertheless.
        retired_on: The date on which it was switched off, if documented.
        replacement: The model to use instead.
        display_name: The model's name for user interfaces.
        released: The date on which DeepSeek published the model.
        open_weights: The weights can be downloaded. `None`: not known.
        source: The source of the row's facts.
        source_date: The date of the version of the source from which the facts were taken.
    """

    thinking: Thinking = "unknown"
    thinking_needs_stream: bool = False
    context_tokens: int | None = None
    max_input_tokens: int | None = None
    max_reasoning_tokens: int | None = None
    max_output_tokens: int | None = None
    tools: Modes = "never"
    images: bool | None = None
    json_object: bool | None = True
    json_schema: bool | None = False
    partial: Modes = "unknown"
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
    reasoning_replay: Literal["never", "with_tool_calls"] = "never"
    status: Literal["current", "retired"] = "current"
    retired_on: date | None = None
    replacement: str | None = None
    display_name: str | None = None
    released: date | None = None
    open_weights: bool | None = None
    source: str = ""
    source_date: date | None = None

    def __post_init__(self) -> None:
        """Refuse routes that do not exist."""
        if not self.routes or isinstance(self.routes, str) or set(self.routes) - set(TEXT_FIRST):
            msg = f"routes must be a tuple of one or both of {', '.join(map(repr, TEXT_FIRST))}"
            raise ValueError(msg)

    def thinks(self, enable_thinking: bool | None) -> bool:
        """Tell whether the model thinks, or may, with this `enable_thinking` (`None`: left out)."""
        if self.thinking in ("always", "never"):
            return self.thinking == "always"
        return self.thinking != "off" if enable_thinking is None else enable_thinking

    @property
    def is_hybrid(self) -> bool:
        """Whether thinking can be switched on and off."""
        return self.thinking in ("on", "off")

    def calls_tools(self, *, thinking: bool) -> bool:
        """Tell whether the model calls tools in this mode."""
        return self.tools == "always" or (self.tools == "when_not_thinking" and not thinking)

    def takes_partial(self, *, thinking: bool) -> bool:
        """Tell whether the model continues a final AI message in this mode."""
        return self.partial != "never" and not (self.partial == "when_not_thinking" and thinking)

    def takes_format(self, kind: str) -> bool | None:
        """Tell whether a `response_format` of this type is supported; `None`: not known."""
        known = {"text": True, "json_object": self.json_object, "json_schema": self.json_schema}
        return known.get(kind, False)

    def knows_effort(self, effort: str | int) -> bool:
        """Tell whether this `reasoning_effort` is documented, aliases included."""
        if isinstance(effort, int):
            low, high = self.reasoning_effort_range or (1, 0)
            return low <= effort <= high
        return effort in self.reasoning_efforts or effort in dict(self.reasoning_effort_aliases)

    @property
    def efforts_text(self) -> str:
        """The documented values of `reasoning_effort`, as text for messages; `""`: none."""
        texts = [*map(repr, (*self.reasoning_efforts, *dict(self.reasoning_effort_aliases)))]
        if self.reasoning_effort_range is not None:
            texts.append("a whole number from {} to {}".format(*self.reasoning_effort_range))
        return ", ".join(texts)

    def can_set(self, parameter: str) -> bool:
        """Tell whether a request may set a sampling or length parameter, or `reasoning_effort`."""
        listed = self.settable is None or parameter in self.settable
        return listed and parameter not in self.unsettable


UNKNOWN_MODEL = ModelCapabilities(
    tools="unknown", json_object=None, json_schema=None, search=None, cache=None
)
"""The row for models that are not in the table: everything but tools is sent."""

_HELP = "https://www.alibabacloud.com/help/en/model-studio"
_REFERENCE = f"{_HELP}/deepseek-api, and the API reference"
_BILLING = "the billing page of August 2026"
_AUGUST = date(2026, 8, 1)  # the source gives only the month
_SAMPLING = frozenset({"temperature", "top_p"})

# Hosted by Alibaba. The release dates are from models.dev's files of DeepSeek's own models.
_HOSTED = ModelCapabilities(
    tools="always", images=False, partial="never", cache=True, open_weights=True, source=_REFERENCE
)
_V4_PRO = replace(
    _HOSTED,
    thinking="on",
    context_tokens=1_000_000,
    max_input_tokens=1_000_000,
    max_output_tokens=393_216,
    json_schema=None,  # undocumented; it worked in three requests to the OpenAI-compatible API
    search_missing_in=frozenset({"eu-central-1", "us-east-1"}),
    json_missing_in=frozenset({"us-east-1"}),
    settable=COMMON_PARAMETERS | _SAMPLING | {"thinking_budget", "reasoning_effort"},
    reasoning_efforts=("high", "max"),
    reasoning_effort_aliases=(("low", "high"), ("medium", "high"), ("xhigh", "max")),
    defaults=ParameterDefaults(
        temperature=1.0, top_p=1.0, max_tokens=393_216, reasoning_effort="high"
    ),
    reasoning_replay="with_tool_calls",
    released=date(2026, 4, 24),
    source_date=date(2026, 9, 22),
)
_NEW_ALIASES = (("medium", "high"), ("xhigh", "high"))
_V4_PRO_0813 = replace(
    _V4_PRO,
    reasoning_efforts=("low", "high", "max"),
    reasoning_effort_aliases=_NEW_ALIASES,
    released=date(2026, 8, 12),
)
_V4_FLASH_0731 = replace(_V4_PRO_0813, json_schema=False, released=date(2026, 7, 31))
_V4_FLASH = replace(
    _V4_PRO,
    json_schema=False,
    status="retired",
    retired_on=date(2026, 10, 10),
    replacement="deepseek-v4-flash-0731",
    source=f"{_REFERENCE}; that it is retired is stated only by an LLM router's table, August 2026",
)
# Multimodal first, with and without images: models that read images are on that route, and dify and
# the official command line try it first for this model. No recorded answer confirms it.
_V41_FLASH = replace(
    _V4_FLASH_0731,
    images=True,
    routes=("multimodal-generation", "text-generation"),
    # One page maps "ultra", another refuses it.
    reasoning_effort_aliases=(("minimal", "low"), *_NEW_ALIASES, ("ultra", "max")),
    reasoning_effort_range=(1, 100),
    released=date(2026, 9, 10),
    source=f"{_HELP}, the model's own page; https://models.dev",
    source_date=date(2026, 9, 21),
)
# The differences of the `-us` models (scope "US", Virginia) from those without the suffix.
_US: Mapping[str, Any] = {
    "json_object": False,
    "json_schema": False,
    "search": False,
    "search_missing_in": frozenset(),
    "json_missing_in": frozenset(),
    "source": f"{_REFERENCE}; {_BILLING}; the list of models of dashscope-us.aliyuncs.com",
    "source_date": _AUGUST,
}
_RETIRED = replace(
    _HOSTED,
    context_tokens=131_072,
    max_input_tokens=98_304,
    json_object=False,
    status="retired",
    retired_on=date(2026, 10, 10),
    replacement="deepseek-v4.1-flash",
    source_date=date(2026, 3, 24),
)
_V32 = replace(
    _RETIRED,
    thinking="off",
    max_reasoning_tokens=32_768,
    max_output_tokens=65_536,
    settable=COMMON_PARAMETERS | _SAMPLING | {"thinking_budget"},
    defaults=ParameterDefaults(
        temperature=1.0, top_p=0.95, max_tokens=65_536, thinking_budget=32_768
    ),
    reasoning_replay="with_tool_calls",
    released=date(2025, 12, 1),
)
_V32_EXP = replace(
    _V32,
    tools="when_not_thinking",
    cache=False,
    settable=COMMON_PARAMETERS | _SAMPLING | {"thinking_budget", "repetition_penalty"},
    defaults=replace(_V32.defaults, temperature=0.6, repetition_penalty=1.0),
    reasoning_replay="never",
    released=date(2025, 9, 29),
)
_V31 = replace(_V32_EXP, thinking_needs_stream=True, cache=True, released=date(2025, 8, 21))

# One page says that max_tokens and thinking_budget cannot be set on r1 and the distills, others do
# not: they are sent, and the service decides.
_R1 = replace(
    _RETIRED,
    thinking="always",
    max_reasoning_tokens=32_768,
    max_output_tokens=16_384,
    settable=COMMON_PARAMETERS | {"thinking_budget"},
    defaults=ParameterDefaults(
        temperature=0.6, top_p=0.95, presence_penalty=1, max_tokens=16_384, thinking_budget=32_768
    ),
    released=date(2025, 1, 20),
)
_RETIRED_DISTILL = replace(
    _R1,
    context_tokens=32_768,
    max_input_tokens=32_768,
    max_reasoning_tokens=16_384,
    tools="never",
    search=False,
    cache=False,
    defaults=replace(_R1.defaults, thinking_budget=16_384),
)
_DISTILL = replace(_RETIRED_DISTILL, status="current", retired_on=None, replacement=None)
_V3 = replace(
    _RETIRED,
    thinking="never",
    max_input_tokens=131_072,
    max_output_tokens=16_384,
    settable=COMMON_PARAMETERS | _SAMPLING,
    defaults=ParameterDefaults(temperature=0.7, top_p=0.6, max_tokens=16_384),
    released=date(2024, 12, 26),
)

# Hosted by partners. These rows hold only facts of the partners' pages and of the page on function
# calling: a partner's model may differ from Alibaba's model of the same name.
_VANCHIN = ModelCapabilities(
    thinking="on",
    tools="always",
    json_schema=None,
    partial="always",
    search=False,
    cache=True,
    documented_natively=False,
    unsettable=frozenset({"thinking_budget", "seed", "repetition_penalty"}),
    defaults=ParameterDefaults(temperature=0.6, top_p=0.95),
    source=f"{_HELP}, Vanchin's page and the page on function calling",
    source_date=date(2026, 9, 22),
)
_VANCHIN_OLD = replace(_VANCHIN, thinking="off", unsettable=frozenset())
_VANCHIN_NO_JSON = replace(_VANCHIN_OLD, json_object=False, json_schema=False)
_VANCHIN_V3 = replace(
    _VANCHIN_OLD, thinking="never", defaults=ParameterDefaults(temperature=1.0, top_p=1.0)
)
_SILICONFLOW = ModelCapabilities(
    thinking="off",
    tools="always",
    json_object=False,
    partial="when_not_thinking",
    search=False,
    unsettable=frozenset({"repetition_penalty", "presence_penalty"}),
    source="https://help.aliyun.com/en/model-studio/siliconflow-deepseek-api",
    source_date=date(2026, 9, 22),
)

_ROWS: Mapping[str, ModelCapabilities] = {
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
    "deepseek-r1-0528": replace(_R1, cache=False, released=date(2025, 5, 28)),
    "deepseek-v3": _V3,
    "deepseek-r1-distill-qwen-1.5b": _DISTILL,
    "deepseek-r1-distill-qwen-7b": _RETIRED_DISTILL,
    "deepseek-r1-distill-qwen-14b": _RETIRED_DISTILL,
    "deepseek-r1-distill-qwen-32b": _RETIRED_DISTILL,
    "deepseek-r1-distill-llama-8b": replace(
        _RETIRED_DISTILL,
        retired_on=None,
        source=f"{_REFERENCE}; switched off: {_BILLING}",
        source_date=_AUGUST,
    ),
    "deepseek-r1-distill-llama-70b": replace(
        _DISTILL, source=f"{_REFERENCE}; free trial only: {_BILLING}", source_date=_AUGUST
    ),
    "vanchin/deepseek-v4.1-flash": replace(
        UNKNOWN_MODEL,
        context_tokens=1_048_576,
        documented_natively=False,
        source="Model Studio's catalogue of models",
        source_date=date(2026, 9, 24),
    ),
    "vanchin/deepseek-v4-pro": _VANCHIN,
    "vanchin/deepseek-v4-pro-0813": _VANCHIN,
    "vanchin/deepseek-v3.2-think": _VANCHIN_OLD,
    "vanchin/deepseek-v3.1-terminus": replace(
        _VANCHIN_NO_JSON, partial="never", defaults=ParameterDefaults(temperature=0.7, top_p=0.95)
    ),
    "vanchin/deepseek-r1": replace(
        _VANCHIN_NO_JSON, thinking="always", defaults=ParameterDefaults(temperature=1.0, top_p=0.8)
    ),
    "vanchin/deepseek-v3": _VANCHIN_V3,
    "vanchin/deepseek-ocr": replace(_VANCHIN_V3, tools="never", partial="never", cache=False),
    "siliconflow/deepseek-v3.2": _SILICONFLOW,
    "siliconflow/deepseek-v3.1-terminus": _SILICONFLOW,
    "siliconflow/deepseek-r1-0528": replace(_SILICONFLOW, thinking="always", partial="never"),
    "siliconflow/deepseek-v3-0324": replace(_SILICONFLOW, thinking="never", partial="always"),
}

MODELS: Mapping[str, ModelCapabilities] = {
    name: row
    if "/" in name
    else replace(
        row, display_name=name.removesuffix("-us").replace("-", " ").title().replace("seek", "Seek")
    )
    for name, row in _ROWS.items()
}
"""The capability table: all DeepSeek models that DashScope documents, the recommended one first."""

_MONTH, _DAY = r"(?:0[1-9]|1[0-2])", r"(?:0[1-9]|[12]\d|3[01])"
_DATE_SUFFIX = re.compile(rf"-(?:(?:\d{{4}})?{_MONTH}{_DAY}|\d{{4}}-{_MONTH}-{_DAY})$", re.ASCII)


def find_capabilities(model: str) -> ModelCapabilities | None:
    """Look up a model's row.

    A known name followed by a date (`-MMDD`, `-YYYYMMDD` or `-YYYY-MM-DD`) uses that model's
    row, without its display name and release date, unless it has a row of its own. No other
    suffix is ignored: `deepseek-r1-distill-new` must not use the row of `deepseek-r1`.

    Args:
        model: The model's name on DashScope.

    Returns:
        The row, or `None` for a name that is not in the table.
    """
    row = MODELS.get(model)
    if row is None and (undated := MODELS.get(_DATE_SUFFIX.sub("", model))) is not None:
        return replace(undated, display_name=None, released=None)
    return row


def _current(can: Callable[[ModelCapabilities], bool]) -> list[str]:
    """List the current models of the native protocol that satisfy `can`."""
    rows = ((n, row) for n, row in MODELS.items() if row.status == "current" and can(row))
    return [name for name, row in rows if row.documented_natively]


def model_names(can: Callable[[ModelCapabilities], bool]) -> str:
    """Name the current models that satisfy `can`; those of partners only if no other does."""
    names = _current(can)
    return ", ".join([name for name in names if "/" not in name] or names)


def nearest_model(model: str, can: Callable[[ModelCapabilities], bool] = lambda _: True) -> str:
    """Return the current model that satisfies `can` with the most similar name, else the first."""
    from difflib import get_close_matches  # noqa: PLC0415 - 2 ms, for a rare error

    known = _current(can)
    bare = model.lower().strip().rpartition("/")[2]  # hubs write `deepseek-ai/DeepSeek-V3`
    return next(iter(get_close_matches(bare, known, n=1, cutoff=0.5)), known[0])


_OTHER_NAMES: Mapping[str, str] = {
    "deepseek-chat": "deepseek-v4.1-flash with enable_thinking=False",
    "deepseek-reasoner": "deepseek-v4.1-flash, which thinks by default",
}
"""Names of DeepSeek's own API."""


def suggest_model(model: str) -> str:
    """Return a sentence that suggests a model of the table for an unknown name."""
    if model in _OTHER_NAMES:
        return f"Model Studio has no {model!r}: here it is {_OTHER_NAMES[model]}."
    return f"The nearest name that is known here is {nearest_model(model)!r}."
