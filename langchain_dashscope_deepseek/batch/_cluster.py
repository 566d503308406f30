"""A run on a Ray cluster: Ray Data hands out groups of queued rows, and two actors are shared.

One actor owns the ledger, on the node of the command; the other keeps the limits of the account.
Ray hands out a group again when its worker or node is lost; the ledger then
returns only the rows that have no outcome yet.
"""

import asyncio
import logging
import os
import signal
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

from langchain_dashscope_deepseek.batch._asking import MakeAsker, Record
from langchain_dashscope_deepseek.batch._files import GROUP, Format
from langchain_dashscope_deepseek.batch._ledger import Counts, Ledger
from langchain_dashscope_deepseek.batch._progress import Prices, progress
from langchain_dashscope_deepseek.batch._prompts import Row, StoppedError
from langchain_dashscope_deepseek.batch._running import Committer, ask_all
from langchain_dashscope_deepseek.rate_limiter import TokenRateLimiter

GROUPS_OF_A_WORKER = 8  # so that all workers have rows until the end, if the groups' sizes allow it
PATIENCE = 30.0  # seconds to wait at most for the lock of an actor that died
SETTLE_INTERVAL = 0.05  # seconds; token counts that arrive within it go to the limits together
RESTARTED = {"max_restarts": -1, "max_task_retries": -1, "num_cpus": 0}
STORE_BYTES = 100 * 1024**2  # for Ray's objects, among them groups of rows above 100 KB


