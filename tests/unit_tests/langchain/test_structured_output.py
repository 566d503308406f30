"""Structured output: how a schema goes out, and what comes of every kind of answer."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from langchain_core.exceptions import OutputParserException
from langchain_core.runnables import Runnable
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from langchain_dashscope_deepseek import (
    DashScopeInputError,
    DashScopeUnsupportedError,
    DashScopeWarning,
)
from tests.unit_tests.conftest import Scripted, answer_of


class Person(BaseModel):
    """A person."""

    name: str = Field(description="The name.")
    age: int


class PersonDict(TypedDict):
    """A person."""

    name: str
    age: int


ANN = Person(name="Ann", age=30)
SCHEMAS: list[tuple[Any, Any]] = [
    (Person, ANN),
    (PersonDict, ANN.model_dump()),
    ({**Person.model_json_schema(), "title": "Person"}, ANN.model_dump()),
]
CALLED = {
    "id": "call_1",
    "index": 0,
    "type": "function",
    "function": {"arguments": '{"name": "Ann", "age": 30}'},
}


def called(name: str, arguments: str = '{"name": "Ann", "age": 30}') -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return answer_of("", tool_calls=[{**CALLED, "function": function}])


@pytest.fixture(params=["invoke", "ainvoke", "stream", "astream"])
def get(request: pytest.FixtureRequest) -> Any:
    """Run a runnable in one of four styles; the last value of a stream counts."""

    async def run(runnable: Runnable[Any, Any], value: Any) -> Any:
        if request.param == "invoke":
            return runnable.invoke(value)
        if request.param == "ainvoke":
            return await runnable.ainvoke(value)
        if request.param == "stream":
            return list(runnable.stream(value))[-1]
        return [part async for part in runnable.astream(value)][-1]

    return run


@pytest.mark.parametrize(("schema", "value"), SCHEMAS, ids=["pydantic", "TypedDict", "JSON schema"])
async def test_a_schema_goes_out_as_a_forced_tool(
    schema: Any, value: Any, get: Any, service: Scripted
) -> None:
    name = "PersonDict" if schema is PersonDict else "Person"
    service.answer(called(name))

    result = await get(service.model().with_structured_output(schema), "Ann is 30.")

    assert result == value
    assert [tool["function"]["name"] for tool in service.parameters["tools"]] == [name]
    assert service.parameters["tool_choice"] == {"type": "function", "function": {"name": name}}
    assert service.parameters["enable_thinking"] is False


async def test_raw_and_parsed_come_together(get: Any, service: Scripted) -> None:
    service.answer(called("Person"))
    runnable = service.model().with_structured_output(Person, include_raw=True)
    result = runnable.invoke("Ann is 30.")
    assert isinstance(result, dict)
    assert result["parsed"] == ANN
    assert result["parsing_error"] is None
    assert result["raw"].tool_calls[0]["name"] == "Person"


async def test_no_call_is_a_parser_error_that_says_why(get: Any, service: Scripted) -> None:
    """A call cannot be forced while the model thinks."""
    service.answer(answer_of("Ann is 30, a secret.", reasoning_content="Hm."))
    model = service.model(enable_thinking=True)
    with (
        pytest.warns(DashScopeWarning, match="'auto'"),
        pytest.raises(
            OutputParserException, match=r"without calling 'Person'.*while the model"
        ) as e,
    ):
        await get(model.with_structured_output(Person), "Ann is 30.")
    assert "secret" not in str(e.value)


async def test_no_call_without_a_thought_is_not_blamed_on_thinking(
    get: Any, service: Scripted
) -> None:
    service.answer(answer_of("Ann is 30."))
    model = service.model(enable_thinking=False)
    with pytest.raises(OutputParserException, match="without calling 'Person'") as caught:
        await get(model.with_structured_output(Person), "Ann is 30.")
    assert "think" not in str(caught.value)


async def test_a_cut_call_is_a_parser_error_that_says_why(get: Any, service: Scripted) -> None:
    service.answer(called("Person", '{"name": "An'))
    with pytest.raises(OutputParserException, match="raise max_tokens"):
        await get(service.model().with_structured_output(Person), "Ann is 30.")


async def test_an_answer_that_was_cut_before_the_call_says_so(get: Any, service: Scripted) -> None:
    cut = answer_of("Let me")
    cut["output"]["choices"][0]["finish_reason"] = "length"
    service.answer(cut)
    with pytest.raises(
        OutputParserException, match=r"cut off .* before 'Person'.*raise max_tokens"
    ):
        await get(service.model().with_structured_output(Person), "Ann is 30.")


async def test_a_call_of_another_function_is_named(get: Any, service: Scripted) -> None:
    service.answer(called("Animal"))
    with pytest.raises(OutputParserException, match="Animal"):
        await get(service.model().with_structured_output(Person), "Ann is 30.")


class Titled(BaseModel):
    """A person."""

    model_config = ConfigDict(title="人")

    name: str
    age: int


@pytest.mark.parametrize("schema", [Titled, {**Person.model_json_schema(), "title": "人"}])
async def test_a_title_that_is_no_name_of_a_function_goes_out_by_one_of_ours(
    schema: Any, get: Any, service: Scripted
) -> None:
    service.answer(called("answer"))
    result = await get(service.model().with_structured_output(schema), "Ann is 30.")
    assert (dict(result) if isinstance(result, Titled) else result) == ANN.model_dump()
    assert [tool["function"]["name"] for tool in service.parameters["tools"]] == ["answer"]


def test_with_raw_a_parser_error_is_handed_over(service: Scripted) -> None:
    service.answer(answer_of("no"))
    runnable = service.model().with_structured_output(Person, include_raw=True)
    result = runnable.invoke("Ann is 30.")
    assert isinstance(result["parsing_error"], OutputParserException)
    assert (result["parsed"], result["raw"].content) == (None, "no")


@pytest.mark.parametrize(("schema", "value"), SCHEMAS, ids=["pydantic", "TypedDict", "JSON schema"])
async def test_json_mode_sends_the_response_format(
    schema: Any, value: Any, get: Any, service: Scripted
) -> None:
    service.answer(answer_of('{"name": "Ann", "age": 30}'))
    runnable = service.model().with_structured_output(schema, method="json_mode")
    assert await get(runnable, "Ann is 30, as JSON.") == value
    assert service.parameters == {
        "response_format": {"type": "json_object"},
        "enable_thinking": False,
    }


async def test_json_mode_needs_the_word(get: Any, service: Scripted) -> None:
    runnable = service.model().with_structured_output(Person, method="json_mode")
    with pytest.raises(DashScopeInputError, match="'json'"):
        await get(runnable, "Ann is 30.")
    assert service.requests == []


async def test_json_schema_goes_as_function_calling_and_says_so(
    get: Any, service: Scripted
) -> None:
    service.answer(called("Person"))
    runnable = service.model().with_structured_output(Person, method="json_schema")
    with pytest.warns(DashScopeWarning, match="has no json_schema on DashScope"):
        assert await get(runnable, "Ann is 30.") == ANN


def test_strict_is_sent_with_the_tool(service: Scripted) -> None:
    service.answer(called("Person"))
    service.model().with_structured_output(Person, strict=True).invoke("Ann is 30.")
    (tool,) = service.parameters["tools"]
    assert tool["function"]["strict"] is True


def test_a_model_without_tools_names_what_can(service: Scripted) -> None:
    with pytest.raises(DashScopeUnsupportedError, match=r"Models that do: deepseek-v4\.1-flash"):
        service.model("deepseek-r1-distill-llama-8b").with_structured_output(Person)


def test_there_is_no_other_method(service: Scripted) -> None:
    with pytest.raises(ValueError, match="json_mode"):
        service.model().with_structured_output(Person, method="magic")  # type: ignore[arg-type]


def test_what_was_changed_stands_in_the_metadata_and_in_the_log(
    service: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "langchain_dashscope_deepseek")
    service.answer(called("Person"))
    model = service.model()
    message = model.bind_tools([Person], tool_choice="any").invoke("Ann is 30.")
    assert message.response_metadata["request_changes"] == {
        "enable_thinking": {"asked": None, "sent": False}
    }
    assert (
        "enable_thinking was asked for as None and sent to deepseek-v4-pro as False" in caplog.text
    )
    assert model.enable_thinking is None


@pytest.mark.parametrize(("schema", "_"), SCHEMAS, ids=["pydantic", "TypedDict", "JSON schema"])
async def test_json_that_was_cut_is_a_parser_error(
    schema: Any, _: Any, get: Any, service: Scripted
) -> None:
    """Core would mend it into an object."""
    answer = answer_of('{"name": "An')
    answer["output"]["choices"][0]["finish_reason"] = "length"
    service.answer(answer)
    with pytest.raises(OutputParserException, match="cut off by the length limit"):
        await get(service.model().with_structured_output(schema, method="json_mode"), "as json")


async def test_strict_in_json_mode_is_left_out_with_a_warning(get: Any, service: Scripted) -> None:
    service.answer(answer_of('{"name": "Ann", "age": 30}'))
    runnable = service.model().with_structured_output(Person, method="json_mode", strict=True)
    with pytest.warns(DashScopeWarning, match="strict was left out"):
        assert await get(runnable, "as json") == ANN
