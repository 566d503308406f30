"""Validates requests as the service does: key, model, parameters, tools.

Written from the documentation of the service and from recorded errors. One check is stricter than
the service: parameters that a model does not support are refused, so that tests notice a client
that sends them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from langchain_dashscope_deepseek.capabilities import ModelCapabilities
from langchain_dashscope_deepseek.testing._contents import ContentRules
from langchain_dashscope_deepseek.testing._errors import ServiceError, refuse
from langchain_dashscope_deepseek.testing._history import check_messages, check_replay
from langchain_dashscope_deepseek.testing._model_rules import (
    calls_tools,
    can_set,
    knows_effort,
    takes_partial,
    thinks,
)
from langchain_dashscope_deepseek.testing._render import IMAGE_TOKENS, Json, compact, count_tokens
from langchain_dashscope_deepseek.testing._turns import question_of, results_of, split_turns

Accepted = Literal["required_with_several_tools", "forced_choice_while_thinking"]
"""Requests that the service refuses according to some sources only."""

_FEATURES = frozenset({
    "result_format", "incremental_output", "enable_thinking", "tools", "tool_choice",
    "parallel_tool_calls", "response_format", "enable_search", "search_options",
})  # fmt: skip
# Accepted and ignored: the official SDKs send these; they are not documented for DeepSeek.
_IGNORED = frozenset({
    "top_k", "n", "logprobs", "top_logprobs", "frequency_penalty", "logit_bias",
    "preserve_thinking",
})  # fmt: skip
_SWITCHES = (
    "enable_thinking", "incremental_output", "parallel_tool_calls", "enable_search",
)  # fmt: skip
_MAX_INT64 = 2**63 - 1
_TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TOKENS_PER_MESSAGE = 4


@dataclass(frozen=True, kw_only=True)
class ValidRequest:
    """A valid request; the content of each message is a string, with a list of images beside it."""

    model: str
    row: ModelCapabilities
    messages: list[Json]
    parameters: Json
    stream: bool
    thinking: bool
    input_tokens: int

    @property
    def images(self) -> int:
        """How many images were sent."""
        return _count_images(self.messages)

    @property
    def turn(self) -> list[Json]:
        """The messages from the user's last question on."""
        return split_turns(self.messages)[-1]

    @property
    def is_partial(self) -> bool:
        """Whether the answer continues the last message, which is the assistant's."""
        return bool(self.messages[-1]["role"] == "assistant")

    @property
    def question(self) -> str:
        """The user's last question."""
        return question_of(self.turn)

    @property
    def results(self) -> list[str]:
        """The tool results at the end of the conversation; empty if it does not end with any."""
        return results_of(self.turn)


