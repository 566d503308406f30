"""What all workers of a cluster share: the owner of the folder, and the keeper of the limits."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from langchain_dashscope_deepseek.batch.records import Record
from langchain_dashscope_deepseek.batch._prompts import Row
from langchain_dashscope_deepseek.batch._files import Form
from langchain_dashscope_deepseek.batch._ledger import Store
from langchain_dashscope_deepseek import TokenRateLimiter

PATIENCE = 30.0  # seconds in which a ledger's actor that died has let go of its folder
OPEN_FOLDER = "open"  # in the out folder: what is handed out


def write_group(folder: Path, number: int, rows: list[Row]) -> None:
    """Write rows that are handed out together."""
    text = "".join(json.dumps([row.id, row.messages]) + "\n" for row in rows)
    (folder / OPEN_FOLDER / f"{number:07}.jsonl").write_text(text, encoding="utf-8")


def read_group(folder: Path, number: int) -> Iterator[Row]:
    """Read them."""
    with (folder / OPEN_FOLDER / f"{number:07}.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            key, messages = json.loads(line)
            yield Row(key, messages, b"")


class LedgerActor:
    """Owns the out folder. Made anew on its node if it dies: all is in the folder."""

    def __init__(self, folder: Path, form: Form, shard_rows: int, dead: bool) -> None:
        """Open the folder, to give out what is open or what is dead."""
        self._store = Store(folder, form, shard_rows, patience=PATIENCE)
        self._dead = dead
        self._why: str | None = None

    def group(self, number: int) -> list[Row]:
        """Give those of a group that are to be asked; none once the run is stopped."""
        rows: Iterable[Row] = [] if self._why else read_group(self._store.folder, number)
        return [row for each in self._store.open_rows(rows, dead=self._dead) for row in each]

    def add(self, records: list[Record]) -> bool:
        """Enter what became of rows; tell whether to go on."""
        self._store.add(records)
        return self._why is None

    def stop(self, why: str) -> None:
        """Hand out nothing more."""
        self._why = self._why or why

    def why(self) -> str | None:
        """Tell why it was stopped, if it was."""
        return self._why

    def counts(self) -> tuple[int, ...]:
        """Tell how far it is."""
        return tuple(self._store.counts)

    def finish(self) -> None:
        """Write the last shard and the dead letters."""
        self._store.finish()


class LimitsActor:
    """The limits of the account, for all workers."""

    def __init__(self, requests: float | None, tokens: float | None) -> None:
        """Begin with these limits a minute."""
        self._limiter = TokenRateLimiter(requests_per_minute=requests, tokens_per_minute=tokens)

    async def take(self, most: int) -> int:
        """Wait until one call may go out, and tell how many may by then."""
        await self._limiter.aacquire()
        taken = 1
        while taken < most and self._limiter.acquire(blocking=False):
            taken += 1
        return taken

    async def settle(self, calls: list[int | None]) -> None:
        """Take what calls took."""
        for tokens in calls:
            self._limiter.settle(tokens)

    async def pause(self, seconds: float) -> None:
        """Let no worker's call out for so long."""
        self._limiter.pause(seconds)
