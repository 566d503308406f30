"""Files of answers, as JSONL or Parquet: written aside, then renamed, so none is half there."""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from langchain_dashscope_deepseek.batch.tables import groups_of

Form = Literal["jsonl", "parquet"]


def write_shard(path: Path, records: Iterable[str]) -> None:
    """Write a file whole, or leave the one that is there. Without records there is none.

    Args:
        path: Where to; its suffix says how.
        records: Records as JSON objects.
    """
    records = iter(records)
    first = next(records, None)
    if first is None:
        path.unlink(missing_ok=True)
        return
    records = chain([first], records)
    aside = path.with_name(f".{path.name}.part")
    _WRITERS[path.suffix](aside, records)
    with aside.open("rb+") as file:
        os.fsync(file.fileno())
    aside.replace(path)
    if os.name == "posix":  # the new name must outlive a power cut as well
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


def read_shard(path: Path) -> Iterator[str]:
    """Read the records of a file as they were written."""
    if path.suffix == ".jsonl":
        with path.open(encoding="utf-8") as lines:
            yield from (line.rstrip("\n") for line in lines)
        return
    with import_module("pyarrow.parquet").ParquetFile(path) as file:
        for batch in file.iter_batches():
            for values in batch.to_pylist():
                for name in _JSON & values.keys():
                    if values[name] is not None:
                        values[name] = json.loads(values[name])
                yield json.dumps(values, ensure_ascii=False)


def id_of(record: str) -> str:
    """Read the id of a record."""
    return str(json.loads(record)["id"])


def last_number(folder: Path) -> int:
    """Give the number of the last file of answers that is there; 0 if there is none."""
    digits = (path.stem.removeprefix("part-") for path in folder.glob("part-*"))
    return max((int(each) for each in digits if each.isdecimal()), default=0)


def _write_jsonl(path: Path, records: Iterator[str]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{record}\n" for record in records)


def _write_parquet(path: Path, records: Iterator[str]) -> None:
    pa = import_module("pyarrow")
    types = {"seconds": pa.float64(), "attempts": pa.int64()}
    first = next(records)
    schema = pa.schema([(name, types.get(name, pa.string())) for name in json.loads(first)])
    with import_module("pyarrow.parquet").ParquetWriter(path, schema) as writer:
        for group in groups_of(chain([first], records), 1000):
            writer.write_table(pa.Table.from_pylist([*map(_flat, group)], schema=schema))


def _flat(record: str) -> dict[str, Any]:
    """Keep as JSON what has a shape of its own in each row."""
    values: dict[str, Any] = json.loads(record)
    for name in _JSON & values.keys():
        if values[name] is not None:
            values[name] = json.dumps(values[name], ensure_ascii=False)
    return values


_JSON = {"tool_calls", "parsed", "usage"}
_WRITERS: dict[str, Callable[[Path, Iterator[str]], None]] = {
    ".jsonl": _write_jsonl,
    ".parquet": _write_parquet,
}
