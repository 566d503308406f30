"""Middleware that refuses POST requests of other sites, and bodies that are too large."""

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

MAX_BYTES = 2**20
"""The largest body: a question with the conversation before it."""


def find_refusal(headers: Headers) -> Response | None:
    """Refuse a request of another site's page, which would ask at your expense, or a large one.

    Browsers let any page send some requests to any site, and name the page's site in `Origin`.
    """
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != headers.get("host"):
        return PlainTextResponse("Requests of other sites are refused.", status_code=403)
    length = headers.get("content-length", "")
    if "transfer-encoding" in headers or not length.isdecimal() or int(length) > MAX_BYTES:
        limit = f"A body needs a content-length of at most {MAX_BYTES:,} bytes."
        return PlainTextResponse(limit, status_code=413)
    return None


class Refusals:
    """Middleware that refuses a request before its body is read."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an app."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        is_question = scope["type"] == "http" and scope["method"] == "POST"
        refusal = find_refusal(Headers(scope=scope)) if is_question else None
        await (refusal or self.app)(scope, receive, send)
