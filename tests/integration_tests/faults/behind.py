"""Data after the answer."""

from __future__ import annotations

import json

from tests.integration_tests.faults.what import (
    ANSWER,
    EVENTS,
    JSON,
    LIMIT,
    MEGABYTE,
    STREAM,
    THROTTLED,
    WHOLE,
    Answers,
    Fault,
    body,
    event,
    head,
    refused,
    sent,
    served,
)
from tests.integration_tests.stage import flood, hold, now_and_then, pause


def kept_alive(content: bytes, kind: str = EVENTS, status: str = "200 OK") -> bytes:
    """Write an answer on a connection that can be reused."""
    return head(kind, status, content_length=str(len(content)), connection="keep-alive") + content


SILENT_STREAM = STREAM.replace(b"usage", b"other")
COUNTS = event({"output": {}, "usage": {"input_tokens": 9, "output_tokens": 5, "total_tokens": 14}})
MORE = event(body(" And more.", "null"))

BEHIND = (
    Fault(
        "answered_twice",
        "a second copy of the whole HTTP response, streamed",
        served(kept_alive(STREAM) * 2, hold),
        ANSWER,
    ),
    Fault(
        "answered_twice_in_json",
        "a second copy of the whole HTTP response, with a JSON body",
        served(kept_alive(WHOLE, JSON) * 2, hold),
        ANSWER,
        settings={"enable_thinking": False},
    ),
    Fault(
        "refused_and_answered",
        "an answer directly after an error response (not used as the answer to the retry)",
        served(
            kept_alive(json.dumps(THROTTLED).encode(), JSON, "429 No") + kept_alive(STREAM), hold
        ),
        refused(LIMIT, "Throttling.RateQuota", 429),
    ),
    Fault(
        "interim_behind_the_answer",
        "an interim (1xx) response",
        served(kept_alive(STREAM) + b"HTTP/1.1 103 Early Hints\r\n\r\n", hold),
        ANSWER,
    ),
    Fault(
        "usage_behind",
        "a packet with token counts only, which are used",
        sent(SILENT_STREAM + COUNTS),
        ANSWER,
    ),
    Fault(
        "usage_behind_in_a_piece_of_its_own",
        "a packet with token counts only, after a delay",
        served(head() + SILENT_STREAM, pause, COUNTS),
        ANSWER,
    ),
    Fault(
        "usage_and_garbage_behind",
        "a packet with token counts only, then invalid data",
        served(head() + SILENT_STREAM, pause, COUNTS, pause, b"garbage"),
        ANSWER,
    ),
    Fault(
        "garbage_and_usage_behind",
        "invalid data, then a packet with token counts only, which are ignored",
        sent(SILENT_STREAM + b"garbage\n\ndata:garbage\n\n" + COUNTS),
        Answers(usage=None),
    ),
    Fault(
        "packets_behind",
        "more packets with text, which are ignored",
        sent(STREAM + MORE * 3),
        ANSWER,
    ),
    Fault("stream_behind", "the same events again, in the same body", sent(STREAM * 2), ANSWER),
    Fault(
        "flood_behind",
        "50 MB of packets",
        served(head() + STREAM, flood(MORE * 100, 50 * MEGABYTE)),
        ANSWER,
        settings={"max_answer_size": MEGABYTE},
    ),
    Fault(
        "endless_line_behind",
        "a comment of 50 MB",
        served(head() + STREAM, flood(b": x" * 10_000, 50 * MEGABYTE)),
        ANSWER,
        settings={"max_answer_size": MEGABYTE},
    ),
    Fault(
        "drip_behind",
        "comments, slowly and without end",
        served(head() + STREAM, now_and_then(b": x\n\n")),
        ANSWER,
    ),
)
"""Data after the end of an answer belongs neither to it nor to the next one."""
