"""The ledger's tables: a row for each id, and what all runs into the folder took."""

import sqlite3
import time
from pathlib import Path
from typing import NamedTuple

from langchain_dashscope_deepseek.batch.tables import StoppedError

OPEN, ANSWERED, DEAD = range(3)

SCHEMA = """
CREATE TABLE IF NOT EXISTS rows (
    id TEXT PRIMARY KEY, digest BLOB NOT NULL, state INTEGER NOT NULL, run INTEGER NOT NULL,
    seq INTEGER, record TEXT, shard INTEGER, next BLOB
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS held ON rows (seq) WHERE state = 1 AND record IS NOT NULL;
CREATE INDEX IF NOT EXISTS stale ON rows (shard) WHERE state = 0 AND shard IS NOT NULL;
CREATE INDEX IF NOT EXISTS dead ON rows (seq) WHERE state = 2;
CREATE TABLE IF NOT EXISTS totals (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
INSERT OR IGNORE INTO totals VALUES
    ('run', 0), ('requests', 0), ('input_tokens', 0), ('output_tokens', 0);
"""


class Counts(NamedTuple):
    """How far it is; requests and tokens are of all runs into the folder."""

    total: int = 0
    done: int = 0
    failed: int = 0
    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


def connect(folder: Path) -> sqlite3.Connection:
    """Open the ledger, from whatever thread."""
    return sqlite3.connect(
        folder / "ledger.sqlite", timeout=30, isolation_level=None, check_same_thread=False
    )


def lock(path: Path, patience: float = 0) -> sqlite3.Connection:
    """Hold a lock, until it is closed or this process ends, however it ends.

    Args:
        path: Of the lock, in the folder that it is for.
        patience: Seconds to wait for a run that is just ending.

    Raises:
        StoppedError: Somebody else holds it.
    """
    held = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    until = time.monotonic() + patience
    while True:
        try:
            held.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:  # noqa: PERF203 - it sleeps
            if "locked" not in str(error):
                raise
            if time.monotonic() >= until:
                raise StoppedError(
                    f"Another run writes into {path.parent}: wait for it, or give another folder."
                ) from None
            time.sleep(0.1)
        else:
            return held


def read_counts(db: sqlite3.Connection) -> Counts:
    """Count what the ledger holds."""
    states = dict(db.execute("SELECT state, count(*) FROM rows GROUP BY state").fetchall())
    totals = dict(db.execute("SELECT name, value FROM totals").fetchall())
    used = (totals.get(name, 0) for name in Counts._fields[3:])
    return Counts(sum(states.values()), states.get(ANSWERED, 0), states.get(DEAD, 0), *used)
