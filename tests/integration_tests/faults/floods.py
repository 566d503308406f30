"""Answers that are too large."""

from __future__ import annotations

from dataclasses import replace

from tests.integration_tests.faults.what import (
    ANSWER,
    JSON,
    MEGABYTE,
    NO_ANSWER,
    PACKETS,
    STREAM,
    TOO_LARGE,
    WHOLE,
    Fault,
    body,
    bomb,
    event,
    head,
    sent,
    served,
)
from tests.integration_tests.stage import flood

X = b"x" * 65_536

SMALL = {"max_answer_size": MEGABYTE}

FLOODS = (
    Fault(
        "huge_event",
        "one event of 50 MB",
        served(head() + b"data:", flood(X, 50 * MEGABYTE), b"\n\n", STREAM),
        TOO_LARGE,
    ),
    Fault(
        "huge_event_of_lines",
        "one event of 50 MB, in many lines",
        served(head(), flood(b"data:" + X + b"\n", 50 * MEGABYTE), b"\n", STREAM),
        TOO_LARGE,
        settings=SMALL,
    ),
    Fault(
        "huge_body",
        "a JSON body of 50 MB",
        served(head(JSON) + b'{"x":"', flood(X, 50 * MEGABYTE), b'",' + WHOLE[1:]),
        TOO_LARGE,
        settings=SMALL,
    ),
    Fault(
        "huge_error",
        "an error body of 50 MB",
        served(head(JSON, "500 No") + b'{"message":"', flood(X, 50 * MEGABYTE), b'"}'),
        TOO_LARGE,
        settings=SMALL,
    ),
    Fault(
        "huge_answer",
        "an answer of 50 MB in packets of 64 KB",
        served(head(), flood(event(body(X.decode(), "null")), 50 * MEGABYTE), STREAM),
        replace(TOO_LARGE, partial="*"),
        settings=SMALL,
    ),
    Fault(
        "gzip_bomb",
        "50 MB compressed to 50 KB",
        bomb,
        NO_ANSWER,
        settings=SMALL,
    ),
    Fault(
        "endless_comments",
        "endless comments",
        served(head(), flood(b": x\n" * 16_384, 50 * MEGABYTE), STREAM),
        TOO_LARGE,
        settings=SMALL,
    ),
    Fault(
        "endless_line",
        "an endless comment",
        served(head() + b": ", flood(X, 50 * MEGABYTE), b"\n", STREAM),
        TOO_LARGE,
        settings=SMALL,
    ),
    Fault(
        "many_comments",
        "thousands of comments before each event",
        sent(b"".join(b": x\n" * 10_000 + packet for packet in PACKETS)),
        ANSWER,
    ),
)
"""Reading stops with an error before the end of the data. `partial="*"`: any part of the answer."""
