"""Rows of a table of prompts, read one after the other: JSONL, CSV or Parquet of any size."""

import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")
GROUP = 500  # rows that are looked up, or read from Parquet, together


class StoppedError(Exception):
    """Why the run cannot go on, and what to do."""


class Row(NamedTuple):
    """What to ask under an id."""

    id: str
    messages: str
    """The messages as JSON."""
    digest: bytes
    """Of the messages, and of everything else that an answer depends on."""


@dataclass(frozen=True)
class Task:
    """What to ask of each row; all of it is part of the digest of a row."""

    model: str
    settings: dict[str, Any]
    schema: str | None = None
    """A pydantic class as `module:Class`."""
    schema_text: str | None = None
    """What that class asks for, as JSON: it may change under the same name."""
    template: str | None = None
    messages_column: str | None = None
    id_column: str = "id"

    def row(self, values: dict[str, Any]) -> Row:
        """Build a row's messages.

        Raises:
            LookupError: A column is not there.
            ValueError: A value is not of the form that is needed.
        """
        messages = self._messages(values)
        text = json.dumps(messages, ensure_ascii=False, sort_keys=True)
        asked = [self.model, self.settings, self.schema, self.schema_text]
        parameters = json.dumps(asked, sort_keys=True)
        digest = blake2b(f"{parameters}\n{text}".encode(), digest_size=16).digest()
        key = _value(values, self.id_column)
        if not isinstance(key, str | int) or key == "":
            raise ValueError(f"the column {self.id_column!r} holds no text and no whole number")
        return Row(str(key), text, digest)

    def _messages(self, values: dict[str, Any]) -> list[Any]:
        if self.messages_column is None:
            filled = {name: value for name, value in values.items() if value is not None}
            try:
                text = (self.template or "{prompt}").format_map(filled)
            except KeyError as error:
                raise _missing(values, str(error.args[0])) from None
            return [{"role": "user", "content": text}]
        messages = _value(values, self.messages_column)
        if isinstance(messages, str):  # as in CSV
            messages = json.loads(messages)
        if not isinstance(messages, list):
            what = f"the column {self.messages_column!r} holds no list of messages"
            raise ValueError(what)  # noqa: TRY004 - of the file, not of the program
        return messages


def read_rows(path: Path, task: Task) -> Iterator[Row]:
    """Read the rows of a file, holding a few of them at a time.

    Raises:
        StoppedError: A row is not as it must be; names its place and quotes nothing of it.
    """
    number = 1
    try:
        for values in _read_values(path):
            yield task.row(values)
            number += 1
    except FileNotFoundError:
        raise StoppedError(f"There is no file {path}.") from None
    except (LookupError, ValueError) as error:
        what = "is no JSON" if isinstance(error, json.JSONDecodeError) else error.args[0]
        raise StoppedError(
            f"{path}, row {number}: {what}. Correct the file or the options, and start again."
        ) from None


def groups_of(items: Iterable[T], size: int = GROUP) -> Iterator[list[T]]:
    """Give the items in lists of a size."""
    iterator = iter(items)
    while group := list(islice(iterator, size)):
        yield group


def _read_values(path: Path) -> Iterator[dict[str, Any]]:
    match path.suffix:
        case ".jsonl":
            with path.open(encoding="utf-8-sig") as lines:
                yield from (_object(line) for line in lines if line.strip())
        case ".csv":
            csv.field_size_limit(2**31 - 1)
            with path.open(encoding="utf-8-sig", newline="") as lines:
                yield from csv.DictReader(lines)
        case ".parquet":
            with import_module("pyarrow.parquet").ParquetFile(path) as file:
                for batch in file.iter_batches(GROUP):
                    yield from batch.to_pylist()
        case suffix:
            raise ValueError(f"the name ends in {suffix!r}, not in .jsonl, .csv or .parquet")


def _object(line: str) -> dict[str, Any]:
    values = json.loads(line)
    if not isinstance(values, dict):
        raise ValueError("is no JSON object")  # noqa: TRY004 - of the file, not of the program
    return values


def _value(values: dict[str, Any], column: str) -> Any:
    if values.get(column) is None:
        raise _missing(values, column)
    return values[column]


def _missing(values: dict[str, Any], column: str) -> LookupError:
    columns = ", ".join(map(repr, values))
    return LookupError(f"there is nothing in a column {column!r}; the columns are {columns}")
