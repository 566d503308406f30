"""The progress of a run: a line that is redrawn on a terminal, or a line every 10 s in a log."""

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

from langchain_dashscope_deepseek.batch._ledger import Counts

T = TypeVar("T")
TERMINAL_SECONDS, LOG_SECONDS = 0.5, 10.0  # between two lines
WINDOW_SECONDS = 60.0  # over which rates are measured


class Prices(NamedTuple):
    """Of a million tokens."""

    input: float | None
    output: float | None


@contextmanager
def progress(read_counts: Callable[[], Counts], prices: Prices) -> Iterator[None]:
    """Print the progress of the run until the block ends, and once more at its end."""
    seen = deque([(time.monotonic(), read_counts())])
    has_ended, on_terminal = threading.Event(), sys.stdout.isatty()

    def show() -> None:
        now, counts = time.monotonic(), read_counts()
        seen.append((now, counts))
        while now - seen[0][0] > WINDOW_SECONDS and len(seen) > 2:  # noqa: PLR2004 - both ends
            seen.popleft()
        then, before = seen[0]
        line = _describe(counts, before, max(now - then, 1e-9), prices)
        begin = "\r\033[K" if on_terminal else f"{time.strftime('%Y-%m-%d %H:%M:%S')} "
        print(f"{begin}{line}", end="" if on_terminal else "\n", flush=True)

    def show_often() -> None:
        while not has_ended.wait(TERMINAL_SECONDS if on_terminal else LOG_SECONDS):
            show()

    thread = threading.Thread(target=show_often, daemon=True)
    thread.start()
    try:
        yield
    finally:
        has_ended.set()
        thread.join()
        show()
        if on_terminal:
            print()


def report_checked(rows: Iterable[T]) -> Iterator[T]:
    """Yield the rows, and print their number every 10 seconds."""
    last = time.monotonic()
    for number, row in enumerate(rows, 1):
        if time.monotonic() - last > LOG_SECONDS:
            last = time.monotonic()
            print(f"{number:,} rows checked.", flush=True)
        yield row


def _describe(counts: Counts, before: Counts, seconds: float, prices: Prices) -> str:
    new = Counts(*(now - then for now, then in zip(counts, before, strict=True)))
    left = counts.total - counts.answered - counts.failed
    parts = [
        f"{counts.answered:,} of {counts.total:,} done",
        f"{counts.failed:,} failed",
        f"{(new.input_tokens + new.output_tokens) / seconds:,.0f} tokens/s",
        f"{new.requests / seconds:,.1f} requests/s",
    ]
    if prices != (None, None):
        cost = (prices.input or 0) * counts.input_tokens
        cost += (prices.output or 0) * counts.output_tokens
        parts.append(f"cost {cost / 1e6:,.4f}")
    ended = new.answered + new.failed
    parts.append(f"{_duration(left * seconds / ended)} left" if ended else f"{left:,} rows left")
    return ", ".join(parts)


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
