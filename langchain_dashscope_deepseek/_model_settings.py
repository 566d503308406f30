"""`ModelSettings`: the fields of the chat model, and every way of setting one.

Nothing is asked here. Whatever way a setting is given (constructed, assigned, copied, configured,
unpickled), it is read the same, a secret stays hidden, and what follows from it is found anew.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Mapping
from copy import copy
from functools import cache
from operator import attrgetter, methodcaller
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar

import httpx
from langchain_core.language_models import ModelProfile
from langchain_core.language_models.chat_models import BaseChatModel
from pydantic import (
    AliasChoices,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    PrivateAttr,
    SecretStr,
    TypeAdapter,
    ValidationError,
    field_serializer,
    model_validator,
)
from pydantic_core import (
    ErrorDetails,
    InitErrorDetails,
    PydanticCustomError,
    PydanticKnownError,
    to_jsonable_python,
)
from typing_extensions import Self

from langchain_dashscope_deepseek._dashscope.handed_in import check_proxy
from langchain_dashscope_deepseek._dashscope.hidden import (
    SECRETS,
    HiddenText,
    HiddenValue,
    KeySource,
    hidden,
)
from langchain_dashscope_deepseek._dashscope.names import unknown_names
from langchain_dashscope_deepseek._dashscope.pool import ClientPool
from langchain_dashscope_deepseek._dashscope.regions import (
    Where,
    is_exposed,
    mended_base_url,
    resolved,
)
from langchain_dashscope_deepseek._dashscope.settings import (
    check_for_another_account,
    check_headers,
    check_row,
    check_settings,
    check_values,
    named,
)
from langchain_dashscope_deepseek._dashscope.warnings import warn
from langchain_dashscope_deepseek._version import __version__
from langchain_dashscope_deepseek.capabilities import ModelCapabilities, find_capabilities
from langchain_dashscope_deepseek.data._profiles import profile_of
from langchain_dashscope_deepseek.data._texts import TEXTS

if TYPE_CHECKING:
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema


T = TypeVar("T")


def _from_env(*names: str) -> str | None:
    """Read the first of these variables that is set and not empty."""
    values = (os.environ.get(name, "").strip() for name in names)
    return next(filter(None, values), None)


def _key_from_env() -> SecretStr | None:
    key = _from_env("DASHSCOPE_API_KEY")
    return SecretStr(key) if key else None


def _where_from_env() -> Where:
    return Where(
        base_url=hidden("base_url", _from_env("DASHSCOPE_HTTP_BASE_URL", "DASHSCOPE_BASE_URL")),
        region=_from_env("DASHSCOPE_REGION"),
        workspace_id=_from_env("DASHSCOPE_WORKSPACE_ID", "DASHSCOPE_WORKSPACE"),
    )


if TYPE_CHECKING:

    class _Base(BaseChatModel):
        """What editors show of the class where it is called: the text of an `__init__` above it.

        The signature itself they make of the fields.
        """

        def __init__(self, **settings: Any) -> None:
            """DeepSeek on Alibaba Cloud Model Studio (DashScope), over its native protocol.

            Setup:
                Install the package and set the key, which belongs to a region:

                ```bash
                pip install langchain-dashscope-deepseek
                export DASHSCOPE_API_KEY="sk-..."
                ```

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


