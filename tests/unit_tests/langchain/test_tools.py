"""Tools: which forms are taken, what goes out, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.tools import Tool

from langchain_dashscope_deepseek import DashScopeInputError
from tests.unit_tests.conftest import Ask, Scripted, answer_of

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION = {"name": "get_weather", "description": "Get it.", "parameters": PARAMETERS}
TOOL = {"type": "function", "function": FUNCTION}
BARE = {"type": "function", "function": {"name": "get_weather"}}

FORMS: dict[str, tuple[dict[str, Any], Any]] = {
    "OpenAI": (TOOL, TOOL),
    "OpenAI, flat": ({"type": "function", **FUNCTION}, TOOL),
    "OpenAI, flat and strict": (
        {"type": "function", **FUNCTION, "strict": True},
        {"type": "function", "function": {**FUNCTION, "strict": True}},
    ),
    "OpenAI, without its type": ({"function": FUNCTION}, TOOL),
    "a function": (FUNCTION, TOOL),
    "Anthropic": (
        {
            "type": "custom",
            "name": "get_weather",
            "description": "Get it.",
            "input_schema": PARAMETERS,
        },
        TOOL,
    ),
    "Bedrock": (
        {
            "toolSpec": {
                "name": "get_weather",
                "description": "Get it.",
                "inputSchema": {"json": PARAMETERS},
            }
        },
        TOOL,
    ),
    "a JSON schema": ({"title": "get_weather", "description": "Get it.", **PARAMETERS}, TOOL),
    "no description": (
        {"type": "function", "function": {"name": "get_weather", "description": None}},
        BARE,
    ),
    "no parameters": (
        {"type": "function", "function": {"name": "get_weather", "parameters": None}},
        BARE,
    ),
    "flat, with nothing": (
        {
            "type": "function",
            "name": "get_weather",
            "description": None,
            "parameters": None,
            "strict": None,
        },
        BARE,
    ),
}


@pytest.mark.parametrize(("given", "sent"), FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("is_bound", [True, False], ids=["bound", "for one call"])
async def test_a_tool_of_any_form_goes_out_in_one(
    given: dict[str, Any], sent: Any, *, is_bound: bool, ask: Ask, service: Scripted
) -> None:
    """Members that are None are left out: the service takes no null there."""
    service.answer(answer_of())
    if is_bound:
        await ask(service.model().bind_tools([given]), "hi")
    else:
        await ask(service.model(), "hi", tools=[given])
    assert service.parameters["tools"] == [sent]


def test_null_inside_the_parameters_is_part_of_the_schema(service: Scripted) -> None:
    service.answer(answer_of())
    city = {"type": ["string", "null"], "default": None}
    function = {**FUNCTION, "parameters": {"type": "object", "properties": {"city": city}}}
    tool = {"type": "function", "function": function}
    service.model().bind_tools([tool]).invoke("hi")
    assert service.parameters["tools"] == [tool]


@pytest.mark.parametrize(
    ("tool", "kind"),
    [
        ({"type": "bash_20250124", "name": "bash"}, "bash_20250124"),
        ({"type": "text_editor_20250728", "name": "editor"}, "text_editor_20250728"),
        ({"type": "mcp", "server_label": "x", "headers": {"Authorization": "secret"}}, "mcp"),
        ({"type": "code_interpreter", "container": {"type": "auto"}}, "code_interpreter"),
        ({"type": "file_search", "vector_store_ids": ["x"]}, "file_search"),
        ({"type": "tool_search"}, "tool_search"),
        ({"type": "custom", "name": "sql", "format": {"type": "text"}}, "custom"),
        ({"type": "builtin_function", "function": {"name": "$web"}}, "builtin_function"),
        ({"code_execution": {}}, "code_execution"),
        ({"type": "function"}, "function"),
        (
            Tool("sql", lambda text: text, "Run SQL.", metadata={"type": "custom_tool"}),
            "custom",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_tool_of_another_provider_is_refused_by_its_type(
    tool: Any, kind: str, ask: Ask, service: Scripted
) -> None:
    with pytest.raises(DashScopeInputError, match=f"type '{kind}' is not a function") as bound:
        service.model().bind_tools([tool])
    with pytest.raises(DashScopeInputError, match=f"type '{kind}' is not a function"):
        await ask(service.model(), "hi", tools=[tool])
    assert "secret" not in str(bound.value)
    assert "enable_search" not in str(bound.value)
    assert service.requests == []


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "web_search"},
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 5},
        {"type": "web_search_preview_2025_03_11"},
        {"type": "browser_search"},
        {"google_search": {}},
        {"googleSearch": {}},
        {"google_search_retrieval": {}},
    ],
    ids=str,
)
def test_a_search_of_another_provider_names_the_search_of_this_one(
    tool: dict[str, Any], service: Scripted
) -> None:
    with pytest.raises(DashScopeInputError, match="set enable_search=True"):
        service.model().bind_tools([tool])


# --- Several calls in one answer ---


@pytest.mark.parametrize("value", [True, False])
async def test_parallel_calls_are_a_setting_of_the_model(
    ask: Ask, service: Scripted, *, value: bool
) -> None:
    service.answer(answer_of())
    await ask(service.model(parallel_tool_calls=value).bind_tools([TOOL]), "hi")
    assert service.parameters["parallel_tool_calls"] is value


@pytest.mark.parametrize(
    "model",
    [
        lambda service: service.model(parallel_tool_calls=True),
        lambda service: service.model(model_kwargs={"parallel_tool_calls": True}),
    ],
    ids=["by name", "in model_kwargs"],
)
async def test_the_setting_is_not_sent_without_tools(
    model: Any, ask: Ask, service: Scripted
) -> None:
    service.answer(answer_of())
    await ask(model(service), "hi")
    assert service.parameters == {}


async def test_bind_tools_wins_over_the_setting_and_a_call_over_both(
    ask: Ask, service: Scripted
) -> None:
    service.answer(answer_of())
    model = service.model(parallel_tool_calls=True)
    bound = model.bind_tools([TOOL], parallel_tool_calls=False)
    await ask(bound, "hi")
    assert service.parameters["parallel_tool_calls"] is False
    await ask(bound, "hi", parallel_tool_calls=True)
    assert service.parameters["parallel_tool_calls"] is True
    await ask(bound, "hi", parallel_tool_calls=None)
    assert "parallel_tool_calls" not in service.parameters


async def test_a_call_wins_over_what_was_bound_under_an_alias(ask: Ask, service: Scripted) -> None:
    service.answer(answer_of())
    bound = service.model().bind_tools([TOOL], stop_sequences=["A"])
    await ask(bound, "hi", stop_sequences=["B"])
    assert service.sent["parameters"]["stop"] == ["B"]


def test_what_was_bound_before_the_tools_is_lost_in_core(service: Scripted) -> None:
    """As the docs say; where core keeps it one day, they are to be changed."""
    service.answer(answer_of())
    bound: Any = service.model().bind(parallel_tool_calls=True)
    bound.bind_tools([TOOL]).invoke("hi")
    assert "parallel_tool_calls" not in service.parameters
