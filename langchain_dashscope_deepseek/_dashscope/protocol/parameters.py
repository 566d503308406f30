"""The valid values of each setting, and the settings that can be overridden for one call.

`request` decides what a single model supports.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from math import inf
from typing import Annotated, Any, Literal, NamedTuple

import httpx
from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    InstanceOf,
    NonNegativeInt,
    PositiveInt,
    TypeAdapter,
)

from langchain_dashscope_deepseek._dashscope.protocol.aliases import (
    explain_unknown,
    is_no_op,
    misplaced,
)
from langchain_dashscope_deepseek.capabilities import ModelCapabilities
from langchain_dashscope_deepseek.errors import DashScopeInputError


class Rule(NamedTuple):
    """The values that are valid for a setting on at least one model."""

    expects: str  # completes "NAME must be ..." in an error
    type: Any  # a type of pydantic


_TOKENS = "a whole number of tokens, at least 1"
_Dict = InstanceOf[dict[str, Any]]
_Number = InstanceOf[float] | int  # not float, which pydantic also reads from a Decimal

DROPPABLE: Mapping[str, Rule] = {
    "thinking_budget": Rule(_TOKENS, PositiveInt),
    "temperature": Rule("a number from 0 to below 2", Annotated[_Number, Field(ge=0, lt=2)]),
    "top_p": Rule("a number above 0 up to 1", Annotated[_Number, Field(gt=0, le=1)]),
    "max_tokens": Rule(_TOKENS, PositiveInt),
    "max_completion_tokens": Rule(_TOKENS, PositiveInt),
    "seed": Rule("a whole number, at least 0", NonNegativeInt),
    "stop": Rule(
        "a string or a list of strings (or of token ids)",
        str | Sequence[str] | Sequence[int] | Sequence[Sequence[int]],
    ),
    "repetition_penalty": Rule("a number above 0", Annotated[_Number, Field(gt=0, lt=inf)]),
    "presence_penalty": Rule("a number from -2 to 2", Annotated[_Number, Field(ge=-2, le=2)]),
}
"""The parameters that are left out, with a warning, if the row's `can_set` says no."""

PARAMETERS: Mapping[str, Rule] = {
    **DROPPABLE,
    "enable_thinking": Rule("True or False", bool),
    "reasoning_effort": Rule(
        'a string such as "high", or a whole number from 1 to 100',
        str | Annotated[int, Field(ge=1, le=100)],  # the only range that the service documents
    ),
    "response_format": Rule('a dict such as {"type": "json_object"}', _Dict),
    "enable_search": Rule("True or False", bool),
    "search_options": Rule("a dict", _Dict),
    "tools": Rule("a list of tools", Sequence[_Dict]),
    "tool_choice": Rule(
        '"auto", "none", "required" or {"type": "function", "function": {"name": ...}}',
        Literal["auto", "none", "required"] | _Dict,
    ),
    "parallel_tool_calls": Rule("True or False", bool),
}
"""The parameters of the request: fields of the model, and `tools` and `tool_choice` of a call.
Source: the reference of the text-generation API."""

_LONGEST_TIMEOUT = 1_000_000


def _check_phases(timeout: httpx.Timeout) -> None:
    for seconds in timeout.as_dict().values():
        if seconds is not None and not 0 <= seconds <= _LONGEST_TIMEOUT:
            raise ValueError


_RULES: Mapping[str, Rule] = {
    **PARAMETERS,
    "model": Rule("a name that is not empty", Annotated[str, Field(min_length=1)]),
    "model_kwargs": Rule("a dict", _Dict),
    "capabilities": Rule("a ModelCapabilities", InstanceOf[ModelCapabilities]),
    "timeout": Rule(
        f"seconds above 0, up to {_LONGEST_TIMEOUT:,}, or an httpx.Timeout of up to that",
        Annotated[_Number, Field(gt=0, le=_LONGEST_TIMEOUT)]
        | Annotated[InstanceOf[httpx.Timeout], AfterValidator(_check_phases)],
    ),
    "max_retries": Rule("a whole number, at least 0", NonNegativeInt),
    "max_seconds": Rule("seconds above 0", Annotated[_Number, Field(gt=0)]),
    "max_answer_size": Rule("a whole number, at least 1", PositiveInt),
}

OVERRIDABLE = frozenset({*_RULES, "extra_headers", "stream", "structured_output_warning"})
"""The settings that one call can override. `stream` comes from LangChain;
`with_structured_output` binds the text of a warning, which the call shows."""

ALIASES: Mapping[str, str] = {
    "model_name": "model",
    "stop_sequences": "stop",
    "request_timeout": "timeout",
}
"""LangChain's other names of overridable settings."""


@cache
def fits(name: str) -> Callable[[object], bool]:
    """Return a function that tells whether a value, without conversion, is valid for a setting."""
    # `| None`, since pydantic takes no configuration for a dataclass alone.
    adapter = TypeAdapter[Any](_RULES[name].type | None, config=ConfigDict(strict=True))
    return adapter.validator.isinstance_python


