"""Checks of the tools in a request: their names, and whether the model calls tools."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_dashscope_deepseek.capabilities import ModelCapabilities, model_names, nearest_model
from langchain_dashscope_deepseek.errors import DashScopeInputError, DashScopeUnsupportedError

_NAME = re.compile(r"(?!search$)[A-Za-z0-9_-]{1,64}")


def is_tool_name(name: object) -> bool:
    """Tell whether the service accepts a tool of this name."""
    return isinstance(name, str) and bool(_NAME.fullmatch(name))


def resolve_tools(model: str, row: ModelCapabilities, sent: dict[str, Any]) -> None:
    """Refuse unsupported tools; bring the tools and their settings into the form to send."""
    if not sent.get("tools"):
        for name in ("tools", "tool_choice", "parallel_tool_calls"):
            sent.pop(name, None)
        return
    tools = sent["tools"] = _distinct_tools(sent["tools"])
    if "tool_choice" in sent:
        choice = sent["tool_choice"] = required_as_name(sent["tool_choice"], tools)
        if isinstance(choice, Mapping) and _name_of(choice) not in map(_name_of, tools):
            name = _name_of(choice)
            msg = f"tool_choice names {name!r}, which is not a tool of this call: add that tool"
            raise DashScopeInputError(msg)
    check_tool_use(model, row, thinking=row.thinks(sent.get("enable_thinking")))


def required_as_name(choice: Any, tools: Sequence[Mapping[str, Any]]) -> Any:
    """Replace "required", which some of the service's pages leave out, by a single tool's name."""
    if choice == "required" and len(tools) == 1:
        return {"type": "function", "function": {"name": _name_of(tools[0])}}
    return choice


def _distinct_tools(tools: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the tools without duplicates, and refuse names that the service does not accept."""
    distinct: dict[str, Mapping[str, Any]] = {}
    for tool in tools:
        name = _name_of(tool)
        if not is_tool_name(name):
            raise DashScopeInputError(
                f"The service refuses a tool named {name!r}: use 1 to 64 of A-Z, a-z, 0-9, '_' and "
                "'-', and not 'search'"
            )
        if distinct.setdefault(name, tool) != tool:
            raise DashScopeInputError(f"Two different tools are named {name!r}: rename one")
    return list(distinct.values())


def _name_of(tool: Mapping[str, Any]) -> Any:
    function = tool.get("function")
    return function.get("name") if isinstance(function, Mapping) else None


def check_tool_use(model: str, row: ModelCapabilities, *, thinking: bool) -> None:
    """Refuse tools if the model does not call them in this mode."""
    if row.tools == "unknown":
        near = nearest_model(model, lambda other: other.tools == "always")
        raise DashScopeUnsupportedError(
            f"Whether {model!r} calls tools is not known, and a model that does not would "
            f"ignore them without an error. Use {near!r}, or declare what this model supports: "
            f"capabilities=find_capabilities({near!r}) if it supports the same, or "
            'capabilities=ModelCapabilities(tools="always"), both imported from '
            "langchain_dashscope_deepseek"
        )
    if not row.calls_tools(thinking=thinking):
        without_thinking = row.is_hybrid and row.calls_tools(thinking=False)
        raise unsupported(
            model, "tools", lambda other: other.tools == "always", without_thinking=without_thinking
        )


def unsupported(
    model: str,
    feature: str,
    can: Callable[[ModelCapabilities], bool],
    *,
    without_thinking: bool = False,
) -> DashScopeUnsupportedError:
    """Return the error for a feature that a model lacks; it names the models that have it."""
    switch = " while it thinks: set enable_thinking=False" if without_thinking else ""
    names = model_names(can)
    others = (
        f"Models that do: {names}" if names else "No DeepSeek model on DashScope is documented to"
    )
    return DashScopeUnsupportedError(f"{model} does not support {feature}{switch}. {others}")
