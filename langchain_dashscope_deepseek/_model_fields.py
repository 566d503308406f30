"""`ModelFields`: the settings of the chat model, the text of each, and the names they go by.

How the value of one is read is decided in `_model_settings`.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import httpx
from langchain_core.language_models.chat_models import BaseChatModel
from pydantic import AliasChoices, ConfigDict, Field, PrivateAttr, SecretStr, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from langchain_dashscope_deepseek._dashscope.protocol.aliases import unknown_names
from langchain_dashscope_deepseek._dashscope.protocol.redaction import REDACTED, KeySource
from langchain_dashscope_deepseek._dashscope.regions import (
    BASE_URL_VARIABLES,
    REGION_VARIABLES,
    Location,
)
from langchain_dashscope_deepseek.capabilities import ModelCapabilities


def _from_env(*names: str) -> str | None:
    """Read the first of these variables that is set and not empty."""
    values = (os.environ.get(name, "").strip() for name in names)
    return next(filter(None, values), None)


def _key_from_env() -> SecretStr | None:
    key = _from_env("DASHSCOPE_API_KEY") or _key_from_file()
    return SecretStr(key) if key else None


def _key_from_file() -> str | None:
    """Read the key from a file, as the official package does."""
    path = _from_env("DASHSCOPE_API_KEY_FILE_PATH")
    if path is None:
        return None
    try:
        # A file that holds no text is refused with the request, as any key that cannot be one.
        return Path(path).expanduser().read_text("utf-8-sig", errors="replace").strip()
    except OSError as error:
        reason = error.strerror
    msg = (  # raised here: the OSError names the file
        f"The variable DASHSCOPE_API_KEY_FILE_PATH names a file that cannot be read ({reason}): "
        "correct it, set DASHSCOPE_API_KEY, or pass api_key"
    )
    raise ValueError(msg)


def _location_from_env() -> Location:
    return Location(
        base_url=_from_env(*BASE_URL_VARIABLES),
        region=_from_env(*REGION_VARIABLES),
        workspace_id=_from_env("DASHSCOPE_WORKSPACE_ID", "DASHSCOPE_WORKSPACE"),
    )


if TYPE_CHECKING:

    class _Base(BaseChatModel):
        """The text that editors show where the class is called, with its fields' signature."""

        def __init__(self, **settings: Any) -> None:
            """DeepSeek on Alibaba Cloud Model Studio (DashScope), over its native protocol.

            Key init args:
                model: The model's name, such as `"deepseek-v4.1-flash"`.
                enable_thinking: Switch thinking on or off, on models where it can be switched.
                temperature, top_p, max_tokens, stop, seed: As everywhere in LangChain.
                api_key, base_url, region, workspace_id: Which account, and where.
                timeout, max_retries: How long to wait, and how often to ask again.

                What is left out is not sent: the service decides. Each parameter can also be given
                for one call, `model.invoke(..., temperature=0)`, or bound,
                `model.bind(temperature=0)`.
            """

else:
    _Base = BaseChatModel


