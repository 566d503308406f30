"""One call: the model's settings with the call's overrides on top, made ready to be sent.

Pure. Knows which settings a single call may override; what follows from them is decided below.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.messages import BaseMessage
from pydantic import SecretStr

from langchain_dashscope_deepseek._client import Endpoint
from langchain_dashscope_deepseek._messages import to_wire
from langchain_dashscope_deepseek._request import (
    PARAMETERS,
    PreparedRequest,
    choose_parameters,
    prepare,
)
from langchain_dashscope_deepseek._retry import RetryPolicy
from langchain_dashscope_deepseek.capabilities import ModelCapabilities
from langchain_dashscope_deepseek.errors import (
    DashScopeAuthenticationError,
    DashScopeInputError,
    DashScopeWarning,
)

OVERRIDABLE = frozenset({*PARAMETERS, "model", "model_kwargs", "timeout", "max_retries"})
"""The settings that one call may override."""

SETTINGS = frozenset(
    {
        *OVERRIDABLE,
        *("api_key", "base_url", "workspace_id", "default_headers"),
        *("streaming", "disable_streaming"),
    }
)
"""All settings of a model that a call reads."""

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
            DashScopeInputError: Nothing of that name can be overridden.
        """
        given = {ALIASES.get(name, name): value for name, value in overrides.items()}
        row: ModelCapabilities | None = given.pop("capabilities", None)
        self._stream = given.pop("stream", None)
        if given.pop("structured_output_method", None) == "json_schema":
            text = (
                "with_structured_output(method='json_schema') goes out as function calling: "
                "DeepSeek has no json_schema on DashScope."
            )
            warnings.warn(text, DashScopeWarning, stacklevel=2)
        unknown = sorted(given.keys() - OVERRIDABLE)
        if unknown:
            msg = (
                f"Unknown parameter: {', '.join(unknown)}. Parameters of the service that have no "
                "name here go into model_kwargs"
            )
            raise DashScopeInputError(msg)
        self._values = {**settings, **given}
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
        headers = {"Authorization": f"Bearer {_key(self._values['api_key'])}"}
        if self._values["workspace_id"]:
            headers["X-DashScope-WorkSpace"] = self._values["workspace_id"]
        return Endpoint(
            base_url=self._values["base_url"],
            headers={**headers, **(self._values["default_headers"] or {})},
            timeout=self._values["timeout"],
        )

    @property
    def policy(self) -> RetryPolicy:
        """How often to try."""
        return RetryPolicy(max_retries=self._values["max_retries"])

    def prepare(self, messages: Sequence[BaseMessage], *, stream: bool | None) -> PreparedRequest:
        """Turn the call into a request.

        Raises:
            DashScopeInputError: Something cannot be sent; says what to change.
            DashScopeUnsupportedError: The model cannot do what is asked.
        """
        row = self._row
        asked = {name: self._values[name] for name in PARAMETERS}
        parameters = choose_parameters(self._model, row, asked)
        replays = (
            row is not None
            and row.reasoning_replay == "with_tool_calls"
            and row.thinks(parameters.get("enable_thinking"))
        )
        return prepare(
            model=self._model,
            row=row,
            messages=to_wire(messages, replay_reasoning=replays),
            asked=asked,
            parameters=parameters,
            extra=self._values["model_kwargs"] or {},
            stream=stream,
        )


def _key(secret: SecretStr | None) -> str:
    """Give the key, without the line end that files and variables bring along."""
    key = secret.get_secret_value().strip() if secret else ""
    if not key:
        msg = (
            "There is no API key, so nothing was sent. Set the variable DASHSCOPE_API_KEY or hand "
            "in api_key. To try without one, use the emulator in "
            "langchain_dashscope_deepseek.testing"
        )
        raise DashScopeAuthenticationError(msg)
    if not (key.isascii() and key.isprintable()) or " " in key:
        msg = "The API key holds characters that no key has, so nothing was sent"
        raise DashScopeAuthenticationError(msg)
    return key
