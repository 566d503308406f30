"""What the service refuses of a request but answers in another form: one table, and its memory.

Such a refusal is not a failure: the request is sent again at once in the other form, as long as
nothing of an answer was yielded. It uses up no retry. The process remembers the form for the base
URL and the model. Pure but for the warning and the log line.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from langchain_dashscope_deepseek._dashscope.protocol.request import PreparedRequest
from langchain_dashscope_deepseek._dashscope.reporting import warn
from langchain_dashscope_deepseek.errors import DashScopeError, DashScopeWarning

logger = logging.getLogger(__name__)


class Refusal(NamedTuple):
    """A line of the table.

    Attributes:
        text: The part of the service's message that identifies it.
        change: Returns the request in the other form, or `None` if there is none.
        warning: What is lost in the other form, for a `DashScopeWarning`; `""` for nothing.
    """

    text: str
    change: Callable[[PreparedRequest], PreparedRequest | None]
    warning: str = ""


def _on_the_other_route(request: PreparedRequest) -> PreparedRequest | None:
    return replace(request, routes=request.routes[::-1]) if len(request.routes) > 1 else None


def _with_choice_auto(request: PreparedRequest) -> PreparedRequest | None:
    parameters = request.body["parameters"]
    if parameters.get("tool_choice") != "required":
        return None
    body = {**request.body, "parameters": {**parameters, "tool_choice": "auto"}}
    made = {"tool_choice": {"asked": "required", "sent": "auto"}}
    return replace(request, body=body, changes={**request.changes, **made})


REFUSALS = (
    # The gateway binds each model to one of its two routes.
    Refusal("url error, please check url", _on_the_other_route),
    # Measured by one client on the OpenAI-compatible route, in September 2026.
    Refusal(
        "Please set one tool in required mode",
        _with_choice_auto,
        "tool_choice 'required' was sent to {} as 'auto', because the service takes it with a "
        "single tool only: the model may answer without calling a tool.",
    ),
)

_MOST_LEARNT = 1_000
_learnt: dict[tuple[str, str, str], None] = {}


class Negotiation:
    """Finds the form of one call's request that the service takes.

    Attributes:
        request: The request in the form to send next.
    """

    def __init__(self, request: PreparedRequest) -> None:
        """Begin with the form that was learnt for the base URL and the model."""
        self.request = request
        self._refused: set[str] = set()
        self._from_memory: set[str] = set()
        for refusal in REFUSALS:
            if self._key(refusal) in _learnt and self._change(refusal):
                self._from_memory.add(refusal.text)

    def settle(self, error: DashScopeError) -> bool:
        """Change the request if the error is a refusal of the table, and tell whether it was."""
        refusal = next((r for r in REFUSALS if r.text in str(error)), None)
        if refusal is None:
            return False
        key, text = self._key(refusal), refusal.text
        if text in self._refused:
            _learnt.pop(key, None)  # neither form is taken
            return False
        self._refused.add(text)
        if not self._change(refusal):
            return False
        if text in self._from_memory:
            _learnt.pop(key, None)
        else:
            _learn(key)
        logger.info("Asking %s in another form after %r", self.request.model, text)
        return True

    def _change(self, refusal: Refusal) -> bool:
        changed = refusal.change(self.request)
        if changed is None:
            return False
        try:
            if refusal.warning:
                warn(refusal.warning.format(changed.model))
        except DashScopeWarning:  # warnings are errors: the refusal stands
            return False
        self.request = changed
        return True

    def _key(self, refusal: Refusal) -> tuple[str, str, str]:
        return self.request.endpoint.base_url, self.request.model, refusal.text


def forget() -> None:
    """Forget what was learnt."""
    _learnt.clear()


def _learn(key: tuple[str, str, str]) -> None:
    while len(_learnt) >= _MOST_LEARNT:
        _learnt.pop(next(iter(_learnt), key), None)
    _learnt[key] = None
