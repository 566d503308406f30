"""Who asks on a cluster, each in a process of its own."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from langchain_dashscope_deepseek.batch._asking import Asker
from langchain_dashscope_deepseek.batch.keeper import Keeper
from langchain_dashscope_deepseek.batch.limits import Limits
from langchain_dashscope_deepseek.batch.records import Record
from langchain_dashscope_deepseek.batch._prompts import Row
from langchain_dashscope_deepseek.batch.tables import StoppedError

SETTLE_SECONDS = 0.05  # what calls took is told together


class SharedLimits:
    """The limits as a worker sees them: it takes and tells for several calls at once."""

    def __init__(self, actor: Any) -> None:
        """Take from this actor."""
        self._actor = actor
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._taking: asyncio.Task[None] | None = None
        self._settled: list[int | None] = []
        self._settling: asyncio.Task[None] | None = None

    async def aacquire(self) -> bool:
        """Wait until a call may go out."""
        may: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(may)
        if self._taking is None:
            self._taking = asyncio.create_task(self._take())
        await may
        return True

    def settle(self, tokens: int | None) -> None:
        """Tell what a call took, soon."""
        self._settled.append(tokens)
        if self._settling is None:
            self._settling = asyncio.create_task(self._settle())

    def pause(self, seconds: float) -> None:
        """Let no call of any worker out for so long."""
        self._actor.pause.remote(seconds)

    async def _take(self) -> None:
        while self._waiting:
            for _ in range(await self._actor.take.remote(len(self._waiting))):
                self._waiting.popleft().set_result(None)
        self._taking = None

    async def _settle(self) -> None:
        while self._settled:
            await asyncio.sleep(SETTLE_SECONDS)
            calls, self._settled = self._settled, []
            await self._actor.settle.remote(calls)
        self._settling = None


class Worker:
    """Asks the rows of a group at the same time, within its share of the concurrency."""

    def __init__(
        self, asker: Callable[[Limits], Asker], share: int, ledger: Any, limits: Any
    ) -> None:
        """Make the model, in a worker's process.

        Args:
            asker: Makes who asks.
            share: Requests at a time.
            ledger: The actor of the ledger.
            limits: The actor of the limits.
        """
        self._asker, self._ledger = asker(SharedLimits(limits)), ledger
        self._keeper, self._free = Keeper(self._add), asyncio.Semaphore(share)
        self._stopped = False

    async def __call__(self, numbers: dict[str, Any]) -> dict[str, list[int]]:
        """Ask what the ledger does not have of these groups; return when it has all of it."""
        for number in numbers["id"]:
            rows = await self._ledger.group.remote(int(number) + 1)
            await asyncio.gather(*map(self._ask, rows))
        return {"asked": [len(numbers["id"])]}

    async def _ask(self, row: Row) -> None:
        async with self._free:
            if self._stopped:
                return
            try:
                record = await self._asker.ask(row)
            except StoppedError as error:
                self._stopped = True
                await self._ledger.stop.remote(str(error))
            else:
                await self._keeper.keep(record)

    async def _add(self, records: list[Record]) -> None:
        goes_on = False  # where the ledger is gone for good, what is asked is kept by nobody
        try:
            goes_on = await self._ledger.add.remote(records)
        finally:
            self._stopped |= not goes_on
