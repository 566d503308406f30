"""`ModelSettings`: every way of setting a field of the chat model.

Nothing is asked here. Whatever way a setting is given (constructed, assigned, copied, configured,
unpickled), it is read the same, a secret stays hidden, and what follows from it is found anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
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

from langchain_dashscope_deepseek._dashscope.handed_in import check_proxy
from langchain_dashscope_deepseek._dashscope.hidden import (
    SECRETS,
    HiddenHeaders,
    HiddenText,
    HiddenValue,
    KeySource,
    hidden,
)
from langchain_dashscope_deepseek._dashscope.names import is_idle, unknown_names
from langchain_dashscope_deepseek._dashscope.regions import (
    Where,
    check_workspace_of,
    is_exposed,
    mended_base_url,
    resolved,
)
from langchain_dashscope_deepseek._dashscope.settings import (
    check_for_another_account,
    check_headers,
    check_no_number,
    check_row,
    check_settings,
    check_values,
    named,
)
from langchain_dashscope_deepseek._dashscope.warnings import warn
from langchain_dashscope_deepseek._field_values import (
    CONTAINERS,
    SECRETS_TAKE,
    by_the_constructors_names,
    coerced,
    copied,
    default_of,
    explained,
    fields_by_name,
)
from langchain_dashscope_deepseek._model_fields import ModelFields, key_from_env
from langchain_dashscope_deepseek._version import __version__
from langchain_dashscope_deepseek.capabilities import ModelCapabilities, find_capabilities
from langchain_dashscope_deepseek.data._profiles import profile_of


class ModelSettings(ModelFields):
    """The settings of a chat model, however they are set."""

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
        taken = {name: cls._taken(name, value) for name, value in cls._hidden(values).items()}
        headers = taken.get("default_headers")
        if isinstance(headers, HiddenHeaders) and headers.key not in (None, taken.get("api_key")):
            check_for_another_account(headers)  # a configured copy of a model with another key
        given = {k: default_of(cls, k) if v is None else v for k, v in taken.items()}
        return by_the_constructors_names(cls, given)

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
            told = explained(cls, error)
        raise told

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
        cache, which does not tell accounts apart, nor a rate limiter, which keeps the limits of
        one: set `cache` and `rate_limiter` of the tenant's model to its own. Other callbacks,
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
        if update and "base_url" not in update:
            given, environment = self._given, self.environment
            check_workspace_of(given.base_url or (None if given.region else environment.base_url))
        tenant = self.model_copy(update=update)
        tenant._own_what_can_change()  # noqa: SLF001 - its own
        if update:
            settings = vars(tenant)
            settings["cache"] = False  # its keys do not tell accounts apart
            limiter, settings["rate_limiter"] = settings["rate_limiter"], None
            callbacks = settings["callbacks"]
            if limiter is not None and isinstance(callbacks, list):
                settings["callbacks"] = [each for each in callbacks if each is not limiter]
            elif limiter is not None and callbacks is not None:
                settings["callbacks"] = callbacks.copy()
                settings["callbacks"].remove_handler(limiter)
        resolved(tenant._given, tenant.environment)  # noqa: SLF001 - its own
        return tenant

    def _own_what_can_change(self) -> None:
        """Share no connection, and nothing that is added to, with the model that this copies."""
        self._clients = deepcopy(self._clients)  # empty
        for settings in (vars(self), self.__pydantic_extra__, self.__pydantic_private__):
            for name, value in (settings or {}).items():
                if type(value) in CONTAINERS:
                    settings[name] = copied(value)  # type: ignore[index]

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Copy the model, with other settings if given; the copy shares its connections."""
        update = self._hidden(update or {})
        other = super().model_copy(deep=deep)
        for name, value in update.items():
            setattr(other, name, value)
        return other

    def copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:  # type: ignore[override]
        """Copy the model, as `model_copy` does; pydantic's name of old."""
        return self.model_copy(update=update, deep=deep)

    if not TYPE_CHECKING:  # mypy's plugin writes it as it must be

        @classmethod
        def model_construct(cls, _fields_set: set[str] | None = None, **values: Any) -> Self:
            """Make a model without validation; the key stays a secret."""
            values = cls._hidden(values)
            taken = {name: cls._taken(name, value) for name, value in values.items()}
            model = super().model_construct(_fields_set, **taken)
            model._forget()  # noqa: SLF001 - its own
            return model

    def _assign(self, name: str, value: Any) -> None:
        """Set a field, as the constructor takes it; `None` counts as left out.

        Raises:
            ValueError: There is no such setting, or nothing like that can be set.
        """
        if name.startswith("_"):
            super().__setattr__(name, value)
            return
        cls = type(self)
        fields = fields_by_name(cls)
        if name in fields:
            name = fields[name]
            value = hidden(name, value)  # before anything can raise
            value = self._taken(name, value)
            value = default_of(cls, name) if value is None else coerced(cls, name, value)
        else:
            known = cls._hidden({name: value})
            if not known:
                return
            value = known[name]
            if isinstance(value, HiddenValue):
                raise ValueError(unknown_names([name], fields))
        super().__setattr__(name, value)
        self._forget()

    if not TYPE_CHECKING:  # a checker knows the fields
        __setattr__ = _assign

    @classmethod
    def _hidden(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Hide what may be a secret, before anything else is done with it.

        Of a name that leads to nothing here the value is gone: it may be another class's key. It is
        left out where it asks for nothing.
        """
        fields = fields_by_name(cls)
        forbids = cls.model_config.get("extra") == "forbid"
        kept = {}
        for name, value in settings.items():
            if forbids and name not in fields and not hasattr(cls, name) and name[:1] != "_":
                if not is_idle(name, value):
                    kept[name] = HiddenValue()
            else:
                kept[name] = hidden(fields.get(name, name), value)
        return kept

    @classmethod
    def _taken(cls, name: str, value: Any) -> Any:
        """Take a value, whatever way it comes in; `None`: it is as good as left out.

        Raises:
            ValueError: Nothing like that can be set; never quotes it.
        """
        name = fields_by_name(cls).get(name, name)
        value = hidden(name, value)
        check_no_number(name, value)
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
            msg = f"{name} takes {SECRETS_TAKE[name]}"
            raise ValueError(msg)
        if name == "capabilities" and not isinstance(value, Mapping):  # as `dumps` writes it
            check_row(value)
        if name == "proxy" and isinstance(value, SecretStr):
            check_proxy(value)
        return value

    def _forget(self) -> None:
        """Keep nothing that follows from the fields, since they can change."""
        settings = vars(self)
        headers = settings.get("default_headers")
        if isinstance(headers, HiddenHeaders):
            headers.key = headers.key or settings.get("api_key")
        settings.pop("_serialized", None)  # by core, for traces
        for name in _COMPUTED:
            if settings.get(name, name) is None:
                del settings[name]

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
        settings = {**state["__dict__"], "api_key": key_from_env()}
        super().__setstate__({**state, "__dict__": settings})


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
