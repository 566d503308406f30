"""More comes behind the answer."""

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
    """Write an answer on a connection that could be used again."""
    return head(kind, status, content_length=str(len(content)), connection="keep-alive") + content


SILENT_STREAM = STREAM.replace(b"usage", b"other")
COUNTS = event({"output": {}, "usage": {"input_tokens": 9, "output_tokens": 5, "total_tokens": 14}})
MORE = event(body(" And more.", "null"))

BEHIND = (
    Fault(
        "answered_twice",
        "the whole answer once more",
        served(kept_alive(STREAM) * 2, hold),
        ANSWER,
    ),
    Fault(
        "answered_twice_in_json",
        "the whole answer once more, in one piece",
        served(kept_alive(WHOLE, JSON) * 2, hold),
        ANSWER,
        settings={"enable_thinking": False},
    ),
    Fault(
        "refused_and_answered",
        "an answer behind a refusal, which is not that of the retry",
        served(
            kept_alive(json.dumps(THROTTLED).encode(), JSON, "429 No") + kept_alive(STREAM), hold
        ),
        refused(LIMIT, "Throttling.RateQuota", 429),
    ),
    Fault(
        "interim_behind_the_answer",
        "an interim answer",
        served(kept_alive(STREAM) + b"HTTP/1.1 103 Early Hints\r\n\r\n", hold),
        ANSWER,
    ),
    Fault(
        "usage_behind",
        "a packet of usage alone, which counts",
        sent(SILENT_STREAM + COUNTS),
        ANSWER,
    ),
    Fault(
        "usage_behind_in_a_piece_of_its_own",
        "a packet of usage alone, a moment later",
        served(head() + SILENT_STREAM, pause, COUNTS),
        ANSWER,
    ),
    Fault(
        "usage_and_garbage_behind",
        "a packet of usage alone, and then garbage",
        served(head() + SILENT_STREAM, pause, COUNTS, pause, b"garbage"),
        ANSWER,
    ),
    Fault(
        "garbage_and_usage_behind",
        "garbage, and then a packet of usage alone",
        sent(SILENT_STREAM + b"garbage\n\ndata:garbage\n\n" + COUNTS),
        Answers(usage=None),
    ),
    Fault("packets_behind", "more of the answer", sent(STREAM + MORE * 3), ANSWER),
    Fault("stream_behind", "the stream once more", sent(STREAM * 2), ANSWER),
    Fault(
        "flood_behind",
        "50 MB of packets",
        served(head() + STREAM, flood(MORE * 100, 50 * MEGABYTE)),
        ANSWER,
        settings={"max_answer_size": MEGABYTE},
    ),
    Fault(
        "endless_line_behind",
        "50 MB of a comment",
        served(head() + STREAM, flood(b": x" * 10_000, 50 * MEGABYTE)),
        ANSWER,
        settings={"max_answer_size": MEGABYTE},
    ),
    Fault(
        "drip_behind",
        "comments now and then",
        served(head() + STREAM, now_and_then(b": x\n\n")),
        ANSWER,
    ),
)
"""What comes behind the end of an answer is no part of it, nor of the next."""
