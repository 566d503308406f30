"""Structured output: how a schema goes out, and what comes of every kind of answer."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any, Generic, TypeVar

import pytest
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel, ConfigDict, Field, ValidationError, v1
from typing_extensions import TypedDict

from langchain_dashscope_deepseek import (
    MODELS,
    DashScopeUnsupportedError,
    DashScopeWarning,
)
from tests.unit_tests.conftest import Scripted, answer_of
from tests.unit_tests.langchain.test_tool_calls import stream_of


class Person(BaseModel):
    """A person."""

    name: str = Field(description="The name.")
    age: int


class PersonDict(TypedDict):
    """A person."""

    name: str
    age: int


ANN = Person(name="Ann", age=30)
PERSON_SCHEMA = Person.model_json_schema()
SCHEMAS: list[tuple[Any, Any]] = [
    (Person, ANN),
    (PersonDict, ANN.model_dump()),
    (PERSON_SCHEMA, ANN.model_dump()),
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
    """Run a runnable in one of four styles; the last value of a stream counts, if it has any."""

    async def run(runnable: Runnable[Any, Any], value: Any) -> Any:
        if request.param == "invoke":
            return runnable.invoke(value)
        if request.param == "ainvoke":
            return await runnable.ainvoke(value)
        if request.param == "stream":
            return [None, *runnable.stream(value)][-1]
        parts = [part async for part in runnable.astream(value)]
        return [None, *parts][-1]

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


CUT = called("Person", '{"name": "An')
OTHER = called("Animal")
TEXT = answer_of("Ann is 30, a secret.")
THOUGHT = answer_of("Ann is 30, a secret.", reasoning_content="Hm.")
CUT_BEFORE = answer_of("Let me")
CUT_BEFORE["output"]["choices"][0]["finish_reason"] = "length"

NO_CALL = [
    (TEXT, r"^(?!.*think)The model did not call 'Person'.* it answered in text"),
    (THOUGHT, "cannot be forced while the model thinks"),
    (CUT_BEFORE, r"cut off by the length limit\. Raise max_tokens"),
    (OTHER, "it called 'Animal'"),
]


@pytest.mark.parametrize(("answer", "why"), NO_CALL, ids=["text", "thought", "cut", "another"])
@pytest.mark.parametrize("schema", [Person, PERSON_SCHEMA], ids=["pydantic", "JSON schema"])
async def test_no_call_is_none_and_a_warning_says_why(
    answer: dict[str, Any], why: str, schema: Any, get: Any, service: Scripted
) -> None:
    """As core's parsers have it, which LangChain's middleware depends on."""
    service.answer(answer)
    with pytest.warns(DashScopeWarning, match=why) as warned:
        assert await get(service.model().with_structured_output(schema), "Ann is 30.") is None
    assert len(warned) == 1
    assert "secret" not in str(warned[0].message)


@pytest.mark.parametrize("arguments", ['{"name": "An', '{"name": "Ann", "age": 3', "[1]"])
async def test_a_call_that_was_cut_is_a_parser_error_that_says_why(
    arguments: str, get: Any, service: Scripted
) -> None:
    service.answer(called("Person", arguments))
    with pytest.raises(OutputParserException, match="Raise max_tokens") as caught:
        await get(service.model().with_structured_output(Person), "Ann is 30.")
    assert "An" not in str(caught.value)


@pytest.mark.parametrize("is_async", [False, True], ids=["invoke", "ainvoke"])
@pytest.mark.parametrize("schema", [PersonDict, PERSON_SCHEMA], ids=["TypedDict", "JSON schema"])
async def test_a_cut_call_of_a_schema_that_is_no_class_is_none(
    schema: Any, service: Scripted, *, is_async: bool
) -> None:
    """Middleware of LangChain asks again after None, and after no error."""
    name = "PersonDict" if schema is PersonDict else "Person"
    service.answer(called(name, '{"name": "An'))
    runnable = service.model().with_structured_output(schema)
    with pytest.warns(DashScopeWarning, match="Raise max_tokens"):
        result = await runnable.ainvoke("hi") if is_async else runnable.invoke("hi")
    assert result is None


@pytest.mark.parametrize("size", [1, 7, None])
def test_a_stream_of_a_call_that_was_cut_ends_with_the_error(
    size: int | None, service: Scripted
) -> None:
    """What was shown of it is not the answer."""
    first = (0, "a", "Person", "")
    service.answer(stream_of([first, (0, "", None, '{"name": "An')], "length"), size=size)
    parts = service.model().with_structured_output(PERSON_SCHEMA).stream("Ann is 30.")
    with pytest.raises(OutputParserException, match="Raise max_tokens"):
        list(parts)


def test_a_stream_shows_a_dict_while_it_grows_and_an_instance_once(service: Scripted) -> None:
    pieces = ['{"name"', ': "An', 'n", "age"', ": 30}"]
    first = (0, "a", "Person", "")
    service.answer(stream_of([first, *((0, "", None, piece) for piece in pieces)]))
    growing = list(service.model().with_structured_output(PERSON_SCHEMA).stream("Ann is 30."))
    assert growing == [{}, {"name": "An"}, {"name": "Ann"}, ANN.model_dump()]
    assert list(service.model().with_structured_output(Person).stream("Ann is 30.")) == [ANN]


@pytest.mark.parametrize("schema", [Person, PERSON_SCHEMA], ids=["pydantic", "JSON schema"])
@pytest.mark.parametrize("method", ["function_calling", "json_mode"])
def test_a_model_that_does_not_stream_gives_the_whole_in_a_stream(
    schema: Any, method: Any, service: Scripted
) -> None:
    in_json = answer_of('{"name": "Ann", "age": 30}')
    service.answer(in_json if method == "json_mode" else called("Person"))
    runnable = service.model(streaming=False).with_structured_output(schema, method=method)
    (result,) = runnable.stream("as json")
    assert dict(result) == ANN.model_dump()


# --- Schemas of every make ---


class Search(BaseModel):
    """A person."""

    model_config = ConfigDict(title="search")

    name: str
    age: int


class OldPerson(v1.BaseModel):
    """A person."""

    name: str
    age: int


class OldTitled(OldPerson):
    """A person."""

    class Config:
        title = "人"


class ExtraTitled(Search):
    """A person."""

    model_config = ConfigDict(json_schema_extra={"title": "Somebody"})


Age = TypeVar("Age")


class Aged(BaseModel, Generic[Age]):
    """A person."""

    name: str
    age: Age


class Titled(BaseModel):
    """A person."""

    model_config = ConfigDict(title="人")

    name: str
    age: int


MADE = {
    "pydantic, titled in Chinese": (Titled, "answer"),
    "JSON schema, titled in Chinese": ({**PERSON_SCHEMA, "title": "人"}, "answer"),
    "a name with a space": ({**PERSON_SCHEMA, "title": "A person"}, "answer"),
    "too long": ({**PERSON_SCHEMA, "title": "a" * 65}, "answer"),
    "search": (Search, "answer"),
    "JSON schema, search": ({**PERSON_SCHEMA, "title": "search"}, "answer"),
    "generic": (Aged[int], "answer"),
    "pydantic of old": (OldPerson, "OldPerson"),
    "pydantic of old, titled in Chinese": (OldTitled, "answer"),
    "a title of its JSON schema": (ExtraTitled, "Somebody"),
    "the word of a choice": ({**PERSON_SCHEMA, "title": "auto"}, "auto"),
    "OpenAI's tool": (convert_to_openai_tool(Person), "Person"),
    "OpenAI's function": (convert_to_openai_tool(Person)["function"], "Person"),
}


@pytest.mark.parametrize(("schema", "name"), MADE.values(), ids=MADE)
@pytest.mark.parametrize("include_raw", [False, True])
async def test_a_schema_of_any_make_is_filled(
    schema: Any, name: str, get: Any, service: Scripted, *, include_raw: bool
) -> None:
    """One whose name the service refuses goes out by another."""
    service.answer(called(name))
    runnable = service.model().with_structured_output(schema, include_raw=include_raw)
    result = await get(runnable, "Ann is 30.")
    parsed = result["parsed"] if include_raw else result
    assert dict(parsed) == ANN.model_dump()
    assert isinstance(parsed, schema if isinstance(schema, type) else dict)
    assert [tool["function"]["name"] for tool in service.parameters["tools"]] == [name]
    assert service.parameters["tool_choice"]["function"] == {"name": name}


@pytest.mark.parametrize("schema", [Titled, OldTitled, Aged[int], Search])
async def test_what_does_not_fit_a_class_is_the_error_of_the_class(
    schema: Any, get: Any, service: Scripted
) -> None:
    service.answer(called("answer", '{"name": "Ann", "age": "old"}'))
    with pytest.raises((ValidationError, v1.ValidationError)):
        await get(service.model().with_structured_output(schema), "Ann is 30.")


# --- Raw and parsed ---


async def test_with_raw_no_call_is_none_and_no_error(get: Any, service: Scripted) -> None:
    service.answer(TEXT)
    runnable = service.model().with_structured_output(Person, include_raw=True)
    with pytest.warns(DashScopeWarning, match="did not call 'Person'"):
        result = await get(runnable, "Ann is 30.")
    assert (result["parsed"], result["parsing_error"]) == (None, None)
    assert result["raw"].text == "Ann is 30, a secret."


@pytest.mark.parametrize(
    ("answer", "error"),
    [(CUT, OutputParserException), (called("Person", '{"name": "Ann"}'), ValidationError)],
    ids=["cut", "does not fit"],
)
async def test_with_raw_an_error_of_the_parser_is_returned(
    answer: Any, error: type[Exception], get: Any, service: Scripted
) -> None:
    service.answer(answer)
    runnable = service.model().with_structured_output(Person, include_raw=True)
    result = await get(runnable, "Ann is 30.")
    assert result["parsed"] is None
    assert isinstance(result["parsing_error"], error)
    assert isinstance(result["raw"], AIMessage)


# --- Tools beside the schema ---


def get_weather(city: str) -> str:
    """Get the weather of a city."""
    return city


WEATHER = called("get_weather", '{"city": "Paris"}')


@pytest.mark.parametrize(("answer", "parsed"), [(WEATHER, None), (called("Person"), ANN)])
async def test_with_tools_the_model_calls_one_or_fills_the_schema(
    answer: Any, parsed: Any, get: Any, service: Scripted
) -> None:
    """As in langchain-openai; a call of a tool is no miss, so nothing is said."""
    service.answer(answer)
    runnable = service.model().with_structured_output(Person, tools=[get_weather], include_raw=True)
    result = await get(runnable, "Ann is 30.")
    assert (result["parsed"], result["parsing_error"]) == (parsed, None)
    assert len(result["raw"].tool_calls) == 1
    names = [tool["function"]["name"] for tool in service.parameters["tools"]]
    assert names == ["Person", "get_weather"]
    assert service.parameters["tool_choice"] == "required"


async def test_with_tools_an_answer_in_text_is_a_miss(get: Any, service: Scripted) -> None:
    service.answer(TEXT)
    runnable = service.model().with_structured_output(Person, tools=[get_weather])
    with pytest.warns(DashScopeWarning, match="did not call 'Person'"):
        assert await get(runnable, "Ann is 30.") is None


@pytest.mark.parametrize("schema", [Person, PERSON_SCHEMA], ids=["pydantic", "JSON schema"])
@pytest.mark.parametrize(
    ("answer", "parsed"), [(WEATHER, None), (answer_of('{"name": "Ann", "age": 30}'), ANN)]
)
async def test_json_mode_takes_tools_as_well(
    answer: Any, parsed: Any, schema: Any, get: Any, service: Scripted
) -> None:
    service.answer(answer)
    runnable = service.model().with_structured_output(
        schema, method="json_mode", tools=[get_weather]
    )
    result = await get(runnable, "as json")
    assert (result and dict(result)) == (parsed and dict(parsed))
    assert len(service.parameters["tools"]) == 1
    assert "tool_choice" not in service.parameters


def test_what_is_bound_beside_the_schema_wins(service: Scripted) -> None:
    service.answer(called("Person"))
    runnable = service.model().with_structured_output(Person, tool_choice="auto", seed=7)
    assert runnable.invoke("Ann is 30.") == ANN
    assert (service.parameters["tool_choice"], service.parameters["seed"]) == ("auto", 7)


# --- Other methods ---


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


async def test_json_schema_goes_as_function_calling_where_it_is_missing(
    get: Any, service: Scripted
) -> None:
    service.answer(called("Person"))
    row = replace(MODELS["deepseek-v4-pro"], json_schema=False)
    runnable = service.model(capabilities=row).with_structured_output(Person, method="json_schema")
    with pytest.warns(DashScopeWarning, match="has no json_schema on DashScope"):
        assert await get(runnable, "Ann is 30.") == ANN
    assert "response_format" not in service.parameters


@pytest.mark.parametrize("known", [True, None], ids=["known", "not known"])
@pytest.mark.parametrize(("schema", "value"), SCHEMAS, ids=["pydantic", "TypedDict", "JSON schema"])
async def test_json_schema_goes_out_as_asked_where_it_is_not_known_to_be_missing(
    schema: Any, value: Any, known: Any, get: Any, service: Scripted
) -> None:
    service.answer(answer_of('{"name": "Ann", "age": 30}'))
    row = replace(MODELS["deepseek-v4-pro"], json_schema=known)
    model = service.model(capabilities=row, enable_thinking=False)
    runnable = model.with_structured_output(schema, method="json_schema", strict=True)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        assert await get(runnable, "Ann is 30.") == value
    said = [str(each.message) for each in warned]
    assert [text[:36] for text in said] == (
        [] if known else ["response_format json_schema was sent"]
    )
    sent = service.parameters["response_format"]
    assert sent["type"] == "json_schema"
    assert set(sent["json_schema"]) == {"name", "description", "schema", "strict"}
    assert sent["json_schema"]["name"] == ("PersonDict" if schema is PersonDict else "Person")
    assert set(sent["json_schema"]["schema"]["properties"]) == {"name", "age"}
    assert "tools" not in service.parameters


async def test_json_schema_goes_out_as_asked_to_a_model_without_a_row(
    get: Any, service: Scripted
) -> None:
    service.answer(answer_of('{"name": "Ann", "age": 30}'))
    runnable = service.model("mine").with_structured_output(Titled, method="json_schema")
    with pytest.warns(DashScopeWarning, match="it is not documented for the model"):
        assert dict(await get(runnable, "Ann is 30.")) == ANN.model_dump()
    assert service.parameters["response_format"]["json_schema"]["name"] == "answer"


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


def test_a_json_mode_answer_that_does_not_fit_is_an_error_in_a_stream_as_well(
    service: Scripted,
) -> None:
    """Core's parser says nothing there."""
    service.answer(answer_of('{"name": "Ann"}'))
    runnable = service.model().with_structured_output(Person, method="json_mode")
    with pytest.raises(OutputParserException, match="age"):
        list(runnable.stream("as json"))
