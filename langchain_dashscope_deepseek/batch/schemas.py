"""A pydantic class that answers must fit, by its path."""

import importlib
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from langchain_dashscope_deepseek.batch.tables import StoppedError


def load(path: str) -> type[BaseModel]:
    """Import a pydantic class that is given as `module:Class`.

    Raises:
        StoppedError: There is none.
    """
    module, _, name = path.partition(":")
    try:
        found = getattr(importlib.import_module(module), name, None)
    except Exception as error:  # noqa: BLE001 - whatever a module of somebody's raises
        raise StoppedError(f"--schema {path}: {type(error).__name__}: {error}") from None
    if not isinstance(found, type) or not issubclass(found, BaseModel) or found is BaseModel:
        raise StoppedError(f"{path} is no pydantic class: give it as module:Class.")
    try:
        found.model_json_schema()
    except Exception as error:  # noqa: BLE001 - likewise
        raise StoppedError(f"{path} has no JSON schema: {type(error).__name__}") from None
    return found


def names_in(schema: Any) -> Iterator[str]:
    """Give the names of the fields that a JSON schema has at any depth."""
    for value in schema.values() if isinstance(schema, dict) else schema:
        if isinstance(value, dict | list):
            yield from names_in(value)
    if isinstance(schema, dict) and isinstance(schema.get("properties"), dict):
        yield from schema["properties"]
