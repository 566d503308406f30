"""Transcripts of the wire, in pieces of every size, become the right message in every style."""

from __future__ import annotations

import gzip
import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.language_models._compat_bridge import chunks_to_events
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.utils.json import parse_partial_json
from langchain_tests.utils.stream_lifecycle import assert_valid_event_stream

from langchain_dashscope_deepseek import (
    ChatDashScopeDeepSeek,
    DashScopeAnswerTooLargeError,
    DashScopeServerError,
    DashScopeStreamCutError,
)
from langchain_dashscope_deepseek._dashscope.protocol.packets import AnswerDelta, ToolCallDelta
from langchain_dashscope_deepseek._langchain import emitters
from langchain_dashscope_deepseek._langchain.emitters import ChunkEmitter
from langchain_dashscope_deepseek._langchain.messages import reasoning_of
from langchain_dashscope_deepseek._langchain.metadata import token_usage
from langchain_dashscope_deepseek._langchain.tool_calls import unmatched_closing
from tests.unit_tests.conftest import EVENTS, JSON, Ask, Scripted, answer_of, merged, transcript

REQUEST_ID = "3f2c9d1e-0000-4000-8000-00000000000a"
pytestmark = pytest.mark.filterwarnings("ignore:.*all of it is reasoning")

FIRST_ID, SECOND_ID = "call_29a8e7106f45deb8add3", "call_026e44bb31a74266949a"


@pytest.fixture(params=["text-generation", "multimodal-generation"])
def service(request: pytest.FixtureRequest) -> Scripted:
    """All that holds on one route holds on the other."""
    return Scripted(route=request.param)


def usage(sent: int, received: int, reasoning: int | None = None, cached: int | None = None) -> Any:
    counts: dict[str, Any] = {
        "input_tokens": sent,
        "output_tokens": received,
        "total_tokens": sent + received,
    }
    if cached is not None:
        counts["input_token_details"] = {"cache_read": cached}
    if reasoning is not None:
        counts["output_token_details"] = {"reasoning": reasoning}
    return counts


def expected(
    content: str = "",
    *,
    reasoning: str = "",
    finish: str = "stop",
    normalized: str = "",
    **fields: Any,
) -> AIMessage:
    search = fields.pop("search_results", None)
    metadata = fields.pop("metadata", {})
    counts = fields.get("usage_metadata")
    return AIMessage(
        content=content,
        additional_kwargs={"reasoning_content": reasoning} if reasoning else {},
        response_metadata={
            "model_name": "deepseek-v4-pro",
            "model_provider": "dashscope_deepseek",
            "finish_reason": finish,
            "normalized_finish_reason": normalized or finish.replace("tool_calls", "tool_call"),
            "finish_state": "complete",
            "request_id": REQUEST_ID,
            **({"search_results": search} if search else {}),
            **({"token_usage": token_usage(counts)} if counts else {}),
            **metadata,
        },
        **fields,
    )


def call(call_id: str, name: str, **args: str) -> Any:
    return {"type": "tool_call", "id": call_id, "name": name, "args": args}


def invalid_call(call_id: str, name: str, args: str) -> Any:
    return {
        "type": "invalid_tool_call",
        "id": call_id,
        "name": name,
        "args": args,
        "error": None,
    }


THOUGHT = expected(
    "1+1 等于 **2**。🎉",
    reasoning="嗯，用户问的是“1+1”。😀",
    usage_metadata=usage(16, 16, 7, 0),
)
PLAIN = expected("The sky is blue.", usage_metadata=usage(9, 5))
SEARCHED = [
    {
        "site_name": "Example",
        "icon": "",
        "index": 1,
        "title": "The sky",
        "url": "https://example.com/sky",
    }
]

MESSAGES: dict[str, AIMessage] = {
    "plain_text": PLAIN,
    "finish_on_the_last_text": PLAIN,
    "keep_alive_packets": PLAIN,
    "thinking_then_text": THOUGHT,
    "events_without_blank_lines": THOUGHT,
    "length_while_thinking": expected(
        reasoning="嗯，",
        finish="length",
        usage_metadata=usage(16, 3, 3, 0),
        metadata={"only_reasoning": True},
    ),
    "search_results_first": expected(
        "The sky is blue.", usage_metadata=usage(9, 5), search_results=SEARCHED
    ),
    "parallel_tool_calls": expected(
        finish="tool_calls",
        tool_calls=[
            call(FIRST_ID, "get_weather", location="浙江省杭州市"),
            call(SECOND_ID, "get_weather", location="上海市"),
        ],
        usage_metadata=usage(250, 37, cached=0),
    ),
    "tool_calls_without_index": expected(
        finish="tool_calls",
        tool_calls=[
            call(FIRST_ID, "get_weather", location="Paris"),
            call(SECOND_ID, "get_weather", location="Tokyo"),
        ],
        usage_metadata=usage(250, 37, cached=0),
    ),
    "thinking_then_tool_call": expected(
        reasoning="I should look it up.",
        finish="tool_calls",
        tool_calls=[call(FIRST_ID, "get_weather", location="Paris")],
        usage_metadata=usage(314, 20, 6, 0),
    ),
    "everything_in_one_packet": expected(
        "Let me look.",
        reasoning="Hm, weather.",
        finish="tool_calls",
        tool_calls=[call(FIRST_ID, "get_weather", location="Paris")],
        usage_metadata=usage(250, 30, 4, 0),
    ),
    "tool_call_ends_with_stop": expected(
        normalized="tool_call",
        tool_calls=[call(FIRST_ID, "get_weather", location="Paris")],
        usage_metadata=usage(250, 30, cached=0),
    ),
    "tool_call_cut_by_length": expected(
        finish="length",
        invalid_tool_calls=[invalid_call(FIRST_ID, "delete", '{"path": "/home/me/pro"]')],
        usage_metadata=usage(250, 12, cached=0),
    ),
    "tool_call_cut_before_its_arguments": expected(
        finish="length",
        invalid_tool_calls=[invalid_call(FIRST_ID, "delete", "]")],
        usage_metadata=usage(250, 12, cached=0),
    ),
}


