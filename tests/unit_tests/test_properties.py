"""What holds for every transcript, conversation and answer, looked for by hypothesis.

The usual run repeats the same examples each time; `HYPOTHESIS_PROFILE=long` looks for new ones.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import httpx
import pytest
from hypothesis import assume, example, given, reject
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from pydantic import ValidationError

from langchain_dashscope_deepseek import MODELS, DashScopeError
from tests.unit_tests.conftest import (
    EVENTS,
    JSON,
    STYLES,
    TRANSCRIPTS,
    Scripted,
    answer_of,
    merged,
    transcript,
)

NAMES = sorted(path.stem for path in TRANSCRIPTS.glob("*.sse"))
SIZES = st.lists(st.integers(0, 200), max_size=8)

T = TypeVar("T")

pytestmark = pytest.mark.filterwarnings("ignore:.*all of it is reasoning")


def lists(elements: st.SearchStrategy[T], longest: int) -> st.SearchStrategy[list[T]]:
    return st.lists(elements, max_size=longest)


# --- Hostile values ---

TRAPS = st.sampled_from(
    ["", " ", "\0", "\ud83d", "\udc00\ud800", "\u2028\x85", "\ufeff", "null", "json"]
)
HUGE = st.just(20_000).map(lambda length: "字" * length)
SHORT = st.text(st.characters(exclude_categories=()), max_size=12) | TRAPS
TEXTS = SHORT | HUGE
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: lists(inner, 3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=5
)


# --- Any split of a transcript ---


def chunks_of(chunks: Sequence[AIMessageChunk]) -> list[AIMessageChunk]:
    return [chunk.model_copy(update={"id": None}) for chunk in chunks]


@given(name=st.sampled_from(NAMES), sizes=SIZES, line_end=st.sampled_from([b"\n", b"\r\n", b"\r"]))
async def test_any_split_gives_the_same_chunks(
    name: str, sizes: list[int], line_end: bytes
) -> None:
    service = Scripted()
    service.answer(transcript(name))
    service.answer(transcript(name).replace(b"\n", line_end), size=sizes)
    model = service.model()

    whole = chunks_of(list(model.stream("hi")))
    assert chunks_of(list(model.stream("hi"))) == whole
    assert chunks_of([chunk async for chunk in model.astream("hi")]) == whole


# --- Any conversation ---

IDS = st.sampled_from(["a", "b", "c", "", "\ud800"])
NAMES_OF_TOOLS = st.sampled_from(["search_web", "f", "", "名"])
NO_JSON = st.sampled_from([float("nan"), float("inf"), {1, 2}, b"bytes", object(), {1: 2}, 1j])
ARGUMENTS = st.dictionaries(TEXTS, VALUES | NO_JSON, max_size=2)
KINDS = st.sampled_from(
    [
        *("text", "reasoning", "thinking", "redacted_thinking", "refusal", "output_text"),
        *("tool_use", "tool_call", "function_call", "tool_result", "tool_call_chunk"),
        *("server_tool_call", "server_tool_result", "search_result", "non_standard"),
        *("invalid_tool_call", "text-plain", "executable_code", "guard_content", "odd"),
    ]
)
MEDIA = st.sampled_from(["image", "image_url", "input_audio", "file", "video", "document", "media"])
KEYS = st.sampled_from(
    [
        *("text", "refusal", "content", "source", "reasoning", "thinking", "summary", "value"),
        *("id", "call_id", "name", "args", "input", "arguments", "partial_json", "function"),
        *("function_call", "index", "extras", "signature", "annotations", "inline_data"),
    ]
)
CALL_BLOCKS = st.fixed_dictionaries(
    {"type": st.sampled_from(["tool_use", "tool_call", "function_call"]), "id": IDS},
    optional={
        "call_id": IDS,
        "name": NAMES_OF_TOOLS,
        "args": ARGUMENTS,
        "input": ARGUMENTS,
        "arguments": st.sampled_from(['{"a": 1}', "[]", "{", ""]),
    },
)
RESULT_BLOCKS = st.fixed_dictionaries(
    {"type": st.just("tool_result"), "tool_use_id": IDS | st.none()},
    optional={"content": VALUES, "is_error": st.booleans()},
)
BLOCKS = (
    st.builds(lambda kind, rest: {**rest, "type": kind}, KINDS, st.dictionaries(KEYS, VALUES))
    | st.builds(lambda text: {"type": "text", "text": text}, TEXTS)
    | st.builds(lambda kind: {"type": kind}, MEDIA)
    | CALL_BLOCKS
    | RESULT_BLOCKS
    | st.dictionaries(TEXTS, VALUES, max_size=2)
)
CONTENTS = TEXTS | lists(TEXTS | BLOCKS, 3)
CALLS = st.fixed_dictionaries({"name": NAMES_OF_TOOLS, "args": ARGUMENTS, "id": IDS | st.none()})
BAD_CALLS = st.fixed_dictionaries(
    {
        "name": NAMES_OF_TOOLS | st.none(),
        "args": TEXTS | st.none(),
        "id": IDS | st.none(),
        "error": st.none(),
    }
)
RAW_CALLS = st.fixed_dictionaries(
    {"id": IDS, "type": st.just("function")},
    optional={
        "function": st.fixed_dictionaries(
            {"name": NAMES_OF_TOOLS, "arguments": st.sampled_from(['{"a": 1}', "{", "", "[1]"])}
        )
    },
)


FIELDS: dict[type[BaseMessage], dict[str, st.SearchStrategy[Any]]] = {
    HumanMessage: {"content": CONTENTS},
    SystemMessage: {"content": CONTENTS},
    AIMessage: {
        "content": CONTENTS,
        "tool_calls": lists(CALLS, 3),
        "invalid_tool_calls": lists(BAD_CALLS, 2),
        "additional_kwargs": st.fixed_dictionaries(
            {}, optional={"reasoning_content": SCALARS, "tool_calls": lists(RAW_CALLS, 2)}
        ),
        "response_metadata": st.fixed_dictionaries(
            {},
            optional={
                "model_provider": st.sampled_from(
                    ["dashscope_deepseek", "dashscope", "openai", "anthropic", "odd"]
                ),
                "output_version": st.sampled_from(["v0", "v1"]),
            },
        ),
    },
    ToolMessage: {"content": CONTENTS, "tool_call_id": IDS},
    ChatMessage: {
        "content": CONTENTS,
        "role": st.sampled_from(["user", "system", "assistant", "developer", "tool", "odd", ""]),
    },
    FunctionMessage: {"content": CONTENTS, "name": NAMES_OF_TOOLS},
    RemoveMessage: {"id": IDS},
}


@st.composite
def any_messages(draw: st.DrawFn) -> list[BaseMessage]:
    kind = draw(st.sampled_from(list(FIELDS)))
    fields = {name: draw(values) for name, values in FIELDS[kind].items()}
    try:
        return [kind(**fields)]
    except ValidationError:  # core itself refuses calls whose arguments are a list
        reject()


@st.composite
def tool_turns(draw: st.DrawFn) -> list[BaseMessage]:
    """Calls, and an answer to each in any order: what an agent sends back."""
    ids = draw(st.lists(IDS.filter(str.isascii).filter(bool), unique=True, min_size=1))
    arguments = st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5))
    calls = [{"name": "f", "args": draw(arguments), "id": call_id} for call_id in ids]
    thought = draw(st.sampled_from([{}, {"reasoning_content": "Hm."}]))
    bad = draw(st.booleans())
    split = draw(st.integers(0, len(ids))) if bad else len(ids)
    invalid = [{**call, "args": "{", "error": None} for call in calls[split:]]
    message = AIMessage(
        "", tool_calls=calls[:split], invalid_tool_calls=invalid, additional_kwargs=thought
    )
    answers = [ToolMessage(f"Answer {i}", tool_call_id=i) for i in draw(st.permutations(ids))]
    if draw(st.booleans()):  # as Anthropic has them
        results = [
            {"type": "tool_result", "tool_use_id": a.tool_call_id, "content": a.content}
            for a in answers
        ]
        return [message, HumanMessage([*results, *draw(st.sampled_from([[], ["And?"]]))])]
    return [message, *answers]


SAID = st.text(min_size=1, max_size=9)
GOOD_TURNS = (
    tool_turns()
    | st.builds(lambda text: [HumanMessage(text)], SAID)
    | st.builds(lambda text: [AIMessage([{"type": "text", "text": text}])], SAID)
    | st.builds(lambda text: [SystemMessage(text)], SAID)
)


def flat(turns: Sequence[Sequence[BaseMessage]]) -> list[BaseMessage]:
    return [message for turn in turns for message in turn]


GOOD_LISTS = lists(GOOD_TURNS, 4).map(lambda turns: [*flat(turns), HumanMessage("hi")])
ANY_LISTS = lists(any_messages() | GOOD_TURNS, 5).map(flat) | st.builds(
    lambda before, after: [*flat(before), *after], lists(any_messages(), 3), GOOD_LISTS
)
ROWS = st.sampled_from(sorted(MODELS))

KEYS_OF_ROLES = {
    "system": {"role", "content"},
    "user": {"role", "content"},
    "assistant": {"role", "content", "tool_calls", "reasoning_content"},
    "tool": {"role", "content", "tool_call_id"},
}


def obeys_in_content(message: dict[str, Any], *, multimodal: bool) -> None:
    """A string on the text route; on the other a list of parts, an image in user messages only."""
    content = message["content"]
    if not multimodal:
        assert isinstance(content, str)
        return
    assert isinstance(content, list)
    assert content or message["role"] == "assistant"
    for part in content:
        assert "text" in part or (message["role"] == "user" and part["image"])


def obeys(request: httpx.Request, model: str) -> None:
    """Check a request by what the service documents; the client's code is not asked."""
    multimodal = request.url.path.endswith("/multimodal-generation/generation")
    content = request.content
    body = json.loads(content.decode("utf-8"), parse_constant=pytest.fail)
    assert set(body) == {"model", "input", "parameters"}
    assert body["model"] == model
    assert body["parameters"]["result_format"] == "message"
    messages = body["input"]["messages"]
    assert messages[-1]["role"] in ("user", "tool")
    waiting: set[str] = set()
    for message in messages:
        assert set(message) <= KEYS_OF_ROLES[message["role"]]
        obeys_in_content(message, multimodal=multimodal)
        if message["role"] == "tool":
            waiting.remove(message["tool_call_id"])
            continue
        assert not waiting, "a call is answered before anybody else speaks"
        assert message["role"] != "user" or message["content"]
        assert isinstance(message.get("reasoning_content", ""), str)
        for call in message.get("tool_calls", ()):
            assert call["id"]
            assert call["id"] not in waiting
            assert call["function"]["name"]
            assert isinstance(json.loads(call["function"]["arguments"]), dict)
            waiting.add(call["id"])
    assert not waiting


