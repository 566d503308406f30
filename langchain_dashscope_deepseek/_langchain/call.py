"""One call: the model's settings with the call's overrides on top, made ready to be sent.

Pure. Knows which settings a single call may override; what follows from them is decided below.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from langchain_core.messages import BaseMessage

from langchain_dashscope_deepseek._dashscope.endpoint import Endpoint
from langchain_dashscope_deepseek._dashscope.hidden import HiddenHeaders
from langchain_dashscope_deepseek._dashscope.keys import authorization, is_of_a_plan
from langchain_dashscope_deepseek._dashscope.names import unknown_names
from langchain_dashscope_deepseek._dashscope.regions import host_of, region_of
from langchain_dashscope_deepseek._dashscope.request import (
    PARAMETERS,
    PLAN_ADVICE,
    PreparedRequest,
    choose_parameters,
    prepare,
)
from langchain_dashscope_deepseek._dashscope.retry import RetryPolicy
from langchain_dashscope_deepseek._dashscope.warnings import warn
from langchain_dashscope_deepseek._langchain.history import to_wire
from langchain_dashscope_deepseek._langchain.stream import AnswerAccumulator
from langchain_dashscope_deepseek._langchain.tools import wire_tool_choice, wire_tools
from langchain_dashscope_deepseek.capabilities import ModelCapabilities, models_that
from langchain_dashscope_deepseek.errors import DashScopeInputError

OVERRIDABLE = frozenset(
    {
        *PARAMETERS,
        *("model", "model_kwargs", "timeout"),
        *("max_retries", "max_seconds", "max_answer_size"),
    }
)
"""The settings that one call may override."""

SETTINGS = frozenset(
    {
        *OVERRIDABLE,
        *("api_key", "base_url", "region", "workspace_id", "default_headers"),
        *("proxy", "verify", "streaming", "disable_streaming"),
    }
)
"""The settings of a model that a call looks at."""

ALIASES: Mapping[str, str] = {
    "model_name": "model",
    "stop_sequences": "stop",
    "request_timeout": "timeout",
}
"""Other names of overridable settings, as LangChain's users know them."""