def same(message: AIMessage) -> AIMessage:
    return message.model_copy(update={"id": None})


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, None])
@pytest.mark.parametrize("name", MESSAGES)
async def test_a_transcript_gives_its_message(
    name: str, size: int | None, ask: Ask, service: Scripted
) -> None:
    """In every call style and however the bytes are split; so invoke equals the merged stream."""
    service.answer(transcript(name), size=size)

    message = await ask(service.model(), "hi")

    assert same(message) == MESSAGES[name]


@pytest.mark.parametrize("name", MESSAGES)
async def test_a_last_event_without_a_blank_line_counts(
    name: str, ask_stream: Ask, service: Scripted
) -> None:
    service.answer(transcript(name).rstrip(b"\n"), size=5)
    assert same(await ask_stream(service.model(), "hi")) == MESSAGES[name]


async def test_what_is_no_result_is_skipped(ask_stream: Ask, service: Scripted) -> None:
    """Comments, unknown events, blank lines after an id, empty data."""
    noise = (
        b": keep-alive\n\nid:0\n\nevent:ping\ndata:still here\n\nevent:other\ndata:{}\n\ndata:\n\n"
    )
    service.answer(noise + transcript("plain_text").replace(b"id:2", noise + b"id:2"))
    assert same(await ask_stream(service.model(), "hi")) == PLAIN


@pytest.mark.parametrize(
    "encoding", ["gzip", "x-gzip", "GZIP", "gzip, gzip", "zstd", "br", "deflate", "odd"]
)
async def test_a_compressed_answer_is_refused_since_none_was_asked_for(
    encoding: str, ask: Ask, service: Scripted
) -> None:
    """What it unpacks to has no bound: 3 KB of gzip in gzip are 2 GB."""
    headers = {**EVENTS, "content-encoding": encoding}
    service.answer(gzip.compress(transcript("thinking_then_text")), headers=headers)
    said = (
        rf"a compressed answer \(content-encoding {encoding.lower()}\): leave Accept-Encoding out"
    )
    with pytest.raises(DashScopeServerError, match=said):
        await ask(service.model(), "hi")
    assert service.requests[-1].headers.get_list("accept-encoding") == ["identity"]


async def test_an_answer_that_says_it_is_not_compressed_is_read(
    ask: Ask, service: Scripted
) -> None:
    headers = {**EVENTS, "content-encoding": "identity"}
    service.answer(transcript("thinking_then_text"), headers=headers)
    assert same(await ask(service.model(), "hi")) == THOUGHT


async def test_an_answer_that_a_hook_has_read_is_not_lost(
    ask_stream: Ask, service: Scripted
) -> None:
    """People log answers by a hook of the client that they hand in."""

    async def aread(response: httpx.Response) -> None:
        await response.aread()

    service.answer(transcript("thinking_then_text"))
    clients: dict[str, Any] = {
        "http_client": httpx.Client(
            transport=service, event_hooks={"response": [httpx.Response.read]}
        ),
        "http_async_client": httpx.AsyncClient(
            transport=service, event_hooks={"response": [aread]}
        ),
    }
    assert same(await ask_stream(service.model(**clients), "hi")) == THOUGHT


# --- How large an answer may be ---


@pytest.mark.parametrize("beginning", [b"data:", b": "])
async def test_an_event_without_an_end_is_given_up(
    beginning: bytes, ask: Ask, service: Scripted
) -> None:
    service.answer(beginning * 900, size=100)
    with pytest.raises(DashScopeAnswerTooLargeError, match="Raise max_answer_size") as caught:
        await ask(service.model(max_retries=2), "hi", max_answer_size=300)
    assert not caught.value.is_retryable
    assert service.bodies[-1].closed


async def test_a_body_in_one_piece_may_be_as_large_as_allowed(ask: Ask, service: Scripted) -> None:
    service.answer(json.dumps(answer_of("a" * 1000)), headers=JSON, size=100)
    await ask(service.model(), "hi")
    size = len(b"".join(service.bodies[-1]))
    message = await ask(service.model(), "hi", max_answer_size=size)
    assert message.content == "a" * 1000
    with pytest.raises(DashScopeAnswerTooLargeError):
        await ask(service.model(), "hi", max_answer_size=size - 1)


