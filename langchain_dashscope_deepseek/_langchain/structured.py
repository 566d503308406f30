"""Structured output: which method the schema goes out by, and how the answer is parsed.

Asks nothing itself: it binds tools or a response format to the model, and puts a parser behind it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, Literal

from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import LanguageModelInput
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import add_ai_message_chunks
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.output_parsers.openai_tools import JsonOutputKeyToolsParser, PydanticToolsParser
from langchain_core.runnables import Runnable, RunnableGenerator, RunnableMap, RunnablePassthrough
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import TypeAdapter

from langchain_dashscope_deepseek._dashscope.tool_use import TOOL_NAME

_NO_SCHEMA = (
    "with_structured_output(method='json_schema') goes out as function calling: DeepSeek has no "
    "json_schema on DashScope."
)
_OUR_NAME = "answer"
_NO_STRICT = "strict was left out: method='json_mode' sends no schema that could be strict."

Method = Literal["function_calling", "json_mode", "json_schema"]


def structured_output(
    model: BaseChatModel,
    schema: dict[str, Any] | type,
    *,
    method: Method,
    include_raw: bool,
    strict: bool | None,
    **kwargs: Any,
) -> Runnable[LanguageModelInput, Any]:
    """Put the schema before the model and the parser behind it: see `with_structured_output`."""
    about = {"kwargs": {"method": method, "strict": strict}, "schema": schema}
    llm: Runnable[LanguageModelInput, Any]
    parser: Runnable[Any, Any]
    bound = {"ls_structured_output_format": about, **kwargs}
    if method == "json_mode":
        note = _NO_STRICT if strict is not None else None
        json_object = {"type": "json_object"}
        llm = model.bind(response_format=json_object, structured_output_note=note, **bound)
        parser = _insist(_check_json) | _json_parser(schema)
    elif method in ("function_calling", "json_schema"):
        note = _NO_SCHEMA if method == "json_schema" else None
        llm, parser = _by_a_call(model, schema, strict=strict, structured_output_note=note, **bound)
    else:
        msg = f"method takes 'function_calling', 'json_mode' or 'json_schema', not {method!r}"
        raise ValueError(msg)
    if not include_raw:
        return llm | parser
    none = RunnablePassthrough.assign(parsed=lambda _: None)
    parsed = RunnablePassthrough.assign(
        parsed=itemgetter("raw") | parser, parsing_error=lambda _: None
    )
    return RunnableMap(raw=llm) | parsed.with_fallbacks([none], exception_key="parsing_error")


def _by_a_call(
    model: BaseChatModel, schema: dict[str, Any] | type, *, strict: bool | None, **kwargs: Any
) -> tuple[Runnable[LanguageModelInput, Any], Runnable[Any, Any]]:
    """Return the model that must call a function of the schema, and the parser of the call."""
    tool = convert_to_openai_tool(schema)
    name = tool["function"]["name"]
    sent = schema
    if not TOOL_NAME.fullmatch(name):  # a title in Chinese, which the service takes for no name
        name = _OUR_NAME
        sent = {**tool, "function": {**tool["function"], "name": name}}
    llm = model.bind_tools([sent], tool_choice=name, strict=strict, **kwargs)
    parser: Runnable[Any, Any] = JsonOutputKeyToolsParser(key_name=name, first_tool_only=True)
    if isinstance(schema, type) and is_basemodel_subclass(schema):
        if sent is schema:
            parser = PydanticToolsParser(tools=[schema], first_tool_only=True)
        else:
            validate: Callable[[Any], Any] = TypeAdapter(schema).validate_python
            parser |= validate
    return llm, _insist(partial(_check_call, name)) | parser


def _json_parser(schema: dict[str, Any] | type) -> Runnable[Any, Any]:
    if isinstance(schema, type) and is_basemodel_subclass(schema):
        return PydanticOutputParser(pydantic_object=schema)
    return JsonOutputParser()


def _insist(check: Callable[[AIMessage], None]) -> Runnable[Any, Any]:
    """Pass a message or its chunks on, and check the whole: core's parsers mend or give `None`."""

    def pass_on(messages: Iterator[AIMessage]) -> Iterator[AIMessage]:
        seen = []
        for message in messages:
            seen.append(message)
            yield message
        check(_whole(seen))

    async def apass_on(messages: AsyncIterator[AIMessage]) -> AsyncIterator[AIMessage]:
        seen = []
        async for message in messages:
            seen.append(message)
            yield message
        check(_whole(seen))

    return RunnableGenerator(pass_on, apass_on)


def _whole(messages: Sequence[AIMessage]) -> AIMessage:
    chunks = [message for message in messages if isinstance(message, AIMessageChunk)]
    return add_ai_message_chunks(*chunks) if chunks else messages[0]


def _check_json(whole: AIMessage) -> None:
    """Refuse an answer that was cut: core would mend it."""
    if whole.response_metadata.get("finish_reason") == "length":
        msg = "The JSON was cut off by the length limit: raise max_tokens, or ask for less"
        raise OutputParserException(msg)


def _check_call(name: str, whole: AIMessage) -> None:
    """Refuse an answer without the call; a call cannot be forced while a model thinks."""
    if any(call["name"] == name for call in whole.tool_calls):
        return
    others = ", ".join(repr(call["name"]) for call in whole.tool_calls)
    if others:
        msg = f"The model called {others} where {name!r} was asked for: ask again"
    elif whole.invalid_tool_calls:
        msg = (
            f"The model called {name!r} with arguments that are no JSON object, or that were cut "
            "off by the length limit: raise max_tokens, or ask again"
        )
    elif whole.response_metadata.get("finish_reason") == "length":
        msg = (
            f"The answer was cut off by the length limit before {name!r} was called: raise "
            "max_tokens, or ask for less"
        )
    else:
        msg = (
            f"The model answered without calling {name!r}: ask again, or say in the prompt that it "
            "must"
        )
        if whole.additional_kwargs.get("reasoning_content"):
            msg += (
                ". A call cannot be forced while the model thinks: switch thinking off where that "
                "can be done"
            )
    raise OutputParserException(msg)
