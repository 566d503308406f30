"""Which of the service's two routes a model is asked on, and what was learnt of it.

The gateway binds each model to exactly one route and answers the other with `url error`. So a
request goes out on the likelier route, and once on the other where that is the wrong one; what
was learnt holds for the process. Sends nothing itself, and knows no LangChain.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager

from langchain_dashscope_deepseek._dashscope.request import PreparedRequest
from langchain_dashscope_deepseek._dashscope.retry import Attempt
from langchain_dashscope_deepseek.capabilities import Route
from langchain_dashscope_deepseek.errors import DashScopeRouteError

logger = logging.getLogger(__name__)

PATHS: Mapping[Route, str] = {
    "text-generation": "/services/aigc/text-generation/generation",
    "multimodal-generation": "/services/aigc/multimodal-generation/generation",
}
"""The paths of the routes, below the base URL."""

_MOST_LEARNT = 1_000
_learnt: dict[tuple[str, str], Route] = {}


def learnt_route(base_url: str, model: str) -> Route | None:
    """Tell which route a model was found on in this process, if the likelier one was wrong."""
    return _learnt.get((base_url, model))


def forget_routes() -> None:
    """Forget all that was learnt."""
    _learnt.clear()


class RouteAttempt(AbstractContextManager["RouteAttempt"]):
    """An attempt on one route; swallows the refusal of a wrong one where another is left.

    Attributes:
        route: The route to ask on.
        is_wrong: Whether the service said that the model is not on it.
    """

    def __init__(
        self, route: Route, attempt: Attempt, request: PreparedRequest, *, is_last: bool
    ) -> None:
        """Begin an attempt on a route."""
        self.route = attempt.route = route
        self.is_wrong = False
        self._attempt = attempt
        self._request = request
        self._is_last = is_last

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        """Swallow a refusal of the route, or say that all routes refuse."""
        if not isinstance(error, DashScopeRouteError) or self._attempt.committed:
            return False
        if self._is_last:
            raise _refused(self._request, error) from None
        self.is_wrong = True
        return True


def route_attempts(attempt: Attempt, request: PreparedRequest) -> Iterator[RouteAttempt]:
    """Yield an attempt on the likelier route, and one on the other if that was the wrong one.

    A wrong route is no failure: it takes no retry and waits for nothing.
    """
    base_url, model = request.endpoint.base_url, request.model
    first, *others = request.routes
    if learnt_route(base_url, model) in others:
        first, *others = [*others, first]
    on = RouteAttempt(first, attempt, request, is_last=not others)
    yield on
    if on.is_wrong:
        (other,) = others
        _learn((base_url, model), other)
        logger.info("%s is not on the route %s: asking on %s", model, first, other)
        yield RouteAttempt(other, attempt, request, is_last=True)


def _refused(request: PreparedRequest, error: DashScopeRouteError) -> DashScopeRouteError:
    """Return the error for a model that is on none of the routes."""
    base_url, model, routes = request.endpoint.base_url, request.model, request.routes
    if len(routes) > 1:
        _learnt.pop((base_url, model), None)
        where = f"neither on the route {routes[0]} nor on {routes[1]}"
    else:
        where = f"not on the route {routes[0]}, the only one that may serve this request"
    refusal = DashScopeRouteError(
        f"{model} is {where}, says the service at {base_url} ('url error')",
        code=error.code,
        status_code=error.status_code,
        request_id=error.request_id,
    )
    request.advise(refusal)
    return refusal


def _learn(key: tuple[str, str], route: Route) -> None:
    while len(_learnt) >= _MOST_LEARNT:
        _learnt.pop(next(iter(_learnt), key), None)
    _learnt[key] = route
