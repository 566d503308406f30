"""The answer is odd."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from tests.integration_tests.faults.cuts import CHINESE, GZIPPED
from tests.integration_tests.faults.what import (
    ANSWER,
    CUT,
    CUT_SHORT,
    EVENTS,
    JSON,
    NO_ANSWER,
    NONE,
    PACKETS,
    STREAM,
    TEXT,
    WHOLE,
    Answers,
    Fault,
    body,
    chunked,
    event,
    head,
    sent,
    served,
)
from tests.integration_tests.stage import drip


def said(text: str) -> bytes:
    """Write a stream whose text is this JSON, escapes and all."""
    return event(json.dumps(body("TEXT")).replace("TEXT", text))


def counted(**usage: Any) -> bytes:
    """Write a stream with this usage; a text stands for the number of that many digits."""
    return event({**body(), "usage": usage})


def chosen(*choices: Any) -> dict[str, Any]:
    """Write an answer with these choices."""
    return {**body(), "output": {"choices": list(choices)}}


CHOICE = body()["output"]["choices"][0]
OTHER = {**CHOICE, "message": {"content": "another"}}
DEEP = "[" * 100_000
TOTALS = {"input_tokens": 9, "output_tokens": 5, "total_tokens": 14}


def calling(arguments: str) -> dict[str, Any]:
    """Write an answer that calls a tool."""
    called = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    message = {"role": "assistant", "content": "", "tool_calls": [called]}
    return chosen({"finish_reason": "tool_calls", "message": message})


ODDITIES = (
    Fault("drip", "an answer that drips, byte by byte", served(drip(chunked(STREAM))), ANSWER),
    Fault(
        "split_characters",
        "characters that are split between pieces",
        sent(CHINESE, piece=1),
        Answers("天空是蓝色的。"),
    ),
    Fault(
        "json_for_a_stream",
        "an answer in one piece where a stream was asked for",
        sent(WHOLE, JSON),
        ANSWER,
    ),
    Fault(
        "stream_for_a_whole",
        "a stream where one piece was asked for",
        sent(STREAM),
        ANSWER,
        settings={"enable_thinking": False},
    ),
    Fault("stream_called_json", "a stream that calls itself JSON", sent(STREAM, JSON), ANSWER),
    Fault(
        "json_called_a_stream",
        "an answer in one piece that calls itself a stream",
        sent(WHOLE, EVENTS),
        ANSWER,
    ),
    Fault("json_called_html", "an answer that calls itself HTML", sent(WHOLE, "text/html"), ANSWER),
    Fault("no_content_type", "an answer without a content-type", sent(STREAM, NONE), ANSWER),
    Fault(
        "html", "a page of HTML under HTTP 200", sent(b"<html>Hello</html>", "text/html"), NO_ANSWER
    ),
    Fault(
        "no_content",
        "HTTP 204",
        served(head(NONE, "204 No Content")),
        replace(NO_ANSWER, status=204),
    ),
    Fault("empty_body", "an empty body", sent(b"", JSON), NO_ANSWER),
    Fault(
        "binary",
        "bytes that are no text",
        sent(bytes(range(256)), "application/octet-stream"),
        NO_ANSWER,
    ),
    Fault(
        "events_of_no_json",
        "events that hold no JSON",
        sent(PACKETS[0] + event("<html>")),
        CUT_SHORT,
    ),
    Fault("json_of_no_object", "JSON that is no object", sent(b"[]", JSON), NO_ANSWER),
    Fault(
        "early_hints",
        "informational answers before the real one",
        served(b"HTTP/1.1 103 Early Hints\r\nlink: </>\r\n\r\n" + chunked(STREAM)),
        ANSWER,
    ),
    Fault(
        "gzip", "compressed events", served(chunked(GZIPPED, content_encoding="gzip")), NO_ANSWER
    ),
    Fault(
        "bom", "a byte order mark before the first event", sent("\ufeff".encode() + STREAM), ANSWER
    ),
    Fault(
        "bom_of_json",
        "a byte order mark before a document",
        sent("\ufeff".encode() + WHOLE, JSON),
        ANSWER,
    ),
    Fault("crlf", "lines that end in CR LF", sent(STREAM.replace(b"\n", b"\r\n"), piece=7), ANSWER),
    Fault("cr", "lines that end in CR", sent(STREAM.replace(b"\n", b"\r"), piece=7), ANSWER),
    Fault(
        "no_blank_lines",
        "no blank line between events",
        sent(STREAM.replace(b"\n\n", b"\n")),
        ANSWER,
    ),
    Fault(
        "unknown_events",
        "events and comments that nobody knows",
        sent(b": hi\n\nevent:x\ndata:x\n\n" + STREAM),
        ANSWER,
    ),
    Fault(
        "unknown_keys", "keys that nobody knows", sent({**body(new=[{}]), "new": {"x": 1}}), ANSWER
    ),
    Fault(
        "keys_twice",
        "a key that stands twice: the last counts",
        sent(b'{"output":7,' + WHOLE[1:], JSON),
        ANSWER,
    ),
    Fault("choices_empty", "no choice in a stream", sent(event(chosen())), CUT),
    Fault("choices_empty_in_a_body", "no choice in a body", sent(chosen()), NO_ANSWER),
    Fault(
        "another_choice_first",
        "another choice before the first",
        sent(chosen({**OTHER, "index": 1}, {**CHOICE, "index": 0})),
        ANSWER,
    ),
    Fault(
        "only_another_choice",
        "only another choice than the first",
        sent(chosen({**OTHER, "index": 1})),
        NO_ANSWER,
    ),
    Fault("nul", "NUL in the text", sent(said("a\\u0000b")), Answers("a\0b")),
    Fault("raw_nul", "a bare NUL in an event", sent(PACKETS[0] + said("a\0b")), CUT_SHORT),
    Fault(
        "lone_surrogate",
        "half a surrogate pair in the text, which becomes U+FFFD",
        sent(said("a\\ud800b")),
        Answers("a\ufffdb"),
    ),
    Fault(
        "invalid_utf8",
        "bytes that are no UTF-8 in the text, which become U+FFFD",
        sent(STREAM.replace(b"blue", b"bl\xff\xfee")),
        Answers(TEXT.replace("blue", "bl\ufffd\ufffde")),
    ),
    Fault("deep_json", "100,000 brackets in an event", sent(PACKETS[0] + event(DEEP)), CUT_SHORT),
    Fault(
        "deep_json_in_a_body", "100,000 brackets in a body", sent(DEEP.encode(), JSON), NO_ANSWER
    ),
    Fault(
        "deep_arguments",
        "100,000 brackets in the arguments of a call",
        sent(event(calling('{"a":' + DEEP))),
        Answers("", invalid_calls=1),
    ),
    Fault(
        "deep_closed_arguments",
        "100,000 closed brackets in the arguments of a call",
        sent(event(calling('{"a":' + DEEP + "]" * 100_000 + "}"))),
        Answers("", invalid_calls=1),
    ),
    Fault(
        "negative_usage",
        "negative usage, which counts as not sent",
        sent(counted(input_tokens=-9, output_tokens=5, total_tokens=-4)),
        Answers(usage=None),
    ),
    Fault(
        "huge_usage",
        "usage beyond 64 bits",
        sent(counted(input_tokens=10**30, output_tokens=5, total_tokens=10**30 + 5)),
        Answers(usage=(10**30, 5, 10**30 + 5)),
    ),
    Fault(
        "endless_usage",
        "usage of 5,000 digits",
        sent(STREAM.replace(b'"input_tokens": 9', b'"input_tokens": ' + b"9" * 5_000)),
        CUT,
    ),
    Fault(
        "nan_usage",
        "usage that is NaN, which counts as not sent",
        sent(STREAM.replace(b'tokens": 9', b'tokens": NaN')),
        Answers(usage=None),
    ),
    Fault(
        "usage_by_other_names",
        "usage under the names of OpenAI's protocol",
        sent(
            STREAM.replace(b"input_tokens", b"prompt_tokens").replace(
                b"output_tokens", b"completion_tokens"
            )
        ),
        Answers(usage=(9, 5, 14)),
    ),
    Fault(
        "only_total_usage",
        "usage that is a total alone, which is no bill",
        sent(STREAM.replace(b"input_tokens", b"odd").replace(b"output_tokens", b"odder")),
        Answers(usage=None),
    ),
    Fault(
        "absurd_usage",
        "usage that does not add up",
        sent(counted(input_tokens=9, output_tokens=5, total_tokens=1)),
        Answers(usage=(9, 5, 1)),
    ),
    Fault("no_usage", "no usage", sent(STREAM.replace(b"usage", b"other")), Answers(usage=None)),
)