class Call:
    """One call of a model."""

    def __init__(
        self,
        settings: Mapping[str, Any],
        overrides: Mapping[str, Any],
        row_of: Callable[[str], ModelCapabilities | None],
    ) -> None:
        """Put the overrides on top.

        Args:
            settings: The values of `SETTINGS`.
            overrides: What the caller gave for this call; besides `OVERRIDABLE`, a row as
                `capabilities`, core's `stream`, and how structured output was asked for.
            row_of: Finds a model's row by its name.

        Raises:
            DashScopeInputError: Nothing of that name can be overridden, or not by that value.
        """
        given = {ALIASES.get(name, name): value for name, value in overrides.items()}
        row: ModelCapabilities | None = given.pop("capabilities", None)
        self._stream = given.pop("stream", None)
        self._extra_headers = _headers_of_a_call(given.pop("extra_headers", None))
        note = given.pop("structured_output_note", None)
        if note:
            warn(note)
        _check_names(given)
        if isinstance(given.get("tools"), (list, tuple)):
            given["tools"] = wire_tools(given["tools"])
        if "tool_choice" in given:
            given["tool_choice"] = wire_tool_choice(given["tool_choice"])
        if given.get("model_kwargs") is not None:
            settings = {**settings, "model_kwargs": None}
        # None takes a parameter of the wire away for this call; the other settings need a value.
        given = {k: v for k, v in named(given).items() if v is not None or k in PARAMETERS}
        self._values = {**named(settings), **given}
        _check_settings(self._values, row)
        self._model: str = self._values["model"]
        self._row = row or row_of(self._model)

    @property
    def stream_underneath(self) -> bool | None:
        """Whether a call that shows nothing meanwhile is streamed; `None`: if the model thinks."""
        unwanted = (
            self._stream is False
            or self._values["streaming"] is False
            or self._values["disable_streaming"] is True
        )
        return False if unwanted else None

    @property
    def endpoint(self) -> Endpoint:
        """Where to send it.

        Raises:
            DashScopeAuthenticationError: There is no key, or it cannot be one.
        """
        key, workspace_id = self._values["api_key"], self._values["workspace_id"]
        headers = HiddenHeaders()
        if not callable(key):
            headers["Authorization"] = authorization(key)
        if workspace_id:
            headers["X-DashScope-WorkSpace"] = workspace_id
        return Endpoint(
            base_url=self._values["base_url"],
            headers=headers,
            key_source=key if callable(key) else None,
            own_headers=self._own_headers(),
            proxy=self._values["proxy"],
            verify=self._values["verify"],
            max_answer_size=self.max_answer_size,
            timeout=self._values["timeout"],
        )

    def _own_headers(self) -> HiddenHeaders:
        headers: HiddenHeaders = self._values["default_headers"] or HiddenHeaders()
        return headers.under(self._extra_headers) if self._extra_headers else headers

    @property
    def policy(self) -> RetryPolicy:
        """How often to try, and for how long."""
        return RetryPolicy(
            max_retries=self._values["max_retries"],
            max_seconds=self._values["max_seconds"],
        )

    @property
    def max_answer_size(self) -> int:
        """How much of an answer is still read."""
        size: int = self._values["max_answer_size"]
        return size

    def answer(self, request: PreparedRequest) -> AnswerAccumulator:
        """Begin the answer to a request of this call."""
        parameters = request.body["parameters"]
        return AnswerAccumulator(request.model, request.changes, self.max_answer_size, parameters)

    def prepare(self, messages: Sequence[BaseMessage], *, stream: bool | None) -> PreparedRequest:
        """Turn the call into a request.

        Raises:
            DashScopeInputError: Something cannot be sent; says what to change.
            DashScopeUnsupportedError: The model cannot do what is asked.
        """
        row = self._row
        extra = self._values["model_kwargs"] or {}
        asked = {name: self._values[name] for name in PARAMETERS}
        parameters = choose_parameters(self._model, row, asked)
        replays = (
            row is not None
            and row.reasoning_replay == "with_tool_calls"
            and row.thinks(parameters.get("enable_thinking"))
        )
        wire = to_wire(
            messages, replay_reasoning=replays, images_refused=_images_refused(self._model, row)
        )
        request = prepare(
            model=self._model,
            row=row,
            messages=wire.messages,
            changes=wire.changes,
            asked=asked,
            parameters=parameters,
            extra=extra,
            stream=stream,
            host=host_of(self._values["base_url"]),
            region=region_of(self._values["base_url"]),
        )
        if is_of_a_plan(self._values["api_key"]):
            return replace(request, advice=(*request.advice, PLAN_ADVICE))
        return request


def _images_refused(model: str, row: ModelCapabilities | None) -> str:
    """Say why images are refused; `""` where they are not, or where nobody knows."""
    if row is None or (row.images is not False and "multimodal-generation" in row.routes):
        return ""
    if row.images is not False:
        return (
            f"the row of {model} pins it to the text route, which carries none: leave routes out "
            "of its ModelCapabilities, or the image out of the message"
        )
    return f"{model} reads text only. Models that read images: {_readers_of_images()}"


@cache
def _readers_of_images() -> str:
    return models_that(lambda other: other.images is True)


