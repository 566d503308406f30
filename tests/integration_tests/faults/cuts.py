"""The answer breaks off or stalls."""

from __future__ import annotations

import gzip
from dataclasses import replace

from tests.integration_tests.faults.what import (
    ANSWER,
    CUT,
    CUT_SHORT,
    FIRST,
    JSON,
    KEEP_ALIVE,
    NO_ANSWER,
    NOT_CONNECTED,
    OVER,
    PACKETS,
    SILENT,
    STREAM,
    WHOLE,
    Fault,
    body,
    chunked,
    event,
    gzipped_beginning,
    head,
    impatiently,
    sent,
    served,
)
from tests.integration_tests.stage import hold, now_and_then, pause, reset

HALF = WHOLE[: len(WHOLE) // 2]
GZIPPED = gzip.compress(STREAM)
CHINESE = event(body("天空是蓝色的。"))

CUTS = (
    Fault(
        "cut_in_an_event",
        "a connection that breaks within an event",
        served(chunked(PACKETS[0] + PACKETS[1][:40], end=b"")),
        CUT_SHORT,
    ),
    Fault(
        "cut_between_events",
        "a connection that breaks between events",
        served(chunked(PACKETS[0], end=b"")),
        CUT_SHORT,
    ),
    Fault(
        "reset_between_events",
        "a reset between events",
        served(chunked(PACKETS[0], end=b""), pause, reset),
        # How much of it the reset overtakes is left to chance.
        replace(CUT, partial="*"),
    ),
    Fault(
        "cut_in_a_character",
        "a body that ends within a character",
        sent(PACKETS[0] + CHINESE[: CHINESE.index("空".encode()) + 1]),
        CUT_SHORT,
    ),
    Fault(
        "cut_before_the_first_event",
        "a connection that breaks behind the headers",
        served(chunked(end=b"")),
        CUT,
    ),
    Fault("ends_empty", "a stream without events", sent(b""), CUT),
    Fault("ends_clean", "a stream that ends without a finish reason", sent(PACKETS[0]), CUT_SHORT),
    Fault(
        "ends_in_an_event",
        "a stream that ends within an event",
        sent(PACKETS[0] + PACKETS[1][:60]),
        CUT_SHORT,
    ),
    Fault(
        "cut_after_the_last_packet",
        "a connection that breaks behind the last packet",
        served(chunked(STREAM, end=b"")),
        ANSWER,
    ),
    Fault(
        "cut_in_the_last_chunk",
        "a connection that breaks within the last chunk's frame",
        served(chunked(STREAM, end=b"0\r")),
        ANSWER,
    ),
    Fault(
        "bad_chunk",
        "a chunk of no size in mid-stream",
        served(chunked(PACKETS[0], end=b"zz\r\nno chunk\r\n")),
        CUT_SHORT,
    ),
    Fault(
        "bad_chunk_after_the_last_packet",
        "a chunk of no size behind the last packet",
        served(chunked(STREAM, end=b"zz\r\nno chunk\r\n")),
        ANSWER,
    ),
    Fault(
        "no_length_at_all",
        "a body whose end is the end of the connection",
        served(head() + STREAM),
        ANSWER,
    ),
    Fault(
        "body_cut",
        "a body in one piece that is cut",
        served(head(JSON, content_length=str(len(WHOLE))) + HALF),
        CUT,
        settings={"enable_thinking": False},
    ),
    Fault(
        "body_ends_early",
        "a body in one piece that is half a document",
        sent(HALF, JSON),
        NO_ANSWER,
        settings={"enable_thinking": False},
    ),
    Fault(
        "length_too_long",
        "a `content-length` that promises too much",
        served(head(JSON, content_length=str(len(WHOLE) + 9)) + WHOLE),
        CUT,
    ),
    Fault(
        "length_too_long_for_a_stream",
        "a `content-length` that promises too much, of a stream",
        served(head(content_length=str(len(STREAM) + 9)) + STREAM),
        ANSWER,
    ),
    Fault(
        "length_too_short",
        "a `content-length` that ends within the document",
        served(head(JSON, content_length="40") + WHOLE),
        NO_ANSWER,
    ),
    Fault(
        "two_lengths",
        "two values of `content-length`",
        served(head(JSON, content_length="40", Content_Length="41") + WHOLE),
        NOT_CONNECTED,
    ),
    Fault(
        "gzip_cut",
        "compressed events that are cut",
        served(chunked(gzipped_beginning(), end=b"", content_encoding="gzip")),
        NO_ANSWER,
    ),
    Fault(
        "gzip_garbage",
        "compressed events that are not compressed",
        served(chunked(STREAM, content_encoding="gzip")),
        NO_ANSWER,
    ),
    Fault(
        "stall_after_headers",
        "silence behind the headers",
        impatiently(served(chunked(end=b""), hold)),
        SILENT,
    ),
    Fault(
        "stall_in_mid_stream",
        "silence in mid-stream",
        impatiently(served(chunked(PACKETS[0], end=b""), hold)),
        replace(SILENT, partial=FIRST),
    ),
    Fault(
        "stall_in_a_body",
        "silence within a body in one piece",
        impatiently(served(head(JSON, content_length=str(len(WHOLE))) + HALF, hold)),
        SILENT,
        settings={"enable_thinking": False},
    ),
    Fault(
        "longer_than_allowed",
        "an answer that still comes in when `max_seconds` are over",
        served(head() + PACKETS[0], now_and_then(KEEP_ALIVE)),
        OVER,
        settings={"max_seconds": 1},
    ),
    Fault(
        "silent_for_longer_than_allowed",
        "silence when `max_seconds` are over",
        served(head() + PACKETS[0], hold),
        OVER,
        settings={"max_seconds": 1},
    ),
    Fault(
        "head_takes_longer_than_allowed",
        "headers that drip when `max_seconds` are over",
        served(b"HTTP/1.1 200 OK\r\nx: ", now_and_then(b"x")),
        replace(OVER, partial="", begun=False),
        settings={"max_seconds": 1},
    ),
    Fault(
        "held_open",
        "a connection that stays open behind the last packet",
        served(chunked(STREAM, end=b""), hold),
        ANSWER,
    ),
)
