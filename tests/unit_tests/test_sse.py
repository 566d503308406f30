"""Events out of bytes: however they are cut, they are those of the standard.

It is https://html.spec.whatwg.org/multipage/server-sent-events.html, written down here once more, step
by step. An event whose data is empty says nothing to us, and is compared nowhere.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_dashscope_deepseek._dashscope.sse import Event, EventReader
from tests.unit_tests.conftest import TRANSCRIPTS

MARK = b"\xef\xbb\xbf"
AS_SENT = b'id:1\nevent:result\n:HTTP_STATUS/200\ndata:{"a": 1}\n\n'
LINE_ENDS = (b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r")
WORDS = (b"data", b"event", b"id", b"retry", b":", b" ", b"data:", b"event: ", b"id:1", b"{}", b"x")
NO_LINE_ENDS = ("\u2028", "\u2029", "\x85", "\f", "\v", "\x1c")
BYTES = (b"\0", b"\xff", b"\xe4", b"\xf0\x9f", *(each.encode() for each in ("中", *NO_LINE_ENDS)))
PARTS = (
    st.sampled_from(LINE_ENDS)
    | st.sampled_from(WORDS)
    | st.sampled_from(BYTES)
    | st.sampled_from((MARK, MARK[:1], MARK[1:]))
    | st.sampled_from((b"data: x\n\n", AS_SENT, AS_SENT.replace(b"data:", b"data: ")))
)
PIECES = st.lists(st.lists(PARTS, max_size=4).map(b"".join), max_size=8)
CUTS = st.lists(st.integers(0, 10_000), max_size=5)


def by_the_standard(stream: bytes) -> list[tuple[str, str]]:
    text = stream.decode("utf-8", "replace").removeprefix("\ufeff")
    # The standard drops an event that no blank line ends; older gateways send none after the last.
    lines = [*re.split("\r\n|\n|\r", text), ""]
    events = []
    name = data = ""
    for line in lines:
        if not line:
            events.append((name or "message", data.removesuffix("\n")))
            name = data = ""
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data += value + "\n"
    return [event for event in events if event[1]]


def events_of(pieces: Sequence[bytes]) -> list[tuple[str, str]]:
    """Read pieces as `_client.py` does."""
    reader = EventReader()
    events: list[Event] = []
    for piece in pieces:
        alone = reader.lone(piece)
        events += reader.feed(piece) if alone is None else [(b"result", alone)]
    events += reader.end()
    return [
        (name.decode("utf-8", "replace"), data.decode("utf-8", "replace"))
        for name, data in events
        if data
    ]


def cut(stream: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    return [stream[start:end] for start, end in pairwise(edges)]


def begun() -> EventReader:
    """Give a reader behind the beginning of a stream, where a mark may be."""
    reader = EventReader()
    assert list(reader.feed(b": hello\n\n")) == []
    return reader


@settings(max_examples=2_000, deadline=None)
@given(pieces=PIECES, cuts=CUTS)
def test_events_are_those_of_the_standard_wherever_the_stream_is_cut(
    pieces: list[bytes], cuts: list[int]
) -> None:
    stream = b"".join(pieces)
    assert events_of(pieces) == events_of(cut(stream, cuts)) == by_the_standard(stream)


@pytest.mark.parametrize("path", sorted(TRANSCRIPTS.glob("*.sse")), ids=lambda path: path.stem)
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_every_transcript_is_read_as_the_standard_says(path: Path, line_end: bytes) -> None:
    stream = path.read_bytes().replace(b"\n", line_end)
    for size in (1, 3, len(stream)):
        pieces = cut(stream, list(range(0, len(stream), size)))
        assert events_of(pieces) == by_the_standard(stream)


def test_a_piece_as_the_service_sends_it_is_one_event() -> None:
    assert begun().lone(AS_SENT) == b'{"a": 1}'


def test_the_first_piece_is_not_read_alone() -> None:
    """Else a mark in the next one would be taken for one at the beginning."""
    assert EventReader().lone(AS_SENT) is None


def test_a_space_before_the_data_is_none_of_it() -> None:
    spaced = AS_SENT.replace(b"data:", b"data: ")
    assert begun().lone(spaced) is None
    assert list(begun().feed(spaced)) == [(b"result", b'{"a": 1}')]


@pytest.mark.parametrize("piece", [b"data:{}\n", b"data:{}", b"\n", b"", b"data:{}\r\n\r\n"])
def test_a_piece_that_is_no_event_or_part_of_one_is_not_read_alone(piece: bytes) -> None:
    assert begun().lone(piece) is None


def test_a_piece_behind_a_part_of_an_event_is_not_read_alone() -> None:
    reader = begun()
    reader.feed(b"data:[")
    assert reader.lone(AS_SENT) is None


def test_bytes_that_are_no_utf_8_stay_what_they_are() -> None:
    assert list(EventReader().feed(b"data:\xff\xfe!\n\n")) == [(b"message", b"\xff\xfe!")]


@pytest.mark.parametrize("pieces", [[MARK], [MARK[:1], MARK[1:]], [MARK[:2], MARK[2:]], []])
def test_a_byte_order_mark_at_the_beginning_is_no_text(pieces: list[bytes]) -> None:
    assert events_of([*pieces, b"data:x\n\n"]) == [("message", "x")]
    assert events_of([b"".join(pieces) + b"data:x\n\n"]) == [("message", "x")]


@pytest.mark.parametrize("before", [b"\n", b"\n\n", b"\r\n", MARK, AS_SENT])
def test_a_byte_order_mark_anywhere_else_is_text(before: bytes) -> None:
    """So it makes the field behind it an unknown one."""
    marked = MARK + b"data:x\n\n"
    for pieces in ([before, marked], [before + marked], [AS_SENT, b"\n" + before + marked]):
        assert ("message", "x") not in events_of(pieces)
    assert events_of([before, b"data: " + MARK + b"x\n\n"])[-1] == ("message", "\ufeffx")


def test_an_event_comes_with_its_blank_line_and_not_later() -> None:
    reader = EventReader()
    assert list(reader.feed(b"data:{}\n")) == []
    assert list(reader.feed(b"\ndata:")) == [(b"message", b"{}")]
    assert list(reader.end()) == [(b"message", b"")]


def test_an_event_without_a_name_is_a_message() -> None:
    for name in (b"event:\n", b"event: \n", b""):
        assert events_of([name + b"data:{}\n\n"]) == [("message", "{}")]