class Options(NamedTuple):
    """How to run on a cluster."""

    folder: Path
    file_format: Format
    shard_rows: int
    workers: int
    concurrency: int  # requests at a time, of all workers together
    requests_per_minute: int | None
    tokens_per_minute: int | None

    @property
    def share(self) -> int:
        """Requests at a time, of one worker."""
        return -(-self.concurrency // self.workers)


class LedgerActor:
    """Owns the folder. Ray restarts it when it dies: the folder holds all but `_stop_reason`."""

    def __init__(self, options: Options) -> None:
        self._ledger = Ledger(options.folder, options.file_format, options.shard_rows, PATIENCE)
        self._stop_reason: str | None = None

    def queued(self, first: int, size: int) -> list[Row]:
        """Return the queued rows that are open; none once the run is stopped."""
        if self._stop_reason:
            return []
        return [row for row in self._ledger.queued(first, size) if self._ledger.is_open(row.id)]

    def add(self, records: list[Record]) -> bool:
        """Enter outcomes, and tell whether the run continues."""
        try:
            self._ledger.add(records)
        except (OSError, sqlite3.Error) as error:
            self.stop(str(error))
        return self._stop_reason is None

    def stop(self, reason: str) -> None:
        self._stop_reason = self._stop_reason or reason

    def counts(self) -> Counts:
        return self._ledger.counts

    def finish(self) -> tuple[str | None, Counts]:
        """Write the files; return the reason if the run was stopped, and the counts."""
        self._ledger.finish()
        return self._stop_reason, self._ledger.counts


class LimitsActor:
    """Keeps the limits of the account."""

    def __init__(self, options: Options) -> None:
        self._limiter = TokenRateLimiter(
            requests_per_minute=options.requests_per_minute,
            tokens_per_minute=options.tokens_per_minute,
        )

    async def acquire(self, most: int) -> int:
        """Wait until one call may be sent; return the number of calls that may be sent then."""
        await self._limiter.aacquire()
        granted = 1
        while granted < most and self._limiter.acquire(blocking=False):
            granted += 1
        return granted

    async def settle(self, calls: list[int | None]) -> None:
        for tokens in calls:
            self._limiter.settle(tokens)

    async def pause(self, seconds: float) -> None:
        self._limiter.pause(seconds)


class SharedLimits:
    """The limits for a worker: one message to the actor is for many calls."""

    def __init__(self, actor: Any) -> None:
        self._actor, self._lock = actor, asyncio.Lock()
        self._waiting = self._granted = 0
        self._settled: list[int | None] = []

    async def aacquire(self) -> bool:
        self._waiting += 1
        async with self._lock:
            if not self._granted:
                self._granted = await self._actor.acquire.remote(self._waiting)
            self._granted -= 1
            self._waiting -= 1
        return True

    def settle(self, tokens: int | None) -> None:
        if not self._settled:
            asyncio.get_running_loop().call_later(SETTLE_INTERVAL, self._send_settled)
        self._settled.append(tokens)

    def pause(self, seconds: float) -> None:
        self._actor.pause.remote(seconds)

    def _send_settled(self) -> None:
        self._actor.settle.remote(self._settled)
        self._settled = []


class Worker:
    """Asks groups of rows, in a process of its own."""

    def __init__(
        self, make_asker: MakeAsker, share: int, size: int, ledger: Any, limits: Any
    ) -> None:
        self._asker, self._ledger = make_asker(SharedLimits(limits)), ledger
        self._share, self._size = share, size
        self._committer, self._slots = Committer(self._add), asyncio.Semaphore(share)
        self._is_stopped = False

    async def __call__(self, groups: dict[str, Any]) -> dict[str, Any]:
        """Ask the rows of groups; return when the ledger has them."""
        for number in groups["id"]:
            await ask_all(self._rows(int(number)), self._ask, self._share)
        return groups

    async def _rows(self, group: int) -> AsyncIterator[Row]:
        for row in await self._ledger.queued.remote(group * self._size + 1, self._size):
            yield row

    async def _ask(self, row: Row) -> None:
        async with self._slots:  # shared by the two groups that run at a time
            if self._is_stopped:
                return
            try:
                record = await self._asker.ask(row)
            except StoppedError as error:
                self._is_stopped = True
                await self._ledger.stop.remote(str(error))
            else:
                await self._committer.commit(record)

    async def _add(self, records: list[Record]) -> None:
        if not await self._ledger.add.remote(records):
            self._is_stopped = True


def run_on_ray(make_asker: MakeAsker, queued: int, options: Options, prices: Prices) -> Counts:
    """Ask the queued rows.

    Raises:
        KeyboardInterrupt: By Ctrl-C or SIGTERM, after all answers so far are stored.
        StoppedError: The other rows would fail as well, or the ledger cannot be written.
    """
    ray = _start(options.workers)
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    ledger = ray.remote(LedgerActor).options(**RESTARTED, scheduling_strategy=here)
    ledger = ledger.remote(options._replace(folder=options.folder.resolve()))
    limits = ray.remote(LimitsActor).options(**RESTARTED).remote(options)
    try:
        with progress(lambda: ray.get(ledger.counts.remote()), prices):
            _ask_groups(make_asker, queued, options, ledger, limits)
    except BaseException:
        ledger.stop.remote("The command was stopped.")
        raise
    finally:
        reason, counts = ray.get(ledger.finish.remote())
        ray.kill(ledger)  # so that the next run finds the folder free
    if reason:
        raise StoppedError(reason)
    return Counts(*counts)


def _ask_groups(
    make_asker: MakeAsker, queued: int, options: Options, ledger: Any, limits: Any
) -> None:
    import ray.data

    share = options.share
    size = min(max(queued // (options.workers * GROUPS_OF_A_WORKER), share // 2, 1), GROUP)
    groups = -(-queued // size)
    ray.data.DataContext.get_current().enable_progress_bars = False
    asked = ray.data.range(groups, override_num_blocks=groups).map_batches(
        Worker,
        fn_constructor_args=(make_asker, share, size, ledger, limits),
        compute=ray.data.ActorPoolStrategy(
            size=min(options.workers, groups),
            max_concurrent_calls_per_actor=2,  # a group starts before the previous one has ended
        ),
    )
    for _ in asked.iter_batches(batch_size=None):
        pass


def _start(workers: int) -> Any:
    """Join the cluster of RAY_ADDRESS, or start one that only this machine can reach."""
    # Ray reads these when it is imported. It reports no usage, and keeps its logs to its files.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_DATA_LOG_LEVEL", "ERROR")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    local: dict[str, Any] = {}
    if "RAY_ADDRESS" not in os.environ:
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # listens on the loopback only
        local = {"address": "local", "num_cpus": workers + 1}
        local |= {"include_dashboard": False, "object_store_memory": STORE_BYTES}
    import ray

    before = signal.getsignal(signal.SIGTERM)
    ray.init(**local, log_to_driver=False, logging_level=logging.ERROR)
    signal.signal(signal.SIGTERM, before)  # Ray's own would end the command at once
    return ray
