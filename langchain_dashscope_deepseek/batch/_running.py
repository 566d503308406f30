"""A run in one process: a fixed number ask at a time, and rows are read as they are needed."""

import asyncio
import signal
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from langchain_dashscope_deepseek.batch._asking import Asker
from langchain_dashscope_deepseek.batch.keeper import Keeper
from langchain_dashscope_deepseek.batch._prompts import Row
from langchain_dashscope_deepseek.batch._ledger import Store


def run_here(
    store: Store, rows: Iterable[Row], asker: Asker, *, concurrency: int, dead: bool
) -> None:
    """Ask what is open.

    Args:
        store: Where it is kept.
        rows: All of the input.
        asker: Who asks.
        concurrency: Requests at a time.
        dead: Ask the dead letters instead.

    Raises:
        KeyboardInterrupt: By Ctrl-C or SIGTERM, once all that had arrived is kept.
        StoppedError: It makes no sense to go on.
    """
    try:
        asyncio.run(_run(store, rows, asker, concurrency, dead=dead))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # which asyncio took away


async def _run(
    store: Store, rows: Iterable[Row], asker: Asker, concurrency: int, *, dead: bool
) -> None:
    ignore_signals = _cancel_at_a_signal()
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[Row | None] = asyncio.Queue(concurrency)
    # The loop never waits for a disk, nor does an answer that has arrived for the reading of rows.
    with ThreadPoolExecutor(1) as reading, ThreadPoolExecutor(1) as writing:
        groups = store.open_rows(rows, dead=dead)
        keeper = Keeper(lambda records: loop.run_in_executor(writing, store.add, records))

        async def feed() -> None:
            while (group := await loop.run_in_executor(reading, next, groups, None)) is not None:
                for row in group:
                    await queue.put(row)
            for _ in range(concurrency):
                await queue.put(None)

        async def ask() -> None:
            while row := await queue.get():
                await keeper.keep(await asker.ask(row))

        tasks = [asyncio.create_task(ask()) for _ in range(concurrency)]
        tasks.append(asyncio.create_task(feed()))
        try:
            await asyncio.gather(*tasks)
        finally:
            ignore_signals()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await keeper.flush()
            await asker.aclose()


def _cancel_at_a_signal() -> Callable[[], None]:
    """Cancel this task at the first signal; what is given ignores them from then on."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def at_signals(act: Callable[[], object]) -> None:
        with suppress(NotImplementedError):  # Windows: asyncio cancels at Ctrl-C by itself
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, act)

    def ignore() -> None:
        at_signals(lambda: None)

    def cancel() -> None:
        ignore()
        if task is not None:
            task.cancel()

    at_signals(cancel)
    return ignore
