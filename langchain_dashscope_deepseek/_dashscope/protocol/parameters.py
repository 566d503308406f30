"""The settings: what each takes, and who may give it. One table, the same text wherever it is set.

Pure. Asked at construction, in `bind_tools` and at the call. What a single model takes is decided
in `request`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from langchain_dashscope_deepseek._dashscope.protocol.aliases import misplaced, unknown_names
from langchain_dashscope_deepseek.capabilities import ModelCapabilities
from langchain_dashscope_deepseek.errors import DashScopeInputError


class Rule(NamedTuple):
    """What any model takes for a setting.

    Attributes:
        expects: What it takes, as an error says it.
        fits: Tells whether a value is one of these.
        is_knob: Whether a model that does not take it may go without. What is no knob is a feature,
            without which the answer would be wrong.
    """

    expects: str
    fits: Callable[[Any], bool]
    is_knob: bool = False


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _number(low: float, high: float, *, low_open: bool = False, high_open: bool = False) -> Any:
    def fits(value: Any) -> bool:
        if not _is_number(value):
            return False
        above = value > low if low_open else value >= low
        return bool(above and (value < high if high_open else value <= high))

    return fits


def _integer(low: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and value >= low


def _is_effort(value: Any) -> bool:
    return isinstance(value, str) or (type(value) is int and 1 <= value <= 100)  # noqa: PLR2004 - the only range on any page


def _is_stop(value: Any) -> bool:
    """A string, or a list of one kind: strings, token ids, or lists of token ids."""
    if isinstance(value, (list, tuple)):
        return (
            all(isinstance(item, str) for item in value)
            or all(type(item) is int for item in value)
            or all(
                isinstance(item, (list, tuple)) and all(type(i) is int for i in item)
                for item in value
            )
        )
    return isinstance(value, str)


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


def _is_mapping(value: Any) -> bool:
    return isinstance(value, Mapping)


_INFINITY = float("inf")
_TOKENS = "a whole number of tokens, at least 1"

PARAMETERS: Mapping[str, Rule] = {
    "enable_thinking": Rule("True or False", _is_bool),
    "thinking_budget": Rule(_TOKENS, _integer(1), is_knob=True),
    "reasoning_effort": Rule(
        'a string such as "high", or a whole number from 1 to 100', _is_effort
    ),
    "temperature": Rule("a number from 0 to below 2", _number(0, 2, high_open=True), is_knob=True),
    "top_p": Rule("a number above 0 up to 1", _number(0, 1, low_open=True), is_knob=True),
    "max_tokens": Rule(_TOKENS, _integer(1), is_knob=True),
    "max_completion_tokens": Rule(_TOKENS, _integer(1), is_knob=True),
    "seed": Rule("a whole number, at least 0", _integer(0), is_knob=True),
    "stop": Rule("a string or a list of strings (or of token ids)", _is_stop, is_knob=True),
    "repetition_penalty": Rule(
        "a number above 0", _number(0, _INFINITY, low_open=True, high_open=True), is_knob=True
    ),
    "presence_penalty": Rule("a number from -2 to 2", _number(-2, 2), is_knob=True),
    "response_format": Rule('a dict such as {"type": "json_object"}', _is_mapping),
    "enable_search": Rule("True or False", _is_bool),
    "search_options": Rule("a dict", _is_mapping),
    "tools": Rule(
        "a list of tools",
        lambda value: isinstance(value, (list, tuple)) and all(map(_is_mapping, value)),
    ),
    "tool_choice": Rule(
        '"auto", "none", "required" or {"type": "function", "function": {"name": ...}}',
        lambda value: value in ("auto", "none", "required") or _is_mapping(value),
    ),
    "parallel_tool_calls": Rule("True or False", _is_bool),
}
"""Every parameter of the wire that has a name of its own here.

Source: the reference of the text-generation API.
"""

LIMITS: Mapping[str, Rule] = {
    "max_retries": Rule("a whole number, at least 0", _integer(0)),
    "max_seconds": Rule("seconds above 0", _number(0, _INFINITY, low_open=True)),
    "max_answer_size": Rule("a whole number, at least 1", _integer(1)),
}
"""What bounds a call here, and is never sent."""

OVERRIDABLE = frozenset({*PARAMETERS, *LIMITS, "model", "model_kwargs", "timeout"})
"""The settings that one call may override."""

SETTINGS = frozenset(
    {
        *OVERRIDABLE,
        *("api_key", "base_url", "region", "workspace_id", "default_headers"),
        *("proxy", "verify", "streaming", "disable_streaming"),
    }
)
"""The settings of a model that a call looks at."""

_NOT_FOR_ONE_CALL = SETTINGS | {
    *("dashscope_api_key", "dashscope_api_base", "http_client", "http_async_client"),
    *("cache", "callbacks", "profile", "rate_limiter"),
}

ALIASES: Mapping[str, str] = {
    "model_name": "model",
    "stop_sequences": "stop",
    "request_timeout": "timeout",
}
"""Other names of overridable settings, as LangChain's users know them."""


