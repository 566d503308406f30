"""Tables as files: JSONL, CSV or Parquet. Reading and writing hold a few rows at a time."""

import csv
import json
import os
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal, TypeVar

T = TypeVar("T")
Format = Literal["jsonl", "csv", "parquet"]

GROUP = 500  # rows that are read or written together
NESTED = {"tool_calls", "parsed", "usage"}  # columns that CSV and Parquet hold as JSON


def read_table(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows as dictionaries.

    Raises:
        ValueError: The file is in none of the formats or not in UTF-8, or a row is wrong.
        csv.Error: A value is not quoted correctly.
    """
    match path.suffix:
        case ".jsonl":
            with path.open(encoding="utf-8-sig") as lines:
                for line in lines:
                    if line.strip():
                        yield _object(line)
        case ".csv":
            csv.field_size_limit(2**31 - 1)
            with path.open(encoding="utf-8-sig", newline="") as lines:
                reader = csv.DictReader(lines, strict=True)
                names = reader.fieldnames or []
                if len({*names}) < len(names):
                    raise ValueError("two columns have the same name")
                for values in reader:
                    if None in values or None in values.values():
                        raise ValueError("has more or fewer values than the first line has names")
                    yield values
        case ".parquet":
            from pyarrow.parquet import ParquetFile

            with ParquetFile(path) as file:
                for batch in file.iter_batches(GROUP):
                    yield from batch.to_pylist()
        case _:
            raise ValueError("the name of the file must end in .jsonl, .csv or .parquet")


def write_table(path: Path, records: Iterable[str]) -> None:
    """Replace a file; without records, remove it.

    Args:
        path: The file; its suffix is the format.
        records: The rows as JSON objects with the same keys.
    """
    records = iter(records)
    first = next(records, None)
    if first is None:
        path.unlink(missing_ok=True)
        return
    unfinished = path.with_name(f".{path.name}.part")
    _WRITERS[path.suffix](unfinished, [*json.loads(first)], chain([first], records))
    with unfinished.open("rb+") as file:
        os.fsync(file.fileno())
    unfinished.replace(path)


def _write_jsonl(path: Path, _: list[str], records: Iterator[str]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{record}\n" for record in records)


def _write_csv(path: Path, columns: list[str], records: Iterator[str]) -> None:
    # Excel reads UTF-8 only with a byte order mark.
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(map(_flat, records))


def _write_parquet(path: Path, columns: list[str], records: Iterator[str]) -> None:
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    # Given, because a group of rows may hold nothing but nulls in a column.
    types = {"seconds": pa.float64(), "attempts": pa.int64()}
    schema = pa.schema([(name, types.get(name, pa.string())) for name in columns])
    with ParquetWriter(path, schema) as writer:
        while rows := [_flat(record) for record in islice(records, GROUP)]:
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))


def _flat(record: str) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(record)
    for name in NESTED & values.keys():
        if values[name] is not None:
            values[name] = json.dumps(values[name], ensure_ascii=False)
    return values


def read_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        raise ValueError("is not valid JSON") from None


def _object(line: str) -> dict[str, Any]:
    values = read_json(line)
    if not isinstance(values, dict):
        raise ValueError("is not a JSON object")  # noqa: TRY004 - of the file, not of the program
    return values


_WRITERS = {".jsonl": _write_jsonl, ".csv": _write_csv, ".parquet": _write_parquet}
