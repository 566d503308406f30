"""What is to be asked: in the ledger before anything is sent, so that no mistake costs."""

import sqlite3
from collections.abc import Iterable
from typing import Literal

from langchain_dashscope_deepseek.batch.rows_and_totals import ANSWERED
from langchain_dashscope_deepseek.batch._prompts import Row
from langchain_dashscope_deepseek.batch._ledger import Store
from langchain_dashscope_deepseek.batch.tables import StoppedError

Changed = Literal["ask", "keep"]
NAMED = 5  # ids that an error names

UPDATE = """
UPDATE rows SET run = :run,
    digest = CASE WHEN state = 2 AND NOT :reopen THEN digest ELSE :digest END,
    next = CASE WHEN state = 2 AND NOT :reopen THEN :digest END,
    state = CASE WHEN digest <> :digest AND (state = 1 OR :reopen) THEN 0 ELSE state END,
    record = CASE WHEN digest <> :digest AND (state = 1 OR :reopen) THEN NULL ELSE record END
WHERE id = :id
"""
KEEP = "UPDATE rows SET run = :run WHERE id = :id"
INSERT = "INSERT INTO rows (id, digest, state, run) VALUES (:id, :digest, 0, :run)"


def plan(
    store: Store, rows: Iterable[Row], changed: Changed | None = None, *, reopen: bool = True
) -> None:
    """Enter the rows of the input.

    Args:
        store: Whose ledger.
        rows: All of them.
        changed: What to do about an id that was answered for another prompt, or with other
            parameters: ask again, keep the old answer, or `None` to stop and name them.
        reopen: Whether a dead letter of another prompt is open again.

    Raises:
        StoppedError: An id stands in the input twice, or was answered for another prompt.
    """
    db = store.db
    run = db.execute("SELECT value FROM totals WHERE name = 'run'").fetchone()[0] + 1
    db.execute("BEGIN")
    try:
        others = _enter(db, rows, run, keep=changed != "ask", reopen=reopen)
        if others and changed is None:
            _refuse(others)
        db.execute("DELETE FROM rows WHERE state = 0 AND shard IS NULL AND run < ?", (run,))
        db.execute("UPDATE totals SET value = ? WHERE name = 'run'", (run,))
    except BaseException:
        db.rollback()
        raise
    db.commit()
    store.take_out()
    db.execute("DELETE FROM rows WHERE state = 0 AND run < ?", (run,))  # what a crash left
    store.recount()


def _enter(
    db: sqlite3.Connection, rows: Iterable[Row], run: int, *, keep: bool, reopen: bool
) -> list[str]:
    """Enter the rows; give the ids that were answered for another prompt, the first ones quoted."""
    others: list[str] = []
    for row in rows:
        query = "SELECT digest, state, run FROM rows WHERE id = ?"
        known = db.execute(query, (row.id,)).fetchone()
        if known and known[2] == run:
            raise StoppedError(f"The id {row.id!r} stands in the input twice. Nothing was asked.")
        is_other = bool(known) and known[0] != row.digest and known[1] == ANSWERED
        if is_other:
            others.append(repr(row.id) if len(others) < NAMED else "")
        values = {"id": row.id, "digest": row.digest, "run": run, "reopen": reopen}
        db.execute(INSERT if not known else KEEP if is_other and keep else UPDATE, values)
    return others


def _refuse(others: list[str]) -> None:
    more = f" and {len(others) - NAMED} more" if len(others) > NAMED else ""
    raise StoppedError(
        f"Answered before for another prompt, or with other parameters: "
        f"{', '.join(others[:NAMED])}{more}. Nothing was asked. --changed ask asks them again, "
        f"--changed keep keeps the old answers; or write into another folder."
    )
