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

from langchain_dashscope_deepseek._dashscope.protocol.reading import EventSplitter, data_of
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
    | st.sampled_from((b"data: x\n\n", AS_SENT, AS_SENT.replace(b"data:", b"data: ")))
)
PIECES = st.lists(st.lists(PARTS, max_size=4).map(b"".join), max_size=8)
CUTS = st.lists(st.integers(0, 10_000), max_size=5)


def by_the_standard(stream: bytes) -> list[str]:
    text = stream.decode("utf-8", "replace")
    # The standard drops an event that no blank line ends; older gateways send none after the last.
    lines = [*re.split("\r\n|\n|\r", text), ""]
    events = []
    data = ""
    for line in lines:
        field, _, value = line.partition(":")
        if not line:
            events.append(data.removesuffix("\n"))
            data = ""
        elif field == "data":
            data += value.removeprefix(" ") + "\n"
    return list(filter(None, events))


def read(events: list[bytes]) -> list[bytes]:
    return list(filter(None, map(data_of, events)))


def events_of(pieces: Sequence[bytes]) -> list[str]:
    splitter = EventSplitter()
    events = [event for piece in pieces for event in splitter.feed(piece)]
    return [data.decode("utf-8", "replace") for data in read([*events, *splitter.end()])]


def cut(stream: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    return [stream[start:end] for start, end in pairwise(edges)]


@settings(max_examples=2_000)
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


def test_a_space_before_the_data_is_none_of_it() -> None:
    for before in (b"data:", b"data: "):
        assert data_of(AS_SENT.replace(b"data:", before)) == b'{"a": 1}'


@pytest.mark.parametrize(
    ("event", "data"),
    [
        (b"data:{}", b"{}"),
        (b"id:data:1\ndata:{}", b"{}"),
        (b":data:x\nevent:data:y\ndata:{}", b"{}"),
        (b"data:[\ndata:]", b"[\n]"),
        (b"data\ndata:[]", b"\n[]"),
        (b"data:{}\nid:1", b"{}"),
        (b"datas:{}", b""),
        (b":a comment", b""),
        (b"", b""),
    ],
)
def test_data_is_found_wherever_it_stands(event: bytes, data: bytes) -> None:
    assert data_of(event) == data


def test_bytes_that_are_no_utf_8_stay_what_they_are() -> None:
    assert data_of(b"data:\xff\xfe!") == b"\xff\xfe!"


@pytest.mark.parametrize("pieces", [[MARK], [MARK[:1], MARK[1:]], [MARK[:2], MARK[2:]], []])
def test_a_byte_order_mark_at_the_beginning_is_no_text(pieces: list[bytes]) -> None:
    assert events_of([*pieces, b"data:x\n\n"]) == ["x"]
    assert events_of([b"".join(pieces) + b"data:x\n\n"]) == ["x"]


def test_an_event_comes_with_its_blank_line_and_not_later() -> None:
    splitter = EventSplitter()
    assert read(splitter.feed(b"data:{}\n")) == []
    assert read(splitter.feed(b"\ndata:[")) == [b"{}"]
    assert read(splitter.feed(b"]\n\n")) == [b"[]"]
    assert read(splitter.end()) == []
