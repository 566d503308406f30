"""`ModelSettings`: every way of setting a field of the chat model, which is the constructor.

Nothing is asked here. Whatever way a setting is given (assigned, copied, configured, unpickled),
the model is made anew of what was given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter, methodcaller
from typing import TYPE_CHECKING, Any

import httpx
from langchain_core.language_models import ModelProfile
from pydantic import (
    ModelWrapValidatorHandler,
    SecretStr,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_serializer,
    model_serializer,
    model_validator,
)
from pydantic_core import to_jsonable_python
from typing_extensions import Self

from langchain_dashscope_deepseek._dashscope.protocol.aliases import is_idle
from langchain_dashscope_deepseek._dashscope.protocol.parameters import (
    check_for_another_account,
    check_headers,
    check_no_number,
    check_row,
    check_settings,
    check_values,
    named,
)
from langchain_dashscope_deepseek._dashscope.protocol.redaction import (
    SECRETS,
    KeySource,
    SecretHeaders,
)
from langchain_dashscope_deepseek._dashscope.regions import (
    Where,
    check_workspace_of,
    is_exposed,
    mended_base_url,
    resolved,
)
from langchain_dashscope_deepseek._dashscope.reporting import warn
from langchain_dashscope_deepseek._dashscope.transport.connections import preload_certificates
from langchain_dashscope_deepseek._dashscope.transport.proxies import check_proxy, refuse_bypass
from langchain_dashscope_deepseek._field_names import explained, fields_by_name
from langchain_dashscope_deepseek._model_fields import ModelFields
from langchain_dashscope_deepseek._version import __version__
from langchain_dashscope_deepseek.capabilities import ModelCapabilities, find_capabilities
from langchain_dashscope_deepseek.data._profiles import profile_of


class ModelSettings(ModelFields):
    """The settings of a chat model, however they are set."""

    # --- Settings ---

    if not TYPE_CHECKING:  # who calls it sees the fields

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            """Make a model of these settings."""
            super().__init__(*args, **kwargs)
            settings = vars(self)
            if settings["profile"] == self._resolve_model_profile():  # by core, which keeps it
                settings["profile"] = None
            for name in _COMPUTED:
                if settings[name] is None:
                    del settings[name]
            self._is_made = True

    @model_validator(mode="before")
    @classmethod
    def _read_settings(cls, values: Any) -> Any:
        """Read what is as good as left out, and what `dumps` writes."""
        if not isinstance(values, Mapping):
            return values
        fields = fields_by_name(cls)
        read = {k: _read(fields[k], v) if k in fields else v for k, v in values.items()}
        headers = read.get("default_headers")
        if isinstance(headers, SecretHeaders) and headers.key not in (None, read.get("api_key")):
            check_for_another_account(headers)  # a configured copy of a model with another key
        forbids = cls.model_config.get("extra") == "forbid"
        return {
            name: value
            for name, value in read.items()
            if not (value is None if name in fields else forbids and is_idle(name, value))
        }

    @model_validator(mode="after")
    def _check_settings(self) -> Self:
        """Refuse what no model takes, find the base URL, and record the version for traces."""
        settings = named(vars(self))
        check_values(settings)
        check_settings(settings)
        refuse_bypass(settings)
        preload_certificates()
        if is_exposed(self._where.base_url or ""):
            warn(
                "base_url begins with http://, so the API key and all prompts travel unencrypted: "
                "use https://."
            )
        if self.default_headers is not None:
            vars(self)["default_headers"] = SecretHeaders(self.default_headers, self.api_key)
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
            told = explained(cls, error)
        raise told

    @property
    def _given(self) -> Where:
        return Where(*map(vars(self).get, Where._fields))

    @property
    def _where(self) -> Where:
        """Where calls go, or a `ValueError` that says what to set."""
        return resolved(self._given, self.environment)

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

        It shares nothing with this one but the process. What is left out stays as it is, but a
        workspace never goes along with another key or region, nor a base URL with another region,
        nor a cache, which does not tell accounts apart, nor a rate limiter, which keeps the limits
        of one: set `cache` and `rate_limiter` of the tenant's model to its own. Other callbacks,
        `proxy` and clients that were handed in go along, the same objects.

        Args:
            api_key: The account's key.
            region: The region of the key.
            workspace_id: The workspace.
            base_url: Where the service is.
            default_headers: Headers of every request.

        Raises:
            ValueError: They cannot be right.
        """
        accounts = {"api_key": api_key, "default_headers": default_headers, "base_url": base_url}
        update: dict[str, Any] = {k: value for k, value in accounts.items() if value is not None}
        is_another = "api_key" in update or region is not None
        if "api_key" in update and "default_headers" not in update:
            check_for_another_account(self.default_headers or {})
        if region is not None:
            update = {"base_url": None, **update, "region": region}
        if workspace_id is not None or is_another:  # "": nor the environment's, however copied
            update["workspace_id"] = workspace_id or ""
        if update and "base_url" not in update:
            given, environment = self._given, self.environment
            check_workspace_of(given.base_url or (None if given.region else environment.base_url))
        if update:
            update["cache"] = False  # its keys do not tell accounts apart
            update.update(rate_limiter=None, callbacks=_without(self.rate_limiter, self.callbacks))
        tenant = self._made_with(update)
        tenant.__pydantic_private__ = _copied(tenant.__pydantic_private__)
        return tenant

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Copy the model, with other settings if given."""
        other = super().model_copy(deep=deep)
        return other._made_with(update) if update else other  # noqa: SLF001 - its own

    if not TYPE_CHECKING:  # a checker knows the fields

        def __setattr__(self, name: str, value: Any) -> None:
            """Set a field as the constructor does; `None` counts as left out.

            Raises:
                ValueError: There is no such setting, or it cannot be set to that.
            """
            field = fields_by_name(type(self)).get(name)
            if field is not None and not self._is_made:  # by a validator, while it is made
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
        """Make a model of the settings of this one and of others, which it shares no list with."""
        cls = type(self)
        fields = fields_by_name(cls)
        changed = {fields.get(name, name): value for name, value in changes.items()}
        other = cls.__new__(cls)
        # Not a subclass's own, which may take other arguments.
        ModelSettings.__init__(other, **{**self._settings(), **changed})
        set_by_now = other.model_fields_set & (self.model_fields_set | changed.keys())
        object.__setattr__(other, "__pydantic_fields_set__", set_by_now)
        object.__setattr__(other, "__pydantic_private__", {**(self.__pydantic_private__ or {})})
        return other

    def _settings(self) -> dict[str, Any]:
        """Return what the constructor makes the same model of."""
        fields = type(self).model_fields
        given = {k: _copied(v) for k, v in vars(self).items() if k in fields and v is not None}
        return {**given, **_copied(self.__pydantic_extra__ or {})}

    @model_serializer(mode="wrap")
    def _serialize(self, serialize: SerializerFunctionWrapHandler):  # type: ignore[no-untyped-def] # noqa: ANN202 - a type would take the place of the fields in the JSON schema
        """Dump the computed fields as they read."""
        whole = super().model_copy()
        vars(whole).update({name: getattr(self, name) for name in _COMPUTED})
        return serialize(whole)

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
        settings = self._settings()
        for name in SECRETS:
            if settings.pop(name, None) and name != "api_key":
                warn(f"{name} was not pickled, since it may hold a secret: set it again there.")
        if self._given.region is not None or self._given.base_url is not None:  # nobody checked it
            settings["environment"] = self.environment._replace(base_url=None)
        return {**super().__getstate__(), "__dict__": settings, "__pydantic_extra__": None}

    def __setstate__(self, state: dict[Any, Any]) -> None:
        """Make the model anew, with the key from the environment."""
        ModelSettings.__init__(self, **state["__dict__"])
        for name in ("__pydantic_fields_set__", "__pydantic_private__"):
            object.__setattr__(self, name, state[name])


def _read(name: str, value: Any) -> Any:
    """Read the value of a setting; `None`: it is as good as left out."""
    check_no_number(name, value)
    if name == "base_url" and value is not None:
        return mended_base_url(str(value)) if str(value).strip() else None
    if name == "region" and isinstance(value, str):
        return value.strip() or None
    if name == "workspace_id" and isinstance(value, str):
        return value.strip()
    if name == "timeout" and isinstance(value, Mapping):  # as `dumps` writes it
        return httpx.Timeout(**value)
    if name == "default_headers" and value is not None:
        check_headers(value)
    if name == "capabilities" and not isinstance(value, Mapping):  # as `dumps` writes it
        check_row(value)
    if name == "proxy" and value is not None:
        check_proxy(value)
    return SecretStr(value) if name in SECRETS and isinstance(value, str) else value


def _without(limiter: Any, callbacks: Any) -> Any:
    """Take the rate limiter of an account out of callbacks."""
    if limiter is None or callbacks is None:
        return callbacks
    if isinstance(callbacks, list):
        return [each for each in callbacks if each is not limiter]
    callbacks = callbacks.copy()
    callbacks.remove_handler(limiter)
    return callbacks


def _copied(value: Any) -> Any:
    """Copy dicts, lists and sets, all the way down, and nothing that they hold besides."""
    kind = type(value)
    if kind is dict or kind is SecretHeaders:
        return {key: _copied(item) for key, item in value.items()}
    return kind(map(_copied, value)) if kind is list or kind is set else value


_COMPUTED: Mapping[str, Callable[[Any], Any]] = {
    **{name: attrgetter(f"_where.{name}") for name in Where._fields},
    "profile": methodcaller("_resolve_model_profile"),
}
"""Fields that read as what the others lead to now, as long as they are not given."""


class _Computed:
    """Computes a field of a model. The class has none: pydantic looks for defaults there."""

    def __init__(self, compute: Callable[[Any], Any]) -> None:
        self._compute = compute

    def __get__(self, model: ModelSettings | None, _: type) -> Any:
        if model is None:
            raise AttributeError
        return self._compute(model)


for _name, _compute in _COMPUTED.items():
    setattr(ModelSettings, _name, _Computed(_compute))