@pytest.mark.parametrize("part", ["content", "reasoning_content"])
async def test_all_text_of_an_answer_counts(part: str, ask: Ask, service: Scripted) -> None:
    document = answer_of("", **{part: "a" * 500})
    document["output"]["choices"][0]["finish_reason"] = "null"
    event = f"data:{json.dumps(document)}\n\n"
    service.answer(event * 9 + event.replace('"null"', '"stop"'))
    message = await ask(service.model(), "hi", max_answer_size=5000)
    assert len(message.content) + len(str(reasoning_of(message))) == 5000
    with pytest.raises(DashScopeAnswerTooLargeError) as caught:
        await ask(service.model(), "hi", max_answer_size=4999)
    assert caught.value.partial_message is not None


# --- Tool calls ---


async def test_an_event_is_not_split_at_a_line_separator_in_its_text(
    ask_stream: Ask, service: Scripted
) -> None:
    body = transcript("plain_text").decode().replace("is blue.", "is\u2028blue.\u0085")
    service.answer(body)
    assert (await ask_stream(service.model(), "hi")).content == "The sky is\u2028blue.\u0085"


@pytest.mark.parametrize("name", ["thinking_then_text", "parallel_tool_calls"])
def test_reasoning_is_on_every_chunk_that_reasons_and_never_empty(
    name: str, service: Scripted
) -> None:
    service.answer(transcript(name))
    chunks = list(service.model().stream("hi"))
    for chunk in chunks:
        assert chunk.additional_kwargs.get("reasoning_content") != ""
    reasoned = [c.additional_kwargs["reasoning_content"] for c in chunks if c.additional_kwargs]
    assert reasoned == (["嗯，", "用户问的是“1+1”。😀"] if name.startswith("thinking") else [])


@pytest.mark.parametrize("name", MESSAGES)
def test_a_chunk_is_what_validation_would_have_made(name: str, service: Scripted) -> None:
    """They are made without it, for speed."""
    service.answer(transcript(name))
    for chunk in service.model()._stream([HumanMessage("hi")]):
        message = chunk.message
        given = {key: getattr(message, key) for key in message.model_fields_set}
        same_message = AIMessageChunk(**given)
        given = {key: getattr(chunk, key) for key in chunk.model_fields_set}
        same_chunk = ChatGenerationChunk(**{**given, "message": same_message})
        assert message.__getstate__() == same_message.__getstate__()
        assert chunk.__getstate__() == same_chunk.__getstate__()


def test_the_shortcut_fits_the_core_that_is_installed() -> None:
    assert emitters.make_chunk is emitters.quick_chunk


@pytest.mark.parametrize("name", MESSAGES)
async def test_without_the_shortcut_a_stream_says_the_same(
    name: str, ask_stream: Ask, service: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emitters, "make_chunk", emitters.plain_chunk)
    service.answer(transcript(name))
    assert same(await ask_stream(service.model(), "hi")) == MESSAGES[name]


@given(pieces=st.lists(st.text('{}[]":,\\a1 \n\t\u3000\ufeff', max_size=8), max_size=4))
def test_pieces_of_calls_are_read_as_core_reads_them(pieces: list[str]) -> None:
    """Core tries to mend each of them, which takes long."""
    deltas = tuple(ToolCallDelta(i, f"c{i}", "f", piece) for i, piece in enumerate(pieces))
    model = ChatDashScopeDeepSeek(model="deepseek-v4.1-flash", api_key="sk-test")
    request = model._prepared([HumanMessage("hi")], None, {}, chunks=True)
    for chunk in ChunkEmitter(request).add(AnswerDelta(tool_calls=deltas)):
        message = chunk.message
        assert isinstance(message, AIMessageChunk)
        read_by_core = AIMessageChunk(content="", tool_call_chunks=message.tool_call_chunks)
        assert message.tool_calls == read_by_core.tool_calls
        assert message.invalid_tool_calls == read_by_core.invalid_tool_calls


def test_chunks_share_nothing_that_can_be_changed(service: Scripted) -> None:
    """But for the names of their fields, of which the next test knows."""
    service.answer(transcript("thinking_then_text"))
    chunks = list(service.model()._stream([HumanMessage("hi")]))
    states = [state for c in chunks for state in (c.__getstate__(), c.message.__getstate__())]
    for state in states:
        state.pop("__pydantic_fields_set__")
    parts = [p for s in states for p in [*s.values(), *s["__dict__"].values()]]
    changeable = [id(part) for part in parts if isinstance(part, (dict, list, set))]
    assert len(set(changeable)) == len(changeable)


def test_assigning_to_a_chunk_leaves_the_others_as_they_are(service: Scripted) -> None:
    """Those of an answer share the set of names that pydantic keeps."""
    service.answer(transcript("thinking_then_text"))
    first, *others = service.model()._stream([HumanMessage("hi")])

    def seen() -> list[Any]:
        models = [model for chunk in others for model in (chunk, chunk.message)]
        return [(sorted(m.model_fields_set), m.model_dump(exclude_unset=True)) for m in models]

    before = seen()
    for model in (first.message, first):
        for name in type(model).model_fields:
            setattr(model, name, None)
    assert seen() == before