@example(messages=[HumanMessage([{"type": "odd", "content": [None]}])], model="deepseek-v4-pro")
@given(messages=ANY_LISTS, model=ROWS)
def test_any_conversation_gives_a_request_or_one_of_our_errors(
    messages: list[BaseMessage], model: str
) -> None:
    service = Scripted()
    service.answer(answer_of())
    try:
        service.model(model).invoke(messages)
    except DashScopeError:
        assert not service.requests
    else:
        obeys(service.requests[-1], model)


@given(messages=GOOD_LISTS, model=ROWS)
def test_a_conversation_without_faults_is_sent(messages: list[BaseMessage], model: str) -> None:
    service = Scripted()
    service.answer(answer_of())
    service.model(model).invoke(messages)
    obeys(service.requests[-1], model)


# --- Any mutation of an answer ---

STATUSES = st.sampled_from([200, 200, 200, 200, 204, 206, 302, 400, 401, 429, 500, 503])
HEADERS = st.sampled_from(
    [EVENTS, JSON, {}, {"content-type": "text/html"}, {**EVENTS, "retry-after": "soon"}]
)
WHOLE = answer_of(
    "Let me look. 你好",
    reasoning_content="Hm.",
    tool_calls=[{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
)
ERROR = {"code": "Throttling.RateQuota", "message": "Slow down.", "request_id": "r"}

Mutation = Callable[[bytes], bytes]


@st.composite
def mutations_of_bytes(draw: st.DrawFn, body: bytes) -> bytes:
    """Flip, delete, insert, duplicate and cut off, anywhere."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(body)))
        end = draw(st.integers(start, min(start + 40, len(body))))
        new = draw(st.binary(max_size=4) | st.just(body[start:end] * 2))
        body = body[:start] + new + body[end:]
    return body[: draw(st.none() | st.integers(0, len(body)))]


def nodes(value: Any) -> Iterator[Any]:
    """Give every dict and list within a JSON value."""
    if isinstance(value, (dict, list)):
        yield value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from nodes(inner)


@st.composite
def mutations_of_json(draw: st.DrawFn, document: Any) -> Any:
    """Replace, delete and add, at any node."""
    mutated = json.loads(json.dumps(document))
    for _ in range(draw(st.integers(1, 3))):
        node = draw(st.sampled_from([node for node in nodes(mutated) if node] or [{"": 0}]))
        key = draw(st.sampled_from(list(node) if isinstance(node, dict) else range(len(node))))
        action = draw(st.sampled_from(["replace", "replace", "delete", "add"]))
        if action == "delete":
            del node[key]
        elif action == "replace" or isinstance(node, list):
            node[key] = draw(VALUES)
        else:
            node[draw(st.sampled_from(["code", "error", "index", "text"]))] = draw(VALUES)
    return mutated


def events_of(body: bytes) -> list[Any]:
    return [json.loads(line[5:]) for line in body.splitlines() if line.startswith(b"data:")]


def stream_of(documents: Sequence[Any]) -> bytes:
    return "".join(f"data:{json.dumps(document)}\n\n" for document in documents).encode()


@st.composite
def mutated_streams(draw: st.DrawFn) -> bytes:
    body = transcript(draw(st.sampled_from(NAMES)))
    documents = events_of(body)
    place = draw(st.integers(0, len(documents) - 1))
    documents[place] = draw(mutations_of_json(documents[place]))
    return draw(mutations_of_bytes(body) | st.just(stream_of(documents)))


MUTATED = mutated_streams() | st.sampled_from([WHOLE, ERROR]).flatmap(
    lambda document: (
        mutations_of_bytes(json.dumps(document, ensure_ascii=False).encode())
        | mutations_of_json(document).map(lambda mutated: json.dumps(mutated).encode())
    )
)


async def outcome_of(style: str, service: Scripted) -> AIMessage | DashScopeError:
    """Ask, and look at all of the answer; any other error fails the test."""
    try:
        message = await STYLES[style](service.model(), "hi")
    except DashScopeError as error:
        message = error.partial_message or AIMessage("")
        return error
    else:
        return message
    finally:
        assert isinstance(message.content_blocks, list)
        assert isinstance(message.pretty_repr(), str)


@pytest.mark.parametrize("style", STYLES)
@given(body=MUTATED, status=STATUSES, headers=HEADERS, sizes=SIZES)
async def test_any_mutation_of_an_answer_gives_an_answer_or_one_of_our_errors(
    style: str, body: bytes, status: int, headers: dict[str, str], sizes: list[int]
) -> None:
    service = Scripted()
    service.answer(body, status=status, headers=headers, size=sizes)
    assert isinstance(await outcome_of(style, service), (AIMessage, DashScopeError))


FINISH = re.compile(rb'finish_reason"\s*:\s*"(?!null")')


@pytest.mark.parametrize("style", STYLES)
@given(data=st.data(), name=st.sampled_from(NAMES), headers=HEADERS)
async def test_a_stream_that_lost_its_finish_reason_is_never_an_answer(
    style: str, data: st.DataObject, name: str, headers: dict[str, str]
) -> None:
    """Cut before its last event, then mutated on top."""
    whole = transcript(name)
    cut = whole[: data.draw(st.integers(0, whole.rindex(b"id:")))]
    body = data.draw(st.just(cut) | mutations_of_bytes(cut))
    assume(not FINISH.search(body))
    service = Scripted()
    service.answer(body, headers=headers)
    assert isinstance(await outcome_of(style, service), DashScopeError)


# --- Any sequence of deltas ---

DELTAS = st.fixed_dictionaries(
    {},
    optional={
        "index": st.none() | st.integers(-1, 2),
        "id": st.sampled_from(["", "a", "b"]) | st.none(),
        "type": st.just("function"),
        "function": st.fixed_dictionaries(
            {},
            optional={
                "name": st.sampled_from(["", "f", "g"]) | st.none(),
                "arguments": st.sampled_from(
                    ["", "{", "}", '{"a": 1}', '{"a":', ' "b', '"}', "[", "]", "null", '{"a": NaN}']
                )
                | SHORT  # core reads garbage in quadratic time
                | st.none(),
            },
        ),
    },
)
COUNTS = st.integers(0, 9)
PACKETS = st.builds(
    lambda message, finish, usage, rest: {
        "output": {"choices": [{"message": message, "finish_reason": finish}], **rest},
        "usage": usage,
        "request_id": "r",
    },
    st.fixed_dictionaries(
        {"role": st.just("assistant")},
        optional={"content": TEXTS, "reasoning_content": TEXTS, "tool_calls": lists(DELTAS, 3)},
    ),
    st.sampled_from(["null", "null", "null", None, "stop", "length", "tool_calls"]),
    st.none()
    | st.fixed_dictionaries(
        {"input_tokens": COUNTS, "output_tokens": COUNTS, "total_tokens": COUNTS},
        optional={
            "output_tokens_details": st.fixed_dictionaries({"reasoning_tokens": COUNTS}),
            "prompt_tokens_details": st.fixed_dictionaries({"cached_tokens": COUNTS}),
        },
    ),
    st.just({}) | st.just({"search_info": {"search_results": [{"url": "u", "index": 1}]}}),
)


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
@given(packets=lists(PACKETS, 6), finish=st.sampled_from(["stop", "length", "tool_calls"]))
async def test_merged_chunks_equal_the_answer_of_invoke(packets: list[Any], finish: str) -> None:
    last = answer_of("")
    last["output"]["choices"][0]["finish_reason"] = finish
    service = Scripted()
    service.answer(stream_of([*packets, last]))
    model = service.model()

    invoked = model.invoke("hi").model_copy(update={"id": None})
    streamed = merged(list(model.stream("hi"))).model_copy(update={"id": None})
    assert streamed == invoked
    of_events = model.stream_events("hi", version="v3").output
    assert of_events.text == invoked.text
    assert of_events.tool_calls == invoked.tool_calls
    assert [(c["id"], c["args"]) for c in of_events.invalid_tool_calls] == [
        (c["id"], c["args"]) for c in invoked.invalid_tool_calls
    ]
    assert of_events.usage_metadata == invoked.usage_metadata
