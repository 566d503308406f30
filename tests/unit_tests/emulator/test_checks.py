"""What the emulator refuses."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from langchain_dashscope_deepseek._dashscope.protocol.parameters import PARAMETERS, fits
from langchain_dashscope_deepseek.capabilities import MODELS, ModelCapabilities
from langchain_dashscope_deepseek.testing import DashScopeEmulator, _checks
from langchain_dashscope_deepseek.testing._checks import Accepted
from tests.unit_tests.emulator.asking import (
    CALLED,
    DISTILL,
    R1,
    RESULT,
    ROUTE,
    V3,
    V4,
    V31,
    V32,
    WEATHER,
    Asked,
    Client,
    function,
)

pytest_plugins = ["langchain_dashscope_deepseek.testing.fixtures"]

# --- checks: key, route, model ---


@pytest.mark.parametrize("key", ["Bearer sk-invalid", "Bearer nonsense", "sk-emulator", ""])
def test_a_wrong_key_is_refused(emulator: DashScopeEmulator, http: httpx.Client, key: str) -> None:
    emulator.reply("kept")

    response = http.post(emulator.base_url + ROUTE, headers={"Authorization": key}, json={})

    assert response.status_code == 401
    assert "content-type" not in response.headers
    assert (response.json()["code"], response.json()["message"]) == (
        "InvalidApiKey",
        "Invalid API-key provided.",
    )
    assert emulator.pending == 1


def test_other_routes_are_refused(emulator: DashScopeEmulator, http: httpx.Client) -> None:
    other = http.post(emulator.base_url + "/services/aigc/image-generation/generation")
    unknown = http.get(emulator.base_url + "/models")

    assert (other.status_code, other.json()["code"]) == (400, "InvalidParameter")
    assert other.json()["message"].startswith("url error, please check url")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "NotFound")


def test_an_unknown_model_is_not_found(client: Client) -> None:
    asked = client.ask(model="no-such-model", stream=True)

    assert (asked.status, asked.code, asked.error) == (404, "ModelNotFound", "Model not exist.")
    assert asked.response.headers["content-type"] == "application/json"


def test_a_dated_name_uses_the_row_of_its_model(client: Client) -> None:
    assert client.ask(model="deepseek-v3.2-20260101").status == 200


def test_rows_can_be_added(http: httpx.Client) -> None:
    with DashScopeEmulator(models={"mine": ModelCapabilities(thinking="on")}) as emulator:
        asked = Client(emulator, http).ask(model="mine", anything=1)
        assert "emulator of mine" in asked.joined()


@pytest.mark.parametrize("model", sorted(MODELS))
def test_every_model_answers(http: httpx.Client, model: str) -> None:
    with DashScopeEmulator(routes={model: "text-generation"}) as emulator:
        asked = Client(emulator, http).ask(model=model, stream=True)

    assert asked.joined()
    assert bool(asked.joined("reasoning_content")) == MODELS[model].thinks(None)


def test_a_body_must_be_an_object_with_a_model(
    emulator: DashScopeEmulator, http: httpx.Client
) -> None:
    for content in ("", "[]", '{"model": "deepseek-v3"}', '{"input": {}}'):
        response = http.post(
            emulator.base_url + ROUTE, headers={"Authorization": "Bearer sk-x"}, content=content
        )
        assert response.json()["message"].startswith("Required body invalid")


# --- checks: messages ---

ROLES = (
    'Role must be in ["user","assistant","system","function","plugin","tool"] and the role in '
    'last message must be in ["user","function","tool"]'
)
ORPHAN = 'messages with role "tool" must be a response to a preceeding message with "tool_calls"'
USER = {"role": "user", "content": "Hi"}


@pytest.mark.parametrize(
    ("messages", "error"),
    [
        ([], "Content length must be greater than 0"),
        ([{"role": "user", "content": ""}], "Content length must be greater than 0"),
        ([{"role": "developer", "content": "x"}, USER], ROLES),
        ([USER, {"role": "assistant", "content": "x"}], ROLES),
        ([{"role": "system", "content": "x"}], ROLES),
        (
            [{"role": "user", "content": [{"text": "Hi"}]}],
            "input content must be a string.",
        ),
        ([USER, {"role": "assistant", "content": None}, USER], "input content must be a string."),
        ([USER, {"role": "assistant", "content": ""}, USER], "Content length must be"),
        ([USER, RESULT], ORPHAN),
        ([USER, CALLED, {**RESULT, "tool_call_id": "call_2"}], ORPHAN),
        ([USER, CALLED, RESULT, RESULT], ORPHAN),
        ([USER, CALLED, {**RESULT, "content": ["x"]}], "input content must be a string."),
        ([USER, CALLED, USER], "did not have response messages: call_1"),
        ([USER, {**CALLED, "content": "x", "tool_calls": []}, USER], "messages.tool_calls must be"),
        (
            [USER, {**CALLED, "tool_calls": [{"id": "call_1", "type": "function"}]}, RESULT],
            "messages.tool_calls must have an id",
        ),
    ],
)
def test_messages_are_checked(client: Client, messages: Any, error: str) -> None:
    assert error in client.refused(messages, enable_thinking=False)


def test_arguments_in_the_history_must_be_a_json_object(client: Client) -> None:
    call = {**CALLED["tool_calls"][0], "function": {"name": "f", "arguments": "{"}}
    error = client.refused([USER, {**CALLED, "tool_calls": [call]}, RESULT])
    assert error == 'The "function.arguments" parameter must be in JSON format.'


def test_a_name_on_a_message_is_tolerated(client: Client) -> None:
    assert client.ask([{**USER, "name": "someone"}]).status == 200


def test_an_input_that_is_too_long_is_refused(client: Client) -> None:
    error = client.refused("long " * 30_000, model=DISTILL)

    assert error == "Range of input length should be [1, 32768]"


# --- checks: reasoning in the history ---


def test_reasoning_must_come_back_within_a_tool_loop(client: Client) -> None:
    loop = [USER, CALLED, RESULT]

    assert client.refused(loop, tools=[WEATHER]) == (
        "The `reasoning_content` in the thinking mode must be passed back to the API."
    )
    for reasoning in ("", "Hm."):
        messages = [USER, {**CALLED, "reasoning_content": reasoning}, RESULT]
        assert client.ask(messages, tools=[WEATHER]).status == 200
    assert client.ask(loop, tools=[WEATHER], enable_thinking=False).status == 200


def test_reasoning_must_not_come_back_to_models_that_refuse_it(
    client: Client, http: httpx.Client
) -> None:
    messages = [USER, {"role": "assistant", "content": "Hi", "reasoning_content": "Hm."}, USER]

    assert "must not be sent" in client.refused(messages, model=R1)
    with DashScopeEmulator(strict_replay=False) as lax:
        assert Client(lax, http).ask(messages, model=R1).status == 200
        assert Client(lax, http).ask([USER, CALLED, RESULT], tools=[WEATHER]).status == 200


# --- checks: parameters ---

REQUIRED = {"tools": [WEATHER], "tool_choice": "required"}
SEVERAL = {"tools": [WEATHER, function("f")], "tool_choice": "required"}
CHOSEN = {"type": "function", "function": {"name": "get_weather"}}
JSON = {"response_format": {"type": "json_object"}}
NAMED = {"type": "function", "function": {"name": "nobody"}}
SCHEMA = {
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "Person", "schema": {"properties": {"name": {}, "age": {}}}},
    }
}


@pytest.mark.parametrize(
    ("model", "parameters", "error"),
    [
        (V4, {"temperature": 2}, "Temperature should be in [0.0, 2.0)"),
        (V4, {"temperature": True}, "Temperature should be in [0.0, 2.0)"),
        (R1, {"temperature": 1}, "The parameter temperature is not supported by this model."),
        (V4, {"presence_penalty": 1}, "The parameter presence_penalty is not supported"),
        (V4, {"repetition_penalty": 1}, "The parameter repetition_penalty is not supported"),
        (V31, {"repetition_penalty": 0}, "Repetition_penalty should be greater than 0.0"),
        (V4, {"top_p": 0}, "Range of top_p should be (0.0, 1.0]"),
        (V4, {"seed": -1}, "Range of seed should be [0, 9223372036854775807]"),
        (V4, {"max_tokens": 0}, "Range of max_tokens should be [1, 393216]"),
        (V3, {"max_tokens": 16_385}, "Range of max_tokens should be [1, 16384]"),
        (V3, {"max_completion_tokens": 0}, "Range of max_completion_tokens should be [1, 16384]"),
        (V4, {"stop": ["a", 1]}, "stop must be of type"),
        (V4, {"stop": 1}, "stop must be of type"),
        (V4, {"streem": True}, "The parameter streem is not supported by this model."),
        (V4, {"enable_thinking": "yes"}, "parameter.enable_thinking must be a boolean."),
        (
            V4,
            {"reasoning_effort": "least"},
            "reasoning_effort must be one of 'high', 'max', 'low', ",
        ),
        (V32, {"reasoning_effort": "high"}, "The parameter reasoning_effort is not supported"),
        (V3, {"thinking_budget": 1}, "The parameter thinking_budget is not supported"),
        (
            V32,
            {"thinking_budget": 32_769},
            "The thinking_budget parameter must be a positive integer and not greater than 32768",
        ),
        (V4, {"thinking_budget": 0}, "must be a positive integer and not greater than 393216"),
        (
            V31,
            {"enable_thinking": True},
            "parameter.enable_thinking must be set to false for non-streaming calls",
        ),
        (
            V4,
            {"stream": True, "incremental_output": False},
            'The incremental_output parameter must be "true" when enable_thinking is true',
        ),
        (
            V4,
            REQUIRED,
            (
                "The tool_choice parameter does not support being set to required or object in "
                "thinking mode"
            ),
        ),
        (
            V4,
            {**SEVERAL, "enable_thinking": False},
            "Please set one tool in required mode",
        ),
        (DISTILL, {"tools": [WEATHER]}, "The tool call is not supported."),
        (
            V31,
            {"tools": [WEATHER], "enable_thinking": True, "stream": True},
            "The tool call is not supported.",
        ),
        (V4, {"tools": []}, "tools must be a list that is not empty."),
        (V4, {"tools": [{"name": "f"}]}, "tools must be objects of the type function"),
        (V4, {"tools": [function("search")]}, "tools.function.name must be"),
        (V4, {"tools": [function("with space")]}, "tools.function.name must be"),
        (V4, {"tools": [WEATHER, WEATHER]}, "tools.function.name must be unique."),
        (V3, {"tools": [WEATHER], "tool_choice": NAMED}, "tool_choice must be"),
        (V3, {"tool_choice": "required"}, "tool_choice must be"),
        (V3, JSON, "The response_format parameter json_object is not supported by this model."),
        (V4, JSON, "Json mode response is not supported when enable_thinking is true"),
        (
            V4,
            {**JSON, "enable_thinking": False},
            (
                "'messages' must contain the word 'json' in some form, to use 'response_format' of "
                "type 'json_object'."
            ),
        ),
        (V4, {"response_format": {"type": "json_schema"}}, "response_format.type must be"),
        (V4, SCHEMA, "Json mode response is not supported when enable_thinking is true"),
        (V3, SCHEMA, "This response_format type is unavailable now"),
        (DISTILL, {"enable_search": True}, "The enable_search parameter is not supported"),
        (V4, {"result_format": "xml"}, "result_format must be"),
    ],
)
def test_parameters_are_checked_by_model(
    client: Client, model: str, parameters: dict[str, Any], error: str
) -> None:
    assert error in client.refused(model=model, **parameters)


@pytest.mark.parametrize(
    ("accepted", "parameters"),
    [
        ("required_with_several_tools", {**SEVERAL, "enable_thinking": False}),
        ("forced_choice_while_thinking", REQUIRED),
        ("forced_choice_while_thinking", {**REQUIRED, "tool_choice": CHOSEN}),
    ],
)
def test_what_sources_disagree_about_can_be_accepted(
    client: Client, http: httpx.Client, accepted: Accepted, parameters: dict[str, Any]
) -> None:
    client.refused(**parameters)
    with DashScopeEmulator(accepts=[accepted]) as emulator:
        assert Client(emulator, http).ask(**parameters).calls


def test_a_request_to_accept_is_one_of_the_list() -> None:
    accepts: Any = ["anything"]
    with pytest.raises(ValueError, match="accepts may contain required_with_several_tools"):
        DashScopeEmulator(accepts=accepts)


def test_a_json_schema_is_filled_where_no_page_denies_it(client: Client) -> None:
    """The word "json" need not stand in a message."""
    asked = client.ask("Ann is there.", enable_thinking=False, **SCHEMA)

    assert set(json.loads(asked.joined())) == {"name", "age"}


def test_a_model_that_always_thinks_and_needs_a_stream_says_so(http: httpx.Client) -> None:
    row = ModelCapabilities(thinking="always", thinking_needs_stream=True)
    with DashScopeEmulator(models={"mine": row}) as emulator:
        assert Client(emulator, http).refused(model="mine") == (
            "This model only support stream mode, please enable the stream parameter to access the "
            "model."
        )


@pytest.mark.parametrize("model", [V3, R1])
def test_a_switch_that_a_model_does_not_have_is_ignored(client: Client, model: str) -> None:
    for enabled in (True, False):
        asked = client.ask(model=model, enable_thinking=enabled)
        assert bool(asked.joined("reasoning_content")) == MODELS[model].thinks(None)


def test_the_emulator_ignores_no_parameter_of_the_model() -> None:
    assert _checks._IGNORED.isdisjoint(PARAMETERS)


NUMBERS = (-2.01, -2, -1, -0.01, 0, 0.01, 0.5, 1, 1.0, 1.01, 1.99, 2, 2.01, 100, True, "1")


def test_the_emulator_checks_each_number_as_the_model_does() -> None:
    numbers = {name for name in PARAMETERS if fits(name)(1) and not fits(name)("1")}
    numbers -= {"max_tokens", "max_completion_tokens", "thinking_budget"}  # depend on the model
    for name in numbers:
        accepts, _ = _checks._RANGES[name]
        assert [*filter(accepts, NUMBERS)] == [*filter(fits(name), NUMBERS)], name


def test_what_the_official_packages_send_besides_is_ignored(client: Client) -> None:
    assert client.ask(**dict.fromkeys(_checks._IGNORED, 1)).status == 200


@pytest.mark.parametrize("stop", ["x", ["x", "y"], [1, 2], [[1, 2], [3]], []])
def test_stop_takes_texts_and_tokens(client: Client, stop: Any) -> None:
    assert client.ask(stop=stop).status == 200


def test_tools_at_the_top_level_are_dropped(
    emulator: DashScopeEmulator, http: httpx.Client
) -> None:
    body = {
        "model": V4,
        "input": {"messages": [{"role": "user", "content": "weather in Paris"}]},
        "parameters": {},
        "tools": [WEATHER],
    }
    headers = {"Authorization": "Bearer sk-x"}
    asked = Asked(http.post(emulator.base_url + ROUTE, headers=headers, json=body))
    assert asked.calls == []
