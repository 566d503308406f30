"""The limits that the figures must meet, as ratios within one run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from statistics import median
from typing import Literal, NamedTuple

from benchmarks.answers import answer
from benchmarks.results import Figure, Results

CORE, WIRE, DEEPSEEK, QWQ, TONGYI = (
    "LangChain baseline",
    "httpx baseline",
    "langchain-deepseek",
    "langchain-qwq",
    "ChatTongyi",
)


Value = Callable[[Figure], float]
"""Computes a value from the figures of one round."""


def over(scenario: str, *others: str) -> Value:
    """Return this package divided by the sum of others."""
    return lambda figure: figure(scenario) / sum(figure(scenario, name) for name in others)


def times(scenario: str, peer: str) -> Value:
    """Return a peer divided by this package."""
    return lambda figure: figure(scenario, peer) / figure(scenario)


def above_baselines(scenario: str) -> Value:
    """Return this package minus both baselines, in milliseconds."""
    return lambda figure: 1e3 * (figure(scenario) - figure(scenario, CORE) - figure(scenario, WIRE))


def growth(before: str, after: str, linear: float = 1) -> Value:
    """Return the growth of this package between two scenarios, divided by linear growth."""
    return lambda figure: figure(after) / figure(before) / linear


def memory_growth(way: str) -> Value:
    """Return the growth of memory from 10,000 to 100,000 events, divided by that of the text.

    The size of the text is that of a list with one string per event.
    """
    few, many = 10_000, 100_000
    text = _bytes_of_pieces(many) - _bytes_of_pieces(few)
    names = f"memory_{way}_{few}", f"memory_{way}_{many}"
    return lambda figure: (figure(names[1]) - figure(names[0])) / text


def _bytes_of_pieces(events: int) -> int:
    """Estimate the size of a list of the pieces: a pointer and a string each."""
    said = answer("text", events)
    return sum(8 + piece.__sizeof__() for piece in (*said.reasoning, *said.text))


class Bar(NamedTuple):
    """The limit of a value, and a known reason if it is not met."""

    rule: str
    value: Value
    kind: Literal["at most", "at least"]
    limit: float
    obstacle: str = ""

    def holds(self, values: list[float]) -> bool:
        """Return whether the median of the rounds meets the limit."""
        value = median(values)
        return value <= self.limit if self.kind == "at most" else value >= self.limit


KEPT_BY_CORE = (
    "langchain-core keeps each chunk of a stream until it ends, and Python's garbage collector "
    "scans all of them repeatedly: ten times as many if 500 streams are open."
)

BARS = (
    Bar("`stream`: this package / sum of baselines", over("stream", CORE, WIRE), "at most", 1.35),
    Bar("`stream`: langchain-deepseek / this package", times("stream", DEEPSEEK), "at least", 6),
    Bar("`stream`: langchain-qwq / this package", times("stream", QWQ), "at least", 6),
    Bar(
        "`stream`: ChatTongyi / this package",
        times("stream", TONGYI),
        "at least",
        1.8,
        "ChatTongyi reads with `requests`, which needs less CPU per chunk than httpx with h11. "
        "Both baselines together, without any code of this package, take most of the allowed time.",
    ),
    Bar(
        "50 `astream` at once: this package / sum of baselines",
        over("async_50", CORE, WIRE),
        "at most",
        1.3,
    ),
    Bar(
        "50 `astream` at once: langchain-deepseek / this package",
        times("async_50", DEEPSEEK),
        "at least",
        4.5,
    ),
    Bar(
        "50 `astream` at once: ChatTongyi / this package",
        times("async_50", TONGYI),
        "at least",
        3,
    ),
    Bar(
        "time per event of `astream`: 500 at once / 50 at once",
        growth("async_50", "async_500"),
        "at most",
        1.15,
        KEPT_BY_CORE,
    ),
    Bar(
        "time per event of `astream`: 500 tasks / 50 tasks, several streams each",
        growth("lasting_50", "lasting_500"),
        "at most",
        1.15,
        KEPT_BY_CORE,
    ),
    Bar(
        "v3 events: this package / LangChain baseline",
        over("v3", CORE),
        "at most",
        1.4,
        "The LangChain baseline does not read from a connection. httpx with h11 takes a third of "
        "the time that the limit allows for reading, parsing and creating an event.",
    ),
    Bar("v3 events: langchain-deepseek / this package", times("v3", DEEPSEEK), "at least", 5),
    Bar("`invoke`: this package / sum of baselines", over("invoke", CORE, WIRE), "at most", 1.4),
    Bar("`invoke`: langchain-deepseek / this package", times("invoke", DEEPSEEK), "at least", 2),
    Bar("`batch`: this package / sum of baselines", over("batch", CORE, WIRE), "at most", 1.4),
    Bar("`batch`: langchain-deepseek / this package", times("batch", DEEPSEEK), "at least", 2),
    Bar(
        "first chunk: this package minus sum of baselines, in ms",
        above_baselines("first_chunk"),
        "at most",
        0.5,
    ),
    Bar("import: this package / LangChain baseline", over("import", CORE), "at most", 1.1),
    Bar(
        "additional distributions, number",
        lambda figure: figure("distributions"),
        "at most",
        2,
    ),
    Bar(
        "time per message: 5,000 messages / 1,000 messages",
        growth("history_1000", "history_5000", 5),
        "at most",
        1.15,
    ),
    Bar(
        "time per block: 4,000 text blocks and an image / 1,000 and an image",
        growth("blocks_1000", "blocks_4000", 4),
        "at most",
        1.15,
    ),
    Bar(
        "time per event: 100,000 events / 10,000 events",
        growth("long_direct_10000", "long_direct_100000"),
        "at most",
        1.15,
    ),
    Bar("memory growth of `_stream` / growth of the text", memory_growth("stream"), "at most", 1.5),
    Bar(
        "memory growth of `_generate` / growth of the text",
        memory_growth("generate"),
        "at most",
        1.5,
    ),
)


def judged(results: Results) -> Iterator[tuple[Bar, list[float]]]:
    """Yield each limit whose figures were measured, with its value in each round."""
    for bar in BARS:
        with suppress(KeyError):
            yield bar, list(results.of_rounds(bar.value))