class ModelFields(_Base):
    """The settings of a chat model, and what each of them does."""

    model: str = Field(validation_alias=AliasChoices("model", "model_name"))
    """The model's name on DashScope. A name that the capability table does not know is sent as
    it is. There is no default."""

    api_key: SecretStr | str | KeySource | None = Field(
        default_factory=_key_from_env,
        validation_alias=AliasChoices("api_key", "dashscope_api_key"),
        repr=False,
    )
    """The key, or a function that returns it, for keys that change; it may be asynchronous, and is
    called before each attempt. Default: `DASHSCOPE_API_KEY`, else the content of the file that
    `DASHSCOPE_API_KEY_FILE_PATH` names. Without one, the first call fails."""

    base_url: str | None = Field(
        default=None, validation_alias=AliasChoices("base_url", "dashscope_api_base")
    )
    """Where the service is, up to `/api/v1`. Default: `DASHSCOPE_HTTP_BASE_URL` or
    `DASHSCOPE_BASE_URL`, else what `region` and `workspace_id` lead to. Reads as the URL that
    calls go to."""

    region: str | None = None
    """The region of the key, such as `"cn-beijing"` (the default) or `"ap-southeast-1"`. Default:
    `DASHSCOPE_REGION` or `DASHSCOPE_API_REGION`."""

    workspace_id: str | None = None
    """The workspace: sent as `X-DashScope-WorkSpace`, and with `region` part of the host. Default:
    `DASHSCOPE_WORKSPACE_ID` or `DASHSCOPE_WORKSPACE`; `""` for none at all."""

    enable_thinking: bool | None = None
    """Think before answering, or do not. Default: as the model does."""

    thinking_budget: int | None = None
    """Longest reasoning, in tokens. Default: the service's."""

    reasoning_effort: str | int | None = None
    """How hard to think, on the v4 family: `"high"`, `"max"`, on most also `"low"`; on
    deepseek-v4.1-flash also a whole number from 1 to 100. Other documented values are sent
    unchanged, since the service maps them; undocumented ones are refused. Default: the
    service's."""

    temperature: float | None = None
    """Sampling temperature, from 0 to below 2. Default: the service's."""

    top_p: float | None = None
    """Nucleus sampling mass, above 0 up to 1. Default: the service's."""

    max_tokens: int | None = None
    """Longest answer, in tokens. On the v4 family this includes the reasoning. Default: the
    service's."""

    max_completion_tokens: int | None = None
    """Longest answer and reasoning together, in tokens. Default: the service's."""

    seed: int | None = None
    """Seed of the sampling, at least 0. Default: none."""

    stop: str | list[str] | list[int] | list[list[int]] | None = Field(
        default=None, validation_alias=AliasChoices("stop", "stop_sequences")
    )
    """Where to stop: a string, strings, token ids, or lists of token ids. Default: nowhere."""

    repetition_penalty: float | None = None
    """Penalty on repetition, above 0; 1 is none. Default: the service's."""

    presence_penalty: float | None = None
    """Penalty on tokens that already appeared, from -2 to 2. Default: the service's."""

    response_format: dict[str, Any] | None = None
    """`{"type": "json_object"}` for an answer that is JSON; the v4 family only. Default: text."""

    enable_search: bool | None = None
    """Let the service search the web. The sources are in `response_metadata["search_results"]`.
    Default: it does not."""

    search_options: dict[str, Any] | None = None
    """How to search, as the service documents it. Default: the service's way."""

    parallel_tool_calls: bool | None = None
    """Whether one answer may call several tools; sent with tools only. Default: the service's,
    which is no."""

    model_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Further parameters of the service, sent unchanged. Default: none."""

    timeout: float | httpx.Timeout | None = Field(
        default=None, validation_alias=AliasChoices("timeout", "request_timeout")
    )
    """Seconds for connecting, sending, and each silence within an answer; or an `httpx.Timeout`.
    Default: 10 to connect, 60 to send, and silence of 300 in a stream or 1,800 before an answer
    in one piece. It bounds silence, not the length of an answer."""

    max_retries: int = 2
    """How often a failed request is sent again, if that can help; 0 switches it off. Default: 2."""

    max_seconds: float | None = None
    """Seconds that a whole call may take: all attempts, the waits between them, and reading the
    answer, with the time that the caller takes between chunks. Default: no limit."""

    max_answer_size: int = 16 * 2**20
    """The largest answer that is read: bytes of an event or of a body in one piece, and characters
    of all text, reasoning and arguments together. Default: 16 MiB, some ten times what a model can
    say."""

    streaming: bool | None = None
    """`True`: `invoke` streams to callbacks as well. `False`: nothing is streamed that need not be.
    Default: `stream` streams, and `invoke` asks for a stream while the model thinks, because
    proxies cut connections that are silent for minutes."""

    default_headers: dict[str, str] | None = Field(default=None, exclude=True, repr=False)
    """Headers of every request; they replace those of this package. They may hold a secret, so they
    are in no dump. Default: none."""

    proxy: SecretStr | str | None = Field(default=None, exclude=True, repr=False)
    """The proxy of all calls, as `"http://user:password@host:port"`. Default: what the environment
    says (`HTTPS_PROXY` and the like)."""

    verify: bool | ssl.SSLContext = Field(default=True, exclude=True, repr=False)
    """How the server's certificate is checked: an `ssl.SSLContext` with your own certificates, or
    `False` for not at all. Default: `True`, by the certificates of `certifi`."""

    http_client: httpx.Client | None = Field(default=None, exclude=True, repr=False)
    """Your own client for synchronous calls. It needs no settings, and is not closed here.
    Default: clients of this package."""

    http_async_client: httpx.AsyncClient | None = Field(default=None, exclude=True, repr=False)
    """Your own client for asynchronous calls. It needs no settings, and is not closed here.
    Default: clients of this package."""

    capabilities: ModelCapabilities | None = None
    """What `model` can do, if the capability table does not know it or is wrong about it. Default:
    its row of the table."""

    environment: Location = Field(default_factory=_location_from_env, exclude=True, repr=False)
    """The base URL, region and workspace that the environment sets; copies keep it. Default: as it
    is when the model is made."""

    _is_made: bool = PrivateAttr(default=False)

    model_config: ClassVar[ConfigDict] = ConfigDict(
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,  # it may be a key
        extra="forbid",
        defer_build=True,  # only the chat model builds its validators
        use_attribute_docstrings=True,
    )

    if not TYPE_CHECKING:  # mypy's plugin would refuse the other names
        # LangChain makes configured copies, and models out of dumps, by the names of the fields.
        model_config["populate_by_name"] = True


@cache
def fields_by_name(cls: type[BaseChatModel]) -> Mapping[str, str]:
    """Return every name under which a field can be set, with the name of the field."""
    fields = {}
    for name, field in cls.model_fields.items():
        alias = field.validation_alias or field.alias
        choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
        fields.update({choice: name for choice in (name, *choices) if isinstance(choice, str)})
    return fields


def redact_inputs(cls: type[BaseChatModel], error: ValidationError) -> ValidationError:
    """Repeat errors without the values, which may be secrets; say what to write for unknown names.

    `hide_input_in_errors` hides them from the text alone.
    """
    known = fields_by_name(cls)
    redacted = []
    for problem in error.errors(include_url=False, include_input=False):
        kind, text, name = problem["type"], problem["msg"], "".join(map(str, problem["loc"][-1:]))
        if kind == "extra_forbidden" and name in known:
            text = f"{name} is another name of {known[name]}, which is given as well: keep one"
        elif kind == "extra_forbidden":
            text = unknown_names([name], known)
        custom = PydanticCustomError(kind, text, problem.get("ctx"))
        redacted.append(InitErrorDetails(type=custom, loc=problem["loc"], input=REDACTED))
    return ValidationError.from_exception_data(error.title, redacted, hide_input=True)
