"""Events out of bytes: however they are cut, they are what httpx-sse reads in the whole."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from httpx_sse import EventSource
from hypothesis import example, given
from hypothesis import strategies as st

from langchain_dashscope_deepseek._sse import Event, EventReader
from tests.unit_tests.conftest import TRANSCRIPTS

PARTS = (
    *("\n", "\r", "\r\n", "\n\n", "\r\n\r\n", "data:", "data: ", "data", "event:", "event: ping"),
    *("id:1", "id:", "retry:5", ":HTTP_STATUS/200", ": c", "{}", "中", "\u2028", "\0", "x", " "),
)
STREAMS = st.lists(st.sampled_from(PARTS), max_size=30).map("".join).map(str.encode)


def in_pieces(stream: bytes, cuts: list[int]) -> list[Event]:
    reader, edges = (
        EventReader(),
        sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)}),
    )
    pieces = [stream[start:end] for start, end in pairwise(edges)]
    events = [event for piece in pieces for event in reader.feed(piece)]
    return [event for event in [*events, *reader.end()] if event[1]]


def by_httpx_sse(stream: bytes) -> list[Event]:
    headers = {"content-type": "text/event-stream; charset=utf-8"}
    response = httpx.Response(200, headers=headers, content=stream + b"\n\n")
    events = [event for event in EventSource(response).iter_sse() if event.data]
    # An empty name is none, says the standard.
    return [((event.event or "message").encode(), event.data.encode()) for event in events]


@given(stream=STREAMS, cuts=st.lists(st.integers(0, 10_000), max_size=5))
def test_events_are_those_of_httpx_sse_wherever_the_stream_is_cut(
    stream: bytes, cuts: list[int]
) -> None:
    assert in_pieces(stream, cuts) == by_httpx_sse(stream)


@pytest.mark.parametrize("path", sorted(TRANSCRIPTS.glob("*.sse")), ids=lambda path: path.stem)
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_every_transcript_is_read_as_httpx_sse_reads_it(path: Path, line_end: bytes) -> None:
    stream = path.read_bytes().replace(b"\n", line_end)
    for size in (1, 3, len(stream)):
        assert in_pieces(stream, list(range(0, len(stream), size))) == by_httpx_sse(stream)


@given(stream=STREAMS)
@example(b"id:1\nevent:result\n:HTTP_STATUS/200\ndata:{}\n\n")
@example(b"data:{}\n\ndata:{}\n\n")
def test_a_piece_that_is_one_event_is_read_as_httpx_sse_reads_it(stream: bytes) -> None:
    data = EventReader().lone(stream)
    if data:
        assert [of for _, of in by_httpx_sse(stream)] == [data]


def test_a_piece_as_the_service_sends_it_is_one_event() -> None:
    piece = b'id:1\nevent:result\n:HTTP_STATUS/200\ndata:{"a": 1}\n\n'
    assert EventReader().lone(piece) == b'{"a": 1}'


@pytest.mark.parametrize("piece", [b"data:{}\n", b"data:{}", b"\n", b"", b"data:{}\r\n\r\n"])
def test_a_piece_that_is_no_event_or_part_of_one_is_not_read_alone(piece: bytes) -> None:
    reader = EventReader()
    assert reader.lone(piece) is None
    reader.feed(b"data:[")
    assert reader.lone(b"data:{}\n\n") is None


def test_bytes_that_are_no_utf_8_stay_what_they_are() -> None:
    assert list(EventReader().feed(b"data:\xff\xfe!\n\n")) == [(b"message", b"\xff\xfe!")]


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b""])
def test_a_byte_order_mark_at_the_beginning_is_no_text(mark: bytes) -> None:
    (event,) = EventReader().feed(mark + b"event:result\ndata:{}\n\n")
    assert event == (b"result", b"{}")


def test_an_event_comes_with_its_blank_line_and_not_later() -> None:
    reader = EventReader()
    assert list(reader.feed(b"data:{}\n")) == []
    assert list(reader.feed(b"\ndata:")) == [(b"message", b"{}")]
    assert list(reader.end()) == [(b"message", b"")]


def test_an_event_without_a_name_is_a_message() -> None:
    for name in (b"event:\n", b"event: \n", b""):
        assert in_pieces(name + b"data:{}\n\n", []) == [(b"message", b"{}")]
