"""The ledger: an SQLite file that holds the state of every row, and every outcome.

The files of answers (shards) and of failures are derived from it. An answer is in the ledger as
soon as it has arrived. A shard that a crash prevented, or that is missing, is written by the next
run.
"""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Literal, NamedTuple

from langchain_dashscope_deepseek.batch._asking import Record
from langchain_dashscope_deepseek.batch._files import Format, write_table
from langchain_dashscope_deepseek.batch._prompts import Row, StoppedError

Changed = Literal["ask", "keep"]
OPEN, ANSWERED, FAILED = range(3)
MAX_NAMED = 5  # ids in an error

# `run` is the number of the last run whose input held the row. A shard holds the answers up to
# the record `last`, from where the one before it ends. Numbers of records are never used again.
SCHEMA = """
CREATE TABLE IF NOT EXISTS rows (
    id TEXT PRIMARY KEY, digest BLOB, run INTEGER, state INTEGER, record INTEGER
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS records (
    number INTEGER PRIMARY KEY AUTOINCREMENT, answered INTEGER, text TEXT
);
CREATE INDEX IF NOT EXISTS failed ON records (number) WHERE NOT answered;
CREATE TABLE IF NOT EXISTS shards (last INTEGER PRIMARY KEY, number INTEGER, is_written INTEGER);
CREATE TABLE IF NOT EXISTS totals (
    one INTEGER PRIMARY KEY, format TEXT,
    run INTEGER, requests INTEGER, input_tokens INTEGER, output_tokens INTEGER
);
"""
QUEUE = "CREATE TABLE queue (number INTEGER PRIMARY KEY, id TEXT, messages TEXT)"


class Counts(NamedTuple):
    """The progress of a folder. Requests and tokens are those of all runs."""

    total: int
    answered: int
    failed: int
    requests: int
    input_tokens: int
    output_tokens: int


