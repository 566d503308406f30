"""Interrupted and stalled answers."""

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
        "a connection closed within an event",
        served(chunked(PACKETS[0] + PACKETS[1][:40], end=b"")),
        CUT_SHORT,
    ),
    Fault(
        "cut_between_events",
        "a connection closed between events",
        served(chunked(PACKETS[0], end=b"")),
        CUT_SHORT,
    ),
    Fault(
        "reset_between_events",
        "a connection reset between events",
        served(chunked(PACKETS[0], end=b""), pause, reset),
        # The reset may overtake any part of the packet.
        replace(CUT, partial="*"),
    ),
    Fault(
        "cut_in_a_character",
        "a body that ends within a UTF-8 character",
        sent(PACKETS[0] + CHINESE[: CHINESE.index("空".encode()) + 1]),
        CUT_SHORT,
    ),
    Fault(
        "cut_before_the_first_event",
        "a connection closed after the headers",
        served(chunked(end=b"")),
        CUT,
    ),
    Fault("ends_empty", "a stream without events", sent(b""), CUT),
    Fault(
        "ends_clean", "a stream that ends without a `finish_reason`", sent(PACKETS[0]), CUT_SHORT
    ),
    Fault(
        "ends_in_an_event",
        "a stream that ends within an event",
        sent(PACKETS[0] + PACKETS[1][:60]),
        CUT_SHORT,
    ),
    Fault(
        "cut_after_the_last_packet",
        "a connection closed after the last packet",
        served(chunked(STREAM, end=b"")),
        ANSWER,
    ),
    Fault(
        "cut_in_the_last_chunk",
        "a connection closed within the final HTTP chunk",
        served(chunked(STREAM, end=b"0\r")),
        ANSWER,
    ),
    Fault(
        "bad_chunk",
        "an invalid HTTP chunk size within the stream",
        served(chunked(PACKETS[0], end=b"zz\r\nno chunk\r\n")),
        CUT_SHORT,
    ),
    Fault(
        "bad_chunk_after_the_last_packet",
        "an invalid HTTP chunk size after the last packet",
        served(chunked(STREAM, end=b"zz\r\nno chunk\r\n")),
        ANSWER,
    ),
    Fault(
        "no_length_at_all",
        "a body without a length, which ends with the connection",
        served(head() + STREAM),
        ANSWER,
    ),
    Fault(
        "body_cut",
        "a JSON body shorter than its `content-length`, with half of the document",
        served(head(JSON, content_length=str(len(WHOLE))) + HALF),
        CUT,
        settings={"enable_thinking": False},
    ),
    Fault(
        "body_ends_early",
        "a complete body with half a JSON document",
        sent(HALF, JSON),
        NO_ANSWER,
        settings={"enable_thinking": False},
    ),
    Fault(
        "length_too_long",
        "a JSON body shorter than its `content-length`, with the whole document",
        served(head(JSON, content_length=str(len(WHOLE) + 9)) + WHOLE),
        CUT,
    ),
    Fault(
        "length_too_long_for_a_stream",
        "a complete stream shorter than its `content-length`",
        served(head(content_length=str(len(STREAM) + 9)) + STREAM),
        ANSWER,
    ),
    Fault(
        "length_too_short",
        "a `content-length` shorter than the JSON document",
        served(head(JSON, content_length="40") + WHOLE),
        NO_ANSWER,
    ),
    Fault(
        "two_lengths",
        "two different `content-length` headers",
        served(head(JSON, content_length="40", Content_Length="41") + WHOLE),
        NOT_CONNECTED,
    ),
    Fault(
        "gzip_cut",
        "truncated gzip data",
        served(chunked(gzipped_beginning(), end=b"", content_encoding="gzip")),
        NO_ANSWER,
    ),
    Fault(
        "gzip_garbage",
        "uncompressed events declared as gzip",
        served(chunked(STREAM, content_encoding="gzip")),
        NO_ANSWER,
    ),
    Fault(
        "stall_after_headers",
        "no data after the headers",
        impatiently(served(chunked(end=b""), hold)),
        SILENT,
    ),
    Fault(
        "stall_in_mid_stream",
        "no data after the first packet",
        impatiently(served(chunked(PACKETS[0], end=b""), hold)),
        replace(SILENT, partial=FIRST),
    ),
    Fault(
        "stall_in_a_body",
        "no data after half of a JSON body",
        impatiently(served(head(JSON, content_length=str(len(WHOLE))) + HALF, hold)),
        SILENT,
        settings={"enable_thinking": False},
    ),
    Fault(
        "longer_than_allowed",
        "an answer that takes longer than `max_seconds`, with data arriving",
        served(head() + PACKETS[0], now_and_then(KEEP_ALIVE)),
        OVER,
        settings={"max_seconds": 1},
    ),
    Fault(
        "silent_for_longer_than_allowed",
        "an answer that takes longer than `max_seconds`, without data",
        served(head() + PACKETS[0], hold),
        OVER,
        settings={"max_seconds": 1},
    ),
    Fault(
        "head_takes_longer_than_allowed",
        "headers that take longer than `max_seconds`",
        served(b"HTTP/1.1 200 OK\r\nx: ", now_and_then(b"x")),
        replace(OVER, partial="", begun=False),
        settings={"max_seconds": 1},
    ),
    Fault(
        "held_open",
        "a connection that stays open after the last packet",
        served(chunked(STREAM, end=b""), hold),
        ANSWER,
    ),
)
