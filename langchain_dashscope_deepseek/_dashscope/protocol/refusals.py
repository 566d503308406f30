"""Changes requests that the service refused, and adds advice to errors that a request explains.

After a refusal in `REFUSALS` the changed request is sent at once, unless a chunk was yielded. This
does not count as a retry. The process remembers the change for each base URL and model.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from langchain_dashscope_deepseek._dashscope.protocol.request import PreparedRequest
from langchain_dashscope_deepseek._dashscope.regions import host_of, region_of
from langchain_dashscope_deepseek._dashscope.reporting import warn
from langchain_dashscope_deepseek.capabilities import UNKNOWN_MODEL, suggest_model
from langchain_dashscope_deepseek.errors import (
    DashScopeAuthenticationError,
    DashScopeConnectionError,
    DashScopeError,
    DashScopeInvalidRequestError,
    DashScopeNotFoundError,
    DashScopePermissionDeniedError,
    DashScopeQuotaExceededError,
    DashScopeRouteError,
)

logger = logging.getLogger(__name__)


def _on_the_other_route(request: PreparedRequest) -> PreparedRequest | None:
    return replace(request, routes=request.routes[::-1]) if len(request.routes) > 1 else None


def _with_choice_auto(request: PreparedRequest) -> PreparedRequest | None:
    parameters = request.body["parameters"]
    if parameters.get("tool_choice") != "required":
        return None
    warn(
        f"tool_choice 'required' was sent to {request.model} as 'auto', because the service "
        "accepts it with a single tool only: the model may answer without calling a tool."
    )
    body = {**request.body, "parameters": {**parameters, "tool_choice": "auto"}}
    change = {"tool_choice": {"asked": "required", "sent": "auto"}}
    return replace(request, body=body, changes={**request.changes, **change})


REFUSALS: Mapping[str, Callable[[PreparedRequest], PreparedRequest | None]] = {
    # The service offers each model on one of its two routes only.
    "url error, please check url": _on_the_other_route,
    # Seen by one client on the OpenAI-compatible API, in September 2026.
    "Please set one tool in required mode": _with_choice_auto,
}
"""For a part of the service's message, a function that returns the request to send next, if any."""

_Key = tuple[str, str, str]
_remembered: set[_Key] = set()


class Negotiation:
    """Finds the form of a request that the service accepts; one per call."""

    def __init__(self, request: PreparedRequest) -> None:
        self.request = request  # in the form to send next
        self._refused: set[str] = set()
        remembered = [refusal for refusal in REFUSALS if self._key(refusal) in _remembered]
        self._from_memory = {refusal for refusal in remembered if self._change(refusal)}

    def adapt(self, error: DashScopeError) -> bool:
        """Change the request if the error is in the table; tell whether to send it again."""
        refusal = next((text for text in REFUSALS if text in str(error)), None)
        if refusal is None:
            return False
        key = self._key(refusal)
        if refusal in self._refused:  # both forms were refused
            _remembered.discard(key)
            return False
        self._refused.add(refusal)
        if not self._change(refusal):
            return False
        if refusal in self._from_memory:
            _remembered.discard(key)
        else:
            _remembered.add(key)
        logger.info("Asking %s in another form after %r", self.request.model, refusal)
        return True

    def _change(self, refusal: str) -> bool:
        changed = REFUSALS[refusal](self.request)
        self.request = changed or self.request
        return changed is not None

    def _key(self, refusal: str) -> _Key:
        return self.request.endpoint.base_url, self.request.model, refusal


_Kinds = tuple[type[DashScopeError], ...]

_ABOUT_THE_ENDPOINT: _Kinds = (
    DashScopeAuthenticationError,
    DashScopePermissionDeniedError,
    DashScopeNotFoundError,
    DashScopeQuotaExceededError,
    DashScopeConnectionError,
)


def advise(error: DashScopeError, request: PreparedRequest) -> DashScopeError:
    """Add advice to an error that the request may explain, and return it."""
    for kinds, text in _advice(request):
        if type(error) in kinds:
            error.add_advice(text)
    return error


def _advice(request: PreparedRequest) -> Iterator[tuple[_Kinds, str]]:
    model, row, endpoint = request.model, request.row, request.endpoint
    if endpoint.headers.get("Authorization", "").startswith("Bearer sk-sp-"):
        text = (
            "A key that begins with sk-sp- belongs to a plan (Token Plan, Coding Plan), whose base "
            "URL does not support this protocol. Use a pay-as-you-go key here, or langchain-openai "
            "with the plan's URL."
        )
        yield (DashScopeAuthenticationError,), text
    region = region_of(endpoint.base_url)
    requested = f"Requested: {model} at {host_of(endpoint.base_url)}"
    requested += f", in {region}" if region else ""
    yield _ABOUT_THE_ENDPOINT, f"{requested}."
    yield (DashScopeRouteError,), f"{requested}, on {' and '.join(request.routes)}."
    if row is UNKNOWN_MODEL:
        yield (DashScopeNotFoundError,), suggest_model(model)
    if row.status == "retired":
        day = f" since {row.retired_on}" if row.retired_on else ""
        instead = row.replacement or "another model"
        yield (DashScopeNotFoundError,), f"{model} is switched off{day}: use {instead}."
    if not row.documented_natively:
        text = (
            f"{model} is documented for the OpenAI-compatible API only, which this package does "
            "not support: use langchain-openai for it, or a model that Alibaba hosts itself."
        )
        yield (DashScopeNotFoundError, DashScopeInvalidRequestError, DashScopeRouteError), text
    missing = {"enable_search": row.search_missing_in, "response_format": row.json_missing_in}
    for parameter, regions in missing.items():
        if request.body["parameters"].get(parameter) and region in regions:
            text = f"{parameter} is not documented for {model} in {region}: leave it out there."
            yield (DashScopeInvalidRequestError,), text
