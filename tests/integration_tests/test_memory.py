"""No answer takes more memory than four times `max_answer_size` and 32 MiB, whatever a server sends.

They are asked for by a process that may not have more. `stream` is left out: core keeps
each of its chunks, which is not ours to bound.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration_tests.faults.what import EVENTS, JSON, MEGABYTE, body, event, head
from tests.integration_tests.stage import KEY, RawServer, Step, flood, read_request

pytestmark = [
    pytest.mark.emulator_only,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="limits and /proc"),
]

SIZE = 8 * MEGABYTE
SLACK = 32 * MEGABYTE
NEARLY = SIZE - 4_096
FITTING = SIZE // 10_000 - 10

STARTS, ENDS = json.dumps(body("CUT")).split("CUT")
_CHOICE = '{"index":0,"function":{"name":"f","arguments":"a"}}'


def filled(piece: str, start: str = STARTS, end: str = ENDS, size: int = NEARLY) -> bytes:
    """Fill an answer with a piece, again and again."""
    one, around = piece.encode(), len(start.encode()) + len(end.encode())
    return start.encode() + one * ((size - around) // len(one)) + end.encode()


def mostly(piece: str, last: str) -> bytes:
    """Fill an answer with a piece, and let something else be its end."""
    return filled(piece, end=last + ENDS)


BODIES: dict[str, bytes] = {
    "brackets": b"[" * NEARLY,
    "lists": filled("[],", '{"a":[', "[]]}"),
    "objects": filled("{},", '{"a":[', "{}]}"),
    "numbers": filled("1,", '{"a":[', "1]}"),
    "large numbers": filled("1e9,", '{"a":[', "1]}"),
    "texts": filled('"",', '{"a":[', '""]}'),
    "small objects": filled('{"a":1},', '{"a":[', "{}]}"),
    "keys": b"{" + b",".join(b'"%x":1' % n for n in range(1_300_000)) + b"}",
    "text": filled("a"),
    "text with a wide character": mostly("a", "\U0001f600"),
    "text with an escaped wide character": mostly("a", "\\ud83d\\ude00"),
    "chinese": filled("天"),
    "escapes": filled("\\n"),
    "wide escapes": filled("\\ud83d\\ude00"),
    "halves": filled("\\ud800"),
    "commas": filled(","),
    "quotes": filled('\\"'),
    "sources": filled('{"url":"a"},', '{"output":{"search_info":{"search_results":[', "{}]}}}"),
    "calls": filled(
        _CHOICE + ",",
        '{"output":{"choices":[{"finish_reason":"stop","message":{"tool_calls":[',
        _CHOICE + "]}}]}}",
    ),
}
BODIES["no text"] = BODIES["text"].replace(b"aaaa", b"\xff\xfe\xff\xfe")


def small(text: str, **message: object) -> bytes:
    """Write a packet that shows little."""
    said = {"content": text, **message}
    document = {"output": {"choices": [{"message": said, "finish_reason": "null"}]}}
    return b"data:" + json.dumps(document, ensure_ascii=False).encode() + b"\n\n"


def calling(number: int | None) -> bytes:
    called = {"index": 0, "function": {"arguments": "天"}}
    if number is not None:
        called = {"index": number, "id": f"{number}", "function": {"name": "f"}}
    return small("", tool_calls=[called])


STREAMS: dict[str, list[Step]] = {
    "event": [b"data:" + BODIES["text with a wide character"] + b"\n\n"],
    "event that nearly fits": [
        b"data:" + filled("a", end="\U0001f600" + ENDS, size=SIZE // 4 - 4_096) + b"\n\n"
    ],
    "characters": [flood(small("天") * 1_000, 40_000 * len(small("天"))), event(body(""))],
    "wide characters": [
        flood(small("a" * 10_000) * 10, FITTING * len(small("a" * 10_000))),
        small("\U0001f600"),
        event(body("")),
    ],
    "nearly all ascii": [
        flood(small("a" * 10_000) * 10, FITTING * len(small("a" * 10_000))),
        small("天"),
        event(body("")),
    ],
    "ascii": [
        flood(small("a" * 10_000) * 10, FITTING * len(small("a" * 10_000))),
        event(body("")),
    ],
    "pieces of a call": [flood(calling(None) * 1_000, 40_000 * len(calling(None)))],
    "calls": [b"".join(calling(number) for number in range(30_000))],
    "events that call themselves a body": [small("天") * (NEARLY // len(small("天")))],
}


def steps_of(name: str) -> list[Step]:
    """Say how an answer comes."""
    if name in BODIES:
        return [head(JSON, content_length=str(len(BODIES[name]))) + BODIES[name]]
    return [head(JSON if name.endswith("a body") else EVENTS), *STREAMS[name]]


@pytest.mark.parametrize(
    ("style", "names"),
    [("invoke", [*BODIES, *STREAMS]), ("ainvoke", [*STREAMS])],
    ids=["invoke", "ainvoke"],
)
async def test_no_answer_takes_more_memory_than_it_may(style: str, names: list[str]) -> None:
    """One process asks for all of them, one after another."""
    servers = {name: RawServer([read_request, *steps_of(name)]) for name in names}
    try:
        done = await asyncio.to_thread(
            subprocess.run,
            [
                *(sys.executable, str(Path(__file__).with_name("asking.py")), style, str(SIZE)),
                *(f"http://{server.address}/api/v1" for server in servers.values()),
            ],
            env={**os.environ, "DASHSCOPE_API_KEY": KEY},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    finally:
        for server in servers.values():
            server.stop()
    assert done.returncode == 0, done.stderr[-2_000:]
    seen = dict(zip(servers, map(str.split, done.stdout.splitlines()), strict=True))
    too_much = {
        name: f"{outcome}, {int(peak) // MEGABYTE} MiB"
        for name, (outcome, peak) in seen.items()
        if outcome == "MemoryError" or int(peak) > 4 * SIZE + SLACK
    }
    assert too_much == {}
    for name in {"text", "commas", "characters", "ascii"} & set(names):
        assert seen[name][0] == "AIMessage"