def test_one_packet_with_everything_gives_a_chunk_for_each(service: Scripted) -> None:
    """A chunk with reasoning and text would open a second text block in core."""
    service.answer(transcript("everything_in_one_packet"))
    chunks = list(service.model().stream("hi"))
    assert [[block["type"] for block in chunk.content_blocks] for chunk in chunks] == [
        ["reasoning"],
        ["text"],
        ["tool_call_chunk"],
        [],
    ]


@pytest.mark.parametrize("name", MESSAGES)
def test_the_last_chunk_ends_the_stream_and_carries_the_bill(name: str, service: Scripted) -> None:
    service.answer(transcript(name))
    chunks = list(service.model().stream("hi"))
    assert [chunk.chunk_position for chunk in chunks] == [None] * (len(chunks) - 1) + ["last"]
    assert [chunk.usage_metadata is None for chunk in chunks] == [True] * (len(chunks) - 1) + [
        False
    ]
    assert chunks[-1].content == ""
    assert chunks[-1].tool_call_chunks == []


def test_ids_and_names_of_calls_come_once(service: Scripted) -> None:
    service.answer(transcript("parallel_tool_calls"))
    pieces = [piece for chunk in service.model().stream("hi") for piece in chunk.tool_call_chunks]
    assert [(piece["id"], piece["name"], piece["index"]) for piece in pieces] == [
        (FIRST_ID, "get_weather", 1000),
        (None, None, 1000),
        (SECOND_ID, "get_weather", 1001),
        (None, None, 1001),
    ]


@pytest.mark.parametrize("name", MESSAGES)
async def test_v1_blocks_are_the_same_from_invoke_and_from_a_stream(
    name: str, ask: Ask, service: Scripted
) -> None:
    service.answer(transcript(name))
    message = await ask(service.model(output_version="v1"), "hi")
    want = MESSAGES[name]
    kinds = [block["type"] for block in message.content_blocks]
    assert "".join(b["text"] for b in message.content_blocks if b["type"] == "text") == want.content
    assert kinds.count("text") == bool(want.content)
    assert kinds.count("reasoning") == bool(want.additional_kwargs)
    assert kinds.count("tool_call") == len(want.tool_calls)
    assert message.tool_calls == want.tool_calls
    assert message.invalid_tool_calls == want.invalid_tool_calls


CITED = [
    {
        "type": "citation",
        "url": "https://example.com/sky",
        "title": "The sky",
        "extras": {"site_name": "Example", "icon": "", "index": 1},
    }
]


@pytest.mark.parametrize("version", ["v0", "v1"])
async def test_sources_of_a_search_are_citations_of_the_text(
    version: str, ask: Ask, service: Scripted
) -> None:
    service.answer(transcript("search_results_first"))
    message = await ask(service.model(output_version=version), "hi", enable_search=True)
    (block,) = message.content_blocks
    assert block["type"] == "text"
    assert (block["text"], block["annotations"]) == ("The sky is blue.", CITED)


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
def test_sources_of_a_search_are_in_v3_events(service: Scripted) -> None:
    service.answer(transcript("search_results_first"))
    (block,) = service.model().stream_events("hi", version="v3").output.content_blocks
    assert block["type"] == "text"
    assert (block["text"], block["annotations"]) == ("The sky is blue.", CITED)


# --- Streams that are cut ---


def cuts(name: str) -> list[bytes]:
    """Cut a transcript within its bytes, everywhere before its last event."""
    body = transcript(name)
    last = body.rindex(b"id:")
    return [body[:end] for end in range(0, last, 7)]


async def test_a_stream_without_finish_reason_is_an_error_wherever_it_ends(
    ask: Ask, service: Scripted
) -> None:
    """Also within an event, and within a character."""
    for body in cuts("thinking_then_text"):
        service.answers.clear()
        service.answer(body)
        with pytest.raises(DashScopeStreamCutError):
            await ask(service.model(), "hi")


@pytest.mark.parametrize("finish", [{}, {"finish_reason": None}, {"finish_reason": "null"}])
async def test_a_body_without_finish_reason_is_cut_as_a_stream_is(
    finish: dict[str, Any], ask: Ask, service: Scripted
) -> None:
    choice = {"message": {"content": "The sky"}, **finish}
    service.answer({"output": {"choices": [choice]}, "request_id": "r"})
    with pytest.raises(DashScopeStreamCutError) as caught:
        await ask(service.model(), "hi")
    assert caught.value.partial_message is not None
    assert caught.value.partial_message.content == "The sky"


async def test_a_cut_stream_hands_over_what_had_arrived(ask: Ask, service: Scripted) -> None:
    whole = transcript("thinking_then_text")
    service.answer(whole[: whole.index(b"id:5")])

    with pytest.raises(DashScopeStreamCutError) as caught:
        await ask(service.model(), "hi")

    partial = caught.value.partial_message
    assert partial is not None
    assert partial.content == "1+1 等于 **2**"
    assert partial.additional_kwargs == {"reasoning_content": "嗯，用户问的是“1+1”。😀"}
    assert "等于" not in f"{caught.value!r} {caught.value}"


async def test_a_connection_that_breaks_within_a_stream_is_an_error(
    ask: Ask, service: Scripted
) -> None:
    broken = httpx.RemoteProtocolError("peer closed connection")
    service.answer(transcript("plain_text").split(b"id:2")[0], breaks=broken)
    with pytest.raises(DashScopeStreamCutError, match="broke") as caught:
        await ask(service.model(), "hi")
    assert caught.value.partial_message is not None
    assert caught.value.partial_message.content == "The sky "


