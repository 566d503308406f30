"""The edges of the wire: what an event, a body or an end is read as, or is refused with."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from langchain_dashscope_deepseek import DashScopeError
from langchain_dashscope_deepseek._dashscope.protocol.packets import (
    AnswerDelta,
    ToolCallDelta,
    read_usage,
)
from langchain_dashscope_deepseek._dashscope.protocol.reading import AnswerReader, too_large
from langchain_dashscope_deepseek.errors import (
    DashScopeAnswerTooLargeError,
    DashScopeInvalidRequestError,
    DashScopeRateLimitError,
    DashScopeServerError,
    DashScopeStreamCutError,
)
from tests.unit_tests.conftest import answer_of

ID = "request-7"
HEADERS = {
    "x-request-id": ID,
    "content-type": "text/html; charset=utf-8",
    "retry-after": "3",
    "x-should-retry": "false",
}


STREAM = {**HEADERS, "content-type": "text/event-stream"}


def reader(
    *, status: int = 200, headers: Mapping[str, str] = STREAM, size: int = 1000
) -> AnswerReader:
    return AnswerReader(status, headers, size)


def piece(raw: bytes) -> Callable[[AnswerReader], Any]:
    return lambda reader: list(reader.feed(raw))


def event(
    document: Any, name: str = "result", before: bytes = b""
) -> Callable[[AnswerReader], Any]:
    data = document if isinstance(document, str) else json.dumps(document)
    lines = "".join(f"data:{line}\n" for line in data.split("\n"))
    return piece(b"event:%b\n%b%b\n" % (name.encode(), before, lines.encode()))


def end(reader: AnswerReader) -> list[AnswerDelta]:
    return list(reader.end())


def body(raw: bytes) -> Callable[[AnswerReader], Any]:
    return lambda reader: [*reader.feed(raw), *reader.end()]


def refusal(read: Callable[[AnswerReader], Any], of: AnswerReader) -> DashScopeError:
    with pytest.raises(DashScopeError) as caught:
        read(of)
    return caught.value


def facts(error: DashScopeError) -> tuple[Any, ...]:
    return error.code, error.status_code, error.request_id, error.retry_after, error.is_retryable


def message(**fields: Any) -> Any:
    return {"output": {"choices": [{"message": fields, "finish_reason": "stop"}]}}


# --- Refused ---

REFUSED: list[tuple[str, Mapping[str, str], Callable[[AnswerReader], Any]]] = [
    ("a body that is no answer (text/html, 5 bytes)", HEADERS, body(b"hello")),
    ("an answer without choices", HEADERS, body(b"{}")),
    (
        "an answer without choices",
        HEADERS,
        body(b'{"output": {}, "usage": {"total_tokens": 1}}'),
    ),
    ("an answer without choices", STREAM, body(b"{}")),
    *(
        (f"an answer whose {part} is of the wrong type ({kind})", STREAM, event(document))
        for part, kind, document in [
            ("message", "str", {"output": {"choices": [{"message": "x"}]}}),
            ("content", "int", message(content=7)),
            ("tool_calls", "dict", message(tool_calls={"x": 1})),
            ("tool call", "str", message(tool_calls=["x"])),
        ]
    ),
]


@pytest.mark.parametrize(("what", "headers", "read"), REFUSED)
def test_what_is_no_answer_is_named_with_all_that_is_known(
    what: str, headers: Mapping[str, str], read: Callable[[AnswerReader], Any]
) -> None:
    error = refusal(read, reader(headers=headers))
    assert type(error) is DashScopeServerError
    assert str(error) == (
        f"DashScope or a proxy in between sent {what}. [HTTP 200, request_id {ID}] "
        f"{DashScopeServerError.hint}"
    )
    assert facts(error) == (None, 200, ID, None, True)


@pytest.mark.parametrize(
    ("status", "kind"), [(400, DashScopeInvalidRequestError), (503, DashScopeServerError)]
)
@pytest.mark.parametrize(
    ("what", "read"),
    [
        ("a body that is no answer (text/html, 5 bytes)", body(b"hello")),
        (
            "an error status, and no error in the body",
            body(b"data:%b\n\n" % json.dumps(answer_of()).encode()),
        ),
    ],
)
def test_an_error_that_cannot_be_read_is_named_with_all_that_is_known(
    what: str, read: Callable[[AnswerReader], Any], status: int, kind: type[DashScopeError]
) -> None:
    error = refusal(read, reader(status=status, headers=HEADERS))
    assert type(error) is kind
    assert str(error) == (
        f"DashScope or a proxy in between sent {what}. [HTTP {status}, request_id {ID}] {kind.hint}"
    )
    assert facts(error) == (None, status, ID, 3, False)


def test_an_error_that_was_cut_is_named_with_all_that_is_known() -> None:
    error = reader(status=503).cut_error()
    assert type(error) is DashScopeServerError
    assert str(error) == (
        "DashScope or a proxy in between sent an error that was cut off. "
        f"[HTTP 503, request_id {ID}] {DashScopeServerError.hint}"
    )
    assert facts(error) == (None, 503, ID, 3, False)


def test_a_body_without_a_content_type_says_so() -> None:
    error = refusal(body(b"hello"), reader(headers={}))
    assert "(no content type, 5 bytes)" in str(error)


@pytest.mark.parametrize(
    ("says", "read"),
    [
        ("The answer ended without a finish_reason: it was cut off", end),
        *(
            (
                "The stream was cut off or garbled: an event is not a JSON object",
                event(data, name),
            )
            for name in ("result", " error", "message", "")
            for data in ("{", "[]", "null", "7", '{"a": 1}\nx')
        ),
    ],
)
def test_a_stream_that_is_cut_says_so(says: str, read: Callable[[AnswerReader], Any]) -> None:
    error = refusal(read, reader())
    assert type(error) is DashScopeStreamCutError
    assert str(error) == f"{says}. [request_id {ID}] {DashScopeStreamCutError.hint}"
    assert facts(error) == (None, None, ID, None, True)


@pytest.mark.parametrize("name", ["ping", "Result"])
def test_an_event_of_another_name_may_hold_anything(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "langchain_dashscope_deepseek")
    assert event("still here", name)(reader()) == []
    assert [r.text for r in event(json.dumps(answer_of()) + "\n[]", name)(reader())] == ["hi"]
    assert set(caplog.messages) == {"Skipped an event of an unknown type"}


def test_a_body_that_is_too_large_says_so() -> None:
    error = refusal(body(b"a" * 1001), reader(headers=HEADERS))
    assert type(error) is DashScopeAnswerTooLargeError
    assert (
        str(error)
        == str(too_large(1000, ID))
        == (
            "The answer is larger than max_answer_size (1,000), and was not read to its end. "
            f"[request_id {ID}] {DashScopeAnswerTooLargeError.hint}"
        )
    )
    assert error.request_id == ID


def test_an_event_may_be_as_large_as_allowed_and_no_larger() -> None:
    fed = reader()
    assert piece(b"a" * 1000)(fed) == []
    assert piece(b"\n\n")(fed) == []
    assert piece(b"a" * 1000)(fed) == []
    error = refusal(piece(b"a"), fed)
    assert (type(error), error.request_id) == (DashScopeAnswerTooLargeError, ID)


# --- Errors of the service ---


@pytest.mark.parametrize(
    ("document", "code", "says", "request_id"),
    [
        ({"code": "X", "message": "no", "request_id": "r"}, "X", "DashScope: no", "r"),
        ({"code": "X", "message": "no", "request_id": ""}, "X", "DashScope: no", ID),
        ({"code": 7, "message": "no"}, "7", "DashScope: no", ID),
        ({"code": "X"}, "X", "DashScope sent no error message", ID),
        ({"code": "X", "message": ["no"]}, "X", "DashScope sent no error message", ID),
        ({"error": "no"}, None, "DashScope: no", ID),
        ({"error": {"message": "no"}}, None, "DashScope: no", ID),
        ({"error": {"message": "no", "type": "t"}}, "t", "DashScope: no", ID),
        ({"error": {"message": "no", "type": "t", "code": "c"}}, "c", "DashScope: no", ID),
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_an_error_is_read_from_each_of_its_shapes(
    document: dict[str, Any], code: str | None, says: str, request_id: str, *, whole: bool
) -> None:
    of, read = (
        (reader(status=400, headers=HEADERS), body(json.dumps(document).encode()))
        if whole
        else (reader(), event(document))
    )
    error = refusal(read, of)
    assert str(error).startswith(f"{says}. [")
    assert facts(error) == (code, 400 if whole else None, request_id, 3, False)


def test_an_error_without_a_code_is_read_where_the_status_tells_that_it_is_one() -> None:
    error = refusal(body(b'{"message": "no"}'), reader(status=400, headers=HEADERS))
    assert str(error).startswith("DashScope: no. [HTTP 400")


@pytest.mark.parametrize("headers", [HEADERS, STREAM], ids=["html", "stream"])
def test_a_code_beside_an_answer_is_no_error(headers: Mapping[str, str]) -> None:
    document = json.dumps({**answer_of("hi"), "code": "Success"}).encode()
    (delta,) = body(document)(reader(headers=headers))
    assert delta.text == "hi"


@pytest.mark.parametrize(
    ("comments", "status"),
    [
        (b":HTTP_STATUS/429\n", 429),
        (b":HTTP_STATUS/429\n:HTTP_STATUS/503\n", 503),
        (b":HTTP_STATUS/429\n:HTTP_STATUS/200\n", 429),
        (b":HTTP_STATUS/400\n", 400),
        (b":HTTP_STATUS/399\n", None),
        (b":HTTP_STATUS/x\n", None),
        (b"", None),
    ],
)
def test_the_status_of_an_error_within_a_stream_is_in_a_comment_of_its_event(
    comments: bytes, status: int | None
) -> None:
    error = refusal(event({"code": "X", "message": "no"}, "error", comments), reader())
    assert error.status_code == status


def test_the_status_of_the_answer_counts_before_one_in_a_comment() -> None:
    throttled = reader(status=429, headers=HEADERS)
    raw = b':HTTP_STATUS/503\ndata:{"code": "New", "message": "no"}\n\n'
    error = refusal(body(raw), throttled)
    assert (type(error), error.status_code) == (DashScopeRateLimitError, 429)


# --- Read ---

CALL = {"index": 1, "id": "c", "function": {"name": "f", "arguments": "{"}}
DELTA = ToolCallDelta(1, "c", "f", "{")
NO_OUTPUT: list[dict[str, Any]] = [{}, {"output": {}}, {"output": None}]
FULL = AnswerDelta("a", "b", (DELTA,), "stop", {"total_tokens": 1}, "r", ({"url": "u"},))


@pytest.mark.parametrize(
    ("document", "delta"),
    [
        (
            {
                "output": {
                    "choices": [
                        {
                            "message": {
                                "content": "a",
                                "reasoning_content": "b",
                                "tool_calls": [CALL],
                            },
                            "finish_reason": "stop",
                        }
                    ],
                    "search_info": {"search_results": [{"url": "u"}, "x"]},
                },
                "usage": {"total_tokens": 1},
                "request_id": "r",
            },
            FULL,
        ),
        (message(content="a"), AnswerDelta("a", finish_reason="stop", request_id=ID)),
        (message(content=None), AnswerDelta(finish_reason="stop", request_id=ID)),
        (
            message(content=[{"text": "a"}, "b", {"x": 1}, None, {"text": 7}]),
            AnswerDelta("ab", finish_reason="stop", request_id=ID),
        ),
        ({"output": {"choices": [{}]}}, AnswerDelta(request_id=ID)),
        (
            {"output": {"choices": [{"index": 1, "message": "x"}, "x", {"index": 0}]}},
            AnswerDelta(request_id=ID),
        ),
        (
            {"output": {"search_info": {"search_results": [{"url": "u"}]}}},
            AnswerDelta(request_id=ID, search_results=({"url": "u"},)),
        ),
        *(
            ({**output, "usage": {count: 0}}, AnswerDelta(usage={count: 0}, request_id=ID))
            for count in ("input_tokens", "output_tokens", "total_tokens")
            for output in NO_OUTPUT
        ),
        *(
            (document, None)
            for document in [
                *({}, {"output": {}}, {"output": {"choices": []}}, {"output": {"text": "a"}}),
                *({"usage": {}}, {"usage": []}, {"usage": 1}),
                *({"output": {"search_info": "x"}}, {"output": {"search_info": {}}}),
                {"output": {"choices": [{"index": 1}]}},
            ]
        ),
    ],
)
def test_a_packet_is_read(document: Any, delta: AnswerDelta | None) -> None:
    assert event(document)(reader()) == ([] if delta is None else [delta])


@pytest.mark.parametrize(
    ("call", "delta"),
    [
        (CALL, DELTA),
        ({}, ToolCallDelta(None, None, None, "")),
        ({"index": True, "id": 1, "function": "x"}, ToolCallDelta(None, None, None, "")),
        ({"index": "1", "id": "", "function": {"name": ""}}, ToolCallDelta(None, None, None, "")),
        *(
            ({"function": {"arguments": arguments}}, ToolCallDelta(None, None, None, text))
            for arguments, text in [
                *(("", ""), (None, ""), (0, ""), ([], ""), ({}, "{}"), ([1], "[1]")),
                ({"city": "杭州"}, '{"city": "杭州"}'),
            ]
        ),
    ],
)
def test_a_call_is_read(call: Any, delta: ToolCallDelta) -> None:
    assert [r.tool_calls for r in event(message(tool_calls=[call]))(reader())] == [(delta,)]


def test_what_is_no_call_at_all_is_none() -> None:
    assert [r.tool_calls for r in event(message(tool_calls=[None, "", 0]))(reader())] == [()]


@pytest.mark.parametrize("headers", [HEADERS, STREAM], ids=["html", "stream"])
def test_calls_of_a_whole_message_are_told_apart_by_their_place(headers: Mapping[str, str]) -> None:
    document = json.dumps(answer_of("", tool_calls=[CALL, CALL])).encode()
    (delta,) = body(document)(reader(headers=headers))
    assert [call.wire_index for call in delta.tool_calls] == [0, 1]


def test_a_call_of_a_whole_message_without_a_name_continues_no_other() -> None:
    calls: list[Any] = [CALL, {"function": {"arguments": "{}"}}]
    (delta,) = body(json.dumps(answer_of("", tool_calls=calls)).encode())(reader())
    assert [call.name for call in delta.tool_calls] == ["f", ""]


@pytest.mark.parametrize("headers", [HEADERS, STREAM], ids=["html", "stream"])
def test_bytes_that_are_no_text_cost_a_character_and_not_the_answer(
    headers: Mapping[str, str],
) -> None:
    document = b"\xef\xbb\xbf" + json.dumps(answer_of("?")).encode().replace(b"?", b"\xff")
    (delta,) = body(document)(reader(headers=headers))
    assert delta.text == "\ufffd"


@pytest.mark.parametrize("headers", [HEADERS, STREAM], ids=["html", "stream"])
def test_blank_lines_around_a_body_do_not_matter(headers: Mapping[str, str]) -> None:
    """Servers send some to keep a connection open."""
    raw = b"\n\n%b\n\n\n" % json.dumps(answer_of()).encode()
    assert [delta.text for delta in body(raw)(reader(headers=headers))] == ["hi"]


def test_events_are_read_whatever_the_body_is_called() -> None:
    raw = b"data:%b\n\n" % json.dumps(answer_of()).encode()
    assert [delta.text for delta in body(raw)(reader(headers=HEADERS))] == ["hi"]


def test_a_stream_is_complete_from_its_first_finish_reason_on() -> None:
    whole = reader()
    event(answer_of())(whole)
    event({"output": {"choices": [{"message": {"content": "x"}}]}})(whole)
    assert whole.is_complete
    assert whole.has_dropped_data
    assert end(whole) == []


def test_what_followed_events_is_no_body() -> None:
    cut = reader()
    event({"usage": {"total_tokens": 1}})(cut)
    piece(json.dumps(answer_of()).encode())(cut)
    assert type(refusal(end, cut)) is DashScopeStreamCutError


def test_what_came_before_an_error_is_given_before_it() -> None:
    first = answer_of()
    first["output"]["choices"][0]["finish_reason"] = "null"
    raw = b"data:%b\n\ndata:{\n\n" % json.dumps(first).encode()
    deltas = iter(reader().feed(raw))
    assert next(deltas).text == "hi"
    with pytest.raises(DashScopeStreamCutError):
        next(deltas)


def test_a_document_may_stand_on_many_lines() -> None:
    assert [r.text for r in event(json.dumps(answer_of(), indent=1))(reader())] == ["hi"]


def test_empty_data_is_no_event() -> None:
    whole = reader()
    assert event("")(whole) == []
    assert [delta.text for delta in event(answer_of("hi"))(whole)] == ["hi"]


NO_TOKENS = {"input_tokens": 0, "output_tokens": 0}
NO_USAGE = {**NO_TOKENS, "total_tokens": 0}


@pytest.mark.parametrize(
    ("counts", "usage"),
    [
        (
            {"input_tokens": 2, "output_tokens": 3, "total_tokens": 6},
            {"input_tokens": 2, "output_tokens": 3, "total_tokens": 6},
        ),
        (
            {"input_tokens": 2, "output_tokens": 3},
            {"input_tokens": 2, "output_tokens": 3, "total_tokens": 5},
        ),
        ({"input_tokens": 2}, None),
        ({"output_tokens": 3}, None),
        ({"total_tokens": 0}, None),
        ({"input_tokens": True, "output_tokens": "3", "total_tokens": -1}, None),
        ({"input_tokens": 0, "output_tokens": 0, "total_tokens": -1}, NO_USAGE),
        (
            {**NO_TOKENS, "output_tokens_details": {"reasoning_tokens": 0}},
            {**NO_USAGE, "output_token_details": {"reasoning": 0}},
        ),
        (
            {**NO_TOKENS, "completion_tokens_details": {"reasoning_tokens": 1}},
            {**NO_USAGE, "output_token_details": {"reasoning": 1}},
        ),
        (
            {**NO_TOKENS, "prompt_tokens_details": {"cached_tokens": 0}},
            {**NO_USAGE, "input_token_details": {"cache_read": 0}},
        ),
        (
            {**NO_TOKENS, "input_tokens_details": {"cached_tokens": 4}},
            {**NO_USAGE, "input_token_details": {"cache_read": 4}},
        ),
        ({**NO_TOKENS, "cached_tokens": 4}, {**NO_USAGE, "input_token_details": {"cache_read": 4}}),
        ({**NO_TOKENS, "image_tokens": 4}, {**NO_USAGE, "input_token_details": {"image": 4}}),
        (
            {
                **NO_TOKENS,
                "prompt_tokens_details": {"cached_tokens": 1, "cache_creation_input_tokens": 2},
                "input_tokens_details": {"cached_tokens": 4},
            },
            {**NO_USAGE, "input_token_details": {"cache_read": 1, "cache_creation": 2}},
        ),
        (
            {**NO_TOKENS, "prompt_tokens_details": "x", "output_tokens_details": None},
            NO_USAGE,
        ),
    ],
)
def test_usage_is_read(counts: dict[str, Any], usage: dict[str, Any] | None) -> None:
    assert read_usage(counts) == usage
