"""What a model's row means for a request, as the service's pages say it.

Written here once more, and not asked of the client's table: what both read wrongly in one place, no
test would show. A test holds that the two agree on every model.
"""

from __future__ import annotations

from langchain_dashscope_deepseek.capabilities import ModelCapabilities

_BY_DEFAULT = {"always": True, "never": False, "on": True, "off": False, "unknown": True}
"""Whether a model thinks that was told nothing."""

_CAN_BE_TOLD = ("on", "off", "unknown")


def thinks(row: ModelCapabilities, switch: object) -> bool:
    """Tell whether the model thinks, by its kind and the `enable_thinking` of the request."""
    told = switch if row.thinking in _CAN_BE_TOLD and isinstance(switch, bool) else None
    return _BY_DEFAULT[row.thinking] if told is None else told


def calls_tools(row: ModelCapabilities, *, thinking: bool) -> bool:
    """Tell whether the model takes `tools` in this mode."""
    modes = {"always": (True, False), "when_not_thinking": (False,)}
    return thinking in modes.get(row.tools, ())


def takes_partial(row: ModelCapabilities, *, thinking: bool) -> bool:
    """Tell whether the last message may be the assistant's; where no page says, it may."""
    modes = {"when_not_thinking": (False,), "never": ()}
    return thinking in modes.get(row.partial, (True, False))


def can_set(row: ModelCapabilities, parameter: str) -> bool:
    """Tell whether the pages of the model let a parameter be set; where they list none, all."""
    listed = row.settable
    return parameter not in row.unsettable and (listed is None or parameter in listed)


def knows_effort(row: ModelCapabilities, effort: object) -> bool:
    """Tell whether the pages of the model list a `reasoning_effort`."""
    names = {*row.reasoning_efforts, *(alias for alias, _ in row.reasoning_effort_aliases)}
    numbers = row.reasoning_effort_range
    if type(effort) is int:
        return numbers is not None and effort in range(numbers[0], numbers[1] + 1)
    return effort in names