class ModelSettings(_Base):
    """The settings of a chat model, and what each of them does."""

    model: str = Field(validation_alias=AliasChoices("model", "model_name"), min_length=1)
    """The model's name on DashScope. A name that the capability table does not know is sent as
    it is. There is no default."""

    api_key: SecretStr | str | KeySource | None = Field(
        default_factory=_key_from_env,
        validation_alias=AliasChoices("api_key", "dashscope_api_key"),
    )
    """The key, or a function that gives it, for keys that change; it may be asynchronous, and is
    asked before each attempt. Default: `DASHSCOPE_API_KEY`. Without one, the first call fails."""

    base_url: str | None = Field(
        default=None, validation_alias=AliasChoices("base_url", "dashscope_api_base")
    )
    """Where the service is, up to `/api/v1`. Default: `DASHSCOPE_HTTP_BASE_URL` or
    `DASHSCOPE_BASE_URL`, else what `region` and `workspace_id` lead to. Reads as the URL that
    calls go to."""

    region: str | None = None
    """The region of the key, such as `"cn-beijing"` (the default) or `"ap-southeast-1"`. Default:
    `DASHSCOPE_REGION`."""

    workspace_id: str | None = None
    """The workspace: sent as `X-DashScope-WorkSpace`, and with `region` part of the host. Default:
    `DASHSCOPE_WORKSPACE_ID` or `DASHSCOPE_WORKSPACE`; `""` for none at all."""

    enable_thinking: bool | None = None
    """Think before answering, or do not. Default: as the model does."""

    thinking_budget: int | None = None
    """Longest reasoning, in tokens. Default: the service's."""

    reasoning_effort: str | int | None = None
    """How hard to think, on the v4 family: `"high"`, `"max"`, on most also `"low"`; on
    deepseek-v4.1-flash a whole number from 1 to 100, too. What else a page documents for a model is
    sent as it is, since the service maps it; what none does is refused. Default: the
    service's."""

    temperature: float | None = None
    """Sampling temperature, from 0 to below 2. Default: the service's."""

    top_p: float | None = None
    """Nucleus sampling mass, above 0 up to 1. Default: the service's."""

    max_tokens: int | None = None
    """Longest answer, in tokens. On the v4 family the reasoning counts, too. Default: the
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

    model_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Further parameters of the wire, forwarded untouched. Default: none."""

    timeout: float | httpx.Timeout | None = Field(
        default=None, validation_alias=AliasChoices("timeout", "request_timeout")
    )
    """Seconds for connecting, sending, and each silence within an answer; or an `httpx.Timeout`.
    Default: 10 to connect, 60 to send, and silence of 300 in a stream or 1,800 before an answer
    in one piece. It bounds silence, not the length of an answer."""

    max_retries: int = Field(default=2, ge=0)
    """How often a failed request is sent again, if that can help; 0 switches it off. Default: 2."""

    max_seconds: float | None = None
    """Seconds that a whole call may take: all attempts, the waits between them, and an answer that
    still comes in, with the time that its reader takes. Default: as long as it takes."""

    max_answer_size: int = 16 * 2**20
    """The largest answer that is read: bytes of a body in one piece, and of all text, reasoning and
    arguments together; some ten times what a model can say. No answer takes more memory than four
    times as much and 32 MiB. Default: 16 MiB."""

    streaming: bool | None = None
    """`True`: `invoke` streams to callbacks as well. `False`: nothing is streamed that need not be.
    Default: `stream` streams, and `invoke` asks for a stream while the model thinks, because
    proxies cut connections that are silent for minutes."""

    default_headers: dict[str, str] | None = Field(default=None, exclude=True, repr=False)
    """Headers of every request, over our own. They may hold a secret, so they are in no dump.
    Default: none."""

    proxy: SecretStr | str | None = Field(default=None, exclude=True)
    """The proxy of all calls, as `"http://user:password@host:port"`. Default: what the environment
    says (`HTTPS_PROXY` and the like)."""

    verify: bool | ssl.SSLContext = Field(default=True, exclude=True, repr=False)
    """How the server's certificate is checked: an `ssl.SSLContext` with certificates of yours, or
    `False` for not at all. Default: `True`, by the certificates of `certifi`."""

    http_client: httpx.Client | None = Field(default=None, exclude=True, repr=False)
    """A client of yours for synchronous calls. It needs no settings, and is never closed here.
    Default: clients of this package."""

    http_async_client: httpx.AsyncClient | None = Field(default=None, exclude=True, repr=False)
    """A client of yours for asynchronous calls. It needs no settings, and is never closed here.
    Default: clients of this package."""

    capabilities: ModelCapabilities | None = None
    """What `model` can do, where the capability table does not know it, or is to be corrected.
    Default: its row of the table."""

    environment: Where = Field(default_factory=_where_from_env, exclude=True, repr=False)
    """What the environment says of the place, where nothing is given; copies keep it. Default: as
    it is when the model is made."""

    _clients: ClientPool = PrivateAttr(default_factory=ClientPool)

    model_config: ClassVar[ConfigDict] = ConfigDict(
        arbitrary_types_allowed=True,
        # An error text must not hold the key.
        hide_input_in_errors=True,
        # Nothing is dropped silently.
        extra="forbid",
        # Nobody makes one; the chat model builds its own validators.
        defer_build=True,
    )

    # --- Settings ---

    if not TYPE_CHECKING:  # who calls it sees the fields

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            """Make a model of these settings."""
            kwargs = self._hidden(kwargs)  # no frame keeps them as they came
            super().__init__(*args, **kwargs)

    @model_validator(mode="before")
    @classmethod
    def _read_settings(cls, values: Any) -> Any:
        """Read what is as good as left out, and what `dumps` writes."""
        if not isinstance(values, Mapping):
            return values
        taken = {name: cls._taken(name, value) for name, value in values.items()}
        return {k: value for k, value in taken.items() if value is not None or cls._may_be_none(k)}

    @model_validator(mode="after")
    def _check_settings(self) -> Self:
        """Refuse what no model takes, find the base URL, and record the version for traces."""
        settings = named(vars(self))
        check_values(settings)
        check_settings(settings)
        self._resolved()
        vars(self)["default_headers"] = hidden("default_headers", self.default_headers)
        if vars(self).get("profile") == self._resolve_model_profile():  # by core, which keeps it
            vars(self)["profile"] = None
        self._forget()
        self._add_version("langchain-dashscope-deepseek", __version__)
        return self

    @model_validator(mode="wrap")
    @classmethod
    def _explain(cls, values: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        """Take the input out of the errors, and say of an unknown name what to write instead.

        `hide_input_in_errors` hides the input, which may be a key, from the text alone. The last
        validator here, since pydantic puts each around those before it.
        """
        try:
            return validate(values)
        except ValidationError as error:
            problems = error.errors(include_url=False, include_input=False)
            title = error.title
        explained = [_explained(cls, problem) for problem in problems]
        raise ValidationError.from_exception_data(title, explained, hide_input=True)

    @property
    def _given(self) -> Where:
        get = vars(self).get
        return Where(get("base_url") or None, get("region") or None, get("workspace_id"))

    @property
    def _where(self) -> Where:
        """Where calls go; found out for each, since each setting can change."""
        try:
            return resolved(self._given, self.environment)
        except ValueError:
            return self._given  # the call refuses it

    def _resolved(self) -> Where:
        """Find out where calls go, and warn where that is unencrypted.

        Raises:
            ValueError: Nowhere; says what to set.
        """
        where = resolved(self._given, self.environment)
        if is_exposed(where.base_url or ""):
            warn(
                "base_url begins with http://, so the API key and all prompts travel unencrypted: "
                "use https://."
            )
        return where

    def _row_of(self, model: str) -> ModelCapabilities | None:
        if self.capabilities is not None and model == self.model:
            return self.capabilities
        return find_capabilities(model)

    def _resolve_model_profile(self) -> ModelProfile | None:
        row = self._row_of(self.model)
        return None if row is None else profile_of(row, enable_thinking=self.enable_thinking)

    @property
    def lc_attributes(self) -> dict[str, Any]:
        """What `dumps` writes beside what was given: where the environment says that calls go.

        So a dump is asked in the same place, and LangChain's caches tell places apart.
        """
        given, environment = self._given, self.environment
        if given.region is not None:
            environment = environment._replace(base_url=None)
        attributes: dict[str, Any] = {
            name: value
            for name, value in environment._asdict().items()
            if value is not None and getattr(given, name) is None
        }
        if isinstance(self.timeout, httpx.Timeout):
            attributes["timeout"] = self.timeout.as_dict()
        if self.capabilities is not None:
            attributes["capabilities"] = to_jsonable_python(self.capabilities)
        return attributes

    @property
    def lc_secrets(self) -> dict[str, str]:
        """The secret fields, and the variables that they come from."""
        return {"api_key": "DASHSCOPE_API_KEY"}

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Tell LangChain that `dumps` works."""
        return True

    @classmethod
    def get_lc_namespace(cls) -> list[str]:
        """Tell LangChain where the class lives."""
        return ["langchain_dashscope_deepseek", "chat_models"]

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Put the texts of the fields into the JSON schema."""
        schema = handler(core_schema)
        for name, found in handler.resolve_ref_schema(schema).get("properties", {}).items():
            if name in cls.model_fields and cls.model_fields[name].description:
                found["description"] = cls.model_fields[name].description
        return schema

    # --- Changing settings ---

    def for_tenant(
        self,
        *,
        api_key: SecretStr | str | KeySource | None = None,
        region: str | None = None,
        workspace_id: str | None = None,
        base_url: str | None = None,
        default_headers: dict[str, str] | None = None,
    ) -> Self:
        """Make the same model for another account, in microseconds.

        It shares nothing with this one but the process: it has connections of its own, so keep it
        for the next call of the same tenant. What is left out stays as it is, but a workspace
        never goes along with another key or region, nor a base URL with another region, nor a
        cache, which does not tell accounts apart: set `cache` of the tenant's model to one of its
        own.

        Args:
            api_key: The account's key.
            region: The region of the key.
            workspace_id: The workspace.
            base_url: Where the service is.
            default_headers: Headers of every request.

        Raises:
            ValueError: They cannot be right.
        """
        update = {"api_key": api_key, "default_headers": default_headers, "base_url": base_url}
        update = self._hidden({k: value for k, value in update.items() if value is not None})
        del api_key, default_headers, base_url  # a traceback may show what stands in this frame
        is_another = "api_key" in update or region is not None
        if "api_key" in update and "default_headers" not in update:
            check_for_another_account(self.default_headers or {})
        if region is not None:
            update = {"base_url": None, **update, "region": region}
        if workspace_id is not None or is_another:  # "": nor the environment's, however copied
            update["workspace_id"] = workspace_id or ""
        tenant = self.model_copy(update=update)
        tenant._clients = self._clients.empty_copy()  # noqa: SLF001 - its own
        settings = vars(tenant)
        for name, value in settings.items():
            if isinstance(value, (dict, list)):
                settings[name] = copy(value)  # who adds to it adds to this model alone
        if is_another:
            tenant.cache = False  # its keys do not tell accounts apart
        resolved(tenant._given, tenant.environment)  # noqa: SLF001 - its own
        return tenant

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Copy the model, with other settings if given; the copy shares its connections."""
        update = self._hidden(update or {})
        copied = super().model_copy(deep=deep)
        for name, value in update.items():
            setattr(copied, name, value)
        return copied

    if not TYPE_CHECKING:  # mypy's plugin writes it as it must be

        @classmethod
        def model_construct(cls, _fields_set: set[str] | None = None, **values: Any) -> Self:
            """Make a model without validation; the key stays a secret."""
            values = cls._hidden(values)
            taken = {name: cls._taken(name, value) for name, value in values.items()}
            model = super().model_construct(_fields_set, **taken)
            model._forget()  # noqa: SLF001 - its own
            return model

    def __setattr__(self, name: str, value: Any) -> None:
        """Set a field, as the constructor takes it; `None` counts as left out.

        Raises:
            ValueError: There is no such setting, or nothing like that can be set.
        """
        cls = type(self)
        value = cls._hidden({name: value})[name]
        fields = _fields_by_name(cls)
        if isinstance(value, HiddenValue) and name not in fields:
            raise ValueError(unknown_names([name], fields))
        name = fields.get(name, name)
        field = cls.model_fields.get(name)
        if field is not None:
            value = self._taken(name, value)
            if value is None and not field.is_required():
                value = field.get_default(call_default_factory=True)
            else:
                value = _coerced(cls, name, value)
        super().__setattr__(name, value)
        self._forget()

    @classmethod
    def _may_be_none(cls, name: str) -> bool:
        field = cls.model_fields.get(_fields_by_name(cls).get(name, name))
        return field is not None and not field.is_required() and field.get_default() is None

    @classmethod
    def _hidden(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Hide what may be a secret, before anything else is done with it.

        Of a name that leads to nothing here the value is gone: it may be another class's key.
        """
        fields = _fields_by_name(cls)
        forbids = cls.model_config.get("extra") == "forbid"
        return {
            name: HiddenValue()
            if forbids and name not in fields and not hasattr(cls, name) and name[:1] != "_"
            else hidden(fields.get(name, name), value)
            for name, value in settings.items()
        }

    @classmethod
    def _taken(cls, name: str, value: Any) -> Any:
        """Take a value, whatever way it comes in; `None`: it is as good as left out.

        Raises:
            ValueError: Nothing like that can be set; never quotes it.
        """
        name = _fields_by_name(cls).get(name, name)
        value = hidden(name, value)
        if name == "base_url" and isinstance(value, str):
            return mended_base_url(value) if value.strip() else None
        if name == "region" and isinstance(value, str):
            return value.strip() or None
        if name == "workspace_id" and isinstance(value, str):
            return value.strip()
        if name == "timeout" and isinstance(value, Mapping):  # as `dumps` writes it
            return httpx.Timeout(**value)
        if name == "default_headers" and value is not None:
            check_headers(value)
        if isinstance(value, HiddenValue) and name in SECRETS:
            msg = f"{name} takes {_SECRETS_TAKE[name]}"
            raise ValueError(msg)
        if name == "capabilities" and not isinstance(value, Mapping):  # as `dumps` writes it
            check_row(value)
        if name == "proxy" and isinstance(value, SecretStr):
            check_proxy(value)
        return value

    def _forget(self) -> None:
        """Keep nothing that follows from the fields, since they can change."""
        settings = vars(self)
        settings.pop("_serialized", None)  # by core, for traces
        for name in _COMPUTED:
            if settings.get(name, name) is None:
                del settings[name]

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Compute a field that was not given; pydantic keeps the private attributes here."""
            return _COMPUTED[name](self) if name in _COMPUTED else super().__getattr__(name)

    @field_serializer("api_key")
    def _serialize_key(self, key: SecretStr | KeySource | None) -> SecretStr | None:
        return key if isinstance(key, SecretStr) else None

    # --- Letting go ---

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Copy all but clients that were handed in: those are shared."""
        memo = {} if memo is None else memo
        shared = (self.http_client, self.http_async_client, self.verify, self.api_key)
        memo.update({id(item): item for item in shared})
        return super().__deepcopy__(memo)

    def __getstate__(self) -> dict[Any, Any]:
        """Pickle without secrets; what is unpickled takes the key from the environment."""
        if self.http_client or self.http_async_client or not isinstance(self.verify, bool):
            msg = (
                "A model with a client or an SSL context that was handed in cannot be pickled, "
                "since connections cannot: make it anew on the other side"
            )
            raise TypeError(msg)
        state = super().__getstate__()
        for name in SECRETS:
            if name != "api_key" and state["__dict__"].get(name):
                warn(f"{name} was not pickled, since it may hold a secret: set it again there.")
        settings = {**state["__dict__"], **dict.fromkeys(SECRETS)}
        if isinstance(self.environment.base_url, HiddenText):  # refused where it is asked
            settings["environment"] = self.environment._replace(base_url=None)
        return {**state, "__dict__": settings}

    def __setstate__(self, state: dict[Any, Any]) -> None:
        """Take the key from the environment, as a new object does."""
        super().__setstate__(state)
        self.api_key = _key_from_env()


def _names_taken(cls: type[BaseChatModel], name: str) -> list[str]:
    """Return the names under which the constructor takes a field."""
    field = cls.model_fields[name]
    alias = field.validation_alias or field.alias or name
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
    taken = [choice for choice in choices if isinstance(choice, str)]
    by_name = cls.model_config.get("populate_by_name") or cls.model_config.get("validate_by_name")
    return [*taken, name] if by_name else taken


def _explained(cls: type[BaseChatModel], problem: ErrorDetails) -> InitErrorDetails:
    """Repeat an error without its input; one of an unknown name says what to write."""
    kind, context = problem["type"], problem.get("ctx", {})
    if kind == "extra_forbidden":
        name, known = str(problem["loc"][-1]), _fields_by_name(cls)
        if name not in known:
            text = unknown_names([name], known)
        elif name in _names_taken(cls, known[name]):
            text = f"{name} is another name of {known[name]}, which is given as well: keep one"
        else:
            text = f"{name} is set as {' or '.join(_names_taken(cls, name))}"
        kind, context = "value_error", {"error": ValueError(text)}
    details = InitErrorDetails(type=kind, loc=problem["loc"], ctx=context, input="(hidden)")
    try:
        PydanticKnownError(kind, context)  # type: ignore[arg-type]
    except KeyError:  # a validator's own, whose text is whole by now
        details["type"] = PydanticCustomError(kind, problem["msg"], context)
    return details


_SECRETS_TAKE: Mapping[str, str] = {
    "api_key": "a string, a SecretStr, or a function that gives one",
    "proxy": "the URL of a proxy, as a string",
}

_UNSEEN: Mapping[str, str] = {
    "http_client": "an httpx.Client",
    "http_async_client": "an httpx.AsyncClient",
    "verify": "True, False or an ssl.SSLContext (ssl.create_default_context(cafile=...))",
    "streaming": "True, False or None",
    "disable_streaming": 'True, False or "tool_calling"',
}
"""What the settings take that no call looks at."""

_COMPUTED: Mapping[str, Callable[[Any], Any]] = {
    **{name: attrgetter(f"_where.{name}") for name in Where._fields},
    "profile": methodcaller("_resolve_model_profile"),
}
"""Fields that read as what the others lead to now, as long as they are not given."""

# What `help`, the schema and `model_fields` say is what stands below the fields; pydantic itself
# would read this file again for it, which takes longer than all else of the import.
for _name, _text in TEXTS.items():
    ModelSettings.model_fields[_name].description = _text


@cache
def _fields_by_name(cls: type[BaseChatModel]) -> Mapping[str, str]:
    """Return the field that each name leads to under which one can be set."""
    return {
        name: field for field in cls.model_fields for name in {field, *_names_taken(cls, field)}
    }


@cache
def _adapter(cls: type[BaseChatModel], field: str) -> TypeAdapter[Any]:
    info = cls.model_fields[field]
    annotated: Any = info.annotation
    if info.metadata:
        annotated = Annotated[(annotated, *info.metadata)]
    return TypeAdapter(annotated, config=ConfigDict(arbitrary_types_allowed=True))


def _coerced(cls: type[BaseChatModel], field: str, value: Any) -> Any:
    """Make of a value what the constructor would, `"5"` a 5; what it refuses is for the call.

    Raises:
        ValueError: No call would refuse it.
    """
    if field in SECRETS:
        return value
    try:
        return _adapter(cls, field).validate_python(value)
    except ValidationError:
        if field not in _UNSEEN:
            return value
    msg = f"{field} takes {_UNSEEN[field]}, not {type(value).__name__}"
    raise ValueError(msg)
