"""Writes answers and errors as HTTP responses, in every shape that was recorded or documented."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal

from langchain_dashscope_deepseek.capabilities import Route
from langchain_dashscope_deepseek.testing._errors import ServiceError
from langchain_dashscope_deepseek.testing._render import (
    Answer,
    Rendering,
    compact,
    encode,
    event,
    render_body,
    render_stream,
)
from langchain_dashscope_deepseek.testing._server import RecordedRequest, Response

FailureShape = Literal["json", "sse", "sse_as_json", "openai", "html"]

_JSON_TYPE = "application/json"
_SSE_TYPE = "text/event-stream;charset=UTF-8"


@dataclass(frozen=True)
class Exchange:
    """A request that is being answered."""

    request: RecordedRequest
    request_id: str
    route: Route = "text-generation"

    @property
    def multimodal(self) -> bool:
        """Whether contents are lists in the request and the response."""
        return self.route == "multimodal-generation"

    @property
    def resolves_oss(self) -> bool:
        """Whether the client asks to have `oss://` URLs resolved."""
        return self.request.headers.get("x-dashscope-ossresourceresolve", "").lower() == "enable"

    @property
    def stream(self) -> bool:
        """Whether the client asks for a stream."""
        return self.request.headers.get("x-dashscope-sse", "").lower() == "enable"


def parse_request(
    method: str, path: str, headers: Mapping[str, str], raw: bytes
) -> RecordedRequest:
    """Parse a request; its body is `None` if it is not JSON."""
    body: Any = None
    with suppress(ValueError):  # refused later, but recorded as well
        body = json.loads(raw)
    return RecordedRequest(method, path, headers, body, raw)


def respond(answer: Answer, rendering: Rendering, *, stream: bool) -> Response:
    """Write an answer as a response."""
    if stream:
        return _stream(render_stream(answer, rendering))
    return _body(render_body(answer, rendering))


def respond_error(error: ServiceError, exchange: Exchange, shape: FailureShape) -> Response:
    """Write an error in one of its shapes."""
    in_sse = _error_event(1, error, exchange)
    match shape:
        case "json":
            content = encode(compact(_error_body(error, exchange)))
            # Recorded: the response to a wrong key has no content-type.
            kind = "" if error.code == "InvalidApiKey" else _JSON_TYPE
            return _body(content, status=error.status, kind=kind)
        case "sse":
            return _stream([in_sse])
        case "sse_as_json":
            return _body(in_sse, status=error.status)
        case "openai":
            details = {"message": error.message, "type": error.code, "code": error.code}
            return _body(encode(compact({"error": details})), status=error.status)
        case "html":
            page = f"<html><body><h1>{error.status} {error.code}</h1></body></html>"
            return _body(page.encode(), status=error.status, kind="text/html")


def respond_error_after(count: int, error: ServiceError, exchange: Exchange) -> Response:
    """Write some valid packets of a stream, then the error."""
    packets = _first_packets(count, exchange)
    return _stream([*packets, _error_event(len(packets) + 1, error, exchange)])


def respond_cut(
    count: int, exchange: Exchange, *, text: str = "", reasoning: str = "", drop: bool
) -> Response:
    """Write the first packets of a stream, or half a body."""
    if exchange.stream:
        response = _stream(_first_packets(count, exchange, text, reasoning))
    else:
        answer = Answer(text=text or "This answer was cut.", reasoning=reasoning)
        body = render_body(answer, _rendering(exchange))
        response = _body(body[: len(body) // 2])
    return replace(response, drop=drop)


def respond_raw(
    content: bytes,
    exchange: Exchange,
    *,
    status: int,
    headers: Mapping[str, str] | None,
    piece: int | None,
) -> Response:
    """Write bytes unchanged, in pieces or at once."""
    in_pieces = piece is not None
    size = piece or len(content) or 1
    parts = tuple(content[at : at + size] for at in range(0, len(content), size))
    kind = _SSE_TYPE if exchange.stream else _JSON_TYPE
    response = Response(
        status=status,
        headers={"content-type": kind},
        parts=parts,
        chunked=in_pieces,
        flushed=in_pieces,
    )
    return with_headers(response, headers)


def with_headers(response: Response, headers: Mapping[str, str] | None) -> Response:
    """Add headers; an empty value removes one."""
    added = {name.lower(): value for name, value in (headers or {}).items()}
    return replace(response, headers={**response.headers, **added})


def _body(content: bytes, *, status: int = 200, kind: str = _JSON_TYPE) -> Response:
    return Response(status=status, headers={"content-type": kind}, parts=(content,))


def _stream(events: Iterable[bytes]) -> Response:
    return Response(headers={"content-type": _SSE_TYPE}, parts=tuple(events), chunked=True)


def _error_body(error: ServiceError, exchange: Exchange) -> dict[str, Any]:
    return {"code": error.code, "message": error.message, "request_id": exchange.request_id}


def _error_event(number: int, error: ServiceError, exchange: Exchange) -> bytes:
    return event(number, _error_body(error, exchange), kind="error", status=error.status)


def _first_packets(
    count: int, exchange: Exchange, text: str = "", reasoning: str = ""
) -> list[bytes]:
    """Write up to `count` packets of a stream, without its last one."""
    pieces = None if text or reasoning else tuple(f"piece {n} " for n in range(1, count + 1))
    answer = Answer(text=text, reasoning=reasoning, pieces=pieces)
    packets = render_stream(answer, _rendering(exchange))
    return packets[:-1][:count]


def _rendering(exchange: Exchange) -> Rendering:
    """Return the rendering for a request that was not validated."""
    return Rendering(request_id=exchange.request_id, multimodal=exchange.multimodal)
