"""What a field of the chat model takes: under which names, of what type, and what an error says.

Pure. It knows the fields by pydantic's description of a class, so those of a subclass as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any

from langchain_core.language_models.chat_models import BaseChatModel
from pydantic import (
    AliasChoices,
    ConfigDict,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import (
    ErrorDetails,
    InitErrorDetails,
    PydanticCustomError,
    PydanticKnownError,
)

from langchain_dashscope_deepseek._dashscope.hidden import (
    SECRETS,
)
from langchain_dashscope_deepseek._dashscope.names import unknown_names


def names_taken(cls: type[BaseChatModel], name: str) -> list[str]:
    """Return the names under which the constructor takes a field."""
    field = cls.model_fields[name]
    alias = field.validation_alias or field.alias or name
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
    taken = [choice for choice in choices if isinstance(choice, str)]
    by_name = cls.model_config.get("populate_by_name") or cls.model_config.get("validate_by_name")
    return [*taken, name] if by_name else taken


def explained(cls: type[BaseChatModel], problem: ErrorDetails) -> InitErrorDetails:
    """Repeat an error without its input; one of an unknown name says what to write."""
    kind, context = problem["type"], problem.get("ctx", {})
    if kind == "extra_forbidden":
        name, known = str(problem["loc"][-1]), fields_by_name(cls)
        if name not in known:
            text = unknown_names([name], known)
        elif name in names_taken(cls, known[name]):
            text = f"{name} is another name of {known[name]}, which is given as well: keep one"
        else:
            text = f"{name} is set as {' or '.join(names_taken(cls, name))}"
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
    if info.metadata:
        annotated = Annotated[(annotated, *info.metadata)]
    return TypeAdapter(annotated, config=ConfigDict(arbitrary_types_allowed=True))


def coerced(cls: type[BaseChatModel], field: str, value: Any) -> Any:
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
