"""The loop: a fixed number of rows at a time; the next is asked when an answer is stored."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from langchain_dashscope_deepseek.batch._asking import Asker, Record
from langchain_dashscope_deepseek.batch._files import GROUP
from langchain_dashscope_deepseek.batch._ledger import Ledger
from langchain_dashscope_deepseek.batch._prompts import Row


class Committer:
    """Enters records into the ledger; those that arrive during a write are entered by the next."""

    def __init__(self, add: Callable[[list[Record]], Awaitable[object]]) -> None:
        self._add, self._lock = add, asyncio.Lock()
        self._pending: list[Record] = []

    async def commit(self, *records: Record) -> None:
        """Return once these records are in the ledger, and those before them.

        Only the end of the executor waits for a write whose caller was cancelled.
        """
        self._pending += records
        async with self._lock:
            if self._pending:
                group, self._pending = self._pending, []
                # Shielded: a cancelled caller does not cancel the records of others.
                await asyncio.shield(self._add(group))


async def ask_all(
    rows: AsyncIterator[Row], ask: Callable[[Row], Awaitable[None]], concurrency: int
) -> None:
    """Ask all rows, `concurrency` at a time; the first error cancels the others."""
    turn = asyncio.Lock()

    async def ask_in_turn() -> None:
        while True:
            async with turn:
                row = await anext(rows, None)
            if row is None:
                return
            await ask(row)

    tasks = [asyncio.create_task(ask_in_turn()) for _ in range(concurrency)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def run_here(ledger: Ledger, asker: Asker, queued: int, concurrency: int) -> None:
    """Ask the queued rows in this process.

    Raises:
        KeyboardInterrupt: By Ctrl-C or SIGTERM, after all answers so far are stored.
        StoppedError: The other rows would fail as well.
    """
    try:
        asyncio.run(_run(ledger, asker, queued, concurrency))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # asyncio has replaced it


async def _run(ledger: Ledger, asker: Asker, queued: int, concurrency: int) -> None:
    loop = asyncio.get_running_loop()

    async def rows() -> AsyncIterator[Row]:
        for first in range(1, queued + 1, GROUP):
            for row in await asyncio.to_thread(ledger.queued, first, GROUP):
                yield row

    async def ask(row: Row) -> None:
        await committer.commit(await asker.ask(row))

    with ThreadPoolExecutor(1) as writing:
        committer = Committer(lambda group: loop.run_in_executor(writing, ledger.add, group))
        asking = asyncio.create_task(ask_all(rows(), ask, concurrency))
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(NotImplementedError):  # Windows, where asyncio handles Ctrl-C
                loop.add_signal_handler(number, asking.cancel)
        try:
            await asking
        finally:
            await committer.commit()
            await asker.aclose()
