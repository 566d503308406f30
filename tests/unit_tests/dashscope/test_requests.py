"""What is sent, what is left out with a warning, and what is refused before anything is sent."""

from __future__ import annotations

import re
import warnings
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from pydantic import ValidationError

from langchain_dashscope_deepseek import (
    MODELS,
    ChatDashScopeDeepSeek,
    DashScopeInputError,
    DashScopeNotFoundError,
    DashScopeUnsupportedError,
    DashScopeWarning,
    ModelCapabilities,
)
from langchain_dashscope_deepseek._dashscope.protocol.parameters import fits
from tests.unit_tests.conftest import Ask, Scripted, answer_of, transcript

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
ALL: dict[str, Any] = {
    "enable_thinking": True,
    "thinking_budget": 100,
    "reasoning_effort": "max",
    "temperature": 0.5,
    "top_p": 0.9,
    "max_tokens": 50,
    "max_completion_tokens": 60,
    "seed": 1,
    "stop": ["end"],
    "enable_search": True,
    "search_options": {"forced_search": True},
}


async def test_no_defaults_of_our_own_are_sent(ask: Ask, service: Scripted) -> None:
    service.answer(answer_of())
    await ask(service.model(), "你好")
    assert service.sent == {
        "model": "deepseek-v4-pro",
        "input": {"messages": [{"role": "user", "content": "你好"}]},
        "parameters": {"result_format": "message", "incremental_output": True},
    }
    assert "你好".encode() in service.requests[-1].content
    assert b" " not in service.requests[-1].content


async def test_every_parameter_is_sent_as_it_is(ask: Ask, service: Scripted) -> None:
    service.answer(answer_of())
    await ask(service.model(**ALL), "hi")
    assert service.parameters == ALL


@pytest.mark.parametrize("name", ALL)
async def test_every_parameter_can_be_given_for_one_call(
    name: str, ask: Ask, service: Scripted
) -> None:
    service.answer(answer_of())
    other = {"enable_thinking": False, "temperature": 0.1, "stop": ["x"]}.get(name, ALL[name])
    await ask(service.model(**{**ALL, "enable_thinking": True}), "hi", **{name: other})
    assert service.parameters[name] == other


def test_a_bound_parameter_goes_over_the_setting(service: Scripted) -> None:
    service.answer(answer_of())
    service.model(temperature=1).bind(temperature=0, stop=["a"]).invoke("hi")
    assert service.parameters == {"temperature": 0, "stop": ["a"]}


@pytest.mark.parametrize("stop", ["a", ["a", "b"], [108386, 104307], [[108386, 104307], [35946]]])
def test_stop_is_a_string_strings_or_tokens(stop: Any, service: Scripted) -> None:
    service.answer(answer_of())
    service.model(stop=stop).invoke("hi")
    assert service.parameters == {"stop": stop}


def test_an_empty_stop_is_none(service: Scripted) -> None:
    service.answer(answer_of())
    service.model(stop=[]).invoke("hi")
    assert service.parameters == {}


async def test_an_unknown_parameter_is_refused(ask: Ask, service: Scripted) -> None:
    with pytest.raises(DashScopeInputError, match=r"no_such_parameter.*model_kwargs"):
        await ask(service.model(), "hi", no_such_parameter=3)


async def test_a_setting_of_the_model_is_no_parameter_of_a_call(
    ask: Ask, service: Scripted
) -> None:
    with pytest.raises(
        DashScopeInputError, match="base_url cannot be set for one call: set it on the model"
    ):
        await ask(service.model(), "hi", base_url="https://else.test")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("temperature", "hot"), ("top_p", True), ("seed", 1.5)),
        *(("max_retries", "1"), ("max_retries", -1), ("model", ""), ("model", 3)),
        *(("timeout", -1), ("timeout", 0), ("timeout", float("nan")), ("timeout", "x")),
        *(("timeout", 1e12), ("capabilities", {"thinking": "off"}), ("model_kwargs", "x")),
        *(("max_retries", True), ("max_retries", 1.5), ("max_seconds", -1)),
        *(("max_seconds", "soon"), ("max_seconds", float("nan"))),
        *(("max_answer_size", 0), ("max_answer_size", 1.5), ("max_answer_size", True)),
    ],
)
async def test_a_wrong_setting_for_one_call_is_refused(
    name: str, value: Any, ask: Ask, service: Scripted
) -> None:
    with pytest.raises(DashScopeInputError, match=f"{name} must be"):
        await ask(service.model(), "hi", **{name: value})
    assert service.requests == []