def named(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Move parameters that have a name here out of `model_kwargs`, to what bears their name.

    Raises:
        DashScopeInputError: One is given in both places.
    """
    extra = settings.get("model_kwargs")
    if not extra or not isinstance(extra, Mapping) or PARAMETERS.keys().isdisjoint(extra):
        return settings
    found = {name: extra[name] for name in PARAMETERS if name in extra}
    twice = [name for name in found if settings.get(name) is not None]
    if twice:
        msg = f"{', '.join(twice)}: given by name and in model_kwargs. Keep one, by name"
        raise DashScopeInputError(msg)
    rest = {name: value for name, value in extra.items() if name not in found}
    return {**settings, **found, "model_kwargs": rest}


def _headers_of_a_call(headers: Mapping[str, str] | None) -> Mapping[str, str]:
    """Check the headers of one call, which tracers record.

    Raises:
        DashScopeInputError: They cannot be sent, or hold what must stand in no trace.
    """
    if headers is None:
        return {}
    check_headers(headers, "extra_headers")
    secret = [name for name in headers if name.lower() in _SECRET_HEADERS]
    if secret:
        msg = (
            f"extra_headers must not hold {secret[0]}: LangChain's tracers record what is given to "
            "a call. Set it for the model, by api_key or default_headers; model.for_tenant(...) "
            "gives a model for another key within microseconds"
        )
        raise DashScopeInputError(msg)
    return headers


_SECRET_HEADERS = frozenset(
    {"authorization", "proxy-authorization", "cookie", "api-key", "x-api-key", "x-auth-token"}
)


def check_for_another_account(headers: Mapping[str, str]) -> None:
    """Refuse headers that say whose calls they are, where the key is to be another's.

    Raises:
        DashScopeInputError: Names the header.
    """
    of_account = {*_SECRET_HEADERS, "x-dashscope-workspace"}
    found = [name for name in headers if name.lower() in of_account]
    if found:
        msg = (
            f"default_headers holds {found[0]}, which is of this account and not of the tenant's: "
            "hand in the tenant's default_headers as well ({} for none)"
        )
        raise DashScopeInputError(msg)


def _check_names(given: Mapping[str, Any]) -> None:
    unknown = sorted(given.keys() - OVERRIDABLE)
    if not unknown:
        return
    names = ", ".join(unknown)
    if SETTINGS.issuperset(unknown):
        msg = f"{names}: set for the model, not for one call. Make another model object"
    else:
        msg = unknown_names(unknown, {*OVERRIDABLE, *ALIASES, "extra_headers"})
    raise DashScopeInputError(msg)


def _check_settings(values: Mapping[str, Any], row: object) -> None:
    check_limits(**{name: values[name] for name in LIMITS})
    if not isinstance(values["model"], str) or not values["model"]:
        msg = "model takes the name of a model"
        raise DashScopeInputError(msg)
    check_row(row)
    if not isinstance(values["model_kwargs"], (Mapping, type(None))):
        msg = "model_kwargs takes a dict"
        raise DashScopeInputError(msg)
    check_timeout(values["timeout"])


def check_row(row: object) -> None:
    """Refuse what no row of the capability table can be.

    Raises:
        DashScopeInputError: It is no `ModelCapabilities`, and not None.
    """
    if not isinstance(row, (ModelCapabilities, type(None))):
        msg = "capabilities takes a ModelCapabilities"
        raise DashScopeInputError(msg)


LIMITS = ("max_retries", "max_seconds", "max_answer_size")


def check_limits(*, max_retries: object, max_seconds: object, max_answer_size: object) -> None:
    """Refuse what no limit can be.

    Raises:
        DashScopeInputError: Names the setting and what it takes.
    """
    if type(max_retries) is not int or max_retries < 0:
        msg = f"max_retries takes a whole number, at least 0, not {max_retries!r}"
        raise DashScopeInputError(msg)
    if type(max_answer_size) is not int or max_answer_size < 1:
        msg = f"max_answer_size takes a whole number, at least 1, not {max_answer_size!r}"
        raise DashScopeInputError(msg)
    seconds = max_seconds
    if seconds is not None and not (_is_number(seconds) and seconds > 0):  # type: ignore[operator]
        msg = f"max_seconds takes seconds above 0, not {seconds!r}"
        raise DashScopeInputError(msg)


def check_headers(headers: Any, setting: str = "default_headers") -> None:
    """Refuse headers that HTTP cannot carry; a value may be a secret, so none is quoted.

    Args:
        headers: The headers.
        setting: What they were given as.

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


_OF_THE_BODY = frozenset({"content-length", "transfer-encoding", "content-encoding", "connection"})
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


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


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


_LONGEST_TIMEOUT = 1_000_000
