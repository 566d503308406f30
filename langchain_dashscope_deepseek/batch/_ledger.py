"""What was asked and answered: a ledger in SQLite, and the shards that are written from it.

An answer is in the ledger as soon as it arrived, and stays there until it stands in a shard. After
a crash between the two, the same answers go into a shard of the same name.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from langchain_dashscope_deepseek.batch.rows_and_totals import (
    ANSWERED,
    DEAD,
    OPEN,
    SCHEMA,
    Counts,
    connect,
    lock,
    read_counts,
)
from langchain_dashscope_deepseek.batch.records import Record
from langchain_dashscope_deepseek.batch._prompts import Row
from langchain_dashscope_deepseek.batch._files import Form, id_of, last_number, read_shard, write_shard
from langchain_dashscope_deepseek.batch.tables import StoppedError, groups_of


class Store:
    """The out folder, for one run at a time."""

    def __init__(
        self, folder: Path, form: Form = "jsonl", shard_rows: int = 5000, patience: float = 0
    ) -> None:
        """Open the folder, which must exist.

        Args:
            folder: Where ledger, shards and dead letters are.
            form: What shards are written as.
            shard_rows: Answers in a shard; the last one of a run has fewer.
            patience: Seconds to wait for a run that is just ending.

        Raises:
            StoppedError: Another run writes there, or it holds shards of the other form, or ones
                that its ledger does not know.
        """
        self.folder, self._shard_rows = folder, shard_rows
        self._lock = lock(folder / "lock.sqlite", patience)
        self.db, self._reader = connect(folder), connect(folder)
        # With FULL what was committed outlives a power cut: a shard is never ahead of the ledger.
        self.db.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;{SCHEMA}")
        self.db.execute("INSERT OR IGNORE INTO totals VALUES ('form', ?)", (form,))
        (self._form,) = self.db.execute("SELECT value FROM totals WHERE name='form'").fetchone()
        if self._form != form:
            raise StoppedError(f"{folder} holds {self._form} shards: use --format {self._form}.")
        self._seq = self._one("SELECT coalesce(max(seq), 0) FROM rows")
        self.recount()
        last = last_number(folder)
        if last > self._shard + 1 or (last and not self.counts.total):
            raise StoppedError(
                f"{folder} holds answers that its ledger does not know: give another folder."
            )
        # A crash may have left the one after the last: its answers are in the ledger.
        self._path(self._shard + 1).unlink(missing_ok=True)

    def recount(self) -> None:
        """Read how far it is, and what is to be written into which shard."""
        self._shard = self._one("SELECT coalesce(max(shard), 0) FROM rows")
        self._held = self._one("SELECT count(*) FROM rows WHERE state = 1 AND record IS NOT NULL")
        self.counts = read_counts(self.db)

    def wanted(self, ids: list[str], *, dead: bool = False) -> dict[str, bytes]:
        """Tell which of these are to be asked, the open ones or the dead, and their digests."""
        marks = ",".join("?" * len(ids))
        query = "SELECT id, coalesce(next, digest) FROM rows WHERE state = ? AND id IN "
        found = self._reader.execute(f"{query}({marks})", (DEAD if dead else OPEN, *ids))
        return dict(found.fetchall())

    def open_rows(self, rows: Iterable[Row], *, dead: bool) -> Iterator[list[Row]]:
        """Give those of the rows that are to be asked, in groups that may be empty.

        Raises:
            StoppedError: A row is another than it was when the input was checked.
        """
        for group in groups_of(rows):
            wanted = self.wanted([row.id for row in group], dead=dead)
            found = [row for row in group if row.id in wanted]
            if any(row.digest not in (b"", wanted[row.id]) for row in found):
                raise StoppedError("The input changed while it was read: start again.")
            yield found

    def add(self, records: Iterable[Record]) -> None:
        """Enter what became of rows; what was answered before stays as it is."""
        done, failed, used = 0, 0, [0, 0, 0]
        with self.db:
            self.db.execute("BEGIN")
            for record in records:
                used = [a + b for a, b in zip(used, record[3:], strict=True)]
                state = self._one("SELECT state FROM rows WHERE id = ?", record.id)
                if state == ANSWERED:
                    continue
                self._seq += 1
                self.db.execute(
                    "UPDATE rows SET state = ?, seq = ?, record = ?,"
                    " digest = coalesce(next, digest), next = NULL WHERE id = ?",
                    (ANSWERED if record.answered else DEAD, self._seq, record.text, record.id),
                )
                done += record.answered
                failed += (not record.answered) - (state == DEAD)
            for name, more in zip(Counts._fields[3:], used, strict=True):
                self.db.execute("UPDATE totals SET value = value + ? WHERE name = ?", (more, name))
        total, *others = self.counts
        self.counts = Counts(total, *map(sum, zip(others, (done, failed, *used), strict=True)))
        self._held += done
        while self._held >= self._shard_rows:
            self._write_shard()

    def finish(self) -> None:
        """Write what is still held as the last shard, and the dead letters anew."""
        while self._held:
            self._write_shard()
        letters = self.folder / f"dead-letters.{self._form}"
        if self.counts.failed or letters.exists():
            dead = self.db.execute("SELECT record FROM rows WHERE state = 2 ORDER BY seq")
            write_shard(letters, (record for (record,) in dead))

    def close(self) -> None:
        """Let go of the folder."""
        self._reader.close()
        self.db.close()
        self._lock.close()

    def take_out(self) -> None:
        """Take the old answers of rows that are asked again out of their shards."""
        stale = "FROM rows WHERE state = 0 AND shard IS NOT NULL"
        for (number,) in self.db.execute(f"SELECT DISTINCT shard {stale}").fetchall():
            ids = {i for (i,) in self.db.execute(f"SELECT id {stale} AND shard = ?", (number,))}
            path = self._path(number)
            if path.exists():  # else a crash came in between
                write_shard(path, (r for r in read_shard(path) if id_of(r) not in ids))
            self.db.execute("UPDATE rows SET shard = NULL WHERE state = 0 AND shard = ?", (number,))

    def _write_shard(self) -> None:
        held = "FROM rows WHERE state = 1 AND record IS NOT NULL ORDER BY seq LIMIT ?"
        some = (self._shard_rows,)
        last = self._one(f"SELECT max(seq) FROM (SELECT seq {held})", *some)  # noqa: S608
        records = self.db.execute(f"SELECT record {held}", some)
        write_shard(self._path(self._shard + 1), (record for (record,) in records))
        self._shard += 1
        self.db.execute(
            "UPDATE rows SET shard = ?, record = NULL"
            " WHERE state = 1 AND record IS NOT NULL AND seq <= ?",
            (self._shard, last),
        )
        self._held -= min(self._held, self._shard_rows)

    def _path(self, number: int) -> Path:
        return self.folder / f"part-{number:05}.{self._form}"

    def _one(self, query: str, *values: object) -> int:
        return int(self.db.execute(query, values).fetchone()[0])