async def test_none_takes_a_parameter_away_for_one_call(ask: Ask, service: Scripted) -> None:
    service.answer(answer_of())
    await ask(service.model(temperature=1, seed=1), "hi", temperature=None, max_retries=None)
    assert service.parameters == {"seed": 1}


def test_thinking_in_model_kwargs_counts(service: Scripted) -> None:
    service.answer(answer_of())
    service.model("deepseek-v3.1", model_kwargs={"enable_thinking": True}).invoke("hi")
    assert "x-dashscope-sse" in service.requests[-1].headers


async def test_model_kwargs_are_forwarded_untouched(ask: Ask, service: Scripted) -> None:
    service.answer(answer_of())
    await ask(service.model(model_kwargs={"no_such_parameter": 3, "odd": [1]}, temperature=1), "hi")
    assert service.parameters == {"no_such_parameter": 3, "odd": [1], "temperature": 1}


async def test_a_parameter_in_model_kwargs_works_as_the_one_of_that_name(
    ask: Ask, service: Scripted
) -> None:
    service.answer(answer_of())
    await ask(service.model(model_kwargs={"temperature": 0.9, "no_such_parameter": 3}), "hi")
    assert service.parameters == {"temperature": 0.9, "no_such_parameter": 3}
    model = service.model("deepseek-v3", model_kwargs={"enable_thinking": True})
    with pytest.warns(DashScopeWarning, match="enable_thinking was left out"):
        await ask(model, "hi")
    assert service.parameters == {}
    with pytest.raises(DashScopeInputError, match="temperature must be a number"):
        await ask(service.model(), "hi", model_kwargs={"temperature": 9})


async def test_a_parameter_by_name_and_in_model_kwargs_is_refused(
    ask: Ask, service: Scripted
) -> None:
    twice: dict[str, Any] = {"temperature": 0.1, "model_kwargs": {"temperature": 0.9}}
    with pytest.raises(
        ValidationError, match="temperature is given twice: take it out of model_kwargs"
    ):
        service.model(**twice)
    with pytest.raises(
        DashScopeInputError, match="temperature is given twice: take it out of model_kwargs"
    ):
        await ask(service.model(), "hi", **twice)


async def test_what_is_given_to_a_call_goes_over_the_models_whatever_the_place(
    ask: Ask, service: Scripted
) -> None:
    service.answer(answer_of())
    in_kwargs = {"temperature": 0.9, "no_such_parameter": 3}
    await ask(service.model(model_kwargs=in_kwargs), "hi", temperature=0.1)
    assert service.parameters == {"temperature": 0.1, "no_such_parameter": 3}
    await ask(service.model(temperature=0.1), "hi", model_kwargs=in_kwargs)
    assert service.parameters == in_kwargs
    await ask(service.model(model_kwargs=in_kwargs), "hi", model_kwargs={"no_such_parameter": 4})
    assert service.parameters == {"no_such_parameter": 4}


def test_tools_are_bound_by_what_model_kwargs_say(service: Scripted) -> None:
    thinking = service.model("deepseek-v3.1", model_kwargs={"enable_thinking": True})
    with pytest.raises(
        DashScopeUnsupportedError, match="while it thinks: set enable_thinking=False"
    ):
        thinking.bind_tools([TOOL])
    with pytest.raises(DashScopeInputError, match="capabilities must be a ModelCapabilities"):
        service.model().bind_tools([TOOL], capabilities={"tools": "always"})


async def test_a_row_that_is_declared_for_tools_alone_takes_nothing_away(
    ask: Ask, service: Scripted
) -> None:
    service.answer(answer_of())
    model = service.model("odd", capabilities=ModelCapabilities(tools="always"))
    wanted: Any = {"enable_thinking": True, "reasoning_effort": "odd", "temperature": 1}
    await ask(model, "hi", **wanted)
    assert service.parameters == wanted
    await ask(model, "hi", tools=[TOOL], tool_choice="required")
    assert service.parameters["tool_choice"]["function"] == {"name": "get_weather"}


@pytest.mark.parametrize("name", ["result_format", "incremental_output"])
async def test_model_kwargs_do_not_break_the_reading(
    name: str, ask: Ask, service: Scripted
) -> None:
    with pytest.raises(ValidationError, match=name):
        service.model(model_kwargs={name: False})
    with pytest.raises(DashScopeInputError, match=name):
        await ask(service.model(), "hi", model_kwargs={name: False})


