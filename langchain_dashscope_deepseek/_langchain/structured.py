"""Binds a schema to a model by one of three methods, and parses the answer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal, get_args

from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import LanguageModelInput
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.output_parsers.openai_tools import JsonOutputKeyToolsParser
from langchain_core.outputs import ChatGeneration
from langchain_core.runnables import Runnable, RunnableLambda, RunnableMap
from langchain_core.utils.pydantic import TBaseModel, is_basemodel_subclass

from langchain_dashscope_deepseek._dashscope.protocol.tool_use import is_tool_name
from langchain_dashscope_deepseek._dashscope.reporting import warn
from langchain_dashscope_deepseek._langchain.tools import AnyTool, wire_tools
from langchain_dashscope_deepseek.capabilities import ModelCapabilities

_NO_SCHEMA = (
    "with_structured_output(method='json_schema') uses function calling: the model has no "
    "json_schema on DashScope."
)
_UNDOCUMENTED = (
    "response_format json_schema was sent, and it is not documented for the model. If it is "
    "refused or does nothing, leave method='json_schema' out of with_structured_output."
)
_NO_STRICT = "strict was left out: method='json_mode' sends no schema that could be strict."

Method = Literal["function_calling", "json_mode", "json_schema"]


def structured_output(
    model: BaseChatModel,
    row: ModelCapabilities,
    schema: dict[str, Any] | type,
    *,
    method: Method,
    include_raw: bool,
    strict: bool | None,
    tools: Sequence[AnyTool],
    **kwargs: Any,
) -> Runnable[LanguageModelInput, Any]:
    """Bind the schema to the model, and append a parser: see `with_structured_output`."""
    about = {"kwargs": {"method": method, "strict": strict}, "schema": schema}
    bound: dict[str, Any] = {"ls_structured_output_format": about, **kwargs}
    pydantic_class = schema if isinstance(schema, type) and is_basemodel_subclass(schema) else None
    parser: Runnable[Any, Any] = (
        _ClassParser(pydantic_object=pydantic_class) if pydantic_class else _JsonParser()
    )
    if method == "json_mode":
        bound.setdefault("response_format", {"type": "json_object"})
        warning = None if strict is None else _NO_STRICT
    elif method == "json_schema" and row.json_schema is not False:
        described = _function(schema, strict)
        described["schema"] = described.pop("parameters", {})
        bound.setdefault("response_format", {"type": "json_schema", "json_schema": described})
        warning = None if row.json_schema else _UNDOCUMENTED
    elif method in get_args(Method):
        function = _function(schema, strict)
        name = function["name"]
        by_name = {"type": "function", "function": {"name": name}}
        bound = {"tool_choice": "required" if tools else by_name, "strict": strict, **bound}
        warning = _NO_SCHEMA if method == "json_schema" else None
        parser = _CallParser(key_name=name, pydantic_class=pydantic_class, has_tools=bool(tools))
        tools = [function, *tools]
    else:
        msg = f"method must be 'function_calling', 'json_mode' or 'json_schema', not {method!r}"
        raise ValueError(msg)
    bound["structured_output_warning"] = warning
    llm: Runnable[LanguageModelInput, Any]
    llm = model.bind_tools(tools, **bound) if tools else model.bind(**bound)
    if not include_raw:
        return llm | parser
    # Not core's `with_fallbacks`: it cannot be pickled, and streams without a parsing_error.
    return RunnableMap(raw=llm) | RunnableLambda(partial(_with_parsed, parser))


def _with_parsed(parser: Runnable[Any, Any], answer: dict[str, Any]) -> dict[str, Any]:
    try:
        return {**answer, "parsed": parser.invoke(answer["raw"]), "parsing_error": None}
    except Exception as error:  # noqa: BLE001 - a validator may raise any error
        return {**answer, "parsed": None, "parsing_error": error}


def _function(schema: dict[str, Any] | type, strict: bool | None) -> dict[str, Any]:
    """Make a function of a schema, with a name that the service accepts."""
    function: dict[str, Any] = wire_tools([schema], strict=strict)[0]["function"]
    if not is_tool_name(function["name"]):
        function["name"] = "answer"
    return function


# Core's parsers complete truncated JSON, and return None without a warning if there is no call.


def _read(result: list[Any], *, partial: bool) -> tuple[AIMessage, bool]:
    """Return the answer so far, and whether it is complete."""
    message = result[0].message
    if not isinstance(message, AIMessage):  # core makes a `BaseMessageChunk` of a whole message
        message = AIMessage(**message.model_dump())
    return message, not partial or getattr(message, "chunk_position", "last") == "last"


class _JsonParser(JsonOutputParser):
    def parse_result(self, result: list[Any], *, partial: bool = False) -> Any:
        message, is_complete = _read(result, partial=partial)
        if message.tool_calls:
            return None
        if message.response_metadata.get("finish_reason") == "length":
            msg = "The JSON was cut off by the length limit: raise max_tokens, or ask for less"
            raise OutputParserException(msg)
        return super().parse_result(result, partial=not is_complete)


class _ClassParser(_JsonParser, PydanticOutputParser[TBaseModel]):
    pass


class _CallParser(JsonOutputKeyToolsParser):
    first_tool_only: bool = True
    pydantic_class: type | None
    has_tools: bool

    def parse_result(self, result: list[Any], *, partial: bool = False) -> Any:
        message, is_complete = _read(result, partial=partial)
        arguments = super().parse_result([ChatGeneration(message=message)])
        if arguments is None and is_complete and not (self.has_tools and message.tool_calls):
            why = _why_no_call(self.key_name, message)
            # If the schema is a dict, `invoke` returns None: LLMToolSelectorMiddleware asks again.
            if message.invalid_tool_calls and (self.pydantic_class or partial):
                raise OutputParserException(why)
            warn(why)
        if arguments is None or self.pydantic_class is None:
            return arguments
        return self.pydantic_class(**arguments) if is_complete else None


def _why_no_call(name: str, message: AIMessage) -> str:
    if message.tool_calls:
        others = ", ".join(repr(call["name"]) for call in message.tool_calls)
        why = f"it called {others}. Ask again"
    elif message.invalid_tool_calls:
        why = "the arguments are cut off, or not a JSON object. Raise max_tokens, or ask again"
    elif message.response_metadata.get("finish_reason") == "length":
        why = "the answer was cut off by the length limit. Raise max_tokens"
    elif message.additional_kwargs.get("reasoning_content"):
        why = "a call cannot be forced while the model thinks. Disable thinking, or ask again"
    else:
        why = "it answered in text. Ask again, or say in the prompt that it must call the tool"
    return f"The model did not call {name!r} as required: {why}"
