"""Tables of any size, read one row after the other: JSONL, CSV or Parquet."""

import csv
import json
from collections.abc import Iterable, Iterator
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
GROUP = 500  # rows that are looked up, or read from Parquet, together


class StoppedError(Exception):
    """Why the run cannot go on, and what to do."""


def read_table(path: Path) -> Iterator[dict[str, Any]]:
    """Give the rows of a file by their columns, holding a few of them at a time.

    Raises:
        ValueError: It is none of these, or a row has more or fewer values than there are columns.
        UnicodeError: It is not UTF-8.
        csv.Error: Quotes do not match.
    """
    match path.suffix:
        case ".jsonl":
            with path.open(encoding="utf-8-sig") as lines:
                yield from (_object(line) for line in lines if line.strip())
        case ".csv":
            csv.field_size_limit(2**31 - 1)
            with path.open(encoding="utf-8-sig", newline="") as lines:
                reader = csv.DictReader(lines, strict=True)
                _check_names(list(reader.fieldnames or []))
                for values in reader:
                    if None in values or None in values.values():
                        raise ValueError("has more or fewer values than the first line has names")
                    yield values
        case ".parquet":
            with import_module("pyarrow.parquet").ParquetFile(path) as file:
                _check_names(file.schema_arrow.names)
                for batch in file.iter_batches(GROUP):
                    yield from batch.to_pylist()
        case suffix:
            raise ValueError(f"the name ends in {suffix!r}, not in .jsonl, .csv or .parquet")


def groups_of(items: Iterable[T], size: int = GROUP) -> Iterator[list[T]]:
    """Give the items in lists of a size."""
    iterator = iter(items)
    while group := list(islice(iterator, size)):
        yield group


def _object(line: str) -> dict[str, Any]:
    values = json.loads(line, object_pairs_hook=_once)
    if not isinstance(values, dict):
        raise ValueError("is no JSON object")  # noqa: TRY004 - of the file, not of the program
    return values


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        _check_names([name for name, _ in pairs])
    return values


def _check_names(names: list[str]) -> None:
    if len(set(names)) < len(names):
        raise ValueError("a name of a column stands there twice")