async def test_trouble_after_the_end_loses_no_answer(ask: Ask, service: Scripted) -> None:
    service.answer(transcript("plain_text"), breaks=httpx.ReadError("reset"))
    assert same(await ask(service.model(), "hi")) == PLAIN


def test_a_stream_that_is_left_is_closed_at_once(service: Scripted) -> None:
    service.answer(transcript("plain_text"), size=64)
    stream = service.model()._stream([*service.model()._convert_input("hi").to_messages()])
    next(stream)
    assert not service.bodies[0].closed
    stream.close()  # type: ignore[attr-defined]
    assert service.bodies[0].closed


async def test_an_async_stream_that_is_left_is_closed_at_once(service: Scripted) -> None:
    service.answer(transcript("plain_text"), size=64)
    stream = service.model()._astream(service.model()._convert_input("hi").to_messages())
    await anext(stream)
    assert not service.bodies[0].closed
    await stream.aclose()  # type: ignore[attr-defined]
    assert service.bodies[0].closed


# --- Answers that come otherwise than asked ---


async def test_an_answer_in_one_piece_where_a_stream_was_asked_for(
    ask_stream: Ask, service: Scripted
) -> None:
    service.answer(
        {
            "output": {"choices": [{"finish_reason": "stop", "message": {"content": "hi"}}]},
            "request_id": "r",
        }
    )
    message = await ask_stream(service.model(), "hi")
    assert (message.content, message.usage_metadata) == ("hi", None)


async def test_a_stream_that_calls_itself_json_is_read_all_the_same(
    ask: Ask, service: Scripted
) -> None:
    service.answer(transcript("plain_text"), headers=JSON)
    assert same(await ask(service.model(), "hi")) == PLAIN


@pytest.mark.parametrize("tail", ["data: [DONE]\n\n", 'data:{"code": "X", "message": "late"}\n\n'])
@pytest.mark.parametrize("headers", [EVENTS, JSON, {}], ids=["events", "json", "none"])
async def test_what_follows_a_whole_answer_loses_nothing_of_it(
    tail: str, headers: dict[str, str], ask: Ask, service: Scripted
) -> None:
    service.answer(transcript("plain_text") + tail.encode(), headers=headers)
    assert same(await ask(service.model(), "hi")) == PLAIN


COUNTS = 'data:{"output":{},"usage":{"input_tokens":99,"output_tokens":1}}\n\n'
MORE = f"data:{json.dumps(answer_of('more'))}\n\n"
ERROR = 'event:error\ndata:{"code":"X","message":"late","usage":{"input_tokens":99}}\n\n'
BEHIND = {
    "usage": (COUNTS, 99),
    "usage without a blank line": (COUNTS.strip(), 99),
    "usage in a packet that shows nothing": (
        COUNTS.replace("{},", '{"choices":[{"message":{"content":""}}]},', 1),
        99,
    ),
    "a comment and usage": (": x\n\n" + COUNTS, 99),
    "usage and garbage": (COUNTS + "garbage", 99),
    "usage and more": (COUNTS + MORE, 99),
    "half of a usage": ('data:{"output":{},"usage":{"input_tokens":99}}\n\n', 9),
    "garbage and usage": ("data:garbage\n\n" + COUNTS, 9),
    "more and usage": (MORE + COUNTS, 9),
    "an error and usage": (ERROR + COUNTS, 9),
    "an error": (ERROR, 9),
    "a list": ("data:[1]\n\n" + COUNTS, 9),
}


@pytest.mark.parametrize("http_version", [b"HTTP/1.1", b"HTTP/2"], ids=["http1", "http2"])
@pytest.mark.parametrize("name", BEHIND)
async def test_the_end_is_the_end_however_it_is_cut(
    name: str, http_version: bytes, ask: Ask, service: Scripted
) -> None:
    """Usage alone counts behind it, until something else comes."""
    tail, tokens = BEHIND[name]
    answer = f"data:{json.dumps(answer_of('hi'))}\n\n".replace(
        'input_tokens": 5', 'input_tokens": 9'
    )
    service.http_version = http_version
    sizes: list[Any] = [None, 1, [len(answer), 10_000], [len(answer) - 9, 10_000]]
    for size in sizes:
        service.answer(answer + tail, size=size)
        message = await ask(service.model(), "hi")
        assert message.usage_metadata is not None
        assert (message.content, message.usage_metadata["input_tokens"]) == ("hi", tokens), size
        assert service.bodies[-1].closed


async def test_usage_names_what_was_cached(ask: Ask, service: Scripted) -> None:
    answer = answer_of("hi")
    answer["usage"]["prompt_tokens_details"] = {
        "cached_tokens": 3,
        "cache_creation_input_tokens": 2,
    }
    service.answer(answer)
    usage_metadata = (await ask(service.model(), "hi")).usage_metadata
    assert usage_metadata is not None
    assert usage_metadata["input_token_details"] == {"cache_read": 3, "cache_creation": 2}


