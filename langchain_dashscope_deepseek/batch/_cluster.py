"""A run on a Ray cluster: Ray Data hands out the rows, and two actors hold what all must share.

The ledger's actor is on the driver's node and owns the folder; the limits' actor lets calls out for
all workers. A group of rows that is handed out again, after a worker or a node was lost, is asked
but for what the ledger has.
"""

import logging
import os
import shutil
import signal
from collections.abc import Callable, Iterable
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from langchain_dashscope_deepseek.batch.actors import OPEN_FOLDER, LedgerActor, LimitsActor, write_group
from langchain_dashscope_deepseek.batch._asking import Asker
from langchain_dashscope_deepseek.batch.rows_and_totals import Counts
from langchain_dashscope_deepseek.batch.limits import Limits
from langchain_dashscope_deepseek.batch._progress import Prices, Progress
from langchain_dashscope_deepseek.batch._prompts import Row
from langchain_dashscope_deepseek.batch._files import Form
from langchain_dashscope_deepseek.batch._ledger import Store
from langchain_dashscope_deepseek.batch.tables import StoppedError, groups_of
from langchain_dashscope_deepseek.batch.workers import Worker

GROUP = 500  # rows that are handed out together at most
GROUPS_OF_A_WORKER = 8  # at least, so that all have something to do until the end
RESTARTED = {"max_restarts": -1, "max_task_retries": -1, "num_cpus": 0}
STORE_BYTES = 100 * 1024**2  # for Ray's objects: the rows are none of them


class Options(NamedTuple):
    """How a run is done on a cluster."""

    folder: Path
    form: Form
    shard_rows: int
    workers: int
    concurrency: int
    """Requests at a time, of all workers together."""
    requests_per_minute: float | None
    tokens_per_minute: float | None
    dead: bool

    @property
    def share(self) -> int:
        """Requests at a time, of one worker."""
        return -(-self.concurrency // self.workers)


def write_open(store: Store, rows: Iterable[Row], options: Options) -> int:
    """Write what is to be asked as files beside the ledger, one for each group; count them."""
    (options.folder / OPEN_FOLDER).mkdir()
    counts, share = store.counts, options.share
    left = counts.failed if options.dead else counts.total - counts.done - counts.failed
    size = min(max(left // (options.workers * GROUPS_OF_A_WORKER), share // 2, 1), GROUP)
    open_rows = chain.from_iterable(store.open_rows(rows, dead=options.dead))
    number = 0
    for number, group in enumerate(groups_of(open_rows, size), 1):
        write_group(options.folder, number, group)
    return number


def run_on_ray(
    asker: Callable[[Limits], Asker], groups: int, options: Options, prices: Prices
) -> Counts:
    """Ask what `write_open` wrote.

    Args:
        asker: Makes who asks, in a worker.
        groups: How many groups were written.
        options: How.
        prices: For the progress.

    Returns:
        How far it came.

    Raises:
        KeyboardInterrupt: By Ctrl-C or SIGTERM, once all that had arrived is kept.
        StoppedError: It makes no sense to go on.
    """
    ray = _start(options)
    here = import_module("ray.util.scheduling_strategies").NodeAffinitySchedulingStrategy(
        ray.get_runtime_context().get_node_id(), soft=False
    )
    ledger = ray.remote(LedgerActor).options(**RESTARTED, scheduling_strategy=here)
    ledger = ledger.remote(options.folder.resolve(), options.form, options.shard_rows, options.dead)
    limits = ray.remote(LimitsActor).options(**RESTARTED, max_concurrency=1000)
    limits = limits.remote(options.requests_per_minute, options.tokens_per_minute)
    try:
        with Progress(lambda: Counts(*ray.get(ledger.counts.remote())), prices):
            _ask_all(asker, groups, options, ledger, limits)
    except BaseException:
        ledger.stop.remote("The command was stopped.")
        raise
    finally:
        ray.get(ledger.finish.remote())
        # What workers told meanwhile comes before these.
        why, counts = ray.get([ledger.why.remote(), ledger.counts.remote()])
        ray.kill(ledger)  # so that the next run finds the folder free
    if why:
        raise StoppedError(why)
    shutil.rmtree(options.folder / OPEN_FOLDER)
    return Counts(*counts)


def _ask_all(asker: Callable[[Limits], Asker], groups: int, options: Options, *actors: Any) -> None:
    data = import_module("ray.data")
    data.DataContext.get_current().enable_progress_bars = False
    asked = data.range(groups, override_num_blocks=groups).map_batches(
        Worker,
        fn_constructor_args=(asker, options.share, *actors),
        compute=data.ActorPoolStrategy(
            size=min(options.workers, groups),
            max_concurrent_calls_per_actor=2,  # the next group begins before the last row of one
        ),
    )
    for _ in asked.iter_batches(batch_size=None):
        pass


def _start(options: Options) -> Any:
    """Join the cluster of RAY_ADDRESS, or start one that is reached from this machine alone."""
    # Read when ray is imported. Nothing is reported to anybody; what it tells is in its own logs.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_DATA_LOG_LEVEL", "ERROR")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    local: dict[str, Any] = {}
    if "RAY_ADDRESS" not in os.environ:
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # its name for: loopback only
        local = {"address": "local", "num_cpus": options.workers + 1}
        local |= {"include_dashboard": False, "object_store_memory": STORE_BYTES}
    ray = import_module("ray")
    before = signal.getsignal(signal.SIGTERM)
    ray.init(**local, log_to_driver=False, logging_level=logging.ERROR)
    signal.signal(signal.SIGTERM, before)  # ray's own would end us in the midst
    return ray
