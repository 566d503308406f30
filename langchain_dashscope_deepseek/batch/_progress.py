"""How far a run is: one line that is redrawn on a terminal, and one now and then in a log file."""

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeVar

from typing_extensions import Self

from langchain_dashscope_deepseek.batch.rows_and_totals import Counts

T = TypeVar("T")
EVERY_ON_A_TERMINAL, EVERY_IN_A_LOG = 0.5, 10.0
WINDOW = 60.0  # seconds over which rates are measured


class Prices(NamedTuple):
    """For a million tokens, in whatever currency."""

    input: float | None = None
    output: float | None = None

    def cost(self, counts: Counts) -> float | None:
        """Tell what it cost so far, as far as a price is known."""
        if self.input is None and self.output is None:
            return None
        parts = ((self.input or 0) * counts.input_tokens, (self.output or 0) * counts.output_tokens)
        return sum(parts) / 1e6


class Progress:
    """Prints, from a thread of its own, what `counts` gives."""

    def __init__(self, counts: Callable[[], Counts], prices: Prices) -> None:
        """Prepare; a `with` block starts and ends it."""
        self._counts, self._prices = counts, prices
        self._seen: deque[tuple[float, Counts]] = deque()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._on_terminal = sys.stdout.isatty()

    def __enter__(self) -> Self:
        """Start to print."""
        self._seen.append((time.monotonic(), self._counts()))
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Print a last line."""
        self._ended.set()
        self._thread.join()
        self._print()
        if self._on_terminal:
            print()

    def _run(self) -> None:
        while not self._ended.wait(EVERY_ON_A_TERMINAL if self._on_terminal else EVERY_IN_A_LOG):
            self._print()

    def _print(self) -> None:
        now, counts = time.monotonic(), self._counts()
        self._seen.append((now, counts))
        while now - self._seen[0][0] > WINDOW and len(self._seen) > 2:  # noqa: PLR2004 - both ends
            self._seen.popleft()
        then, before = self._seen[0]
        line = describe(counts, before, max(now - then, 1e-9), self._prices.cost(counts))
        if self._on_terminal:
            print(f"\r\033[K{line}", end="", flush=True)
        else:
            print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}", flush=True)


def count_aloud(rows: Iterable[T]) -> Iterator[T]:
    """Pass rows on, and say now and then how many there were."""
    said = time.monotonic()
    for number, row in enumerate(rows, 1):
        if time.monotonic() - said > EVERY_IN_A_LOG:
            said = time.monotonic()
            print(f"{number:,} rows checked.", flush=True)
        yield row


def describe(counts: Counts, before: Counts, seconds: float, cost: float | None) -> str:
    """Say how far it is, by what it was some seconds ago."""
    ended = counts.done + counts.failed - before.done - before.failed
    tokens = counts.input_tokens + counts.output_tokens - before.input_tokens - before.output_tokens
    left = counts.total - counts.done - counts.failed
    parts = [
        f"{counts.done:,} of {counts.total:,} done",
        f"{counts.failed:,} failed",
        f"{tokens / seconds:,.0f} tokens/s",
        f"{(counts.requests - before.requests) / seconds:,.1f} requests/s",
    ]
    parts += [] if cost is None else [f"cost {cost:,.4f}"]
    parts.append(f"{_duration(left * seconds / ended)} left" if ended > 0 else f"{left:,} left")
    return ", ".join(parts)


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
