"""The two routes of the service, which offers each model on exactly one of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from langchain_dashscope_deepseek.capabilities import ModelCapabilities, Route
from langchain_dashscope_deepseek.testing._errors import ServiceError, refuse

Bindings = Mapping[str, Route | None]

_SERVICES = "/api/v1/services/aigc/"
_ROUTES: Mapping[str, Route] = {
    f"{_SERVICES}{route}/generation": route for route in get_args(Route)
}
_URL_ERROR = "url error, please check url！"
# Recorded, with the exclamation mark in full width.
_WRONG_ROUTE_ERROR = (
    f"{_URL_ERROR} For details, see: https://help.aliyun.com/zh/model-studio/error-code#error-url"
)


def find_route(method: str, path: str) -> Route:
    """Return the route of a path; other paths are refused."""
    path = path.partition("?")[0]
    if method == "POST" and path in _ROUTES:
        return _ROUTES[path]
    if method == "POST" and path.startswith(_SERVICES):
        refuse(_URL_ERROR)
    raise ServiceError("NotFound", f"{method} {path} not found.", 404)


def validate_bindings(bindings: Bindings) -> None:
    """Raise `ValueError` for a route that the service does not have."""
    for model, route in bindings.items():
        if route is not None and route not in get_args(Route):
            known = ", ".join(map(repr, get_args(Route)))
            message = f"routes binds {model!r} to {route!r}: use one of {known}, or None."
            raise ValueError(message)


def check_route(
    asked: Route, model: str, row: ModelCapabilities | None, bindings: Bindings
) -> None:
    """Refuse a model on the wrong route; unknown models are refused later."""
    if model in bindings:
        bound = bindings[model]
    elif row is not None:
        bound = row.routes[0]
    else:
        return
    if asked != bound:
        # DashScope's command-line tool expects this error of a stream as an event under status 200.
        raise ServiceError("InvalidParameter", _WRONG_ROUTE_ERROR, in_stream=True)
