"""What a row of the capability table means for a request, according to the service's pages.

The client has rules of its own: a shared rule that is wrong would fail no test. A test checks that
both agree for every model.
"""

from __future__ import annotations

from langchain_dashscope_deepseek.capabilities import ModelCapabilities

_BY_DEFAULT = {"always": True, "never": False, "on": True, "off": False, "unknown": True}
"""Whether a model thinks without `enable_thinking`."""

_SWITCHABLE = ("on", "off", "unknown")


def thinks(row: ModelCapabilities, switch: object) -> bool:
    """Tell whether the model thinks, by its kind and the `enable_thinking` of the request."""
    explicit = switch if row.thinking in _SWITCHABLE and isinstance(switch, bool) else None
    return _BY_DEFAULT[row.thinking] if explicit is None else explicit


def calls_tools(row: ModelCapabilities, *, thinking: bool) -> bool:
    """Tell whether the model supports `tools` in this mode."""
    modes = {"always": (True, False), "when_not_thinking": (False,)}
    return thinking in modes.get(row.tools, ())


def takes_partial(row: ModelCapabilities, *, thinking: bool) -> bool:
    """Tell whether the last message may be the assistant's; yes if undocumented."""
    modes = {"when_not_thinking": (False,), "never": ()}
    return thinking in modes.get(row.partial, (True, False))


def can_set(row: ModelCapabilities, parameter: str) -> bool:
    """Tell whether a parameter is documented as settable; yes if none are documented."""
    listed = row.settable
    return parameter not in row.unsettable and (listed is None or parameter in listed)


def knows_effort(row: ModelCapabilities, effort: object) -> bool:
    """Tell whether a value of `reasoning_effort` is documented for the model."""
    names = {*row.reasoning_efforts, *(alias for alias, _ in row.reasoning_effort_aliases)}
    numbers = row.reasoning_effort_range
    if type(effort) is int:
        return numbers is not None and effort in range(numbers[0], numbers[1] + 1)
    return effort in names
