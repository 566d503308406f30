"""The parts of the fault table: bytes on the wire, ways to simulate a fault, and outcomes."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from langchain_dashscope_deepseek import (
    DashScopeAnswerTooLargeError,
    DashScopeAuthenticationError,
    DashScopeConnectionError,
    DashScopeDeadlineError,
    DashScopeError,
    DashScopeInvalidRequestError,
    DashScopeNotFoundError,
    DashScopePermissionDeniedError,
    DashScopeRateLimitError,
    DashScopeServerError,
    DashScopeStreamCutError,
    DashScopeTimeoutError,
)
from langchain_dashscope_deepseek.capabilities import Route
from langchain_dashscope_deepseek.testing import DashScopeEmulator
from tests.integration_tests.stage import Stage, Step, read_request

ID = "request-7"
TEXT = "The sky is blue."
FIRST = "The sky "
MEGABYTE = 2**20

Act = Callable[[Stage], None]


@dataclass(frozen=True)
class Answers:
    """The call returns the answer."""

    text: str = TEXT
    reasoning: str = ""
    calls: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    invalid_calls: int = 0
    usage: tuple[int, int, int] | None = (9, 5, 14)


@dataclass(frozen=True)
class Fails:
    """The call raises an error.

    `again`: the call is retried, unless it is a stream that has yielded a chunk. `partial`: the text
    of the error's `partial_message`. `begun`: headers had arrived, so the error has a request ID.
    """

    error: type[DashScopeError]
    again: bool
    partial: str = ""
    code: str | None = None
    status: int | None = None
    begun: bool = True


Outcome = Answers | Fails


@dataclass(frozen=True)
class Fault:
    """A row of the table. `detours`: requests on the other route, which are not retries."""

    name: str
    what: str
    act: Act
    outcome: Outcome
    settings: Mapping[str, Any] = field(default_factory=dict)
    detours: int = 0


# --- Bytes on the wire ---


def body(text: str = TEXT, finish: str = "stop", **output: Any) -> dict[str, Any]:
    """Write an answer, or a packet of it."""
    choice = {"finish_reason": finish, "message": {"role": "assistant", "content": text}}
    return {
        "output": {"choices": [choice], **output},
        "usage": {"input_tokens": 9, "output_tokens": 5, "total_tokens": 14},
        "request_id": ID,
    }


def event(document: Mapping[str, Any] | str, name: str = "result", status: int = 200) -> bytes:
    """Write an event."""
    data = document if isinstance(document, str) else json.dumps(document, ensure_ascii=False)
    return f"id:1\nevent:{name}\n:HTTP_STATUS/{status}\ndata:{data}\n\n".encode()


def refusal(code: str, message: str = "No.") -> dict[str, str]:
    """Write an error of the service."""
    return {"code": code, "message": message, "request_id": ID}


PACKETS = (event(body(FIRST, "null")), event(body("is blue.", "null")), event(body("")))
STREAM = b"".join(PACKETS)
WHOLE = json.dumps(body()).encode()
KEEP_ALIVE = event({"output": {}, "request_id": ID})
THROTTLED = refusal("Throttling.RateQuota")

EVENTS, JSON, NONE = "text/event-stream;charset=UTF-8", "application/json", ""


def head(kind: str = EVENTS, status: str = "200 OK", **headers: str) -> bytes:
    """Write the head of an answer; underscores in names of headers are hyphens."""
    named = {"connection": "close", "content_type": kind, "x_request_id": ID, **headers}
    lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in named.items()]
    return f"HTTP/1.1 {status}\r\n{''.join(lines)}\r\n".encode()


def chunked(*parts: bytes, kind: str = EVENTS, end: bytes = b"0\r\n\r\n", **headers: str) -> bytes:
    """Write an answer in chunks."""
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    return head(kind, transfer_encoding="chunked", **headers) + chunks + end


# --- Ways to simulate a fault ---


def emulated(script: Callable[[DashScopeEmulator], None]) -> Act:
    """Script the emulator."""
    return lambda stage: script(stage.emulate())


def sent(
    content: bytes | Mapping[str, Any],
    kind: str | None = None,
    status: int = 200,
    piece: int | None = None,
    **headers: str,
) -> Act:
    """Let the emulator send this body: JSON if it is a document, else events."""
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    if kind is None:
        kind = EVENTS if isinstance(content, bytes) else JSON
    # Each request_id is one answer's, so two of this one must not come over one connection.
    headers = {"content-type": kind, "x-request-id": ID, "connection": "close", **headers}
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return emulated(
        lambda e: e.raw(raw, status=status, headers=headers, piece=piece, times=99),
    )


def served(*steps: Step, **where: Any) -> Act:
    """Let a raw server read the request, then do this."""
    return lambda stage: ignore(stage.serve(read_request, *steps, **where))


def accepted(*steps: Step, **where: Any) -> Act:
    """Let a raw server do this on every connection, without reading the request."""
    return lambda stage: ignore(stage.serve(*steps, **where))


def proxied(*steps: Step) -> Act:
    """Let a proxy read the CONNECT, then do this."""
    return lambda stage: stage.proxy(read_request, *steps)


def impatiently(act: Act) -> Act:
    """Set short timeouts for this fault."""

    def both(stage: Stage) -> None:
        act(stage)
        stage.impatient()

    return both


def gzipped_beginning() -> bytes:
    """Compress the first packet, without the end of the gzip data."""
    packer = zlib.compressobj(wbits=31)
    return packer.compress(PACKETS[0]) + packer.flush(zlib.Z_SYNC_FLUSH)


def bomb(stage: Stage) -> None:
    """Send a body that is small only while it is compressed."""
    much = gzip.compress(b"data:" + bytes(50 * MEGABYTE), compresslevel=1)
    sent(much, content_encoding="gzip")(stage)


def ignore(_: object) -> None:
    """Discard a result."""


def nobody(stage: Stage) -> None:
    stage.settings["base_url"] = f"http://{stage.refused_port()}/api/v1"


def nowhere(stage: Stage) -> None:
    # Longer than a name can be: the resolver refuses it by itself, without asking anyone.
    host = ".".join(["a" * 60] * 5 + ["invalid"])
    stage.settings["base_url"] = f"https://{host}/api/v1"


def no_proxy(stage: Stage) -> None:
    stage.via(stage.refused_port())


def untrusted(stage: Stage) -> None:
    stage.serve(read_request, chunked(STREAM), scheme="https", tls=stage.certificates.stranger())


def wrong_host(stage: Stage) -> None:
    stage.serve(read_request, chunked(STREAM), scheme="https", tls=stage.certificates.wrong_host())


def tls_to_plain(stage: Stage) -> None:
    stage.serve(read_request, chunked(STREAM), tls=stage.certificates.stranger())


def bound_to(route: Route | None) -> Act:
    """Let the emulator serve the model on this route only, or on none."""

    def bind(stage: Stage) -> None:
        emulator = stage.emulate(routes={"deepseek-v4-pro": route})
        headers = {"content-type": EVENTS, "x-request-id": ID, "connection": "close"}
        emulator.raw(STREAM, headers=headers, times=99)

    return bind


WRONG_ROUTE = "url error, please check url！ For details, see: https://help.example/#error-url"

# --- Outcomes ---

ANSWER = Answers()
CUT = Fails(DashScopeStreamCutError, again=True)
CUT_SHORT = replace(CUT, partial=FIRST)
NO_ANSWER = Fails(DashScopeServerError, again=True, status=200)
TOO_LARGE = Fails(DashScopeAnswerTooLargeError, again=False)
SILENT = Fails(DashScopeTimeoutError, again=True)
OVER = Fails(DashScopeDeadlineError, again=False, partial=FIRST)
NOT_CONNECTED = Fails(DashScopeConnectionError, again=True, begun=False)
BAD, LIMIT = DashScopeInvalidRequestError, DashScopeRateLimitError
SERVER = DashScopeServerError


def refused(
    error: type[DashScopeError], code: str | None, status: int | None, **more: Any
) -> Fails:
    """Return the outcome of an error of the service, which is retried according to its class."""
    return Fails(
        error, **{"again": bool(error.is_retryable), "code": code, "status": status, **more}
    )


STATUSES: Mapping[int, type[DashScopeError]] = {
    400: BAD,
    401: DashScopeAuthenticationError,
    403: DashScopePermissionDeniedError,
    404: DashScopeNotFoundError,
    408: DashScopeTimeoutError,
    409: SERVER,
    418: BAD,
    429: LIMIT,
    500: SERVER,
    502: SERVER,
    503: SERVER,
    504: DashScopeTimeoutError,
}