def check_values(settings: Mapping[str, Any], rules: Mapping[str, Rule] = PARAMETERS) -> None:
    """Refuse values that no model takes; `None` is no value.

    Raises:
        DashScopeInputError: Names the setting, the value and what it takes.
    """
    for name in rules:
        value = settings.get(name)
        if value is not None and not rules[name].fits(value):
            # A wrong type may be a prompt in the wrong place: only numbers are quoted.
            shown = repr(value) if isinstance(value, (int, float)) else type(value).__name__
            msg = f"{name} takes {rules[name].expects}, not {shown}"
            raise DashScopeInputError(msg)


def check_no_number(name: str, value: Any) -> None:
    """Refuse True and False, alone or in a list, before pydantic makes numbers of them.

    Raises:
        DashScopeInputError: Names the setting and what it takes.
    """
    if isinstance(value, (bool, list)):
        check_values({name: value}, {**PARAMETERS, **LIMITS})
        if name == "timeout":
            check_timeout(value)


def check_settings(settings: Mapping[str, Any]) -> None:
    """Refuse what none of the settings can be that are never sent as they are.

    Raises:
        DashScopeInputError: Names the setting and what it takes.
    """
    for name in ("max_retries", "max_answer_size"):
        if settings[name] is None:
            msg = f"{name} takes {LIMITS[name].expects}, not None"
            raise DashScopeInputError(msg)
    check_values(settings, LIMITS)
    if not isinstance(settings["model"], str) or not settings["model"]:
        msg = "model takes the name of a model"
        raise DashScopeInputError(msg)
    if not isinstance(settings["model_kwargs"], (Mapping, type(None))):
        msg = "model_kwargs takes a dict"
        raise DashScopeInputError(msg)
    check_timeout(settings["timeout"])


_NO_PARAMETERS = frozenset(
    {
        *("api_key", "apikey", "api-key", "dashscope_api_key", "openai_api_key", "authorization"),
        *("headers", "default_headers", "extra_headers", "proxy", "http_client"),
    }
)
"""What people have put into `model_kwargs` that must not be sent in a body, nor recorded."""


def check_model_kwargs(extra: Any) -> None:
    """Refuse what is no parameter: it may be a secret, and tracers record what stands there.

    Raises:
        DashScopeInputError: Names it, and says what to write.
    """
    secret = [name for name in extra or () if str(name).lower() in _NO_PARAMETERS]
    if secret:
        msg = (
            f"model_kwargs holds {secret[0]}, which is no parameter: it would stand in the body "
            "and in traces. Write api_key or default_headers"
        )
        raise DashScopeInputError(msg)
    wrong = misplaced(extra or ())
    if wrong:
        msg = f"model_kwargs: {unknown_names(wrong, ())}"
        raise DashScopeInputError(msg)


