"""Tools and tool choices of any form, in the words of the wire."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

AnyTool = dict[str, Any] | type | Callable[..., Any] | BaseTool
"""What tools are given as. Core reads the hints of methods at run time."""

_CHOICES = {"auto": "auto", "none": "none", "required": "required", "any": "required"}


def wire_tools(tools: Sequence[AnyTool], *, strict: bool | None = None) -> list[dict[str, Any]]:
    """Convert tools; `strict` goes into each, if given."""
    converted = [convert_to_openai_tool(tool, strict=strict) for tool in tools]
    if strict is None:
        return converted
    # Core leaves dicts that are tools already as they are.
    return [
        {**tool, "function": {**tool["function"], "strict": strict}} if "function" in tool else tool
        for tool in converted
    ]


def wire_tool_choice(choice: Any) -> Any:
    """Convert a choice: a word, a tool's name, True, or a dict of OpenAI's or Anthropic's."""
    if choice is None or choice is False:
        return None
    if choice is True:
        return "required"
    if isinstance(choice, Mapping) and "function" not in choice:
        choice = choice.get("name") or choice.get("type")
    if isinstance(choice, str):
        return _CHOICES.get(choice) or {"type": "function", "function": {"name": choice}}
    return choice