async def test_two_pieces_of_one_call_in_one_packet_are_joined(ask: Ask, service: Scripted) -> None:
    """Core joins none within one chunk, and would mend the first piece into a call of its own."""
    pieces = [
        {
            "index": 0,
            "id": "c1",
            "type": "function",
            "function": {"name": "f", "arguments": '{"a":'},
        },
        {"index": 0, "id": "", "type": "function", "function": {"arguments": ' "b"}'}},
    ]
    document = json.dumps(answer_of("", tool_calls=pieces))
    service.answer(f"data:{document}\n\n")
    message = await ask(service.model(), "hi")
    assert message.tool_calls == [call("c1", "f", a="b")]
    assert message.invalid_tool_calls == []


async def test_a_stream_where_one_piece_was_asked_for(service: Scripted) -> None:
    service.answer(transcript("plain_text"), headers=EVENTS)
    message = service.model().invoke("hi", enable_thinking=False)
    assert service.requests[-1].headers.get("x-dashscope-sse") is None
    assert same(message) == PLAIN


@pytest.mark.parametrize(
    "arguments",
    [
        *(
            '{"path": "/home/me/pro',
            '{"a": 1',
            '{"a": [1, 2',
            '{"a": "b\\',
            '{"a": "b\\"',
            "[1, 2]",
        ),
        *(
            "null",
            "3",
            '"text',
            '{"a": {"b": "c',
            '{"a": 1}}',
            "{'a': 1}",
            "not json",
            "",
            "{",
            '{"',
        ),
    ],
)
def test_a_spoilt_call_is_mended_by_no_parser(arguments: str) -> None:
    """Core mends cut JSON, and an agent would run what comes out."""
    spoilt = arguments + unmatched_closing(arguments)
    chunk = AIMessageChunk(
        content="",
        tool_call_chunks=[{"name": "f", "args": spoilt, "id": "1", "index": 0}],
        chunk_position="last",
    )
    assert not isinstance(_parse(spoilt), dict)
    assert chunk.tool_calls == []
    assert [invalid["args"] for invalid in chunk.invalid_tool_calls] == [spoilt]


@pytest.mark.parametrize(
    ("arguments", "closing"),
    [
        *(("", "]"), ("{", "]"), ("[", "}"), ("[]", "]"), ("[{}", "}"), ("[{", "]"), ("]", "]")),
        *(('{"a": [1', "}"), ('["', '"}'), ('["]', '"}'), ('["\\', '""}'), ('["\\"', '"}')),
        *(('["\\\\"', "}"), ("[X", "}"), ('{"a": "X', '"]'), ('["a": "}"', "}")),
    ],
)
def test_a_call_is_spoilt_by_the_shortest_end_that_fits_nothing(
    arguments: str, closing: str
) -> None:
    assert unmatched_closing(arguments) == closing


def _parse(text: str) -> Any:
    try:
        return parse_partial_json(text)
    except ValueError:
        return None


async def test_calls_that_share_an_index_but_not_an_id_are_two(ask: Ask, service: Scripted) -> None:
    body = transcript("parallel_tool_calls").replace(b'"index":1', b'"index":0')
    service.answer(body)
    assert (await ask(service.model(), "hi")).tool_calls == MESSAGES[
        "parallel_tool_calls"
    ].tool_calls


async def test_a_call_without_an_id_gets_one(ask: Ask, service: Scripted) -> None:
    """A tool message has to name it."""
    service.answer(transcript("tool_call_ends_with_stop").replace(FIRST_ID.encode(), b""))
    (only,) = (await ask(service.model(), "hi")).tool_calls
    assert only["id"] == f"call_{REQUEST_ID}_0"


def test_chunks_of_one_event_are_not_held_back(service: Scripted) -> None:
    service.answer(transcript("plain_text"))
    assert merged(list(service.model().stream("hi"))).content == "The sky is blue."
    assert [c.content for c in service.model().stream("hi")] == ["The sky ", "is blue.", ""]


def function(name: str | None, arguments: str, **facts: Any) -> Any:
    called = {"arguments": arguments, **({"name": name} if name else {})}
    return {"type": "function", "function": called, **facts}


@pytest.mark.parametrize("ids", [{}, {"id": ""}, {"id": "same"}])
async def test_calls_of_a_whole_message_are_one_each(ids: Any, service: Scripted) -> None:
    calls = [function("f", "{}", **ids), function("g", '{"a": "1"}', **ids)]
    service.answer(answer_of("", tool_calls=calls))
    for message in (service.model().invoke("hi"), await service.model().ainvoke("hi")):
        assert [(c["name"], c["args"]) for c in message.tool_calls] == [
            ("f", {}),
            ("g", {"a": "1"}),
        ]


