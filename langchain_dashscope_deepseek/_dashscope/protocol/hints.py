"""What may have been the reason, should the service refuse a request: said in its error.

Pure. Nobody knows it before: what the capability table is sure of is refused before it is sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_dashscope_deepseek._dashscope.keys import is_of_a_plan
from langchain_dashscope_deepseek._dashscope.regions import host_of, region_of
from langchain_dashscope_deepseek.capabilities import ModelCapabilities, Route, suggest_model
from langchain_dashscope_deepseek.errors import (
    DashScopeAuthenticationError,
    DashScopeError,
    DashScopeInvalidRequestError,
    DashScopeNotFoundError,
    DashScopePermissionDeniedError,
    DashScopeQuotaExceededError,
    DashScopeRouteError,
)

Advice = tuple[type[DashScopeError], str]
"""A class of errors, and a sentence that helps where exactly such a one comes."""


_OF_THE_PLACE: tuple[type[DashScopeError], ...] = (
    DashScopeAuthenticationError,
    DashScopePermissionDeniedError,
    DashScopeNotFoundError,
    DashScopeQuotaExceededError,
)


def advice_on(
    row: ModelCapabilities | None,
    settings: Mapping[str, Any],
    parameters: Mapping[str, Any],
    routes: Sequence[Route],
) -> Iterator[Advice]:
    """Yield what may have been the reason, should the service refuse."""
    if is_of_a_plan(settings["api_key"]):
        text = (
            "A key that begins with sk-sp- belongs to a plan (Token Plan, Coding Plan): it works "
            "only on the base URL that the plan's page shows, which speaks OpenAI's and "
            "Anthropic's protocol and not this one. Use a pay-as-you-go key here, or "
            "langchain-openai with the plan's URL."
        )
        yield DashScopeAuthenticationError, text
    model, base_url = settings["model"], settings["base_url"]
    region = region_of(base_url)
    asked = f"Asked was {model} at {host_of(base_url)}" + (f", in {region}." if region else ".")
    for kind in _OF_THE_PLACE:
        yield kind, asked
    which = f"routes {' and '.join(routes)}" if len(routes) > 1 else f"route {routes[0]} alone"
    yield DashScopeRouteError, f"{asked[:-1]}, on the {which}."
    if row is None:
        yield DashScopeNotFoundError, suggest_model(model)
        return
    if row.status == "retired":
        day = f" since {row.retired_on}" if row.retired_on else ""
        instead = f": use {row.replacement} instead" if row.replacement else ""
        yield DashScopeNotFoundError, f"{model} is switched off{day}{instead}."
    if not row.documented_natively:
        text = (
            f"{model} is documented over the OpenAI-compatible route only, which this package does "
            "not speak: use langchain-openai for it, or a model that Alibaba hosts itself."
        )
        for kind in (DashScopeNotFoundError, DashScopeInvalidRequestError, DashScopeRouteError):
            yield kind, text
    missing = "{} is not documented for {} in {}: leave it out, or use another region."
    if parameters.get("enable_search") and region in row.search_missing_in:
        yield DashScopeInvalidRequestError, missing.format("Web search", model, region)
    if parameters.get("response_format") and region in row.json_missing_in:
        yield DashScopeInvalidRequestError, missing.format("Structured output", model, region)