def named(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Move parameters that have a name here out of `model_kwargs`, to what bears their name.

    Raises:
        DashScopeInputError: One is given in both places.
    """
    extra = settings.get("model_kwargs")
    if not extra or not isinstance(extra, Mapping):
        return settings
    check_model_kwargs(extra)
    names = {name: ALIASES.get(name, name) for name in extra}
    found = {names[name]: extra[name] for name in extra if names[name] in PARAMETERS}
    if not found:
        return settings
    rest = {name: value for name, value in extra.items() if names[name] not in found}
    twice = [name for name in found if settings.get(name) is not None]
    if len(found) + len(rest) < len(extra):
        twice = twice or list(found)
    if twice:
        msg = f"{', '.join(twice)}: given by name and in model_kwargs. Keep one, by name"
        raise DashScopeInputError(msg)
    return {**settings, **found, "model_kwargs": rest}


def overridden(settings: Mapping[str, Any], overrides: Mapping[str, Any]) -> Mapping[str, Any]:
    """Put what is given for one call over the settings of a model.

    Args:
        settings: The values of `SETTINGS`.
        overrides: Values of `OVERRIDABLE`. `None` takes a parameter of the wire away for this call;
            the other settings need a value.

    Raises:
        DashScopeInputError: Nothing of that name can be overridden, or not by that value.
    """
    check_names(overrides)
    if overrides.get("model_kwargs") is not None:
        settings = {**settings, "model_kwargs": None}
    given = {k: v for k, v in named(overrides).items() if v is not None or k in PARAMETERS}
    values = {**named(settings), **given}
    check_settings(values)
    return values


def check_names(names: Collection[str]) -> None:
    """Refuse names that no call can override.

    Raises:
        DashScopeInputError: Names them, and says what to write.
    """
    unknown = {*names} - OVERRIDABLE
    if not unknown:
        return
    of_the_model = ", ".join(sorted(unknown & _NOT_FOR_ONE_CALL))
    if of_the_model:
        msg = f"{of_the_model}: set for the model, not for one call. Make another model object"
    else:
        msg = unknown_names(unknown, {*_NOT_FOR_ONE_CALL, *ALIASES, "extra_headers"})
    raise DashScopeInputError(msg)


def check_row(row: object) -> None:
    """Refuse what no row of the capability table can be.

    Raises:
        DashScopeInputError: It is no `ModelCapabilities`, and not None.
    """
    if not isinstance(row, (ModelCapabilities, type(None))):
        msg = "capabilities takes a ModelCapabilities"
        raise DashScopeInputError(msg)


# --- Timeouts ---

_LONGEST_TIMEOUT = 1_000_000


def check_timeout(timeout: object) -> None:
    """Refuse what no timeout can be.

    Raises:
        DashScopeInputError: It is no positive number of seconds, no `httpx.Timeout`, and not None.
    """
    if timeout is None:
        return
    phases = timeout.as_dict() if hasattr(timeout, "as_dict") else None
    if phases is None and not _is_number(timeout):
        msg = f"timeout takes seconds or an httpx.Timeout, not {type(timeout).__name__}"
        raise DashScopeInputError(msg)
    if phases is None and not 0 < timeout <= _LONGEST_TIMEOUT:  # type: ignore[operator]
        msg = f"timeout takes seconds above 0, up to {_LONGEST_TIMEOUT:,}, not {timeout!r}"
        raise DashScopeInputError(msg)
    for phase, seconds in (phases or {}).items():
        if seconds is not None and not (_is_number(seconds) and 0 <= seconds <= _LONGEST_TIMEOUT):
            shown = repr(seconds) if _is_number(seconds) else type(seconds).__name__
            longest = f"{_LONGEST_TIMEOUT:,}"
            msg = f"timeout: {phase} takes None or seconds, from 0 to {longest}, not {shown}"
            raise DashScopeInputError(msg)


# --- Headers ---

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OF_THE_BODY = frozenset({"content-length", "transfer-encoding", "content-encoding", "connection"})
_SECRET = re.compile(
    r"auth(?!ors?\b)|token|secret|cookie|passw|credential|signature"
    r"|(api|access|subscription|functions|private)[-_]?key|^(x-)?key$|jwt|pwd|session",
    re.IGNORECASE,
)
"""What the names of headers have in them that hold a secret."""


def check_headers(headers: Any, setting: str = "default_headers") -> None:
    """Refuse headers that HTTP cannot carry; a value may be a secret, so none is quoted.

    Raises:
        DashScopeInputError: Names the header, if its name can be one.
    """
    if not isinstance(headers, Mapping) or not all(
        isinstance(text, str) for pair in headers.items() for text in pair
    ):
        msg = f"{setting} takes a dict of strings"
        raise DashScopeInputError(msg)
    if len({name.lower() for name in headers}) < len(headers):
        msg = f"{setting}: one name stands there twice, in another case: keep one"
        raise DashScopeInputError(msg)
    for name in headers:
        if name.lower() in _OF_THE_BODY:
            msg = f"{setting}: {name} follows from the body, which is written here: leave it out"
            raise DashScopeInputError(msg)
        if not _HEADER_NAME.fullmatch(name):
            msg = f"{setting}: a name holds what no name of a header can"
            raise DashScopeInputError(msg)
        if not _can_be_sent(headers[name]):
            msg = f"{setting}: the header {name!r} holds what HTTP cannot carry"
            raise DashScopeInputError(msg)


def _can_be_sent(value: str) -> bool:
    return value.isascii() and value.isprintable() and value == value.strip()


def check_extra_headers(headers: Any) -> None:
    """Refuse headers of one call, which tracers record, that no header can be or that are secret.

    Raises:
        DashScopeInputError: Names the header.
    """
    check_headers(headers, "extra_headers")
    secret = [name for name in headers if _SECRET.search(name)]
    if secret:
        msg = (
            f"extra_headers must not hold {secret[0]}: LangChain's tracers record what is given to "
            "a call. Set it for the model, by api_key or default_headers; model.for_tenant(...) "
            "gives a model for another key"
        )
        raise DashScopeInputError(msg)


def check_for_another_account(headers: Mapping[str, str]) -> None:
    """Refuse headers that say whose calls they are, where the key is to be another's.

    Raises:
        DashScopeInputError: Names the header.
    """
    found = [n for n in headers if _SECRET.search(n) or n.lower() == "x-dashscope-workspace"]
    if found:
        msg = (
            f"default_headers holds {found[0]}, which is of this account and not of the tenant's: "
            "hand in the tenant's default_headers as well ({} for none)"
        )
        raise DashScopeInputError(msg)
