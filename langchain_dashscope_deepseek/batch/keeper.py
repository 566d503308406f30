"""Answers that arrive together go into the ledger together, and nobody goes on before they are."""

import asyncio
from collections.abc import Awaitable, Callable

from langchain_dashscope_deepseek.batch.records import Record


class Keeper:
    """Between those who ask and the ledger: a group at a time, as large as it got meanwhile."""

    def __init__(self, add: Callable[[list[Record]], Awaitable[None]]) -> None:
        """Hand groups of records to `add`."""
        self._add = add
        self._waiting: list[tuple[Record, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def keep(self, record: Record) -> None:
        """Return when the record is in the ledger."""
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((record, kept))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        await kept

    async def flush(self) -> None:
        """Wait until all is in the ledger, that of those who were cancelled too."""
        if self._writing is not None:
            await self._writing

    async def _write(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting, []
            error: Exception | None = None
            try:
                await self._add([record for record, _ in group])
            except Exception as caught:  # noqa: BLE001 - it is raised where they wait
                error = caught
            for _, kept in group:
                if kept.done():  # cancelled
                    continue
                if error is None:
                    kept.set_result(None)
                else:
                    kept.set_exception(error)
        self._writing = None