# --- Streaming underneath ---


@pytest.mark.parametrize(
    ("model", "settings", "streams"),
    [
        ("deepseek-v4-pro", {}, True),
        ("deepseek-v4-pro", {"enable_thinking": False}, False),
        ("deepseek-v4-pro", {"streaming": False}, False),
        ("deepseek-v4-pro", {"disable_streaming": True}, False),
        ("deepseek-v3.2", {}, False),
        ("deepseek-v3.2", {"enable_thinking": True}, True),
        ("deepseek-v3.1", {"enable_thinking": True}, True),
        ("deepseek-v3.1", {"enable_thinking": True, "streaming": False}, True),
        ("deepseek-v3.1", {"streaming": False}, False),
        ("deepseek-r1", {}, True),
        ("deepseek-v3", {}, False),
        ("some-new-model", {}, True),
        ("some-new-model", {"streaming": False}, False),
    ],
)
async def test_invoke_streams_underneath_while_the_model_thinks(
    model: str, settings: dict[str, Any], streams: bool, service: Scripted
) -> None:
    """A connection that is silent for minutes is what proxies cut."""
    service.answer(answer_of())
    for style in ("invoke", "ainvoke"):
        if style == "invoke":
            service.model(model, **settings).invoke("hi")
        else:
            await service.model(model, **settings).ainvoke("hi")
        assert ("x-dashscope-sse" in service.requests[-1].headers) == streams
        assert service.sent["parameters"].get("incremental_output", False) == streams


@pytest.mark.parametrize("enable_thinking", [True, False])
@pytest.mark.parametrize("model", ["deepseek-v3.1", "deepseek-v3.2"])
async def test_a_stream_is_a_stream_in_both_modes(
    model: str, enable_thinking: bool, ask_stream: Ask, service: Scripted
) -> None:
    service.answer(transcript("plain_text"))
    await ask_stream(service.model(model, enable_thinking=enable_thinking), "hi")
    assert "x-dashscope-sse" in service.requests[-1].headers


# --- What may be dropped ---

DROPPED = [
    ("deepseek-r1", "temperature", 0.5),
    ("deepseek-r1", "top_p", 0.5),
    ("deepseek-r1", "enable_thinking", False),
    ("deepseek-r1", "presence_penalty", 1),
    ("deepseek-r1-distill-llama-8b", "temperature", 0.5),
    ("deepseek-v3", "enable_thinking", True),
    ("deepseek-v3", "thinking_budget", 10),
    ("deepseek-v3", "reasoning_effort", "high"),
    ("deepseek-v3.2", "reasoning_effort", "high"),
    ("deepseek-v3.2", "reasoning_effort", "none"),
    ("deepseek-v3.2", "repetition_penalty", 1.1),
    ("deepseek-v4-pro", "repetition_penalty", 1.1),
    ("deepseek-v4-pro", "presence_penalty", 1),
]


@pytest.mark.parametrize(("model", "name", "value"), DROPPED)
async def test_a_parameter_that_does_nothing_is_left_out_with_a_warning(
    model: str, name: str, value: Any, ask: Ask, service: Scripted
) -> None:
    """People switch models for one call, and that must not fail."""
    service.answer(answer_of())
    with pytest.warns(DashScopeWarning, match=f"{name} was left out of the request to {model}"):
        await ask(service.model(), "hi", **{"model": model, name: value})
    assert name not in service.parameters


