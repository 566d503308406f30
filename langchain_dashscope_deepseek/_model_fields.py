"""`ModelFields`: the settings of the chat model, with their descriptions and aliases.

`_model_settings` reads and checks their values.
"""

from __future__ import annotations

import ast
import inspect
import os
import ssl
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import httpx
from langchain_core.language_models.chat_models import BaseChatModel
from pydantic import AliasChoices, ConfigDict, Field, PrivateAttr, SecretStr, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from langchain_dashscope_deepseek._dashscope.protocol.aliases import explain_unknown
from langchain_dashscope_deepseek._dashscope.protocol.redaction import REDACTED, KeySource
from langchain_dashscope_deepseek._dashscope.regions import (
    BASE_URL_VARIABLES,
    REGION_VARIABLES,
    Location,
)
from langchain_dashscope_deepseek.capabilities import ModelCapabilities


def _from_env(*names: str) -> str | None:
    """Return the first of these variables that is set and not empty."""
    values = (os.environ.get(name, "").strip() for name in names)
    return next(filter(None, values), None)


def _key_from_env() -> SecretStr | None:
    """Return the key of the environment, or of the file that the official package reads, too."""
    key, path = map(_from_env, ("DASHSCOPE_API_KEY", "DASHSCOPE_API_KEY_FILE_PATH"))
    if key or path is None:
        return SecretStr(key) if key else None
    try:
        # Bytes that are not UTF-8 become U+FFFD, so the call refuses the key as malformed.
        key = Path(path).expanduser().read_text("utf-8-sig", errors="replace").strip()
        return SecretStr(key) if key else None
    except OSError as error:
        reason = error.strerror
    msg = (  # raised outside the handler: its error quotes the path, which may be a key by mistake
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
        """Adds a docstring for editors, which show it where the class is called."""

        def __init__(self, **settings: Any) -> None:
            """DeepSeek on Alibaba Cloud Model Studio (DashScope), over its native protocol.

            Parameters that are left out are not sent, so the service's defaults apply. They can
            also be given for one call, `model.invoke(..., temperature=0)`, or bound,
            `model.bind(temperature=0)`. The account cannot (see `for_tenant`), nor can the settings
            of connections, such as `proxy`.
            """

else:
    _Base = BaseChatModel


class ModelFields(_Base):
    """The settings of a chat model, each with its description."""

    model: str = Field(validation_alias=AliasChoices("model", "model_name"))
    """The model's name on DashScope. A name that is not in the capability table is sent unchanged.
    There is no default."""

    api_key: SecretStr | str | KeySource | None = Field(
        default_factory=_key_from_env,
        validation_alias=AliasChoices("api_key", "dashscope_api_key"),
        repr=False,
    )
    """The key, or a function that returns it, for keys that change; the function may be
    asynchronous, and is called before each attempt. Default: `DASHSCOPE_API_KEY`, else the content
    of the file that `DASHSCOPE_API_KEY_FILE_PATH` names. Without a key, the first call fails."""

    base_url: str | None = Field(
        default=None, validation_alias=AliasChoices("base_url", "dashscope_api_base")
    )
    """The URL of the service, up to `/api/v1`. Default: if `region` is given, the URL for it and
    the workspace; else `DASHSCOPE_HTTP_BASE_URL` or `DASHSCOPE_BASE_URL`; else the URL for the
    region of the environment. Reading the attribute returns the URL that calls use."""

    region: str | None = None
    """The region of the key, such as `"ap-southeast-1"`. Default: `DASHSCOPE_REGION` or
    `DASHSCOPE_API_REGION`, else none, which means the public host of `"cn-beijing"`."""

    workspace_id: str | None = None
    """The workspace, sent as `X-DashScope-WorkSpace`; with a `region` and no
    `base_url` it is also part of the host name. Default: `DASHSCOPE_WORKSPACE_ID` or
    `DASHSCOPE_WORKSPACE`; `""` for none at all."""

    enable_thinking: bool | None = None
    """Whether to think before answering. Default: the model's."""

    thinking_budget: int | None = None
    """Longest reasoning, in tokens. Default: the service's."""

    reasoning_effort: str | int | None = None
    """How hard to think: one of the values in the model's row of the capability table, such as
    `"high"`, or a whole number if the row has a range. Documented aliases are sent unchanged, since
    the service maps them; if the row has values, others are refused. Default: the service's."""

    temperature: float | None = None
    """Sampling temperature, from 0 to below 2. Default: the service's."""

    top_p: float | None = None
    """Nucleus sampling mass, above 0 up to 1. Default: the service's."""

    max_tokens: int | None = None
    """Longest answer, in tokens. It includes the reasoning on models whose reasoning is part of the
    output (see "Limits" in docs/models.md). Default: the service's."""

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
    """`{"type": "json_object"}` for an answer in JSON, on models whose row in the capability table
    has JSON mode. Default: text."""

    enable_search: bool | None = None
    """Let the service search the web. With `search_options={"enable_source": True}` it also sends
    its sources, which are in `response_metadata["search_results"]`. Default: it does not."""

    search_options: dict[str, Any] | None = None
    """The service's options for the search. Default: the service's."""

    parallel_tool_calls: bool | None = None
    """Whether one answer may call several tools; sent with tools only. Default: the service's,
    which is no."""

    model_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Further parameters of the service, sent unchanged. Default: none."""

    timeout: float | httpx.Timeout | None = Field(
        default=None, validation_alias=AliasChoices("timeout", "request_timeout")
    )
    """Seconds for connecting, for sending, and for each wait for data; or an `httpx.Timeout`.
    Default: 10 to connect, 60 to send, and 300 for each wait for data of a stream or 1,800
    before an answer in one piece. `max_seconds` limits the whole call."""

    max_retries: int = 2
    """Number of retries of a failed request, if a retry can help; 0 disables them. Default: 2."""

    max_seconds: float | None = None
    """Seconds that a whole call may take: all attempts, the waits between them, and reading the
    answer, including the time that the caller spends between chunks. Default: no limit."""

    max_answer_size: int = 16 * 2**20
    """The largest answer that is read: bytes of an event or of a body in one piece, and characters
    of all text, reasoning and arguments together. Default: 16 MiB, about ten times the longest
    answer of a model."""

    streaming: bool | None = None
    """`True`: `invoke` also streams, to callbacks. `False`: `stream` yields a single
    chunk, and the service is not asked for a stream, unless the model thinks in streams only.
    Default: `stream` streams, and `invoke` requests a stream if the model may think, because
    proxies close connections that are silent for minutes."""

    default_headers: dict[str, str] | None = Field(default=None, exclude=True, repr=False)
    """Further headers of every request; they replace this package's headers of the same name. They
    may hold a secret, so dumps leave them out. Default: none."""

    proxy: SecretStr | str | None = Field(default=None, exclude=True, repr=False)
    """The proxy of all calls, as `"http://user:password@host:port"`. Default: the proxy of the
    environment (`HTTPS_PROXY` and similar variables)."""

    verify: bool | ssl.SSLContext = Field(default=True, exclude=True, repr=False)
    """How the server's certificate is verified: an `ssl.SSLContext` with your own certificates, or
    `False` to disable verification. Default: `True`, with the certificates of
    `SSL_CERT_FILE` or `SSL_CERT_DIR`, else of `certifi`."""

    http_client: httpx.Client | None = Field(default=None, exclude=True, repr=False)
    """Your own client for synchronous calls. `httpx.Client()` is enough: this package sets
    the URL, headers and timeouts of each request. You close it. Default: this package's clients."""

    http_async_client: httpx.AsyncClient | None = Field(default=None, exclude=True, repr=False)
    """Your own client for asynchronous calls. `httpx.AsyncClient()` is enough: this package sets
    the URL, headers and timeouts of each request. You close it. Default: this package's clients."""

    capabilities: ModelCapabilities | None = None
    """The capabilities of `model`, if its row in the capability table is missing or wrong. Default:
    that row."""

    environment: Location = Field(default_factory=_location_from_env, exclude=True, repr=False)
    """Internal, do not set it: the base URL, region and workspace of the environment, so that
    copies use the same ones. Default: read from the environment when the model is created."""

    _is_made: bool = PrivateAttr(default=False)

    model_config: ClassVar[ConfigDict] = ConfigDict(
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,  # the input may be a key
        extra="forbid",
        defer_build=True,  # only the chat model builds its validators
    )

    if not TYPE_CHECKING:  # mypy's plugin refuses aliases beside `populate_by_name`
        # LangChain passes field names when it configures a copy or loads a dump.
        model_config["populate_by_name"] = True


def _descriptions() -> Iterator[tuple[str, str]]:
    """Yield each field with its docstring; `use_attribute_docstrings` would take 60 ms longer."""
    tree = ast.parse(inspect.getsource(sys.modules[__name__]))
    (cls,) = (node for node in tree.body if getattr(node, "name", "") == ModelFields.__name__)
    for field, below in pairwise(cls.body):  # type: ignore[attr-defined]
        match field, below:
            case ast.AnnAssign(target=ast.Name(name)), ast.Expr(ast.Constant(str(text))):
                yield name, inspect.cleandoc(text)


with suppress(OSError):  # an application may be installed without the source
    for _name, _text in _descriptions():
        ModelFields.model_fields[_name].description = _text


@cache
def field_name_by_alias(cls: type[BaseChatModel]) -> Mapping[str, str]:
    """Return every name under which a field can be set, with the name of the field."""
    fields = {}
    for name, field in cls.model_fields.items():
        alias = field.validation_alias or field.alias
        choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
        fields.update({choice: name for choice in (name, *choices) if isinstance(choice, str)})
    return fields


def redact_inputs(cls: type[BaseChatModel], error: ValidationError) -> ValidationError:
    """Return the error without the values, which may be secrets, and with advice on unknown names.

    `hide_input_in_errors` hides the values only in the text.
    """
    known = field_name_by_alias(cls)
    redacted = []
    for problem in error.errors(include_url=False, include_input=False):
        kind, text, name = problem["type"], problem["msg"], "".join(map(str, problem["loc"][-1:]))
        if kind == "extra_forbidden" and name in known:
            text = f"{name} is another name of {known[name]}, which is given as well: keep one"
        elif kind == "extra_forbidden":
            text = explain_unknown([name], known)
        custom = PydanticCustomError(kind, text, problem.get("ctx"))
        redacted.append(InitErrorDetails(type=custom, loc=problem["loc"], input=REDACTED))
    return ValidationError.from_exception_data(error.title, redacted, hide_input=True)
