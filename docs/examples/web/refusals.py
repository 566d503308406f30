"""Questions that the chat page does not answer: those of other sites, and those too long."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

LARGEST_QUESTION = 2**20
"""Bytes of a question with all that was said before it."""


def find_refusal(headers: Headers) -> Response | None:
    """Refuse a question of another site's page, which would ask at your cost, and one too long.

    Browsers send some requests to any site for any page, and say in `Origin` whose page it is.
    """
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != headers.get("host"):
        return PlainTextResponse("Only questions of this page are answered.", status_code=403)
    length = headers.get("content-length", "")
    if "transfer-encoding" in headers or not length.isdecimal() or int(length) > LARGEST_QUESTION:
        limit = f"A conversation has at most {LARGEST_QUESTION:,} bytes, and says how many."
        return PlainTextResponse(limit, status_code=413)
    return None


class Refusals:
    """Middleware that refuses a question before any of it is read."""

    def __init__(self, app: ASGIApp) -> None:
        """Stand before an app."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        is_question = scope["type"] == "http" and scope["method"] == "POST"
        refusal = find_refusal(Headers(scope=scope)) if is_question else None
        await (refusal or self.app)(scope, receive, send)