class Ledger:
    """The folder of the results, for one process at a time."""

    def __init__(self, folder: Path, file_format: Format, shard_rows: int, patience: float) -> None:
        self.folder, self._shard_rows = folder, shard_rows
        self._lock = lock(folder / "lock.sqlite", patience)
        self._db = _connect(folder / "ledger.sqlite")
        # FULL: what is committed survives a power cut.
        self._db.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; {SCHEMA}")
        self._db.execute("INSERT OR IGNORE INTO totals VALUES (1, ?, 0, 0, 0, 0)", (file_format,))
        (self._format,) = self._db.execute("SELECT format FROM totals").fetchone()
        self._queue = _connect(folder / "queue.sqlite")
        self.counts, self._unsharded = self._read_counts()
        try:
            self._check_folder(file_format)
        except StoppedError:
            self.close()
            raise

    def plan(self, rows: Iterable[Row], changed: Changed | None, retry_failed: bool) -> int:
        """Enter the rows of the input, and queue those that are to be asked.

        Args:
            rows: The whole input.
            changed: What to do with an id that was answered for another prompt or with other
                parameters: ask it again, keep its answer, or stop.
            retry_failed: Whether to ask failed rows again that did not change.

        Returns:
            The number of queued rows.
        """
        self._queue.close()
        queue_path = self.folder / "queue.sqlite"
        queue_path.unlink(missing_ok=True)
        self._queue = _connect(queue_path)
        self._queue.executescript(
            f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; {QUEUE}; BEGIN"
        )
        kept: list[str] = []  # ids whose answer is of another prompt; only the first few are named
        with self._db:
            self._db.execute("BEGIN")
            self._db.execute("UPDATE totals SET run = run + 1")
            (run,) = self._db.execute("SELECT run FROM totals").fetchone()
            for row in rows:
                digest, state, record = self._known(row.id, run)
                is_same = digest == row.digest
                if state == ANSWERED and not is_same and changed != "ask":
                    kept.append(repr(row.id) if len(kept) < MAX_NAMED else "")
                elif state == OPEN or not is_same or (state == FAILED and retry_failed):
                    self._remove(record)
                    digest, state, record = row.digest, OPEN, None
                    self._queue.execute("INSERT INTO queue VALUES (NULL, ?, ?)", row[:2])
                self._db.execute(
                    "INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?, ?)",
                    (row.id, digest, run, state, record),
                )
            if kept and changed is None:
                raise _answered_for_another_prompt(kept)
            self._db.execute("DELETE FROM rows WHERE state = ? AND run < ?", (OPEN, run))
        self._queue.execute("COMMIT")
        self.counts, self._unsharded = self._read_counts()
        self._write_shards()
        (queued,) = self._queue.execute("SELECT count(*) FROM queue").fetchone()
        return int(queued)

    def queued(self, first: int, size: int) -> list[Row]:
        """Return queued rows by their number in the queue, which begins at 1."""
        query = "SELECT id, messages FROM queue WHERE number BETWEEN ? AND ?"
        return [Row(*found) for found in self._queue.execute(query, (first, first + size - 1))]

    def is_open(self, row_id: str) -> bool:
        found = self._db.execute("SELECT state FROM rows WHERE id = ?", (row_id,)).fetchone()
        return bool(found == (OPEN,))

    def add(self, records: list[Record]) -> None:
        """Enter outcomes; the first one of a row stays."""
        answered = failed = 0
        requests, *tokens = (sum(each) for each in zip(*(r[3:] for r in records), strict=True))
        with self._db:
            self._db.execute("BEGIN")
            for record in records:
                if not self.is_open(record.id):
                    continue
                insert = "INSERT INTO records (answered, text) VALUES (?, ?)"
                number = self._db.execute(insert, (record.answered, record.text)).lastrowid
                state = ANSWERED if record.answered else FAILED
                update = "UPDATE rows SET state = ?, record = ? WHERE id = ?"
                self._db.execute(update, (state, number, record.id))
                answered += record.answered
                failed += not record.answered
            self._db.execute(
                "UPDATE totals SET requests = requests + ?,"
                " input_tokens = input_tokens + ?, output_tokens = output_tokens + ?",
                (requests, *tokens),
            )
        added = (0, answered, failed, requests, *tokens)
        self.counts = Counts(*map(sum, zip(self.counts, added, strict=True)))
        self._unsharded += answered
        while self._unsharded >= self._shard_rows:
            self._end_shard()

    def finish(self) -> None:
        """Write the last answers and the failed rows, and remove the queue."""
        self._queue.close()
        (self.folder / "queue.sqlite").unlink(missing_ok=True)
        while self._unsharded:
            self._end_shard()
        failed = self._db.execute("SELECT text FROM records WHERE NOT answered ORDER BY number")
        path = self.folder / f"dead-letters.{self._format}"
        write_table(path, (text for (text,) in failed))

    def close(self) -> None:
        for connection in (self._queue, self._db, self._lock):
            connection.close()

    def _check_folder(self, file_format: Format) -> None:
        if self._format != file_format:
            hint = "use it again, or give another folder"
            raise StoppedError(f"{self.folder} was begun with --format {self._format}: {hint}.")
        if not self.counts.total and any(self.folder.glob("part-*")):
            raise StoppedError(f"{self.folder} holds answers but no ledger: give another folder.")

    def _known(self, row_id: str, run: int) -> tuple[bytes | None, int, int | None]:
        query = "SELECT digest, state, record, run FROM rows WHERE id = ?"
        found = self._db.execute(query, (row_id,)).fetchone()
        if found is None:
            return None, OPEN, None
        *known, last_run = found
        if last_run == run:
            raise StoppedError(f"The id {row_id!r} is in the input twice: make ids unique.")
        return tuple(known)

    def _remove(self, record: int | None) -> None:
        if record is None:
            return
        self._db.execute("DELETE FROM records WHERE number = ?", (record,))
        self._db.execute(
            "UPDATE shards SET is_written = 0"
            " WHERE last = (SELECT min(last) FROM shards WHERE last >= ?)",
            (record,),
        )

    def _read_counts(self) -> tuple[Counts, int]:
        """Count the rows, and the answers that no shard holds."""
        (unsharded,) = self._db.execute(
            "SELECT count(*) FROM records"
            " WHERE answered AND number > (SELECT coalesce(max(last), 0) FROM shards)"
        ).fetchone()
        return _counts(self._db), unsharded

    def _end_shard(self) -> None:
        self._db.execute(
            "INSERT INTO shards SELECT max(number), (SELECT count(*) + 1 FROM shards), 0 FROM ("
            " SELECT number FROM records"
            " WHERE answered AND number > (SELECT coalesce(max(last), 0) FROM shards)"
            " ORDER BY number LIMIT ?)",
            (self._shard_rows,),
        )
        self._unsharded -= min(self._unsharded, self._shard_rows)
        self._write_shards()

    def _write_shards(self) -> None:
        """Write the files that are missing, or that hold an answer that was removed."""
        first = 0
        shards = self._db.execute("SELECT last, number, is_written FROM shards ORDER BY last")
        for last, number, is_written in shards.fetchall():
            path = self.folder / f"part-{number:05}.{self._format}"
            if not is_written or not path.exists():
                records = self._db.execute(
                    "SELECT text FROM records"
                    " WHERE answered AND number > ? AND number <= ? ORDER BY number",
                    (first, last),
                )
                write_table(path, (text for (text,) in records))
                self._db.execute("UPDATE shards SET is_written = 1 WHERE last = ?", (last,))
            first = last


def read_counts(folder: Path) -> Counts:
    """Read the progress of a folder; a run may be writing to it."""
    if not (folder / "ledger.sqlite").exists():
        raise StoppedError(f"{folder} holds no ledger: give the --out folder of a run.")
    with closing(_connect(folder / "ledger.sqlite")) as db:
        return _counts(db)


def lock(path: Path, patience: float = 0) -> sqlite3.Connection:
    """Hold a lock until it is closed or this process ends, however it ends.

    Args:
        path: The file of the lock, in the folder that it is for.
        patience: Seconds to wait for a process that is about to end.
    """
    held = _connect(path, timeout=patience)
    try:
        held.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        held.close()
        if "locked" not in str(error):
            raise
        raise StoppedError(
            f"Another run writes into {path.parent}: wait for it, or give another folder."
        ) from None
    return held


def _connect(path: Path, timeout: float = 30) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout, isolation_level=None, check_same_thread=False)


def _counts(db: sqlite3.Connection) -> Counts:
    states = dict(db.execute("SELECT state, count(*) FROM rows GROUP BY state").fetchall())
    used = db.execute("SELECT requests, input_tokens, output_tokens FROM totals").fetchone()
    return Counts(sum(states.values()), states.get(ANSWERED, 0), states.get(FAILED, 0), *used)


def _answered_for_another_prompt(ids: list[str]) -> StoppedError:
    more = f" and {len(ids) - MAX_NAMED} more" if len(ids) > MAX_NAMED else ""
    return StoppedError(
        f"Answered before for another prompt, or with other parameters: "
        f"{', '.join(ids[:MAX_NAMED])}{more}. Nothing was sent. Use --changed ask to ask them "
        f"again, --changed keep to keep the old answers, or another folder."
    )