@pytest.mark.parametrize(
    ("model", "name", "value"),
    [
        ("deepseek-r1", "enable_thinking", True),
        ("deepseek-r1", "thinking_budget", 10),
        ("deepseek-r1", "max_tokens", 10),
        ("deepseek-v3.1", "repetition_penalty", 1.1),
        ("deepseek-v3.2-exp", "repetition_penalty", 1.1),
        ("deepseek-v4-pro-0813", "reasoning_effort", "low"),
        ("deepseek-v4-pro-0813", "reasoning_effort", "medium"),
        ("deepseek-v4-flash-0731", "reasoning_effort", "xhigh"),
        ("deepseek-v4-pro", "reasoning_effort", "medium"),
        ("deepseek-v4.1-flash", "reasoning_effort", "minimal"),
        ("deepseek-v4.1-flash", "reasoning_effort", "ultra"),
        ("deepseek-v4.1-flash", "reasoning_effort", 1),
        ("deepseek-v4.1-flash", "reasoning_effort", 100),
        ("vanchin/deepseek-v4-pro", "reasoning_effort", "odd"),
        ("siliconflow/deepseek-v3.2", "thinking_budget", 10),
        ("vanchin/deepseek-v4-pro", "enable_thinking", False),
        ("some-new-model", "reasoning_effort", "none"),
        ("some-new-model", "presence_penalty", 1),
    ],
)
async def test_a_parameter_that_works_is_sent(
    model: str, name: str, value: Any, ask: Ask, service: Scripted
) -> None:
    service.answer(answer_of())
    await ask(service.model(), "hi", **{"model": model, name: value})
    assert service.parameters == {name: value}


