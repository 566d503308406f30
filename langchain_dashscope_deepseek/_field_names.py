"""The names under which a setting is given, and what an error says of one that is refused.

Pure. It knows the fields by pydantic's description of a class, so those of a subclass as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from langchain_core.language_models.chat_models import BaseChatModel
from pydantic import AliasChoices, ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError, PydanticKnownError

from langchain_dashscope_deepseek._dashscope.protocol.aliases import unknown_names


@cache
def fields_by_name(cls: type[BaseChatModel]) -> Mapping[str, str]:
    """Return the field that each name leads to under which one can be set."""
    fields = {}
    for name, field in cls.model_fields.items():
        alias = field.validation_alias or field.alias
        choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
        fields.update({choice: name for choice in (name, *choices) if isinstance(choice, str)})
    return fields


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
