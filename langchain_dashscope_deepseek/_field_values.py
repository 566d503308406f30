"""What a field of the chat model takes: under which names, of what type, and what an error says.

Pure. It knows the fields by pydantic's description of a class, so those of a subclass as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from functools import cache
from typing import Annotated, Any

from langchain_core.language_models.chat_models import BaseChatModel
from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    ConfigDict,
    PlainValidator,
    TypeAdapter,
    ValidationError,
    WrapValidator,
)
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError, PydanticKnownError

from langchain_dashscope_deepseek._dashscope.hidden import SECRETS, HiddenHeaders
from langchain_dashscope_deepseek._dashscope.names import unknown_names
from langchain_dashscope_deepseek._model_fields import ModelFields


def names_taken(cls: type[BaseChatModel], name: str) -> list[str]:
    """Return the names under which the constructor takes a field."""
    field = cls.model_fields[name]
    alias = field.validation_alias or field.alias or name
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
    taken = [choice for choice in choices if isinstance(choice, str)]
    by_name = cls.model_config.get("populate_by_name") or cls.model_config.get("validate_by_name")
    return [*taken, name] if by_name else taken


def by_the_constructors_names(
    cls: type[BaseChatModel], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Rename fields that were given by their own name and are taken by another one only.

    LangChain makes configured copies, and models out of dumps, by the fields' own names.
    """
    named = {}
    for name, value in settings.items():
        taken = (names_taken(cls, name) if name in cls.model_fields else []) or [name]
        named[name if name in taken or taken[0] in settings else taken[0]] = value
    return named


def default_of(cls: type[BaseChatModel], name: str) -> Any:
    """Return what stands for a field that is left out; `None` where there is no such thing."""
    field = cls.model_fields.get(fields_by_name(cls).get(name, name))
    if field is None or field.is_required() or field.default_factory_takes_validated_data:
        return None
    return field.get_default(call_default_factory=True)


CONTAINERS = (dict, list, set, HiddenHeaders)


def copied(value: Any) -> Any:
    """Copy dicts, lists and sets, all the way down, and nothing that they hold besides."""
    kind = type(value)
    if kind is HiddenHeaders:
        return copy(value)
    if kind is dict:
        return {key: copied(item) for key, item in value.items()}
    return kind(map(copied, value)) if kind is list or kind is set else value


def explained(cls: type[BaseChatModel], error: ValidationError) -> ValidationError:
    """Repeat errors without what was given, which may be a secret; `hide_input` hides the text."""
    problems = error.errors(include_url=False, include_input=False)
    told = [_explained(cls, problem) for problem in problems]
    return ValidationError.from_exception_data(error.title, told, hide_input=True)


def _explained(cls: type[BaseChatModel], problem: ErrorDetails) -> InitErrorDetails:
    """Repeat an error without its input; one of an unknown name says what to write."""
    kind, context = problem["type"], problem.get("ctx", {})
    if kind == "extra_forbidden":
        name, known = str(problem["loc"][-1]), fields_by_name(cls)
        if name not in known:
            text = unknown_names([name], known)
        else:
            text = f"{name} is another name of {known[name]}, which is given as well: keep one"
        kind, context = "value_error", {"error": ValueError(text)}
    details = InitErrorDetails(type=kind, loc=problem["loc"], ctx=context, input="(hidden)")
    try:
        PydanticKnownError(kind, context)  # type: ignore[arg-type]
    except KeyError:  # a validator's own, whose text is whole by now
        details["type"] = PydanticCustomError(kind, problem["msg"], context)
    return details


SECRETS_TAKE: Mapping[str, str] = {
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


@cache
def fields_by_name(cls: type[BaseChatModel]) -> Mapping[str, str]:
    """Return the field that each name leads to under which one can be set."""
    return {name: field for field in cls.model_fields for name in {field, *names_taken(cls, field)}}


@cache
def _adapter(cls: type[BaseChatModel], field: str) -> TypeAdapter[Any]:
    info = cls.model_fields[field]
    annotated: Any = info.annotation
    validators = [
        _VALIDATORS[decorator.info.mode](decorator.func)
        for decorator in cls.__pydantic_decorators__.field_validators.values()
        if {field, "*"}.intersection(decorator.info.fields)
    ]
    if info.metadata or validators:
        annotated = Annotated[(annotated, *info.metadata, *validators)]
    config = ConfigDict(arbitrary_types_allowed=True, extra="forbid", hide_input_in_errors=True)
    return TypeAdapter(annotated, config=config)


_VALIDATORS: Mapping[str, Any] = {
    "before": BeforeValidator,
    "after": AfterValidator,
    "wrap": WrapValidator,
    "plain": PlainValidator,
}


def coerced(cls: type[BaseChatModel], field: str, value: Any) -> Any:
    """Make of a value what the constructor would, `"5"` a 5; what it refuses is for the call.

    Raises:
        ValueError: No call would refuse it.
    """
    if field in SECRETS:
        return value
    try:
        return _adapter(cls, field).validate_python(value)
    except ValidationError as error:
        if field in _UNSEEN:
            msg = f"{field} takes {_UNSEEN[field]}, not {type(value).__name__}"
            told = ValueError(msg)
        elif field in ModelFields.model_fields:
            return value
        else:  # a subclass's own
            told = explained(cls, error)
    raise told