@pytest.mark.parametrize(
    ("action", "times"), [("default", 1), ("once", 1), ("always", 3), ("ignore", 0)]
)
def test_python_filters_decide_how_often_a_warning_is_shown(
    action: Any, times: int, service: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also under LangChain, which makes Python forget what it has shown."""
    monkeypatch.setattr("langchain_dashscope_deepseek._dashscope.reporting._shown", set())
    service.answer(answer_of())
    model = service.model("deepseek-r1", temperature=0.5)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter(action)
        for _ in range(3):
            model.invoke("hi")
    assert len(caught) == times


def test_constructing_and_binding_warn_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ChatDashScopeDeepSeek(model="deepseek-r1", temperature=0).bind(top_p=0.5)


# --- Features ---

JSON_OBJECT = {"type": "json_object"}
JSON_SCHEMA = {
    "type": "json_schema",
    "json_schema": {"name": "Person", "schema": {"type": "object", "properties": {"name": {}}}},
}


@pytest.mark.parametrize("model", ["deepseek-r1-distill-qwen-7b", "deepseek-r1-distill-llama-70b"])
async def test_tools_on_a_model_without_are_refused(
    model: str, ask: Ask, service: Scripted
) -> None:
    """Tools sent to a model without them give an empty reply."""
    with pytest.raises(DashScopeUnsupportedError, match=r"Models that do: deepseek-v4.1-flash"):
        await ask(service.model(model), "hi", tools=[TOOL])
    with pytest.raises(ValueError, match=model):
        service.model(model).bind_tools([TOOL])
    assert service.requests == []


@pytest.mark.parametrize("model", ["deepseek-v3.1", "deepseek-v3.2-exp"])
async def test_tools_on_a_model_that_has_none_while_thinking_name_the_switch(
    model: str, ask: Ask, service: Scripted
) -> None:
    service.answer(answer_of())
    bound = service.model(model).bind_tools([TOOL])
    with pytest.raises(DashScopeUnsupportedError, match="set enable_thinking=False"):
        await ask(bound, "hi", enable_thinking=True)
    with pytest.raises(DashScopeUnsupportedError, match="set enable_thinking=False"):
        service.model(model, enable_thinking=True).bind_tools([TOOL])
    assert service.requests == []
    await ask(bound, "hi")
    assert service.parameters == {"tools": [TOOL]}


def test_a_model_that_is_suggested_for_tools_calls_them(service: Scripted) -> None:
    bound = service.model("DeepSeek-R1-Distill-Qwen-1.5B").bind_tools([TOOL])
    with pytest.raises(DashScopeUnsupportedError, match=r"Use '(.+?)', or declare") as caught:
        bound.invoke("hi")
    found = re.search("Use '(.+?)'", str(caught.value))
    assert found is not None
    assert MODELS[found[1]].tools == "always"


async def test_tools_on_an_unknown_model_ask_for_a_row(ask: Ask, service: Scripted) -> None:
    service.answer(answer_of())
    model = service.model("some-new-model")
    with pytest.raises(DashScopeUnsupportedError, match=r"capabilities=ModelCapabilities\("):
        await ask(model.bind_tools([TOOL]), "hi")
    declared = service.model("some-new-model", capabilities=ModelCapabilities(tools="always"))
    await ask(declared.bind_tools([TOOL]), "hi")
    assert service.parameters == {"tools": [TOOL]}


@pytest.mark.parametrize(
    ("model", "capabilities", "thinking"),
    [
        ("deepseek-v4-pro", None, {"enable_thinking": False}),
        ("deepseek-v4-pro-0813", None, {"enable_thinking": False}),
        ("vanchin/deepseek-v4.1-flash", None, {}),
        ("some-new-model", None, {}),
        ("mine", ModelCapabilities(thinking="off", json_schema=True), {}),
    ],
)
async def test_a_json_schema_is_sent_where_no_page_denies_it(
    model: str,
    capabilities: ModelCapabilities | None,
    thinking: dict[str, Any],
    ask: Ask,
    service: Scripted,
) -> None:
    """As asked, and without the word "json"; thinking by default goes, as for JSON mode."""
    service.answer(answer_of("{}"))
    wanted = {"response_format": JSON_SCHEMA}
    await ask(service.model(model, capabilities=capabilities), "hi", **wanted)
    assert service.parameters == {**wanted, **thinking}


@pytest.mark.parametrize(
    "model", ["deepseek-v4.1-flash", "deepseek-v4-flash-0731", "deepseek-v4-pro-us", "deepseek-r1"]
)
async def test_a_json_schema_is_refused_where_the_model_has_none(
    model: str, ask: Ask, service: Scripted
) -> None:
    with pytest.raises(DashScopeUnsupportedError, match=r"'json_schema'\. No DeepSeek model on"):
        await ask(service.model(model), "json", response_format=JSON_SCHEMA)
    assert service.requests == []


# --- Tools ---


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("auto", "auto"),
        ("none", "none"),
        ("any", {"type": "function", "function": {"name": "get_weather"}}),
        ("required", {"type": "function", "function": {"name": "get_weather"}}),
        (True, {"type": "function", "function": {"name": "get_weather"}}),
        ("get_weather", {"type": "function", "function": {"name": "get_weather"}}),
        (
            {"type": "function", "function": {"name": "get_weather"}},
            {"type": "function", "function": {"name": "get_weather"}},
        ),
        (
            {"type": "tool", "name": "get_weather"},
            {"type": "function", "function": {"name": "get_weather"}},
        ),
        (False, None),
        (None, None),
    ],
)
def test_a_tool_choice_goes_out_in_the_words_of_the_wire(
    choice: Any, sent: Any, service: Scripted
) -> None:
    service.answer(answer_of())
    model = service.model(enable_thinking=False)
    model.bind_tools([TOOL], tool_choice=choice, parallel_tool_calls=True).invoke("hi")
    assert service.parameters.get("tool_choice") == sent
    assert service.parameters["parallel_tool_calls"] is True


async def test_a_forced_choice_wins_over_thinking_by_default(ask: Ask, service: Scripted) -> None:
    service.answer(answer_of())
    model = service.model()
    message = await ask(model.bind_tools([TOOL], tool_choice="any"), "hi")
    assert service.parameters["tool_choice"]["function"] == {"name": "get_weather"}
    assert service.parameters["enable_thinking"] is False
    changed = {"enable_thinking": {"asked": None, "sent": False}}
    assert message.response_metadata["request_changes"] == changed
    assert model.enable_thinking is None


@pytest.mark.parametrize(
    ("name", "settings"), [("deepseek-v4-pro", {"enable_thinking": True}), ("deepseek-r1", {})]
)
async def test_thinking_by_name_wins_over_a_forced_choice(
    name: str, settings: dict[str, Any], ask: Ask, service: Scripted
) -> None:
    service.answer(answer_of())
    bound = service.model(name, **settings).bind_tools([TOOL], tool_choice="any")
    with pytest.warns(DashScopeWarning, match="'auto'"):
        await ask(bound, "hi")
    assert service.parameters["tool_choice"] == "auto"


def test_the_same_tool_twice_is_one(service: Scripted) -> None:
    service.answer(answer_of())
    service.model().bind_tools([TOOL, TOOL]).invoke("hi")
    assert service.parameters["tools"] == [TOOL]


def test_strict_is_sent_with_every_tool(service: Scripted) -> None:
    def get_time(city: str) -> str:
        """Get the time of a city."""
        return city

    service.answer(answer_of())
    service.model().bind_tools([TOOL, get_time], strict=True).invoke("hi")
    assert [tool["function"]["strict"] for tool in service.parameters["tools"]] == [True, True]
    assert "strict" not in TOOL["function"]


async def test_tools_and_choices_of_any_form_can_be_given_for_one_call(
    ask: Ask, service: Scripted
) -> None:
    def get_time(city: str) -> str:
        """Get the time of a city."""
        return city

    service.answer(answer_of())
    model = service.model(enable_thinking=False)
    await ask(model, "hi", tools=[get_time], tool_choice="get_time")
    assert service.parameters["tools"][0]["function"]["name"] == "get_time"
    assert service.parameters["tool_choice"]["function"] == {"name": "get_time"}


async def test_thinking_in_model_kwargs_counts_at_the_gate(ask: Ask, service: Scripted) -> None:
    model = service.model("deepseek-v3.1", model_kwargs={"enable_thinking": True})
    with pytest.raises(
        DashScopeUnsupportedError, match=r"set enable_thinking=False\. Models that do"
    ):
        await ask(model, "hi", tools=[TOOL])
    assert service.requests == []


# --- What is said ---


def current(field: str, value: object) -> str:
    """Name the current models of Alibaba's own that have a feature."""
    rows = {name: row for name, row in MODELS.items() if "/" not in name}
    can = (n for n, row in rows.items() if getattr(row, field) == value and row.status == "current")
    return ", ".join(can)


WITH_TOOLS = current("tools", "always")
OTHER_TOOL = {"type": "function", "function": {"name": "get_weather"}}
A_NAME = "use 1 to 64 of A-Z, a-z, 0-9, '_' and '-', and not 'search'."
DISTILLED = "deepseek-r1-distill-llama-8b"


def named(name: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


SAID: list[tuple[str, dict[str, Any], str]] = [
    ("deepseek-v4-pro", {"seed": -1}, "seed must be a whole number, at least 0, not -1."),
    (
        "deepseek-v4-pro",
        {"seed": "a secret"},
        "seed must be a whole number, at least 0, not the given str.",
    ),
    (
        "deepseek-v4-pro",
        {"model_kwargs": {"result_format": "text"}},
        "model_kwargs: Unknown setting result_format: leave it out: this package sets it.",
    ),
    *(
        (
            "deepseek-v4-pro",
            {"model_kwargs": {"x": value}},
            (
                "A message or parameter holds a value that JSON cannot represent. Use strings, finite "
                "numbers, booleans, None, lists and dicts."
            ),
        )
        for value in (object(), float("nan"))
    ),
    (
        "deepseek-v4-pro",
        {"model_kwargs": {"x": "\ud800"}},
        (
            "A message or parameter holds a lone surrogate, which UTF-8 cannot encode. Repair it: "
            "text.encode('utf-16', 'surrogatepass').decode('utf-16', 'replace')."
        ),
    ),
    (
        "deepseek-v4-pro",
        {"response_format": JSON_OBJECT},
        (
            "response_format json_object needs the word 'json' in a message, or the service refuses "
            "the request: ask for JSON in the prompt."
        ),
    ),
    (
        "deepseek-v4.1-flash",
        {"response_format": {"type": "json_schema"}},
        (
            "deepseek-v4.1-flash does not support response_format of type 'json_schema'. No "
            "DeepSeek model on DashScope is documented to."
        ),
    ),
    (
        "deepseek-v3",
        {"response_format": JSON_OBJECT},
        f"deepseek-v3 does not support response_format of type 'json_object'. Models that do: {current('json_object', True)}.",
    ),
    (
        DISTILLED,
        {"enable_search": True},
        f"{DISTILLED} does not support web search (enable_search). Models that do: {current('search', True)}.",
    ),
    (
        DISTILLED,
        {"tools": [TOOL]},
        f"{DISTILLED} does not support tools. Models that do: {WITH_TOOLS}.",
    ),
    (
        "deepseek-v3.1",
        {"tools": [TOOL], "enable_thinking": True},
        (
            "deepseek-v3.1 does not support tools while it thinks: set enable_thinking=False. Models "
            f"that do: {WITH_TOOLS}."
        ),
    ),
    *(
        (
            "mine",
            {"tools": [TOOL], "capabilities": row},
            f"mine does not support tools. Models that do: {WITH_TOOLS}.",
        )
        for row in (
            ModelCapabilities(thinking="on", tools="never"),
            ModelCapabilities(thinking="always", tools="when_not_thinking"),
        )
    ),
    *(
        (
            model,
            {"tools": [TOOL]},
            (
                f"Whether {model!r} calls tools is not known, and a model that does not would "
                "ignore them without an error. Use 'deepseek-v4.1-flash', or declare what this "
                "model supports: "
                "capabilities=find_capabilities('deepseek-v4.1-flash') if it supports the same, or "
                'capabilities=ModelCapabilities(tools="always"), both imported '
                "from langchain_dashscope_deepseek."
            ),
        )
        for model in ("some-new-model", "vanchin/deepseek-v4.1-flash")
    ),
    *(
        (
            "deepseek-v4-pro",
            {"reasoning_effort": effort},
            (
                f"reasoning_effort={effort!r} is not documented for deepseek-v4-pro. Documented: "
                "'high', 'max', 'low', 'medium', 'xhigh'. To switch thinking off, set "
                "enable_thinking=False."
            ),
        )
        for effort in ("none", "minimal", "odd", 50)
    ),
    (
        "deepseek-v4.1-flash",
        {"reasoning_effort": "none"},
        (
            "reasoning_effort='none' is not documented for deepseek-v4.1-flash. Documented: 'low', "
            "'high', 'max', 'minimal', 'medium', 'xhigh', 'ultra', a whole number from 1 to 100. "
            "To switch thinking off, set enable_thinking=False."
        ),
    ),
    (
        "deepseek-v4.1-flash",
        {"reasoning": {"effort": "high"}},
        (
            'Unknown setting reasoning: write reasoning_effort="high", or '
            "enable_thinking=False for no reasoning."
        ),
    ),
    (
        "deepseek-v4-pro",
        {"tools": [TOOL, OTHER_TOOL]},
        "Two different tools are named 'get_weather': rename one.",
    ),
    (
        "deepseek-v4-pro",
        {"tools": [TOOL], "tool_choice": named("f")},
        "tool_choice names 'f', which is not a tool of this call: add that tool.",
    ),
    *(
        (
            "deepseek-v4-pro",
            {"tools": [named(name)]},
            f"The service refuses a tool named {name!r}: {A_NAME}",
        )
        for name in ("search", "", "a b", "a" * 65, "wetter-für-alle", None)
    ),
]


@pytest.mark.parametrize(("model", "settings", "text"), SAID)
def test_a_refusal_says_what_is_wrong_and_what_to_do(
    model: str, settings: dict[str, Any], text: str, service: Scripted
) -> None:
    with pytest.raises(DashScopeInputError) as caught:
        service.model(model).invoke("hi", **settings)
    assert str(caught.value) == text
    assert service.requests == []


def test_documented_efforts_of_a_row_of_the_user_exclude_others(service: Scripted) -> None:
    row = ModelCapabilities(reasoning_efforts=("low", "high"))
    with pytest.raises(DashScopeUnsupportedError, match="'max' is not documented for odd"):
        service.model("odd", capabilities=row, reasoning_effort="max").invoke("hi")


def test_a_documented_effort_of_a_row_of_the_user_is_sent(service: Scripted) -> None:
    row = replace(MODELS["deepseek-v3.2"], reasoning_efforts=("high",))
    service.answer(answer_of())
    service.model(capabilities=row, reasoning_effort="high").invoke("hi")
    assert service.parameters["reasoning_effort"] == "high"


def test_a_parameter_whose_name_is_like_that_of_a_secret_is_sent(service: Scripted) -> None:
    service.answer(answer_of())
    service.model(model_kwargs={"response_headers": True}).invoke("hi")
    assert service.parameters["response_headers"] is True


@pytest.mark.parametrize("wanted", [JSON_OBJECT, JSON_SCHEMA], ids=["object", "schema"])
def test_json_with_explicit_thinking_says_what_to_do(wanted: Any, service: Scripted) -> None:
    with pytest.raises(DashScopeInputError) as caught:
        service.model().invoke("json", response_format=wanted, enable_thinking=True)
    assert str(caught.value) == (
        "The service does not support JSON mode while the model thinks: set "
        "enable_thinking=False for this call, or leave enable_thinking out."
    )


@pytest.mark.parametrize(
    ("model", "settings", "reason"),
    [
        ("deepseek-r1", {"temperature": 0.5}, "cannot be set on this model"),
        ("deepseek-r1", {"enable_thinking": False}, "does nothing: this model always thinks"),
        ("deepseek-v3", {"enable_thinking": True}, "does nothing: this model never thinks"),
        ("deepseek-v3", {"reasoning_effort": "high"}, "cannot be set on this model"),
    ],
)
def test_a_warning_says_what_was_left_out_and_why(
    model: str, settings: dict[str, Any], reason: str, service: Scripted
) -> None:
    service.answer(answer_of())
    with pytest.warns(DashScopeWarning) as warned:
        service.model(model).invoke("hi", **settings)
    (name,) = settings
    assert str(warned[0].message) == f"{name} was left out of the request to {model}: it {reason}."


def test_a_choice_that_is_not_forced_is_warned_of_and_logged(
    service: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "langchain_dashscope_deepseek")
    service.answer(answer_of())
    with pytest.warns(DashScopeWarning) as warned:
        message = service.model(enable_thinking=True).invoke(
            "hi", tools=[TOOL], tool_choice="required"
        )
    assert str(warned[0].message) == (
        "tool_choice was sent to deepseek-v4-pro as 'auto', since the service does not support a "
        "forced choice while the model thinks: it may answer without calling a tool."
    )
    changed = {"tool_choice": {"asked": "required", "sent": "auto"}}
    assert message.response_metadata["request_changes"] == changed
    text = "tool_choice was asked for as 'required' and sent to deepseek-v4-pro as 'auto'"
    assert caplog.messages[0] == text


@pytest.mark.parametrize(
    ("row", "advice"),
    [
        (ModelCapabilities(status="retired"), " mine is switched off: use another model."),
        (
            ModelCapabilities(status="retired", retired_on=date(2026, 1, 2), replacement="new"),
            " mine is switched off since 2026-01-02: use new.",
        ),
        (ModelCapabilities(replacement="new"), ""),
    ],
)
def test_a_model_that_is_off_is_said_to_be(
    row: ModelCapabilities, advice: str, service: Scripted
) -> None:
    service.answer({"code": "ModelNotFound", "message": "Model not exist."}, status=404)
    with pytest.raises(DashScopeNotFoundError) as caught:
        service.model("mine", capabilities=row).invoke("hi")
    asked = " Requested: mine at dashscope.aliyuncs.com, in cn-beijing."
    assert str(caught.value).endswith(f"{DashScopeNotFoundError.hint}{asked}{advice}")


# --- The borders of values ---


@pytest.mark.parametrize(
    ("name", "taken", "refused"),
    [
        ("temperature", [0, 0.0, 1.99], [-0.01, 2, True, "1", float("nan"), 1j]),
        ("top_p", [0.01, 1], [0, 1.01, True, -1]),
        ("presence_penalty", [-2, 0, 2], [-2.01, 2.01, False]),
        ("repetition_penalty", [0.01, 1e300], [0, -1, float("inf")]),
        ("max_tokens", [1, 10**6], [0, 1.0, True, "1"]),
        ("seed", [0, 1], [-1, 0.0, False]),
        (
            "stop",
            ["a", "", [], ["a", "b"], [1, 2], ("a",), [[1], [2, 3]]],
            [1, ["a", 1], [[1, "a"]], [True]],
        ),
        ("enable_thinking", [True, False], [0, 1, "true"]),
        ("parallel_tool_calls", [True, False], [1, "yes", []]),
        ("reasoning_effort", ["max", 1, 100], [0, 101, True, 1.5]),
        ("response_format", [{}], [[], "json_object"]),
        ("tool_choice", ["auto", "none", "required", {}], ["any", True]),
        ("tools", [[], [{}], ({},)], [{}, "tools", [1], [{}, None]]),
    ],
)
def test_a_parameter_takes_what_its_reference_says(
    name: str, taken: list[Any], refused: list[Any]
) -> None:
    is_valid = fits(name)
    assert [value for value in taken if not is_valid(value)] == []
    assert [value for value in refused if is_valid(value)] == []


@pytest.mark.parametrize("name", ["tool_choice", "parallel_tool_calls"])
@pytest.mark.parametrize("tools", [{}, {"tools": []}], ids=["none", "an empty list"])
def test_what_belongs_to_tools_is_not_sent_without_them(
    name: str, tools: dict[str, Any], service: Scripted
) -> None:
    service.answer(answer_of())
    value: Any = "auto" if name == "tool_choice" else True
    service.model().invoke("hi", **{name: value}, **tools)
    assert service.parameters == {}


def test_an_empty_system_message_is_left_out(service: Scripted) -> None:
    service.answer(answer_of())
    service.model().invoke([("system", ""), ("human", "hi")])
    assert [message["role"] for message in service.sent["input"]["messages"]] == ["user"]
