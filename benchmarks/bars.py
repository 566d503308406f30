"""The bars: what the figures must be, as ratios within one run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from statistics import median
from typing import Literal, NamedTuple

from benchmarks.answers import answer
from benchmarks.results import Figure, Results

CORE, WIRE, DEEPSEEK, QWQ, TONGYI = (
    "LangChain floor",
    "wire floor",
    "langchain-deepseek",
    "langchain-qwq",
    "ChatTongyi",
)


Value = Callable[[Figure], float]
"""Works a value out of the figures of one round."""


def over(scenario: str, *others: str) -> Value:
    """Give ours over the sum of others."""
    return lambda figure: figure(scenario) / sum(figure(scenario, name) for name in others)


def times(scenario: str, peer: str) -> Value:
    """Give how many times a peer is ours."""
    return lambda figure: figure(scenario, peer) / figure(scenario)


def above_floors(scenario: str) -> Value:
    """Give the milliseconds of ours above the floors."""
    return lambda figure: 1e3 * (figure(scenario) - figure(scenario, CORE) - figure(scenario, WIRE))


def growth(before: str, after: str, linear: float = 1) -> Value:
    """Give how ours grows from one scenario to another, over what would be linear."""
    return lambda figure: figure(after) / figure(before) / linear


def memory_growth(way: str) -> Value:
    """Give how memory grows from 10,000 to 100,000 events, over the growth of the text.

    The text is counted as it arrives: a string a piece, in a list.
    """
    few, many = 10_000, 100_000
    text = _bytes_of_pieces(many) - _bytes_of_pieces(few)
    names = f"memory_{way}_{few}", f"memory_{way}_{many}"
    return lambda figure: (figure(names[1]) - figure(names[0])) / text


def _bytes_of_pieces(events: int) -> int:
    """Estimate what a list of the pieces takes: a pointer and a string each."""
    said = answer("text", events)
    return sum(8 + piece.__sizeof__() for piece in (*said.reasoning, *said.text))


class Bar(NamedTuple):
    """What a value must be, and what stands in its way where it is not met."""

    rule: str
    value: Value
    kind: Literal["at most", "at least"]
    limit: float
    obstacle: str = ""

    def holds(self, values: list[float]) -> bool:
        """Tell whether the median of the rounds meets it."""
        value = median(values)
        return value <= self.limit if self.kind == "at most" else value >= self.limit


KEPT_BY_CORE = (
    "Core keeps each chunk of a stream until it ends, and Python's garbage collector looks at all "
    "of them again and again: at ten times as many where 500 streams are open."
)

BARS = (
    Bar("`stream` over the two floors", over("stream", CORE, WIRE), "at most", 1.35),
    Bar("langchain-deepseek's `stream` over ours", times("stream", DEEPSEEK), "at least", 6),
    Bar("langchain-qwq's `stream` over ours", times("stream", QWQ), "at least", 6),
    Bar(
        "ChatTongyi's `stream` over ours",
        times("stream", TONGYI),
        "at least",
        1.8,
        "It reads through requests, which takes less for an HTTP chunk than httpx with h11: the "
        "two floors together, with nothing of ours in them, take most of what the bar leaves.",
    ),
    Bar("50 `astream` at once over the two floors", over("async_50", CORE, WIRE), "at most", 1.3),
    Bar(
        "langchain-deepseek's 50 `astream` over ours", times("async_50", DEEPSEEK), "at least", 4.5
    ),
    Bar("ChatTongyi's 50 `astream` over ours", times("async_50", TONGYI), "at least", 3),
    Bar(
        "an event of 500 `astream` over one of 50",
        growth("async_50", "async_500"),
        "at most",
        1.15,
        KEPT_BY_CORE,
    ),
    Bar(
        "an event of 500 `astream` over one of 50, others after them",
        growth("lasting_50", "lasting_500"),
        "at most",
        1.15,
        KEPT_BY_CORE,
    ),
    Bar(
        "v3 events over core's bridge with ready chunks",
        over("v3", CORE),
        "at most",
        1.4,
        "The bridge has nothing to read, and ours has: httpx with h11 takes for an event a third "
        "of what the bar leaves for reading, parsing and making events together.",
    ),
    Bar("langchain-deepseek's v3 events over ours", times("v3", DEEPSEEK), "at least", 5),
    Bar("`invoke` over the two floors", over("invoke", CORE, WIRE), "at most", 1.4),
    Bar("langchain-deepseek's `invoke` over ours", times("invoke", DEEPSEEK), "at least", 2),
    Bar("`batch` over the two floors", over("batch", CORE, WIRE), "at most", 1.4),
    Bar("langchain-deepseek's `batch` over ours", times("batch", DEEPSEEK), "at least", 2),
    Bar("first chunk above the two floors, ms", above_floors("first_chunk"), "at most", 0.5),
    Bar("import over core's base class and httpx", over("import", CORE), "at most", 1.1),
    Bar(
        "distributions beyond langchain-core and httpx",
        lambda figure: figure("distributions"),
        "at most",
        2,
    ),
    Bar(
        "5,000 messages over 5 times 1,000",
        growth("history_1000", "history_5000", 5),
        "at most",
        1.15,
    ),
    Bar(
        "4,000 blocks of text beside an image over 4 times 1,000",
        growth("blocks_1000", "blocks_4000", 4),
        "at most",
        1.15,
    ),
    Bar(
        "an event of 100,000 over one of 10,000",
        growth("long_direct_10000", "long_direct_100000"),
        "at most",
        1.15,
    ),
    Bar("memory of `_stream` over its text in pieces", memory_growth("stream"), "at most", 1.5),
    Bar("memory of `_generate` over its text in pieces", memory_growth("generate"), "at most", 1.5),
)


def judged(results: Results) -> Iterator[tuple[Bar, list[float]]]:
    """Give each bar whose figures were measured, with its value in each round."""
    for bar in BARS:
        with suppress(KeyError):
            yield bar, list(results.of_rounds(bar.value))
