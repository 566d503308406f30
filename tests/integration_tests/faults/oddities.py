"""Unusual or malformed answers."""

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
    Fault("drip", "a slow answer, byte by byte", served(drip(chunked(STREAM))), ANSWER),
    Fault(
        "split_characters",
        "UTF-8 characters that arrive byte by byte",
        sent(CHINESE, piece=1),
        Answers("天空是蓝色的。"),
    ),
    Fault(
        "json_for_a_stream",
        "a JSON body in response to a streaming request",
        sent(WHOLE, JSON),
        ANSWER,
    ),
    Fault(
        "stream_for_a_whole",
        "a stream in response to a request without streaming",
        sent(STREAM),
        ANSWER,
        settings={"enable_thinking": False},
    ),
    Fault(
        "stream_called_json", "a stream with the content type of JSON", sent(STREAM, JSON), ANSWER
    ),
    Fault(
        "json_called_a_stream",
        "a JSON body with the content type of a stream",
        sent(WHOLE, EVENTS),
        ANSWER,
    ),
    Fault(
        "json_called_html",
        "a JSON body with the content type of HTML",
        sent(WHOLE, "text/html"),
        ANSWER,
    ),
    Fault("no_content_type", "a stream without a `content-type`", sent(STREAM, NONE), ANSWER),
    Fault(
        "html", "an HTML page under HTTP 200", sent(b"<html>Hello</html>", "text/html"), NO_ANSWER
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
        "binary data",
        sent(bytes(range(256)), "application/octet-stream"),
        NO_ANSWER,
    ),
    Fault(
        "events_of_no_json",
        "events whose data is not JSON",
        sent(PACKETS[0] + event("<html>")),
        CUT_SHORT,
    ),
    Fault("json_of_no_object", "JSON that is not an object", sent(b"[]", JSON), NO_ANSWER),
    Fault(
        "early_hints",
        "interim (1xx) responses before the final response",
        served(b"HTTP/1.1 103 Early Hints\r\nlink: </>\r\n\r\n" + chunked(STREAM)),
        ANSWER,
    ),
    Fault(
        "gzip",
        "gzip-compressed events",
        served(chunked(GZIPPED, content_encoding="gzip")),
        NO_ANSWER,
    ),
    Fault(
        "bom", "a byte order mark before the first event", sent("\ufeff".encode() + STREAM), ANSWER
    ),
    Fault(
        "bom_of_json",
        "a byte order mark before a JSON document",
        sent("\ufeff".encode() + WHOLE, JSON),
        ANSWER,
    ),
    Fault(
        "crlf", "lines that end with CR LF", sent(STREAM.replace(b"\n", b"\r\n"), piece=7), ANSWER
    ),
    Fault("cr", "lines that end with CR", sent(STREAM.replace(b"\n", b"\r"), piece=7), ANSWER),
    Fault(
        "no_blank_lines",
        "no blank line between events",
        sent(STREAM.replace(b"\n\n", b"\n")),
        ANSWER,
    ),
    Fault(
        "unknown_events",
        "unknown events and comments",
        sent(b": hi\n\nevent:x\ndata:x\n\n" + STREAM),
        ANSWER,
    ),
    Fault("unknown_keys", "unknown keys", sent({**body(new=[{}]), "new": {"x": 1}}), ANSWER),
    Fault(
        "keys_twice",
        "a duplicate key, of which the last one is used",
        sent(b'{"output":7,' + WHOLE[1:], JSON),
        ANSWER,
    ),
    Fault("choices_empty", "an empty `choices` list in a stream", sent(event(chosen())), CUT),
    Fault(
        "choices_empty_in_a_body",
        "an empty `choices` list in a JSON body",
        sent(chosen()),
        NO_ANSWER,
    ),
    Fault(
        "another_choice_first",
        "a choice with index 1 before the one with index 0",
        sent(chosen({**OTHER, "index": 1}, {**CHOICE, "index": 0})),
        ANSWER,
    ),
    Fault(
        "only_another_choice",
        "only a choice with index 1",
        sent(chosen({**OTHER, "index": 1})),
        NO_ANSWER,
    ),
    Fault("nul", "an escaped NUL character in the text", sent(said("a\\u0000b")), Answers("a\0b")),
    Fault(
        "raw_nul",
        "an unescaped NUL character in an event",
        sent(PACKETS[0] + said("a\0b")),
        CUT_SHORT,
    ),
    Fault(
        "lone_surrogate",
        "a lone surrogate in the text, which becomes U+FFFD",
        sent(said("a\\ud800b")),
        Answers("a\ufffdb"),
    ),
    Fault(
        "invalid_utf8",
        "invalid UTF-8 in the text, which becomes U+FFFD",
        sent(STREAM.replace(b"blue", b"bl\xff\xfee")),
        Answers(TEXT.replace("blue", "bl\ufffd\ufffde")),
    ),
    Fault(
        "deep_json",
        "100,000 nested brackets in an event",
        sent(PACKETS[0] + event(DEEP)),
        CUT_SHORT,
    ),
    Fault(
        "deep_json_in_a_body",
        "100,000 nested brackets in a JSON body",
        sent(DEEP.encode(), JSON),
        NO_ANSWER,
    ),
    Fault(
        "deep_arguments",
        "100,000 unclosed brackets in the arguments of a tool call",
        sent(event(calling('{"a":' + DEEP))),
        Answers("", invalid_calls=1),
    ),
    Fault(
        "deep_closed_arguments",
        "100,000 nested and closed brackets in the arguments of a tool call",
        sent(event(calling('{"a":' + DEEP + "]" * 100_000 + "}"))),
        Answers("", invalid_calls=1),
    ),
    Fault(
        "negative_usage",
        "negative token counts, which are ignored",
        sent(counted(input_tokens=-9, output_tokens=5, total_tokens=-4)),
        Answers(usage=None),
    ),
    Fault(
        "huge_usage",
        "token counts beyond 64 bits",
        sent(counted(input_tokens=10**30, output_tokens=5, total_tokens=10**30 + 5)),
        Answers(usage=(10**30, 5, 10**30 + 5)),
    ),
    Fault(
        "endless_usage",
        "a token count of 5,000 digits",
        sent(STREAM.replace(b'"input_tokens": 9', b'"input_tokens": ' + b"9" * 5_000)),
        CUT,
    ),
    Fault(
        "nan_usage",
        "a token count of NaN, which is ignored",
        sent(STREAM.replace(b'tokens": 9', b'tokens": NaN')),
        Answers(usage=None),
    ),
    Fault(
        "usage_by_other_names",
        "token counts under OpenAI's names",
        sent(
            STREAM.replace(b"input_tokens", b"prompt_tokens").replace(
                b"output_tokens", b"completion_tokens"
            )
        ),
        Answers(usage=(9, 5, 14)),
    ),
    Fault(
        "only_total_usage",
        "only a total token count, which is ignored",
        sent(STREAM.replace(b"input_tokens", b"odd").replace(b"output_tokens", b"odder")),
        Answers(usage=None),
    ),
    Fault(
        "absurd_usage",
        "token counts that do not add up to the total",
        sent(counted(input_tokens=9, output_tokens=5, total_tokens=1)),
        Answers(usage=(9, 5, 1)),
    ),
    Fault(
        "no_usage", "no token counts", sent(STREAM.replace(b"usage", b"other")), Answers(usage=None)
    ),
)