async def test_calls_without_an_index_are_told_apart_by_id_and_by_name(
    ask: Ask, service: Scripted
) -> None:
    packets = [
        [function("f", '{"x"', id="a"), function("g", '{"y"', id="b")],
        [function(None, ': "1"}', id="a"), function(None, ': "2"}', id="b")],
        [function("h", "{}")],
        [function("i", "{}")],
    ]
    documents = [answer_of("", tool_calls=calls) for calls in packets]
    for document in documents[:-1]:
        document["output"]["choices"][0]["finish_reason"] = "null"
    service.answer("".join(f"data:{json.dumps(d)}\n\n" for d in documents))
    calls = (await ask(service.model(), "hi")).tool_calls
    assert [(c["name"], c["args"]) for c in calls] == [
        *(("f", {"x": "1"}), ("g", {"y": "2"})),
        *(("h", {}), ("i", {})),
    ]


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
@pytest.mark.parametrize(
    "arguments",
    [
        '{"a": "\\x"}',
        *(f'{{"a": {number}}}' for number in ("NaN", "Infinity", "1e400", "-1e400", "1.5E+309")),
        *('{"a": [{"b": 1e400}]}', '{"a": {"b": [[-Infinity]]}}'),
    ],
)
async def test_arguments_that_are_almost_json_are_invalid_everywhere(
    arguments: str, ask: Ask, service: Scripted
) -> None:
    document = json.dumps(answer_of("", tool_calls=[function("f", arguments, id="a", index=0)]))
    service.answer(f"data:{document}\n\n")
    messages = [
        await ask(service.model(), "hi"),
        service.model().stream_events("hi", version="v3").output,
    ]
    for message in messages:
        assert message.tool_calls == []
        assert [c["args"] for c in message.invalid_tool_calls] == [f"{arguments}]"]


@pytest.mark.parametrize(
    ("escaped", "is_valid"), [(r"\ud83d", False), (r"\uD83D", False), (r"\ud83d\ude00", True)]
)
def test_arguments_with_half_of_a_character_are_invalid(
    escaped: str, service: Scripted, *, is_valid: bool
) -> None:
    """Whoever prints, stores or sends it would break."""
    calls = [function("f", f'{{"a": "{escaped}"}}', id="a", index=0)]
    service.answer(answer_of("", tool_calls=calls))
    message = service.model().invoke("hi")
    assert [c["args"] for c in message.tool_calls] == ([{"a": "😀"}] if is_valid else [])
    assert len(message.invalid_tool_calls) == (not is_valid)


# --- Characters whose halves come in two packets ---

HALVES: dict[str, tuple[list[str], list[str]]] = {
    "within texts": (["a\ud83d", "\ude00b"], ["a", "😀b"]),
    "alone": (["a", "\ud83d", "\ude00"], ["a", "😀"]),
    "with nothing between": (["\ud83d", "", "\ude00"], ["😀"]),
    "one after another": (["\ud83d", "\ude00\ud83d", "\ude01"], ["😀", "😁"]),
    "whole beside a half": (["😀\ud83d", "\ude01"], ["😀", "😁"]),
    "first half without a second": (["a\ud83d", "b"], ["a", "\ufffdb"]),
    "second half without a first": (["a", "\ude00b"], ["a", "\ufffdb"]),
    "first half at the end": (["a", "b\ud83d"], ["a", "b"]),
}


def messages_in_packets(*messages: Any) -> str:
    documents = [answer_of(**{"text": "", **message}) for message in (*messages, {})]
    for document in documents[:-1]:
        document["output"]["choices"][0]["finish_reason"] = "null"
    return "".join(f"data:{json.dumps(document)}\n\n" for document in documents)


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
@pytest.mark.parametrize("halves", HALVES)
@pytest.mark.parametrize("part", ["text", "reasoning_content"])
async def test_halves_of_a_character_in_two_packets_are_one(
    part: str, halves: str, ask: Ask, service: Scripted
) -> None:
    pieces, shown = HALVES[halves]
    service.answer(messages_in_packets(*({part: piece} for piece in pieces)))
    events = service.model().stream_events("hi", version="v3")
    for message in (await ask(service.model(), "hi"), events.output):
        read = {"text": message.text, **message.additional_kwargs}
        assert read[part] == "".join(shown)


@pytest.mark.parametrize("halves", HALVES)
async def test_of_a_stream_a_first_half_is_held_back_and_nothing_else(
    halves: str, service: Scripted
) -> None:
    pieces, shown = HALVES[halves]
    service.answer(messages_in_packets(*({"text": piece} for piece in pieces)))
    model = service.model()
    assert [chunk.text for chunk in model.stream("hi") if chunk.text] == shown
    assert [chunk.text async for chunk in model.astream("hi") if chunk.text] == shown
    deltas = [
        event["delta"]["text"]
        for event in model._stream_chat_model_events([HumanMessage("hi")])
        if event["event"] == "content-block-delta" and event["delta"]["type"] == "text-delta"
    ]
    assert deltas == shown


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
@pytest.mark.parametrize("halves", HALVES)
async def test_a_character_that_lost_a_half_makes_a_call_invalid(
    halves: str, ask: Ask, service: Scripted
) -> None:
    pieces, shown = HALVES[halves]
    arguments = ['{"a": "', *pieces, '"}']
    service.answer(in_packets(*([function("f", a, id="a", index=0)] for a in arguments)))
    events = service.model().stream_events("hi", version="v3")
    for message in (await ask(service.model(), "hi"), events.output):
        text = "".join(shown) + "\ufffd" * pieces[-1].endswith("\ud83d")  # the quote ends it
        is_valid = "\ufffd" not in text
        assert [call["args"] for call in message.tool_calls] == [{"a": text}] * is_valid
        invalid = [call["args"] for call in message.invalid_tool_calls]
        assert invalid == [f'{{"a": "{text}"}}]'] * (not is_valid)


