"""Converts tools and tool choices of any form to the wire's."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from langchain_dashscope_deepseek.errors import DashScopeInputError

AnyTool = dict[str, Any] | type | Callable[..., Any] | BaseTool
"""Not under TYPE_CHECKING: core reads the hints of methods at run time."""

# Keys of dicts that core converts: tools of Anthropic and Bedrock, JSON schemas.
_SCHEMA_KEYS = ("input_schema", "toolSpec", "title", "properties")
_SEARCH = re.compile("(?<!file_)(?<!tool_)search", re.IGNORECASE)
_CHOICES = {"auto": "auto", "none": "none", "required": "required", "any": "required"}


def wire_tools(tools: Sequence[AnyTool], *, strict: bool | None = None) -> list[dict[str, Any]]:
    """Convert tools; `strict` goes into each, if given."""
    return [_wire_tool(tool, strict) for tool in tools]


def _wire_tool(tool: AnyTool, strict: bool | None) -> dict[str, Any]:
    given = tool if isinstance(tool, dict) else convert_to_openai_tool(tool, strict=strict)
    converted = convert_to_openai_tool(_as_function(given), strict=strict)
    # Core leaves dicts that are tools already as they are.
    function = {**converted["function"], **({} if strict is None else {"strict": strict})}
    return {**converted, "function": _without_none(function)}


def _as_function(tool: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tool in a form that core converts; refuse tools of other providers."""
    given = _without_none(tool)
    if given.get("type", "function") == "function":
        if isinstance(given.get("function"), Mapping):
            return {**given, "type": "function"}
        if "name" in given:  # without the type, since core leaves OpenAI's flat form as it is
            return {key: value for key, value in given.items() if key != "type"}
    if not given.keys().isdisjoint(_SCHEMA_KEYS):
        return given
    kind = given.get("type") or next(iter(given), None)
    search = " To search the web, set enable_search=True." if _SEARCH.search(str(kind)) else ""
    msg = (
        f"A tool of type {kind!r} is not a function, and the service runs no tools of other "
        f"providers: leave it out, or write a function that does the same.{search}"
    )
    raise DashScopeInputError(msg)


def _without_none(members: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in members.items() if value is not None}


def wire_tool_choice(choice: Any) -> Any:
    """Convert a choice: a word, a tool's name, a bool, or a dict of OpenAI's or Anthropic's."""
    if isinstance(choice, bool):
        return "required" if choice else None
    if isinstance(choice, Mapping) and "function" not in choice:
        choice = choice.get("name") or choice.get("type")
    if isinstance(choice, str):
        return _CHOICES.get(choice) or {"type": "function", "function": {"name": choice}}
    return choice