def check_values(settings: Mapping[str, Any]) -> None:
    """Raise an error for a value that is valid on no model; `None` stands for no value."""
    for name, value in settings.items():
        if value is not None and name in _RULES and not fits(name)(value):
            # Only numbers are quoted: a string may be a prompt passed as the wrong argument.
            kind = f"the given {type(value).__name__}"
            shown = repr(value) if isinstance(value, (int, float)) else kind
            raise DashScopeInputError(f"{name} must be {_RULES[name].expects}, not {shown}")


# --- The settings of one call ---


def read_overrides(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Replace aliases, and leave out unknown settings whose value changes nothing."""
    own = {ALIASES.get(name, name): value for name, value in overrides.items()}
    return {k: value for k, value in own.items() if k in OVERRIDABLE or not is_no_op(k, value)}


def check_overrides(overrides: Mapping[str, Any], fields: Collection[str]) -> None:
    """Refuse settings that a call cannot override, and secrets, which tracers would record."""
    unknown = overrides.keys() - OVERRIDABLE
    fixed = ", ".join(sorted(unknown.intersection(fields)))
    if fixed:
        msg = f"{fixed} cannot be set for one call: set it on the model, or on a copy of it"
        raise DashScopeInputError(msg)
    if unknown:
        raise DashScopeInputError(explain_unknown(unknown, {*fields, *ALIASES, "extra_headers"}))
    headers = overrides.get("extra_headers")
    if headers is not None:
        check_headers(headers, "extra_headers")
        secret = next(filter(_SECRET.search, headers), None)
        if secret is not None:
            raise DashScopeInputError(
                f"extra_headers must not hold {secret}: LangChain's tracers record the arguments "
                "of a call. Set api_key or default_headers on the model, or call for_tenant"
            )
    lift_from_model_kwargs(overrides)  # for its errors


def override(settings: Mapping[str, Any], overrides: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the settings of the model with the overrides of one call, and refuse invalid values.

    `None` removes a parameter for this call; for other settings `None` is ignored.
    """
    if overrides.get("model_kwargs") is not None:
        settings = {**settings, "model_kwargs": None}
    lifted = lift_from_model_kwargs(overrides)
    given = {k: value for k, value in lifted.items() if value is not None or k in PARAMETERS}
    values = {**lift_from_model_kwargs(settings), **given}
    check_values(values)  # all of them, since lists and dicts in settings can change
    return values


_NOT_IN_MODEL_KWARGS = re.compile(
    r"(?i)(dashscope_|openai_)?api_key|api-?key|authorization|(default_|extra_)?headers|proxy"
    r"|http_client"
)
"""Matches names in `model_kwargs` that may hold a secret. `model_kwargs` is sent in the
body and recorded by tracers."""


def lift_from_model_kwargs(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Move parameters from `model_kwargs` to their fields; refuse secrets and misplaced names."""
    extra = settings.get("model_kwargs")
    if not extra or not isinstance(extra, Mapping):
        return settings
    secret = next(filter(_NOT_IN_MODEL_KWARGS.fullmatch, map(str, extra)), None)
    if secret is not None:
        raise DashScopeInputError(
            f"model_kwargs must not hold {secret}: it would be sent in the body, and recorded by "
            "tracers. Set api_key, default_headers, proxy or http_client instead"
        )
    if wrong := misplaced(extra):
        raise DashScopeInputError(f"model_kwargs: {explain_unknown(wrong, ())}")
    lifted: dict[str, Any] = {}
    others: dict[str, Any] = {}
    for given, value in extra.items():
        name = ALIASES.get(given, given)
        if name not in PARAMETERS:
            others[given] = value
        elif name in lifted or settings.get(name) is not None:
            msg = f"{name} is given twice: take it out of model_kwargs, and pass it by its name"
            raise DashScopeInputError(msg)
        else:
            lifted[name] = value
    return {**settings, **lifted, "model_kwargs": others}


# --- Headers ---

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_SECRET = re.compile(
    r"auth(?!ors?\b)|token|secret|cookie|passw|credential|signature"
    r"|(api|access|subscription|functions|private)[-_]?key|^(x-)?key$|jwt|pwd|session",
    re.IGNORECASE,
)
"""Matches the names of headers that hold a secret."""


def check_headers(headers: Any, setting: str = "default_headers") -> None:
    """Refuse headers that are invalid in HTTP. Errors do not quote values, which may be secrets."""
    if not isinstance(headers, Mapping) or not all(
        isinstance(text, str) for pair in headers.items() for text in pair
    ):
        raise DashScopeInputError(f"{setting} must be a dict of strings")
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise DashScopeInputError(f"{setting} holds a name that is invalid in HTTP: rename it")
        if not value.isascii() or not value.isprintable() or value != value.strip():
            raise DashScopeInputError(f"{setting}[{name!r}] must be trimmed, printable ASCII")


def refuse_account_headers(headers: Mapping[str, str]) -> None:
    """Refuse headers that may identify an account, for a model of another account or workspace."""
    for name in headers:
        if _SECRET.search(name) or name.lower() == "x-dashscope-workspace":
            raise DashScopeInputError(
                f"default_headers holds {name}, which may identify an account, and the key, region "
                "or workspace changes: pass default_headers for the new one as well ({} for none)"
            )
