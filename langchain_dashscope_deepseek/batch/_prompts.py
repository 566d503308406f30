"""The prompts: the rows of a table as messages, checked before anything is sent."""

import csv
import importlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from string import Formatter
from typing import Any, NamedTuple

from langchain_core.messages import convert_to_messages
from pydantic import BaseModel

from langchain_dashscope_deepseek._dashscope.transport.connections import NetworkSettings
from langchain_dashscope_deepseek.batch._files import read_json, read_table

# Settings that answers do not depend on.
IRRELEVANT = {"timeout", "max_seconds", "streaming", "tags", "metadata", *NetworkSettings._fields}


class StoppedError(Exception):
    """The run cannot continue; the text says why."""


class Row(NamedTuple):
    """A prompt with its id."""

    id: str
    messages: str  # as JSON
    digest: bytes = b""  # of the messages and of everything else that an answer depends on


@dataclass(frozen=True)
class Task:
    """The settings of a run that its answers depend on."""

    model: str
    settings: dict[str, Any]
    schema: str | None  # a pydantic class as `module:Class`
    template: str
    messages_column: str | None
    id_column: str

    def row(self, values: dict[str, Any]) -> Row:
        """Build the messages of a row; raises `ValueError` if the row is invalid."""
        messages = self._messages(values)
        text = json.dumps(messages, ensure_ascii=False, sort_keys=True)
        digest = blake2b(f"{self._parameters}\n{text}".encode(), digest_size=16).digest()
        row_id = _value(values, self.id_column)
        if not isinstance(row_id, str | int) or isinstance(row_id, bool) or row_id == "":
            raise ValueError(f"the column {self.id_column!r} must hold a text or a whole number")
        str(row_id).encode()  # raises if it holds a lone surrogate
        return Row(str(row_id), text, digest)

    def load_schema(self) -> type[BaseModel] | None:
        """Import the class that answers must fit."""
        if self.schema is None:
            return None
        module, _, name = self.schema.partition(":")
        try:
            schema: type[BaseModel] = getattr(importlib.import_module(module), name)
            schema.model_json_schema()
        except Exception as error:  # noqa: BLE001 - importing a module of the user raises anything
            raise StoppedError(
                f"--schema {self.schema}: {type(error).__name__}: {error}. "
                "Give a pydantic class as module:Class."
            ) from None
        return schema

    @cached_property
    def _parameters(self) -> str:
        """Everything that an answer depends on, except the messages."""
        schema = self.load_schema()
        fields = schema.model_json_schema() if schema else None
        settings = {k: v for k, v in self.settings.items() if k not in IRRELEVANT}
        return json.dumps([self.model, settings, fields], sort_keys=True)

    @cached_property
    def _parts(self) -> list[tuple[str, str | None]]:
        """The texts of the template, each with the column that follows it."""
        try:
            parts = list(Formatter().parse(self.template))
        except ValueError as error:
            raise StoppedError(f"--template: {error}; write {{{{ for {{ and }}}} for }}.") from None
        has_column = any(column is not None for _, column, _, _ in parts)
        if not has_column or any(spec or conversion for _, _, spec, conversion in parts):
            raise StoppedError(
                "--template: put only names of columns in braces, at least one; "
                "write {{ for { and }} for }."
            )
        return [(text, column) for text, column, _, _ in parts]

    def _messages(self, values: dict[str, Any]) -> list[Any]:
        if self.messages_column is None:
            parts = self._parts
            text = "".join(a + ("" if b is None else _text(values, b)) for a, b in parts)
            if not text.strip():
                raise ValueError("the prompt is empty")
            return [{"role": "user", "content": text}]
        messages = _value(values, self.messages_column)
        try:
            messages = read_json(messages) if isinstance(messages, str) else messages  # as in CSV
            is_valid = isinstance(messages, list) and bool(convert_to_messages(messages))
        except Exception:  # noqa: BLE001 - LangChain raises many kinds, whose texts quote the row
            is_valid = False
        if not is_valid:
            raise ValueError(
                f"the column {self.messages_column!r} must hold a list of messages (in CSV as JSON)"
            )
        return list(messages)


def read_rows(path: Path, task: Task) -> Iterator[Row]:
    """Yield the rows of a file; raises `StoppedError`, with the row's number if one is wrong."""
    number = 1
    try:
        for values in read_table(path):
            yield task.row(values)
            number += 1
    except UnicodeDecodeError:
        raise StoppedError(f"{path} is not UTF-8: save it as UTF-8, and start again.") from None
    except (ValueError, TypeError, ArithmeticError, csv.Error) as error:
        raise StoppedError(
            f"{path}, row {number}: {error}. Correct the file or the options, and start again."
        ) from None


def _text(values: dict[str, Any], column: str) -> str:
    value = _value(values, column)
    if isinstance(value, dict | list | bytes):
        raise ValueError(f"the column {column!r} must hold a text")  # noqa: TRY004 - of the file
    return str(value)


def _value(values: dict[str, Any], column: str) -> Any:
    if values.get(column) is None:
        # In a CSV file without a header, the first row is read as the names, and may hold a prompt.
        hidden = "(a text that is not shown)"
        names = (repr(n) if re.fullmatch(r"[\w.-]{1,40}", n) else hidden for n in values)
        raise ValueError(f"no value in the column {column!r}; the columns are {', '.join(names)}")
    return values[column]
