"""What to ask: rows of a table, made into messages and checked before anything is sent."""

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from string import Formatter
from typing import Any, NamedTuple

from langchain_core.messages import convert_to_messages

from langchain_dashscope_deepseek.batch.tables import StoppedError, read_table

# Settings that no answer depends on: with another one, what was answered stays answered.
WITHOUT_WEIGHT = {"timeout", "max_seconds", "proxy", "verify", "streaming", "tags", "metadata"}


class Row(NamedTuple):
    """What to ask under an id."""

    id: str
    messages: str
    """The messages as JSON."""
    digest: bytes
    """Of the messages, and of everything else that an answer depends on."""


@dataclass(frozen=True)
class Task:
    """What to ask of each row; all that an answer depends on is part of the digest of a row."""

    model: str
    settings: dict[str, Any]
    schema: str | None = None
    """A pydantic class as `module:Class`."""
    schema_text: str | None = None
    """What that class asks for, as JSON: it may change under the same name."""
    template: str = "{prompt}"
    messages_column: str | None = None
    id_column: str = "id"

    def __post_init__(self) -> None:
        """Check the template.

        Raises:
            StoppedError: It has more than names of columns in its braces, or none.
        """
        try:
            fields = [
                field[1:] for field in Formatter().parse(self.template) if field[1] is not None
            ]
        except ValueError as error:
            raise StoppedError(f"--template: {error}; write {{{{ for a brace.") from None
        if not fields or any(
            spec or kind or not name or set(".[") & {*name} for name, spec, kind in fields
        ):
            raise StoppedError("--template: put the name of a column in braces, and nothing else.")

    def row(self, values: dict[str, Any]) -> Row:
        """Build a row's messages.

        Raises:
            LookupError: A column is not there.
            ValueError: A value is not of the form that is needed.
        """
        messages = self._messages(values)
        text = json.dumps(messages, ensure_ascii=False, sort_keys=True)
        settings = {k: v for k, v in self.settings.items() if k not in WITHOUT_WEIGHT}
        asked = [self.model, settings, self.schema, self.schema_text]
        parameters = json.dumps(asked, sort_keys=True)
        digest = blake2b(f"{parameters}\n{text}".encode(), digest_size=16).digest()
        key = _value(values, self.id_column)
        if not isinstance(key, str | int) or isinstance(key, bool) or key == "":
            raise ValueError(f"the column {self.id_column!r} holds no text and no whole number")
        key = str(key)
        key.encode()  # refuses half of a character
        return Row(key, text, digest)

    def _messages(self, values: dict[str, Any]) -> list[Any]:
        if self.messages_column is None:
            filled = {name: value for name, value in values.items() if value is not None}
            try:
                text = self.template.format_map(_Texts(filled))
            except KeyError as error:
                raise _missing(values, str(error.args[0])) from None
            if not text.strip():
                raise ValueError("the prompt is empty")
            return [{"role": "user", "content": text}]
        messages = _value(values, self.messages_column)
        if isinstance(messages, str):  # as in CSV
            messages = json.loads(messages)
        try:
            read = convert_to_messages(messages) if isinstance(messages, list) else []
        except Exception:  # noqa: BLE001 - the text of each kind quotes what is there
            read = []
        if not read:
            raise ValueError(f"the column {self.messages_column!r} holds no list of messages")
        return list(messages)


class _Texts(dict[str, Any]):
    def __getitem__(self, name: str) -> Any:
        value = super().__getitem__(name)
        if isinstance(value, dict | list | bytes):
            raise ValueError(f"the column {name!r} holds no text")  # noqa: TRY004 - of the file
        return value


def read_rows(path: Path, task: Task) -> Iterator[Row]:
    """Read the rows of a file.

    Raises:
        StoppedError: A row is not as it must be; names its place and quotes nothing of it.
    """
    number = 1
    try:
        for values in read_table(path):
            yield task.row(values)
            number += 1
    except FileNotFoundError:
        raise StoppedError(f"There is no file {path}.") from None
    except tuple(WRONG) as error:
        what = next(text for kind, text in WRONG.items() if isinstance(error, kind))
        raise StoppedError(
            f"{path}, row {number}: {what or error.args[0]}. "
            "Correct the file or the options, and start again."
        ) from None


WRONG: dict[type[Exception], str] = {
    json.JSONDecodeError: "is no JSON",
    UnicodeDecodeError: "is not UTF-8",
    UnicodeEncodeError: "holds half of a character",
    RecursionError: "is nested too deeply",
    TypeError: "holds what JSON cannot",
    ArithmeticError: "holds a number or a time that Python cannot",
    csv.Error: "is no CSV: quotes do not match",
    LookupError: "",  # these two say it themselves
    ValueError: "",
}


def _value(values: dict[str, Any], column: str) -> Any:
    if values.get(column) is None:
        raise _missing(values, column)
    return values[column]


def _missing(values: dict[str, Any], column: str) -> LookupError:
    # Where a file has no line of names, they are somebody's prompt.
    columns = ", ".join(repr(n) if re.fullmatch(r"[\w.-]{1,40}", n) else "(a text)" for n in values)
    return LookupError(f"there is nothing in a column {column!r}; the columns are {columns}")