def check_key(headers: Mapping[str, str]) -> None:
    """Accept any key that begins with `sk-`, except `sk-invalid`."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme != "Bearer" or not key.startswith("sk-") or key == "sk-invalid":
        raise ServiceError("InvalidApiKey", "Invalid API-key provided.", 401)


def refuse_required_with_several_tools(body: Any, accepts: Collection[Accepted]) -> None:
    """Refuse a tool choice of `required` with several tools, also if an answer is scripted."""
    match body:
        case {"parameters": {"tool_choice": "required", "tools": [_, _, *_]}}:
            if "required_with_several_tools" not in accepts:
                refuse("Please set one tool in required mode")


def check_body(
    body: Any,
    *,
    stream: bool,
    multimodal: bool,
    resolves_oss: bool,
    find_row: Callable[[str], ModelCapabilities | None],
    strict_replay: bool,
    accepts: Collection[Accepted],
) -> ValidRequest:
    """Validate a body."""
    model, row, request_input, parameters = _split_body(body, find_row)
    rules = ContentRules(
        multimodal=multimodal, images=row.images is not False, resolves_oss=resolves_oss
    )
    switch = parameters.get("enable_thinking")
    thinking = thinks(row, switch)
    # A model whose default is undocumented surely thinks only if `enable_thinking` is set.
    surely_thinks = thinking and (row.thinking != "unknown" or switch is True)
    partial = takes_partial(row, thinking=surely_thinks)
    messages = check_messages(request_input.get("messages"), rules, partial=partial)
    _check_parameters(parameters, row)
    _check_thinking(parameters, row, thinking=surely_thinks, stream=stream)
    _check_tools(parameters, row, thinking=surely_thinks)
    _check_choice(parameters, accepts, thinking=surely_thinks)
    _check_format(parameters, row, messages, thinking=surely_thinks)
    if strict_replay:
        replayed = row.reasoning_replay == "with_tool_calls"
        check_replay(messages, needs_replay=replayed, thinking=surely_thinks)
    tokens = estimate_input(messages, parameters)
    if row.max_input_tokens is not None and tokens > row.max_input_tokens:
        refuse(f"Range of input length should be [1, {row.max_input_tokens}]")
    return ValidRequest(
        model=model, row=row, messages=messages, parameters=parameters, stream=stream,
        thinking=thinking, input_tokens=tokens,
    )  # fmt: skip


def estimate_input(messages: list[Json], parameters: Json) -> int:
    """Estimate the tokens of the messages with their images, and of the tools."""
    texts = [
        message["content"]
        + str(message.get("reasoning_content") or "")
        + (compact(message["tool_calls"]) if message.get("tool_calls") else "")
        for message in messages
    ]
    tools = compact(parameters["tools"]) if parameters.get("tools") else ""
    images = IMAGE_TOKENS * _count_images(messages)
    return count_tokens(*texts, tools) + _TOKENS_PER_MESSAGE * len(messages) + images


def _count_images(messages: list[Json]) -> int:
    return sum(len(message["images"]) for message in messages)


def _split_body(
    body: Any, find_row: Callable[[str], ModelCapabilities | None]
) -> tuple[str, ModelCapabilities, Json, Json]:
    """Return the model, its row, the input and the parameters of a body."""
    match body:
        case {"model": str(model), "input": dict(request_input), **rest}:
            parameters = rest.get("parameters", {})
        case _:
            refuse("Required body invalid, please check the request body format.")
    row = find_row(model)
    if row is None:
        raise ServiceError("ModelNotFound", "Model not exist.", 404)
    if not isinstance(parameters, dict):
        refuse("parameters must be an object.")
    return model, row, request_input, parameters


def _check_parameters(parameters: Json, row: ModelCapabilities) -> None:
    for name, value in parameters.items():
        if name in _SWITCHES and not isinstance(value, bool):
            refuse(f"parameter.{name} must be a boolean.")
        if name in _FEATURES or name in _IGNORED:
            continue
        if not can_set(row, name):
            refuse(f"The parameter {name} is not supported by this model.")
        is_valid, text = _RANGES.get(name, (None, ""))
        if is_valid is not None and not is_valid(value):
            refuse(text)
    if parameters.get("result_format", "message") not in ("message", "text"):
        refuse("result_format must be message or text.")
    if parameters.get("enable_search") and row.search is False:
        refuse("The enable_search parameter is not supported by this model.")
    if (effort := parameters.get("reasoning_effort")) is not None:
        _check_effort(effort, row)
    answer, reasoning = row.max_output_tokens, row.max_reasoning_tokens
    _check_limit(parameters, "max_tokens", answer)
    _check_limit(parameters, "max_completion_tokens", answer and answer + (reasoning or 0))


def _check_effort(effort: object, row: ModelCapabilities) -> None:
    if row.settable is None and not row.efforts_text:
        return  # nothing is documented for this model
    if (
        isinstance(effort, bool)
        or not isinstance(effort, (str, int))
        or not knows_effort(row, effort)
    ):
        refuse(f"reasoning_effort must be one of {row.efforts_text or 'none'}.")


def _check_limit(parameters: Json, name: str, limit: int | None) -> None:
    if name in parameters and not _is_integer(parameters[name], 1, limit):
        refuse(f"Range of {name} should be [1, {limit or _MAX_INT64}]")


def _is_integer(value: object, least: int, most: int | None = None) -> bool:
    if isinstance(value, bool) or not isinstance(value, int):
        return False
    return value >= least and (most is None or value <= most)


def _is_number(value: object, within: Callable[[float], bool]) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and within(value)


def _is_stop(value: object) -> bool:
    match value:
        case str():
            return True
        case [first, *_] if isinstance(first, list):
            return all(_is_tokens(item) for item in value)
        case [*items]:
            return _is_tokens(items) or all(isinstance(item, str) for item in items)
        case _:
            return False


def _is_tokens(value: object) -> bool:
    return isinstance(value, list) and all(_is_integer(item, 0) for item in value)


_RANGES: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "temperature": (
        lambda value: _is_number(value, lambda number: 0 <= number < 2),  # noqa: PLR2004
        "Temperature should be in [0.0, 2.0)",
    ),
    "top_p": (
        lambda value: _is_number(value, lambda number: 0 < number <= 1),
        "Range of top_p should be (0.0, 1.0]",
    ),
    "repetition_penalty": (
        lambda value: _is_number(value, lambda number: number > 0),
        "Repetition_penalty should be greater than 0.0",
    ),
    "presence_penalty": (
        lambda value: _is_number(value, lambda number: -2 <= number <= 2),  # noqa: PLR2004
        "Presence_penalty should be in [-2.0, 2.0]",
    ),
    "seed": (
        lambda value: _is_integer(value, 0, _MAX_INT64),
        f"Range of seed should be [0, {_MAX_INT64}]",
    ),
    "stop": (_is_stop, "stop must be of type str, list[str], list[int], or list[list[int]]."),
}


def _check_thinking(
    parameters: Json, row: ModelCapabilities, *, thinking: bool, stream: bool
) -> None:
    if thinking and not stream and row.thinking_needs_stream:
        refuse(
            "This model only support stream mode, please enable the stream parameter to access "
            "the model."
            if row.thinking == "always"
            else "parameter.enable_thinking must be set to false for non-streaming calls"
        )
    if thinking and stream and parameters.get("incremental_output") is not True:
        refuse('The incremental_output parameter must be "true" when enable_thinking is true')
    limit = row.max_reasoning_tokens or row.max_output_tokens
    budget = parameters.get("thinking_budget")
    if "thinking_budget" in parameters and not _is_integer(budget, 1, limit):
        refuse(f"The thinking_budget parameter must be a positive integer and not greater than "
               f"{limit or _MAX_INT64}")  # fmt: skip


def _check_tools(parameters: Json, row: ModelCapabilities, *, thinking: bool) -> None:
    tools, choice = parameters.get("tools"), parameters.get("tool_choice", "auto")
    names = []
    if tools is not None:
        # If the model's support of tools is not documented, they are accepted.
        if row.tools != "unknown" and not calls_tools(row, thinking=thinking):
            refuse("The tool call is not supported.")
        if not isinstance(tools, list) or not tools:
            refuse("tools must be a list that is not empty.")
        names = [_tool_name(tool) for tool in tools]
        if len(set(names)) < len(names):
            refuse("tools.function.name must be unique.")
    match choice:
        case "auto" | "none":
            return
        case "required" if names:
            return
        case {"type": "function", "function": {"name": str(name)}} if name in names:
            return
    refuse("tool_choice must be auto, none, required, or an object that names a function of tools.")


def _check_choice(parameters: Json, accepts: Collection[Accepted], *, thinking: bool) -> None:
    choice = parameters.get("tool_choice")
    is_forced = choice == "required" or isinstance(choice, dict)
    if thinking and is_forced and "forced_choice_while_thinking" not in accepts:
        refuse(
            "The tool_choice parameter does not support being set to required or object in "
            "thinking mode"
        )


def _tool_name(tool: object) -> str:
    match tool:
        case {"type": "function", "function": {"name": str(name), **rest}}:
            pass
        case _:
            refuse("tools must be objects of the type function, with a function that has a name.")
    if not _TOOL_NAME.fullmatch(name) or name == "search":
        refuse("tools.function.name must be 1 to 64 characters of [A-Za-z0-9_-], and not 'search'.")
    if not isinstance(rest.get("description", ""), str):
        refuse("tools.function.description must be a string.")
    schema: Any = rest.get("parameters", {})
    is_object = isinstance(schema, dict) and schema.get("type", "object") == "object"
    if not is_object or not isinstance(schema.get("properties", {}), dict):
        refuse("tools.function.parameters must be the JSON schema of an object.")
    return name


def _check_format(
    parameters: Json, row: ModelCapabilities, messages: list[Json], *, thinking: bool
) -> None:
    wanted = parameters.get("response_format")
    match wanted:
        case None | {"type": "text"}:
            return
        case {"type": "json_object"}:
            if row.json_object is False:
                refuse("The response_format parameter json_object is not supported by this model.")
        case {"type": "json_schema"} if row.json_schema is False:
            refuse("This response_format type is unavailable now")
        case {"type": "json_schema", "json_schema": {"name": str(), "schema": dict()}}:
            pass
        case _:
            refuse("response_format.type must be text, json_object, or json_schema with a schema.")
    if thinking:
        refuse("Json mode response is not supported when enable_thinking is true")
    is_named = any("json" in message["content"].lower() for message in messages)
    if wanted["type"] == "json_object" and not is_named:
        refuse(
            "'messages' must contain the word 'json' in some form, to use 'response_format' of "
            "type 'json_object'."
        )
