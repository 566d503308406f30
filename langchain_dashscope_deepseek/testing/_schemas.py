"""Fills a JSON schema with values from a text, so that tool arguments and JSON answers are valid.

Keywords such as `pattern`, `prefixItems`, `uniqueItems`, `not` and `if` are ignored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

Schema = dict[str, Any]

_MAX_DEPTH = 6
_LONGEST_STRING = 200
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?")
_QUOTED = re.compile(
    r"(?<!\w)'([^'\n]+)'(?!\w)"
    r'|"([^"\n]+)"'
    r"|“([^”\n]+)”"
    r"|‘([^’\n]+)’"  # noqa: RUF001
    r"|「([^」\n]+)」"
)
_PROPER_NAME = re.compile(r"[A-Z][\w'’-]*(?: [A-Z][\w'’-]*)*(?:, [A-Z]{2}\b)?")  # noqa: RUF001
_POSSESSIVE = re.compile(r"['’]s$")  # noqa: RUF001
_SENTENCE_START = re.compile(r"(?:^|[.?!:\n]\s*)$")
_BEHIND = r"现在|今天|明天|目前|的|天气|怎|如何"  # what follows the subject of a Chinese question
_CHINESE_PAIR = re.compile(
    r"([\u4e00-\u9fff]{2,4})(?:和|与|跟|、)([\u4e00-\u9fff]{2,4}?)"
    rf"(?={_BEHIND}|各|分别|[^\u4e00-\u9fff]|$)"
)
_CHINESE_VERBS = re.compile(r"^(?:请问|请|查询|查|对比|比较|看看|帮我|告诉我)+")
_CHINESE_THING = re.compile(rf"([\u4e00-\u9fff]{{2,4}}?)(?={_BEHIND})")
_CHINESE_OBJECT = re.compile(
    r"(?:查询|查看|查|搜索|获取|看看|告诉我|从)(?:一下)?\s*([\u4e00-\u9fff]{2,4}?)"
    rf"(?={_BEHIND}|到|[^\u4e00-\u9fff]|$)"
)
_QUESTION_KEYS = frozenset({"query", "question", "text", "input", "prompt", "expression", "topic"})
_FORMATS = {
    "date": "2026-01-01", "date-time": "2026-01-01T00:00:00Z", "time": "00:00:00Z",
    "email": "emulator@example.com", "uri": "https://example.com/", "ipv4": "127.0.0.1",
    "uuid": "00000000-0000-4000-8000-000000000000",
}  # fmt: skip


class Filler:
    """Makes values from the numbers, quoted words and proper names of a text, using each once."""

    def __init__(self, text: str, things: list[str] | None = None) -> None:
        self._text = text.strip()
        self._numbers = [float(number) for number in _NUMBER.findall(text)]
        found = [next(filter(None, groups)) for groups in _QUOTED.findall(text)]
        self._strings = [*found, *(find_things(text) if things is None else things)]
        self._root: Schema = {}

    def fill(self, schema: Schema) -> Any:
        """Return a value that is valid against a schema, but for the ignored keywords."""
        self._root = schema
        return self._value(schema, "value", 0)

    def _value(self, schema: Any, name: str, depth: int) -> Any:
        schema = schema if isinstance(schema, dict) else {}
        if depth >= _MAX_DEPTH and {"type": "null"} in schema.get("anyOf", ()):
            return None
        schema = self._resolve(schema)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self._choice(schema["enum"])
        if schema.get("default") is not None:
            return schema["default"]
        makers: dict[str, Callable[[], Any]] = {
            "object": lambda: self._object(schema, depth),
            "array": lambda: self._array(schema, name, depth),
            "integer": lambda: self._number(schema, is_integer=True),
            "number": lambda: self._number(schema, is_integer=False),
            "boolean": lambda: True,
            "null": lambda: None,
        }
        return makers.get(_type_of(schema), lambda: self._string(schema, name))()

    def _resolve(self, schema: Schema) -> Schema:
        for _ in range(_MAX_DEPTH):
            if reference := schema.get("$ref"):
                target: Any = self._root
                for step in str(reference).removeprefix("#").strip("/").split("/"):
                    target = target.get(step, {}) if step else target
                schema = {**target, **{k: v for k, v in schema.items() if k != "$ref"}}
            elif options := schema.get("anyOf") or schema.get("oneOf"):
                rest = {k: v for k, v in schema.items() if k not in ("anyOf", "oneOf")}
                chosen: Schema = next((o for o in options if o != {"type": "null"}), {})
                schema = {**rest, **chosen}
            elif parts := schema.get("allOf"):
                schema = {k: v for k, v in schema.items() if k != "allOf"}
                for part in map(self._resolve, parts):
                    properties = {**schema.get("properties", {}), **part.get("properties", {})}
                    required = [*schema.get("required", []), *part.get("required", [])]
                    schema = {**schema, **part, "properties": properties, "required": required}
            else:
                break
        return schema

    def _choice(self, options: list[Any]) -> Any:
        lowered = self._text.lower()
        return next((o for o in options if str(o).lower() in lowered), options[0])

    def _object(self, schema: Schema, depth: int) -> Schema:
        properties = schema.get("properties", {})
        if depth >= _MAX_DEPTH:  # a recursive schema: required properties only
            required = schema.get("required", ())
            properties = {k: v for k, v in properties.items() if k in required}
        if depth > 2 * _MAX_DEPTH:
            return {}
        return {name: self._value(sub, name, depth + 1) for name, sub in properties.items()}

    def _array(self, schema: Schema, name: str, depth: int) -> list[Any]:
        items = self._resolve(schema.get("items") or {})
        kind, least = _type_of(items), schema.get("minItems", 0)
        available = {
            "string": len(self._strings),
            "integer": len(self._numbers),
            "number": len(self._numbers),
        }.get(kind, 1)
        length = max(least, 1, 0 if "enum" in items else available)
        if depth >= _MAX_DEPTH:
            length = least
        length = min(length, schema.get("maxItems", length))
        return [self._value(items, name, depth + 1) for _ in range(length)]

    def _number(self, schema: Schema, *, is_integer: bool) -> float:
        step = schema.get("multipleOf", 1 if is_integer else 0)
        low = schema.get("minimum", schema.get("exclusiveMinimum"))
        high = schema.get("maximum", schema.get("exclusiveMaximum"))
        margin = step or 1e-3

        def fits(value: float) -> bool:
            return (
                (low is None or value > low or (value == low and "minimum" in schema))
                and (high is None or value < high or (value == high and "maximum" in schema))
                and (not step or value % step == 0)
            )

        candidates = [*self._numbers, 1.0, 0.0]
        if low is not None:
            aligned = -(-low // step) * step if step else low
            candidates += [aligned, aligned + margin]
        if high is not None:
            aligned = high // step * step if step else high
            candidates += [aligned, aligned - margin]
        value = next(filter(fits, candidates), 1.0)
        if value in self._numbers:
            self._numbers.remove(value)
        return int(value) if is_integer or float(value).is_integer() else value

    def _string(self, schema: Schema, name: str) -> str:
        if schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]]
        if self._strings:
            value = self._strings.pop(0)
        elif name.lower() in _QUESTION_KEYS and self._text:
            value = self._text[:_LONGEST_STRING]
        else:
            value = f"emulated {name.replace('_', ' ')}"
        least, most = int(schema.get("minLength", 0)), schema.get("maxLength")
        return str(value.ljust(least, ".")[:most])


def _type_of(schema: Schema) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((k for k in kind if k != "null"), "null")
    return str(kind or ("object" if "properties" in schema else "string"))


def find_things(text: str) -> list[str]:
    """Find the subjects of a question: proper names, or the nouns of a Chinese question."""
    if pair := _CHINESE_PAIR.search(text):
        return [_CHINESE_VERBS.sub("", pair[1]), pair[2]]
    if thing := _CHINESE_OBJECT.search(text) or _CHINESE_THING.search(_CHINESE_VERBS.sub("", text)):
        return [thing[1]]
    unquoted = _QUOTED.sub(lambda match: " " * len(match[0]), text)
    names = [match for match in _PROPER_NAME.finditer(unquoted) if match[0] not in ("I", "JSON")]
    inside = [m[0] for m in names if not _SENTENCE_START.search(unquoted[: m.start()])]
    return [_POSSESSIVE.sub("", name) for name in inside]


def find_schema(text: str) -> Schema | None:
    """Find the last JSON schema in a text; LangChain's instructions begin with an example."""
    schemas = [schema for value, _, _ in _objects(text) for schema in _schemas(value)]
    return schemas[-1] if schemas else None


def without_objects(text: str) -> str:
    """Remove the JSON objects from a text."""
    for _, start, end in reversed(list(_objects(text))):
        text = text[:start] + text[end:]
    return text


def _objects(text: str) -> Iterator[tuple[Any, int, int]]:
    """Find the outermost JSON objects of a text, each with its start and end."""
    decoder, start = json.JSONDecoder(), text.find("{")
    while start >= 0:
        try:
            value, end = decoder.raw_decode(text, start)
            yield value, start, end
        except ValueError:
            end = start + 1
        start = text.find("{", end)


def _schemas(value: Any) -> Iterator[Schema]:
    """Find the outermost schemas of objects in a JSON value."""
    if isinstance(value, list):
        for item in value:
            yield from _schemas(item)
    elif isinstance(value, dict):
        properties = value.get("properties")
        if "$defs" in value or (
            isinstance(properties, dict) and all(isinstance(p, dict) for p in properties.values())
        ):
            yield value
        else:
            yield from _schemas(list(value.values()))


def find_quoted(text: str) -> list[str]:
    """Find the quoted words of a text that could be keys, each once."""
    words = [next(filter(None, groups)) for groups in _QUOTED.findall(text)]
    return list(dict.fromkeys(word for word in words if word.isidentifier()))
