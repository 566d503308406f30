"""`ModelSettings`: reads, checks, copies and dumps the settings of the chat model.

Assigning a field, copying with changes and unpickling call the constructor with the values that
were given, so it is the only code that reads and checks them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import httpx
from langchain_core.language_models import ModelProfile
from pydantic import (
    SecretStr,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_serializer,
    model_serializer,
    model_validator,
)
from pydantic_core import to_jsonable_python
from typing_extensions import Self

from langchain_dashscope_deepseek._dashscope.protocol.aliases import is_no_op
from langchain_dashscope_deepseek._dashscope.protocol.parameters import (
    check_headers,
    check_values,
    lift_from_model_kwargs,
    refuse_account_headers,
)
from langchain_dashscope_deepseek._dashscope.protocol.redaction import (
    SECRET_SETTINGS,
    KeySource,
    SecretHeaders,
)
from langchain_dashscope_deepseek._dashscope.regions import (
    Location,
    is_exposed,
    normalise_base_url,
    refuse_workspace_host,
    resolve,
)
from langchain_dashscope_deepseek._dashscope.reporting import warn
from langchain_dashscope_deepseek._dashscope.transport.connections import (
    parse_proxy,
    preload_certificates,
    refuse_ignored_settings,
)
from langchain_dashscope_deepseek._model_fields import (
    ModelFields,
    field_name_by_alias,
    redact_inputs,
)
from langchain_dashscope_deepseek._version import __version__
from langchain_dashscope_deepseek.capabilities import ModelCapabilities, find_capabilities
from langchain_dashscope_deepseek.data._profiles import profile_of

_COMPUTED = (*Location._fields, "profile")
"""Fields that are computed from the others unless they are given."""


class ModelSettings(ModelFields):
    """The settings of a chat model, and the ways to set, copy and dump them."""

    # --- Reading and checking ---

    if not TYPE_CHECKING:  # type checkers derive the signature from the fields

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            """Make a model of these settings."""
            try:
                super().__init__(*args, **kwargs)
            except ValidationError as error:
                redacted = redact_inputs(type(self), error)
            else:
                settings = vars(self)
                if settings["profile"] == self._resolve_model_profile():  # core sets it
                    settings["profile"] = None
                for name in _COMPUTED:
                    if settings[name] is None:
                        del settings[name]
                self._is_made = True
                return
            raise redacted  # outside the handler, whose error has the values

    @model_validator(mode="before")
    @classmethod
    def _read_settings(cls, values: Any) -> Any:
        """Read the given values, and drop those that have no effect."""
        if not isinstance(values, Mapping):
            return values
        fields = field_name_by_alias(cls)
        read = {k: _read(fields[k], v) if k in fields else v for k, v in values.items()}
        headers, key = read.get("default_headers"), read.get("api_key")
        # LangChain passes these headers on to a copy whose configurable `api_key` is another one.
        if isinstance(headers, SecretHeaders) and headers.model_api_key not in (None, key):
            refuse_account_headers(headers)
        forbids = cls.model_config.get("extra") == "forbid"
        return {
            name: value
            for name, value in read.items()
            if not (value is None if name in fields else forbids and is_no_op(name, value))
        }

    @model_validator(mode="after")
    def _check_settings(self) -> Self:
        """Refuse wrong values and combinations, and record the version for traces."""
        settings = lift_from_model_kwargs(vars(self))
        check_values(settings)
        refuse_ignored_settings(settings)
        preload_certificates()
        if is_exposed(self._location.base_url or ""):
            warn(
                "base_url begins with http://, so the API key and all prompts travel unencrypted: "
                "use https://."
            )
        if self.default_headers is not None:
            headers = vars(self)["default_headers"] = SecretHeaders(self.default_headers)
            headers.model_api_key = self.api_key
        self._add_version("langchain-dashscope-deepseek", __version__)
        return self

    @property
    def _given_location(self) -> Location:
        return Location(*map(vars(self).get, Location._fields))

    @property
    def _used_environment(self) -> Location:
        """The environment's location, without its base URL if a given setting replaces that."""
        given = self._given_location
        if given.base_url is None and given.region is None:
            return self.environment
        return self.environment._replace(base_url=None)

    @property
    def _location(self) -> Location:
        """The location that calls use; raises a `ValueError` with advice if it is incomplete."""
        return resolve(self._given_location, self.environment)

    def _row_of(self, values: Mapping[str, Any]) -> ModelCapabilities | None:
        """Return the row for the values of a call, which may hold a row of its own."""
        own = self.capabilities if values["model"] == self.model else None
        return values.get("capabilities") or own or find_capabilities(values["model"])

    def _resolve_model_profile(self) -> ModelProfile | None:
        row = self._row_of({"model": self.model})
        return None if row is None else profile_of(row, enable_thinking=self.enable_thinking)

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
        """Make the same model for another account, within a millisecond.

        Settings that are not given keep their values, with these exceptions: `api_key` and `region`
        remove the workspace, and `region` also removes the base URL. The cache, which does not
        distinguish accounts, is switched off, the global one as well, and the rate limiter, which
        counts for one account, is removed (also from a list of `callbacks`): set new ones. Other
        callbacks, `proxy` and your own clients are the same objects in both models.

        Args:
            api_key: The account's key.
            region: The region of the key.
            workspace_id: The workspace.
            base_url: The URL of the service.
            default_headers: Headers of every request.

        Raises:
            ValueError: The settings do not belong together, or one is wrong.
        """
        accounts = {"api_key": api_key, "default_headers": default_headers, "base_url": base_url}
        update: dict[str, Any] = {k: value for k, value in accounts.items() if value is not None}
        is_another = not (api_key is None and region is None and workspace_id is None)
        if is_another and default_headers is None:
            refuse_account_headers(self.default_headers or {})
        if region is not None:
            update = {"base_url": None, **update, "region": region}
        if is_another:
            update["workspace_id"] = workspace_id or ""  # "" also replaces the environment's
        if update and "base_url" not in update:
            refuse_workspace_host(self._given_location.base_url or self._used_environment.base_url)
        if update:
            update.update(cache=False, rate_limiter=None)
            if isinstance(self.callbacks, list):  # `TokenRateLimiter` is a callback as well
                limiter: object = self.rate_limiter
                update["callbacks"] = [each for each in self.callbacks if each is not limiter]
        tenant = self._made_with(update)
        tenant.__pydantic_private__ = _copied(tenant.__pydantic_private__)
        return tenant

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Copy the model, with other settings if given."""
        other = super().model_copy(deep=deep)
        return other._made_with(update) if update else other  # noqa: SLF001 - its own

    if not TYPE_CHECKING:  # type checkers know the fields

        def __setattr__(self, name: str, value: Any) -> None:
            """Set a field as the constructor does; `None` counts as left out."""
            field = field_name_by_alias(type(self)).get(name)
            if field is not None and not self._is_made:  # a validator assigns it
                vars(self)[field] = _read(field, value)
                self.__pydantic_fields_set__.add(field)
                return
            if name.startswith("_") or (field is None and hasattr(type(self), name)):
                super().__setattr__(name, value)
                return
            other = self._made_with({name: value})
            for state in ("__dict__", "__pydantic_extra__", "__pydantic_fields_set__"):
                object.__setattr__(self, state, getattr(other, state))

    def _made_with(self, changes: Mapping[str, Any]) -> Self:
        """Make a model of these settings with changes; lists and dicts are copied."""
        cls = type(self)
        fields = field_name_by_alias(cls)
        changed = {fields.get(name, name): value for name, value in changes.items()}
        other = cls.__new__(cls)
        # The constructor of a subclass may take other arguments.
        ModelSettings.__init__(other, **{**self._settings(), **changed})
        set_by_now = other.model_fields_set & (self.model_fields_set | changed.keys())
        object.__setattr__(other, "__pydantic_fields_set__", set_by_now)
        object.__setattr__(other, "__pydantic_private__", {**(self.__pydantic_private__ or {})})
        return other

    def _settings(self) -> dict[str, Any]:
        """Return the arguments with which the constructor makes the same model."""
        fields = type(self).model_fields
        given = {k: _copied(v) for k, v in vars(self).items() if k in fields and v is not None}
        return {**given, **_copied(self.__pydantic_extra__ or {})}

    # --- Copies, dumps and pickles ---

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Copy all but clients, SSL contexts, rate limiters and functions, which are shared."""
        memo = {} if memo is None else memo
        clients = (self.http_client, self.http_async_client)
        shared = (*clients, self.verify, self.rate_limiter, self.api_key)
        memo.update({id(item): item for item in shared})
        return super().__deepcopy__(memo)

    def __getstate__(self) -> dict[Any, Any]:
        """Pickle without secrets; an unpickled model takes its key from the environment."""
        if self.http_client or self.http_async_client or not isinstance(self.verify, bool):
            msg = (
                "A model with your own client or SSL context cannot be pickled, since "
                "connections cannot: construct it again in the other process"
            )
            raise TypeError(msg)
        settings = {**self._settings(), "environment": self._used_environment}
        for name in SECRET_SETTINGS:
            if settings.pop(name, None) and name != "api_key":
                warn(
                    f"{name} was not pickled, since it may hold a secret: set it again on the "
                    "unpickled model."
                )
        return {**super().__getstate__(), "__dict__": settings, "__pydantic_extra__": None}

    def __setstate__(self, state: dict[Any, Any]) -> None:
        """Construct the model, with the key from the environment."""
        ModelSettings.__init__(self, **state["__dict__"])
        for name in ("__pydantic_fields_set__", "__pydantic_private__"):
            object.__setattr__(self, name, state[name])

    @model_serializer(mode="wrap")
    def _serialize(self, serialize: SerializerFunctionWrapHandler):  # type: ignore[no-untyped-def] # noqa: ANN202 - a type would take the place of the fields in the JSON schema
        """Dump the computed fields with their current values."""
        dumped = super().model_copy()
        vars(dumped).update({name: getattr(self, name) for name in _COMPUTED})
        return serialize(dumped)

    @field_serializer("api_key")
    def _serialize_key(self, key: SecretStr | KeySource | None) -> SecretStr | None:
        return key if isinstance(key, SecretStr) else None

    @property
    def lc_attributes(self) -> dict[str, Any]:
        """The values that `dumps` writes in addition to, or in place of, those that were given.

        They include the environment's location, so that a loaded model calls the same base URL and
        LangChain's caches distinguish base URLs.
        """
        environment = self._used_environment._asdict()
        attributes = {k: v for k, v in environment.items() if v is not None and k not in vars(self)}
        if isinstance(self.timeout, httpx.Timeout):
            attributes["timeout"] = self.timeout.as_dict()
        if self.capabilities is not None:
            attributes["capabilities"] = to_jsonable_python(self.capabilities)
        return attributes

    @property
    def lc_secrets(self) -> dict[str, str]:
        """The secret fields, and their environment variables."""
        return {"api_key": "DASHSCOPE_API_KEY"}

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Tell LangChain that `dumps` works."""
        return True


def _read(name: str, value: Any) -> Any:
    """Read the value of a setting; `None` counts as left out."""
    if value is None:
        return None
    if isinstance(value, (bool, list)):
        check_values({name: value})  # before pydantic converts booleans, also in lists, to numbers
    if name in Location._fields:
        text = str(value).strip()
        if not text and name != "workspace_id":  # "" means no workspace
            return None
        return normalise_base_url(text) if name == "base_url" else text
    if name == "timeout" and isinstance(value, Mapping):  # written by `dumps`
        return httpx.Timeout(**value)
    if name == "default_headers":
        check_headers(value)
    if name == "proxy":
        parse_proxy(value)
    return SecretStr(value) if name in SECRET_SETTINGS and isinstance(value, str) else value


def _copied(value: Any) -> Any:
    """Copy nested dicts, lists and sets, `SecretHeaders` to a dict; share their other members."""
    kind = type(value)
    if kind is dict or kind is SecretHeaders:
        return {key: _copied(item) for key, item in value.items()}
    return kind(map(_copied, value)) if kind is list or kind is set else value


class _Computed:
    """Computes a field that was not given; raises on the class, where pydantic reads defaults."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, model: ModelSettings | None, _: type) -> Any:
        if model is None:
            raise AttributeError
        if self._name == "profile":
            return model._resolve_model_profile()  # noqa: SLF001 - belongs to that class
        return getattr(model._location, self._name)  # noqa: SLF001 - a part of that class


for _name in _COMPUTED:
    setattr(ModelSettings, _name, _Computed(_name))