@pytest.mark.parametrize("arguments", ['{"a": "\ud83d', '{"a": "\ud83d"}', {"a": "\ude00"}])
async def test_half_of_a_character_in_a_whole_call_makes_it_invalid(
    arguments: Any, ask: Ask, service: Scripted
) -> None:
    calls = [function("f", arguments, id="a", index=0)]
    service.answer(answer_of("", tool_calls=calls))
    message = await ask(service.model(), "hi")
    assert message.tool_calls == []
    assert len(message.invalid_tool_calls) == 1


def in_packets(*packets: list[Any], finish: str = "tool_calls") -> str:
    documents = [answer_of("", tool_calls=calls) for calls in packets]
    for document in documents:
        document["output"]["choices"][0]["finish_reason"] = "null"
    documents[-1]["output"]["choices"][0]["finish_reason"] = finish
    return "".join(f"data:{json.dumps(document)}\n\n" for document in documents)


def test_ids_and_names_that_are_repeated_come_once(service: Scripted) -> None:
    service.answer(
        in_packets([function("f", "{", id="a", index=0)], [function("f", "}", id="a", index=0)])
    )
    pieces = [piece for chunk in service.model().stream("hi") for piece in chunk.tool_call_chunks]
    assert [(p["id"], p["name"], p["args"]) for p in pieces] == [("a", "f", "{"), (None, None, "}")]


def test_calls_without_ids_are_told_apart_by_index_alone(service: Scripted) -> None:
    """Also where their pieces take turns."""
    service.answer(
        in_packets(
            [function("f", '{"x"', id="", index=3), function("f", '{"y"', id="", index=5)],
            [function(None, ': "1"}', id="", index=3), function(None, ': "2"}', id="", index=5)],
        )
    )
    calls = service.model().invoke("hi").tool_calls
    assert [(c["id"], c["args"]) for c in calls] == [
        ("call_request-1_0", {"x": "1"}),
        ("call_request-1_1", {"y": "2"}),
    ]


def test_a_call_cut_within_an_escape_is_spoilt_as_the_whole_of_it_needs(service: Scripted) -> None:
    pieces = ['["\\', '"x']
    service.answer(
        in_packets(
            *([function("f", piece, id="a", index=0)] for piece in pieces),
            finish="length",
        )
    )
    (invalid,) = service.model().invoke("hi").invalid_tool_calls
    assert invalid["args"] == '["\\"x"}'


# --- Why it ended ---

FINISH = ("finish_reason", "normalized_finish_reason", "finish_state")


@pytest.mark.parametrize(
    ("finish", "calls", "normalized"),
    [
        ("stop", 0, "stop"),
        ("stop", 1, "tool_call"),
        ("tool_calls", 2, "tool_call"),
        ("length", 0, "length"),
        ("length", 1, "length"),
        ("of_next_year", 0, "other"),
        ("of_next_year", 1, "other"),
    ],
)
async def test_why_an_answer_ended_is_said_in_langchains_word_too(
    finish: str, calls: int, normalized: str, ask: Ask, service: Scripted
) -> None:
    pieces = [function("f", "{}", id=str(index), index=index) for index in range(calls)]
    service.answer(in_packets(pieces, finish=finish))
    message = await ask(service.model(), "hi")
    assert [message.response_metadata[key] for key in FINISH] == [finish, normalized, "complete"]
    last = list(service.model()._stream_chat_model_events([HumanMessage("hi")]))[-1]
    assert [last[key] for key in FINISH] == [finish, normalized, "complete"]  # type: ignore[literal-required]


# --- v3 events ---


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
@pytest.mark.parametrize("name", MESSAGES)
async def test_v3_events_are_those_that_core_makes_of_our_chunks(
    name: str, service: Scripted
) -> None:
    """They are made without chunks, for speed."""
    service.answer(transcript(name))
    model = service.model()
    question: list[BaseMessage] = [HumanMessage("hi")]
    events = list(model._stream_chat_model_events(question))
    cores = list(chunks_to_events(model._stream(question), message_id=""))
    last: Any = events[-1]
    finish = {key: last["metadata"][key] for key in FINISH}
    assert events == [*cores[:-1], {**cores[-1], **finish}]  # core has them from 1.8.4 on
    assert events == [event async for event in model._astream_chat_model_events(question)]
    assert_valid_event_stream(events)


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
@pytest.mark.parametrize("name", MESSAGES)
async def test_the_message_of_v3_events_is_the_answer(name: str, service: Scripted) -> None:
    service.answer(transcript(name))
    model = service.model()
    stream = model.stream_events("hi", version="v3")
    want = MESSAGES[name]
    for message in (stream.output, await (await model.astream_events("hi", version="v3"))):
        assert message.text == want.content
        assert message.tool_calls == want.tool_calls
        assert [c["args"] for c in message.invalid_tool_calls] == [
            c["args"] for c in want.invalid_tool_calls
        ]
        assert message.additional_kwargs == want.additional_kwargs
        assert message.usage_metadata == want.usage_metadata
        assert message.response_metadata == {**want.response_metadata, "output_version": "v1"}
        assert str(message.id).startswith("lc_run-")
