"""Converts tools and tool choices to DashScope's wire format."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from langchain_dashscope_deepseek.errors import DashScopeInputError

AnyTool = dict[str, Any] | type | Callable[..., Any] | BaseTool
"""Defined at run time, since core evaluates the type hints of methods."""

# The keys of dicts that core converts: Anthropic's and Bedrock's tools, and JSON schemas.
_SCHEMA_KEYS = ("input_schema", "toolSpec", "title", "properties")
_SEARCH = re.compile("(?<!file_)(?<!tool_)search", re.IGNORECASE)
_CHOICES = {"auto": "auto", "none": "none", "required": "required", "any": "required"}


def wire_tools(tools: Sequence[AnyTool], *, strict: bool | None = None) -> list[dict[str, Any]]:
    """Convert tools; `strict` goes into each, if given."""
    return [_wire_tool(tool, strict) for tool in tools]


def _wire_tool(tool: AnyTool, strict: bool | None) -> dict[str, Any]:
    given = tool if isinstance(tool, dict) else convert_to_openai_tool(tool, strict=strict)
    converted = convert_to_openai_tool(_as_function(given), strict=strict)
    # Core does not add `strict` to a dict that is a tool already.
    function = {**converted["function"], **({} if strict is None else {"strict": strict})}
    return {**converted, "function": _without_none(function)}


def _as_function(tool: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tool in a form that core converts; refuse tools of other providers."""
    given = _without_none(tool)
    if given.get("type", "function") == "function":
        if isinstance(given.get("function"), Mapping):
            return {**given, "type": "function"}
        if "name" in given:  # core does not convert OpenAI's flat form with a type
            return {key: value for key, value in given.items() if key != "type"}
    if not given.keys().isdisjoint(_SCHEMA_KEYS):
        return given
    kind = given.get("type") or next(iter(given), None)
    search = " To search the web, set enable_search=True." if _SEARCH.search(str(kind)) else ""
    msg = (
        f"A tool of type {kind!r} is not a function with a name, and the service runs no tools of "
        f"other providers: leave it out, or write a function that does the same.{search}"
    )
    raise DashScopeInputError(msg)


def _without_none(members: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in members.items() if value is not None}


def wire_tool_choice(choice: Any) -> Any:
    """Convert a choice: a word, a tool's name, a bool, or OpenAI's or Anthropic's dict."""
    if isinstance(choice, bool):
        return "required" if choice else None
    if isinstance(choice, Mapping) and "function" not in choice:
        choice = choice.get("name") or choice.get("type")
    if isinstance(choice, str):
        return _CHOICES.get(choice) or {"type": "function", "function": {"name": choice}}
    return choice
