"""The batch command on a Ray cluster: three workers, some of which are killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from langchain_dashscope_deepseek.testing import DashScopeEmulator
from tests.integration_tests.batches import ROOT, Batch, ids, names
from tests.waiting import eventually

pytestmark = [
    pytest.mark.emulator_only,
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed, as on Windows"),
]

WORKERS, SHARE = 3, 10
ON_RAY = ("--ray", "--workers", str(WORKERS), "--concurrency", str(WORKERS * SHARE))
START_SECONDS = 120.0  # of a cluster, on a machine that is busy


@pytest.fixture
def batch(tmp_path: Path) -> Iterator[Batch]:
    with DashScopeEmulator(keep_requests=None) as emulator, Batch(tmp_path, emulator) as batch:
        yield batch


def wait_for(batch: Batch, requests: int) -> None:
    eventually(lambda: len(batch.emulator.requests) >= requests)


class Nodes:
    """A cluster of a head and two nodes, one of which can be lost."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration_tests.ray_nodes"],
            cwd=ROOT,
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.address = self._tells()

    def lose_one(self) -> None:
        assert self.process.stdin is not None
        print(file=self.process.stdin, flush=True)
        assert self._tells() == "lost"

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(START_SECONDS)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def _tells(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


@pytest.fixture
def nodes(batch: Batch) -> Iterator[Nodes]:
    batch.environment["RAY_AUTH_MODE"] = "disabled"
    nodes = Nodes(batch.environment)  # which holds the key, too
    batch.environment["RAY_ADDRESS"] = nodes.address
    yield nodes
    nodes.end()


def actors(owner: subprocess.Popen[str], name: str) -> list[psutil.Process]:
    """Give the actors of a name."""
    found = []
    for process in psutil.Process(owner.pid).children(recursive=True):
        with suppress(psutil.Error):  # it has just ended
            if " ".join(process.cmdline()).startswith(f"ray::{name}"):
                found.append(process)
    return found


def kill_one(nodes: Nodes, name: str) -> None:
    """Kill one of them, as the kernel does where memory is short."""
    assert eventually(lambda: bool(actors(nodes.process, name)))  # Ray may be replacing it
    random.choice(actors(nodes.process, name)).kill()


def test_lost_workers_and_nodes_lose_nothing_and_a_rate_limit_error_pauses_all(
    batch: Batch, nodes: Nodes
) -> None:
    table = batch.rows(800)
    batch.emulator.reply("Fine.", delay=0.1, times=60)
    batch.emulator.fail("Throttling.RateQuota", status=429, headers={"retry-after": "4"})
    batch.emulator.reply("Fine.", delay=0.1, times=10_000)
    driver = batch.start(table, *ON_RAY, "--shard-rows", "50")

    wait_for(batch, 61)
    time.sleep(1)
    before = len(batch.emulator.requests)
    time.sleep(2)
    assert len(batch.emulator.requests) == before < 61 + WORKERS * SHARE

    wait_for(batch, 150)
    kill_one(nodes, "MapWorker")
    wait_for(batch, 300)
    kill_one(nodes, "LedgerActor")
    wait_for(batch, 450)
    nodes.lose_one()
    out, err = driver.communicate(timeout=START_SECONDS)
    assert driver.returncode == 0, out + err
    assert "800 of 800 answered" in out
    assert ids(batch.answers()) == names(800)
    assert len(batch.emulator.requests) <= 800 + 1 + 3 * SHARE  # on a node there are two at most
    assert len(list(batch.out.glob("part-*"))) == 16


def test_a_run_goes_on_after_its_command_was_killed_with_ray_or_without(batch: Batch) -> None:
    # What was out, and half as much that had come and was on its way to the ledger.
    table, in_flight = batch.rows(1500), WORKERS * SHARE * 3 // 2
    batch.emulator.reply("Fine.", delay=0.1, times=10_000)
    driver = batch.start(table, *ON_RAY)
    wait_for(batch, 100)
    driver.kill()
    driver.communicate()

    driver = batch.start(table, *ON_RAY)
    # The workers of the first one may go on for a moment, and their answers are kept.
    eventually(lambda: len(actors(driver, "MapWorker")) == WORKERS)
    wait_for(batch, len(batch.emulator.requests) + 100)
    began = time.monotonic()
    os.killpg(driver.pid, signal.SIGINT)  # as a terminal does
    out, err = driver.communicate(timeout=START_SECONDS)
    took = time.monotonic() - began
    assert driver.returncode == 130, out + err
    assert "run the same command to continue" in out
    assert took < 2

    arrived = len(batch.answers())
    assert arrived >= len(batch.emulator.requests) - 2 * in_flight
    batch.run(table)
    assert ids(batch.answers()) == names(1500)
    assert len(batch.emulator.requests) <= 1500 + 2 * in_flight


def test_workers_share_one_limit_and_stop_where_every_row_would_fail(batch: Batch) -> None:
    batch.emulator.reply("Fine.", times=40)
    batch.emulator.fail("Arrearage", status=400, times=1000)
    driver = batch.start(batch.rows(300), *ON_RAY, "--requests-per-minute", "300")
    wait_for(batch, 12)
    began = time.monotonic()
    wait_for(batch, 40)
    assert time.monotonic() - began > 1.5  # 28 at five a second, but for what was saved up

    out, err = driver.communicate(timeout=START_SECONDS)
    assert driver.returncode == 1, out + err
    assert "DashScopeQuotaExceededError" in err
    assert "Traceback" not in err
    assert len(batch.emulator.requests) <= 40 + WORKERS * SHARE
    assert len(batch.answers()) == 40
