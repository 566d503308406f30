"""The fault table: what a client can meet, how to provoke it, and the one right outcome.

Data, for `test_faults.py`, which meets every fault in every call style, and for
`docs/reliability.md`, which prints it. What is provoked comes over sockets, see `stage.py`.
"""

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
    DashScopeContextOverflowError,
    DashScopeError,
    DashScopeInvalidRequestError,
    DashScopeNotFoundError,
    DashScopePermissionDeniedError,
    DashScopeQuotaExceededError,
    DashScopeRateLimitError,
    DashScopeRouteError,
    DashScopeServerError,
    DashScopeStreamCutError,
    DashScopeTimeoutError,
    DataInspectionFailed,
)
from langchain_dashscope_deepseek.capabilities import Route
from langchain_dashscope_deepseek.testing import DashScopeEmulator
from tests.integration_tests.stage import (
    KEY,
    Stage,
    Step,
    drip,
    flood,
    hold,
    now_and_then,
    pause,
    read_request,
    reset,
)

ID = "request-7"
TEXT = "The sky is blue."
FIRST = "The sky "
MEGABYTE = 2**20

Act = Callable[[Stage], None]


@dataclass(frozen=True)
class Answers:
    """The answer comes, as sent."""

    text: str = TEXT
    reasoning: str = ""
    calls: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    invalid_calls: int = 0
    usage: tuple[int, int, int] | None = (9, 5, 14)


@dataclass(frozen=True)
class Fails:
    """A typed error comes.

    `again`: what shows nothing of the answer is asked again (a stream that has shown a piece never
    is). `partial`: what the error hands over of the answer. `begun`: headers had arrived, so the
    error names the request.
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
    """One line of the table. `detours`: requests on the other route, which are no retries."""

    name: str
    what: str
    act: Act
    outcome: Outcome
    settings: Mapping[str, Any] = field(default_factory=dict)
    detours: int = 0


# --- What is on the wire ---


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


# --- How it is provoked ---


def emulated(script: Callable[[DashScopeEmulator], None]) -> Act:
    """Let the emulator play."""
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
    headers = {"content-type": kind, "x-request-id": ID, **headers}
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return emulated(
        lambda e: e.raw(raw, status=status, headers=headers, piece=piece, times=99),
    )


def served(*steps: Step, **where: Any) -> Act:
    """Let a raw server read the request, then do this."""
    return lambda stage: ignore(stage.serve(read_request, *steps, **where))


def accepted(*steps: Step, **where: Any) -> Act:
    """Let a raw server do this on every connection, without a look at the request."""
    return lambda stage: ignore(stage.serve(*steps, **where))


def proxied(*steps: Step) -> Act:
    """Let a proxy read the CONNECT, then do this."""
    return lambda stage: stage.proxy(read_request, *steps)


def impatiently(act: Act) -> Act:
    """Wait but a moment for each byte."""

    def both(stage: Stage) -> None:
        act(stage)
        stage.impatient()

    return both


def gzipped_beginning() -> bytes:
    """Compress the first packet, and not to the end."""
    packer = zlib.compressobj(wbits=31)
    return packer.compress(PACKETS[0]) + packer.flush(zlib.Z_SYNC_FLUSH)


def bomb(stage: Stage) -> None:
    """Send much that is little while it is compressed."""
    much = gzip.compress(b"data:" + bytes(50 * MEGABYTE), compresslevel=1)
    sent(much, content_encoding="gzip")(stage)


def ignore(_: object) -> None:
    """Make an act of a call that gives something."""


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
    """Let the emulator bind the model to the other route, or to none."""

    def bind(stage: Stage) -> None:
        emulator = stage.emulate(routes={"deepseek-v4-pro": route})
        emulator.raw(STREAM, headers={"content-type": EVENTS, "x-request-id": ID}, times=99)

    return bind


WRONG_ROUTE = "url error, please check url！ For details, see: https://help.example/#error-url"

# --- What comes of it ---

ANSWER = Answers()
CUT = Fails(DashScopeStreamCutError, again=True)
CUT_SHORT = replace(CUT, partial=FIRST)
NO_ANSWER = Fails(DashScopeServerError, again=True, status=200)
TOO_LARGE = Fails(DashScopeAnswerTooLargeError, again=False)
SILENT = Fails(DashScopeTimeoutError, again=True)
OVER = Fails(DashScopeTimeoutError, again=False, partial=FIRST)
NOT_CONNECTED = Fails(DashScopeConnectionError, again=True, begun=False)
BAD, LIMIT = DashScopeInvalidRequestError, DashScopeRateLimitError
SERVER = DashScopeServerError


def refused(
    error: type[DashScopeError], code: str | None, status: int | None, **more: Any
) -> Fails:
    """Say what a refusal of the service is: asked again as its class says."""
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

REFUSALS = (
    Fault(
        "error_as_json",
        "an error as a JSON body",
        sent(THROTTLED, status=429),
        refused(LIMIT, "Throttling.RateQuota", 429),
    ),
    Fault(
        "error_without_content_type",
        "an error without a content-type",
        emulated(lambda e: e.fail("InvalidApiKey", "No.", status=401, times=99)),
        refused(DashScopeAuthenticationError, "InvalidApiKey", 401),
    ),
    Fault(
        "error_event",
        "an error event under HTTP 200",
        emulated(lambda e: e.fail("DataInspectionFailed", "No.", shape="sse", times=99)),
        refused(DataInspectionFailed, "DataInspectionFailed", 400),
    ),
    Fault(
        "error_event_called_json",
        "an error event that calls itself JSON",
        emulated(lambda e: e.fail("InvalidParameter", "No.", shape="sse_as_json", times=99)),
        refused(BAD, "InvalidParameter", 400),
    ),
    Fault(
        "error_event_in_mid_stream",
        "an error event after good packets",
        sent(PACKETS[0] + event(THROTTLED, "error", 429)),
        refused(LIMIT, "Throttling.RateQuota", 429, partial=FIRST),
    ),
    Fault(
        "error_event_after_keep_alive",
        "an error event after packets that show nothing",
        sent(KEEP_ALIVE + event(THROTTLED, "error", 429)),
        refused(LIMIT, "Throttling.RateQuota", 429),
    ),
    Fault(
        "error_in_openai_shape",
        "an error in the shape of OpenAI",
        emulated(lambda e: e.fail("model_not_found", "No.", status=404, shape="openai", times=99)),
        refused(DashScopeNotFoundError, "model_not_found", 404),
    ),
    Fault(
        "error_as_html",
        "the error page of a proxy",
        emulated(lambda e: e.fail("BadGateway", status=502, shape="html", times=99)),
        refused(SERVER, None, 502),
    ),
    Fault(
        "error_under_200",
        "an error as a JSON body under HTTP 200",
        sent(THROTTLED),
        refused(LIMIT, "Throttling.RateQuota", None),
    ),
    Fault(
        "error_called_a_stream",
        "an error as a JSON body that calls itself a stream",
        sent(json.dumps(THROTTLED).encode()),
        refused(LIMIT, "Throttling.RateQuota", None),
    ),
    Fault(
        "error_text_cut",
        "an error whose text is cut off",
        served(head(JSON, "503 No", content_length="99") + b'{"code": "Mod'),
        refused(SERVER, None, 503),
    ),
    Fault(
        "error_quotes_the_key",
        "an error that quotes the key",
        sent(refusal("InvalidApiKey", f"Incorrect API key provided: {KEY}"), status=401),
        refused(DashScopeAuthenticationError, "InvalidApiKey", 401),
    ),
    Fault(
        "error_after_the_answer",
        "an error event behind the last packet",
        sent(STREAM + event(THROTTLED, "error", 429)),
        ANSWER,
    ),
    Fault(
        "wrong_route",
        "`url error` on one route, and an answer on the other",
        bound_to("multimodal-generation"),
        ANSWER,
        detours=1,
    ),
    Fault(
        "both_routes_wrong",
        "`url error` on both routes, as events under HTTP 200",
        bound_to(None),
        refused(DashScopeRouteError, "InvalidParameter", 400),
        detours=1,
    ),
    Fault(
        "both_routes_wrong_in_json",
        "`url error` on both routes, as JSON bodies",
        served(
            head(JSON, "400 Bad Request")
            + json.dumps(refusal("InvalidParameter", WRONG_ROUTE)).encode()
        ),
        refused(DashScopeRouteError, "InvalidParameter", 400),
        detours=1,
    ),
    Fault(
        "image_not_fetched",
        "an image that the service cannot fetch",
        sent(refusal("InvalidParameter", "Failed to download multimodal content"), status=400),
        refused(BAD, "InvalidParameter", 400),
    ),
    Fault(
        "format_unavailable",
        "a `response_format` that the model does not have",
        sent(
            refusal("InvalidParameter", "This response_format type is unavailable now"), status=400
        ),
        refused(BAD, "InvalidParameter", 400),
    ),
    Fault(
        "thinking_not_supported",
        "a model that does not take `enable_thinking`",
        sent(
            refusal(
                "InvalidParameter.NotSupportEnableThinking",
                "The model x does not support enable_thinking",
            ),
            status=400,
        ),
        refused(BAD, "InvalidParameter.NotSupportEnableThinking", 400),
    ),
    Fault(
        "input_too_long",
        "an input that is too long",
        sent(refusal("InvalidParameter", "Range of input length should be [1, 9]"), status=400),
        refused(DashScopeContextOverflowError, "InvalidParameter", 400),
    ),
    Fault(
        "quota_used_up",
        "a quota that time does not refill",
        sent(refusal("Throttling.AllocationQuota", "Free allocated quota exceeded."), status=429),
        refused(DashScopeQuotaExceededError, "Throttling.AllocationQuota", 429),
    ),
    Fault(
        "retry_after_an_hour",
        "HTTP 429 with a `retry-after` of an hour",
        sent(THROTTLED, status=429, retry_after="3600"),
        refused(LIMIT, "Throttling.RateQuota", 429, again=False),
    ),
    Fault(
        "should_not_retry",
        "HTTP 503 with `x-should-retry: false`",
        sent(refusal("ModelUnavailable"), status=503, x_should_retry="false"),
        refused(SERVER, "ModelUnavailable", 503, again=False),
    ),
    *(
        Fault(
            f"status_{status}",
            f"HTTP {status} with a code that nobody knows",
            sent(refusal("Brand.New"), status=status),
            refused(error, "Brand.New", status),
        )
        for status, error in STATUSES.items()
    ),
    Fault(
        "empty_error", "HTTP 500 without a body", sent(b"", NONE, 500), refused(SERVER, None, 500)
    ),
    *(
        Fault(
            f"redirect_{status}",
            f"a redirect, HTTP {status}",
            sent(b"", NONE, status, location="https://elsewhere.invalid/"),
            Fails(BAD, again=False, status=status),
        )
        for status in (301, 302, 307, 308)
    ),
)

CONNECTIONS = (
    Fault("port_refused", "a port on which nobody listens", nobody, NOT_CONNECTED),
    Fault("name_unknown", "a host name that cannot be resolved", nowhere, NOT_CONNECTED),
    Fault(
        "certificate_untrusted", "a certificate that nobody vouches for", untrusted, NOT_CONNECTED
    ),
    Fault("certificate_of_another", "a certificate for another host", wrong_host, NOT_CONNECTED),
    Fault(
        "plain_http_on_https",
        "plain HTTP where TLS was expected",
        accepted(b"HTTP/1.1 400 Bad Request\r\n\r\n", scheme="https"),
        NOT_CONNECTED,
    ),
    Fault("tls_on_http", "TLS where plain HTTP was expected", tls_to_plain, NOT_CONNECTED),
    Fault("closed_at_once", "a connection that is closed at once", accepted(), NOT_CONNECTED),
    Fault("reset_at_once", "a connection that is reset at once", accepted(reset), NOT_CONNECTED),
    Fault("closed_on_request", "a close instead of an answer", served(), NOT_CONNECTED),
    Fault("reset_on_request", "a reset instead of an answer", served(reset), NOT_CONNECTED),
    Fault(
        "garbage",
        "garbage instead of HTTP",
        served(b"SSH-2.0-OpenSSH_9.6\r\n\x00\xff\xfe garbage\r\n\r\n"),
        NOT_CONNECTED,
    ),
    Fault(
        "cut_in_status_line", "a cut within the status line", served(b"HTTP/1.1 20"), NOT_CONNECTED
    ),
    Fault("cut_in_headers", "a cut within the headers", served(head()[:40]), NOT_CONNECTED),
    Fault(
        "header_bomb",
        "headers without end",
        served(b"HTTP/1.1 200 OK\r\n", flood(b"x-bomb: " + b"x" * 8_000 + b"\r\n", 50 * MEGABYTE)),
        NOT_CONNECTED,
    ),
    Fault(
        "interim_without_end",
        "interim answers without end",
        served(flood(b"HTTP/1.1 103 Early Hints\r\n\r\n", 50 * MEGABYTE)),
        Fails(SERVER, again=True, begun=False),
    ),
    Fault(
        "interim_now_and_then",
        "interim answers now and then, and no answer",
        impatiently(served(now_and_then(b"HTTP/1.1 102 Processing\r\n\r\n"))),
        replace(SILENT, begun=False),
    ),
    Fault(
        "headers_drip",
        "headers that drip",
        impatiently(served(b"HTTP/1.1 200 OK\r\nx: ", now_and_then(b"x"))),
        replace(SILENT, begun=False),
    ),
    Fault(
        "proxy_drips",
        "a proxy whose answer drips",
        impatiently(proxied(b"HTTP/1.1 200 OK\r\nx: ", now_and_then(b"x"))),
        replace(SILENT, begun=False),
    ),
    Fault(
        "never_answers",
        "no byte of an answer",
        impatiently(served(hold)),
        replace(SILENT, begun=False),
    ),
    Fault(
        "proxy_asks_for_a_password",
        "a proxy that answers 407",
        proxied(head(NONE, "407 Proxy Authentication Required", content_length="0")),
        NOT_CONNECTED,
    ),
    Fault(
        "proxy_fails",
        "a proxy that answers 502",
        proxied(head(NONE, "502 Bad Gateway", content_length="0")),
        NOT_CONNECTED,
    ),
    Fault("proxy_refuses", "a proxy that takes no connection", no_proxy, NOT_CONNECTED),
    Fault("proxy_hangs_up", "a proxy that hangs up", proxied(), NOT_CONNECTED),
)

HALF = WHOLE[: len(WHOLE) // 2]
GZIPPED = gzip.compress(STREAM)
CHINESE = event(body("天空是蓝色的。"))

CUTS = (
    Fault(
        "cut_in_an_event",
        "a connection that breaks within an event",
        served(chunked(PACKETS[0] + PACKETS[1][:40], end=b"")),
        CUT_SHORT,
    ),
    Fault(
        "cut_between_events",
        "a connection that breaks between events",
        served(chunked(PACKETS[0], end=b"")),
        CUT_SHORT,
    ),
    Fault(
        "reset_between_events",
        "a reset between events",
        served(chunked(PACKETS[0], end=b""), pause, reset),
        # How much of it the reset overtakes is left to chance.
        replace(CUT, partial="*"),
    ),
    Fault(
        "cut_in_a_character",
        "a body that ends within a character",
        sent(PACKETS[0] + CHINESE[: CHINESE.index("空".encode()) + 1]),
        CUT_SHORT,
    ),
    Fault(
        "cut_before_the_first_event",
        "a connection that breaks behind the headers",
        served(chunked(end=b"")),
        CUT,
    ),
    Fault("ends_empty", "a stream without events", sent(b""), CUT),
    Fault("ends_clean", "a stream that ends without a finish reason", sent(PACKETS[0]), CUT_SHORT),
    Fault(
        "ends_in_an_event",
        "a stream that ends within an event",
        sent(PACKETS[0] + PACKETS[1][:60]),
        CUT_SHORT,
    ),
    Fault(
        "cut_after_the_last_packet",
        "a connection that breaks behind the last packet",
        served(chunked(STREAM, end=b"")),
        ANSWER,
    ),
    Fault(
        "cut_in_the_last_chunk",
        "a connection that breaks within the last chunk's frame",
        served(chunked(STREAM, end=b"0\r")),
        ANSWER,
    ),
    Fault(
        "bad_chunk",
        "a chunk of no size in mid-stream",
        served(chunked(PACKETS[0], end=b"zz\r\nno chunk\r\n")),
        CUT_SHORT,
    ),
    Fault(
        "bad_chunk_after_the_last_packet",
        "a chunk of no size behind the last packet",
        served(chunked(STREAM, end=b"zz\r\nno chunk\r\n")),
        ANSWER,
    ),
    Fault(
        "no_length_at_all",
        "a body whose end is the end of the connection",
        served(head() + STREAM),
        ANSWER,
    ),
    Fault(
        "body_cut",
        "a body in one piece that is cut",
        served(head(JSON, content_length=str(len(WHOLE))) + HALF),
        CUT,
        settings={"enable_thinking": False},
    ),
    Fault(
        "body_ends_early",
        "a body in one piece that is half a document",
        sent(HALF, JSON),
        NO_ANSWER,
        settings={"enable_thinking": False},
    ),
    Fault(
        "length_too_long",
        "a `content-length` that promises too much",
        served(head(JSON, content_length=str(len(WHOLE) + 9)) + WHOLE),
        CUT,
    ),
    Fault(
        "length_too_long_for_a_stream",
        "a `content-length` that promises too much, of a stream",
        served(head(content_length=str(len(STREAM) + 9)) + STREAM),
        ANSWER,
    ),
    Fault(
        "length_too_short",
        "a `content-length` that ends within the document",
        served(head(JSON, content_length="40") + WHOLE),
        NO_ANSWER,
    ),
    Fault(
        "two_lengths",
        "two values of `content-length`",
        served(head(JSON, content_length="40", Content_Length="41") + WHOLE),
        NOT_CONNECTED,
    ),
    Fault(
        "gzip_cut",
        "compressed events that are cut",
        served(chunked(gzipped_beginning(), end=b"", content_encoding="gzip")),
        NO_ANSWER,
    ),
    Fault(
        "gzip_garbage",
        "compressed events that are not compressed",
        served(chunked(STREAM, content_encoding="gzip")),
        NO_ANSWER,
    ),
    Fault(
        "stall_after_headers",
        "silence behind the headers",
        impatiently(served(chunked(end=b""), hold)),
        SILENT,
    ),
    Fault(
        "stall_in_mid_stream",
        "silence in mid-stream",
        impatiently(served(chunked(PACKETS[0], end=b""), hold)),
        replace(SILENT, partial=FIRST),
    ),
    Fault(
        "stall_in_a_body",
        "silence within a body in one piece",
        impatiently(served(head(JSON, content_length=str(len(WHOLE))) + HALF, hold)),
        SILENT,
        settings={"enable_thinking": False},
    ),
    Fault(
        "longer_than_allowed",
        "an answer that still comes in when `max_seconds` are over",
        served(head() + PACKETS[0], now_and_then(KEEP_ALIVE)),
        OVER,
        settings={"max_seconds": 1},
    ),
    Fault(
        "silent_for_longer_than_allowed",
        "silence when `max_seconds` are over",
        served(head() + PACKETS[0], hold),
        OVER,
        settings={"max_seconds": 1},
    ),
    Fault(
        "head_takes_longer_than_allowed",
        "headers that drip when `max_seconds` are over",
        served(b"HTTP/1.1 200 OK\r\nx: ", now_and_then(b"x")),
        replace(OVER, partial="", begun=False),
        settings={"max_seconds": 1},
    ),
    Fault(
        "held_open",
        "a connection that stays open behind the last packet",
        served(chunked(STREAM, end=b""), hold),
        ANSWER,
    ),
)


def kept_alive(content: bytes, kind: str = EVENTS, status: str = "200 OK") -> bytes:
    """Write an answer on a connection that could be used again."""
    return head(kind, status, content_length=str(len(content)), connection="keep-alive") + content


SILENT_STREAM = STREAM.replace(b"usage", b"other")
COUNTS = event({"output": {}, "usage": {"input_tokens": 9, "output_tokens": 5, "total_tokens": 14}})
MORE = event(body(" And more.", "null"))

BEHIND = (
    Fault(
        "answered_twice",
        "the whole answer once more",
        served(kept_alive(STREAM) * 2, hold),
        ANSWER,
    ),
    Fault(
        "answered_twice_in_json",
        "the whole answer once more, in one piece",
        served(kept_alive(WHOLE, JSON) * 2, hold),
        ANSWER,
        settings={"enable_thinking": False},
    ),
    Fault(
        "refused_and_answered",
        "an answer behind a refusal, which is not that of the retry",
        served(
            kept_alive(json.dumps(THROTTLED).encode(), JSON, "429 No") + kept_alive(STREAM), hold
        ),
        refused(LIMIT, "Throttling.RateQuota", 429),
    ),
    Fault(
        "interim_behind_the_answer",
        "an interim answer",
        served(kept_alive(STREAM) + b"HTTP/1.1 103 Early Hints\r\n\r\n", hold),
        ANSWER,
    ),
    Fault(
        "usage_behind",
        "a packet of usage alone, which counts",
        sent(SILENT_STREAM + COUNTS),
        ANSWER,
    ),
    Fault(
        "usage_behind_in_a_piece_of_its_own",
        "a packet of usage alone, a moment later",
        served(head() + SILENT_STREAM, pause, COUNTS),
        ANSWER,
    ),
    Fault(
        "usage_and_garbage_behind",
        "a packet of usage alone, and then garbage",
        served(head() + SILENT_STREAM, pause, COUNTS, pause, b"garbage"),
        ANSWER,
    ),
    Fault(
        "garbage_and_usage_behind",
        "garbage, and then a packet of usage alone",
        sent(SILENT_STREAM + b"garbage\n\ndata:garbage\n\n" + COUNTS),
        Answers(usage=None),
    ),
    Fault("packets_behind", "more of the answer", sent(STREAM + MORE * 3), ANSWER),
    Fault("stream_behind", "the stream once more", sent(STREAM * 2), ANSWER),
    Fault(
        "flood_behind",
        "50 MB of packets",
        served(head() + STREAM, flood(MORE * 100, 50 * MEGABYTE)),
        ANSWER,
        settings={"max_answer_size": MEGABYTE},
    ),
    Fault(
        "endless_line_behind",
        "50 MB of a comment",
        served(head() + STREAM, flood(b": x" * 10_000, 50 * MEGABYTE)),
        ANSWER,
        settings={"max_answer_size": MEGABYTE},
    ),
    Fault(
        "drip_behind",
        "comments now and then",
        served(head() + STREAM, now_and_then(b": x\n\n")),
        ANSWER,
    ),
)
"""What comes behind the end of an answer is no part of it, nor of the next."""


def said(text: str) -> bytes:
    """Write a stream whose text is this JSON, escapes and all."""
    return event(json.dumps(body("TEXT")).replace("TEXT", text))


def counted(**usage: Any) -> bytes:
    """Write a stream with this usage; a text stands for the number of that many digits."""
    return event({**body(), "usage": usage})


def chosen(*choices: Any) -> dict[str, Any]:
    """Write an answer with these choices."""
    return {**body(), "output": {"choices": list(choices)}}


CHOICE = body()["output"]["choices"][0]
OTHER = {**CHOICE, "message": {"content": "another"}}
DEEP = "[" * 100_000
TOTALS = {"input_tokens": 9, "output_tokens": 5, "total_tokens": 14}


def calling(arguments: str) -> dict[str, Any]:
    """Write an answer that calls a tool."""
    called = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    message = {"role": "assistant", "content": "", "tool_calls": [called]}
    return chosen({"finish_reason": "tool_calls", "message": message})


ODDITIES = (
    Fault("drip", "an answer that drips, byte by byte", served(drip(chunked(STREAM))), ANSWER),
    Fault(
        "split_characters",
        "characters that are split between pieces",
        sent(CHINESE, piece=1),
        Answers("天空是蓝色的。"),
    ),
    Fault(
        "json_for_a_stream",
        "an answer in one piece where a stream was asked for",
        sent(WHOLE, JSON),
        ANSWER,
    ),
    Fault(
        "stream_for_a_whole",
        "a stream where one piece was asked for",
        sent(STREAM),
        ANSWER,
        settings={"enable_thinking": False},
    ),
    Fault("stream_called_json", "a stream that calls itself JSON", sent(STREAM, JSON), ANSWER),
    Fault(
        "json_called_a_stream",
        "an answer in one piece that calls itself a stream",
        sent(WHOLE, EVENTS),
        ANSWER,
    ),
    Fault("json_called_html", "an answer that calls itself HTML", sent(WHOLE, "text/html"), ANSWER),
    Fault("no_content_type", "an answer without a content-type", sent(STREAM, NONE), ANSWER),
    Fault(
        "html", "a page of HTML under HTTP 200", sent(b"<html>Hello</html>", "text/html"), NO_ANSWER
    ),
    Fault(
        "no_content",
        "HTTP 204",
        served(head(NONE, "204 No Content")),
        replace(NO_ANSWER, status=204),
    ),
    Fault("empty_body", "an empty body", sent(b"", JSON), NO_ANSWER),
    Fault(
        "binary",
        "bytes that are no text",
        sent(bytes(range(256)), "application/octet-stream"),
        NO_ANSWER,
    ),
    Fault(
        "events_of_no_json",
        "events that hold no JSON",
        sent(PACKETS[0] + event("<html>")),
        CUT_SHORT,
    ),
    Fault("json_of_no_object", "JSON that is no object", sent(b"[]", JSON), NO_ANSWER),
    Fault(
        "early_hints",
        "informational answers before the real one",
        served(b"HTTP/1.1 103 Early Hints\r\nlink: </>\r\n\r\n" + chunked(STREAM)),
        ANSWER,
    ),
    Fault(
        "gzip", "compressed events", served(chunked(GZIPPED, content_encoding="gzip")), NO_ANSWER
    ),
    Fault(
        "bom", "a byte order mark before the first event", sent("\ufeff".encode() + STREAM), ANSWER
    ),
    Fault(
        "bom_of_json",
        "a byte order mark before a document",
        sent("\ufeff".encode() + WHOLE, JSON),
        ANSWER,
    ),
    Fault("crlf", "lines that end in CR LF", sent(STREAM.replace(b"\n", b"\r\n"), piece=7), ANSWER),
    Fault("cr", "lines that end in CR", sent(STREAM.replace(b"\n", b"\r"), piece=7), ANSWER),
    Fault(
        "no_blank_lines",
        "no blank line between events",
        sent(STREAM.replace(b"\n\n", b"\n")),
        ANSWER,
    ),
    Fault(
        "unknown_events",
        "events and comments that nobody knows",
        sent(b": hi\n\nevent:x\ndata:x\n\n" + STREAM),
        ANSWER,
    ),
    Fault(
        "unknown_keys", "keys that nobody knows", sent({**body(new=[{}]), "new": {"x": 1}}), ANSWER
    ),
    Fault(
        "keys_twice",
        "a key that stands twice: the last counts",
        sent(b'{"output":7,' + WHOLE[1:], JSON),
        ANSWER,
    ),
    Fault("choices_empty", "no choice in a stream", sent(event(chosen())), CUT),
    Fault("choices_empty_in_a_body", "no choice in a body", sent(chosen()), NO_ANSWER),
    Fault(
        "another_choice_first",
        "another choice before the first",
        sent(chosen({**OTHER, "index": 1}, {**CHOICE, "index": 0})),
        ANSWER,
    ),
    Fault(
        "only_another_choice",
        "only another choice than the first",
        sent(chosen({**OTHER, "index": 1})),
        NO_ANSWER,
    ),
    Fault("nul", "NUL in the text", sent(said("a\\u0000b")), Answers("a\0b")),
    Fault("raw_nul", "a bare NUL in an event", sent(PACKETS[0] + said("a\0b")), CUT_SHORT),
    Fault(
        "lone_surrogate",
        "half a surrogate pair in the text, which becomes U+FFFD",
        sent(said("a\\ud800b")),
        Answers("a\ufffdb"),
    ),
    Fault(
        "invalid_utf8",
        "bytes that are no UTF-8 in the text, which become U+FFFD",
        sent(STREAM.replace(b"blue", b"bl\xff\xfee")),
        Answers(TEXT.replace("blue", "bl\ufffd\ufffde")),
    ),
    Fault("deep_json", "100,000 brackets in an event", sent(PACKETS[0] + event(DEEP)), CUT_SHORT),
    Fault(
        "deep_json_in_a_body", "100,000 brackets in a body", sent(DEEP.encode(), JSON), NO_ANSWER
    ),
    Fault(
        "deep_arguments",
        "100,000 brackets in the arguments of a call",
        sent(event(calling('{"a":' + DEEP))),
        Answers("", invalid_calls=1),
    ),
    Fault(
        "deep_closed_arguments",
        "100,000 closed brackets in the arguments of a call",
        sent(event(calling('{"a":' + DEEP + "]" * 100_000 + "}"))),
        Answers("", invalid_calls=1),
    ),
    Fault(
        "negative_usage",
        "negative usage, which counts as not sent",
        sent(counted(input_tokens=-9, output_tokens=5, total_tokens=-4)),
        Answers(usage=None),
    ),
    Fault(
        "huge_usage",
        "usage beyond 64 bits",
        sent(counted(input_tokens=10**30, output_tokens=5, total_tokens=10**30 + 5)),
        Answers(usage=(10**30, 5, 10**30 + 5)),
    ),
    Fault(
        "endless_usage",
        "usage of 5,000 digits",
        sent(STREAM.replace(b'"input_tokens": 9', b'"input_tokens": ' + b"9" * 5_000)),
        CUT,
    ),
    Fault(
        "nan_usage",
        "usage that is NaN, which counts as not sent",
        sent(STREAM.replace(b'tokens": 9', b'tokens": NaN')),
        Answers(usage=None),
    ),
    Fault(
        "usage_by_other_names",
        "usage under the names of OpenAI's protocol",
        sent(
            STREAM.replace(b"input_tokens", b"prompt_tokens").replace(
                b"output_tokens", b"completion_tokens"
            )
        ),
        Answers(usage=(9, 5, 14)),
    ),
    Fault(
        "only_total_usage",
        "usage that is a total alone, which is no bill",
        sent(STREAM.replace(b"input_tokens", b"odd").replace(b"output_tokens", b"odder")),
        Answers(usage=None),
    ),
    Fault(
        "absurd_usage",
        "usage that does not add up",
        sent(counted(input_tokens=9, output_tokens=5, total_tokens=1)),
        Answers(usage=(9, 5, 1)),
    ),
    Fault("no_usage", "no usage", sent(STREAM.replace(b"usage", b"other")), Answers(usage=None)),
)

X = b"x" * 65_536

SMALL = {"max_answer_size": MEGABYTE}

FLOODS = (
    Fault(
        "huge_event",
        "one event of 50 MB",
        served(head() + b"data:", flood(X, 50 * MEGABYTE), b"\n\n", STREAM),
        TOO_LARGE,
    ),
    Fault(
        "huge_event_of_lines",
        "one event of 50 MB, in many lines",
        served(head(), flood(b"data:" + X + b"\n", 50 * MEGABYTE), b"\n", STREAM),
        TOO_LARGE,
        settings=SMALL,
    ),
    Fault(
        "huge_body",
        "a body of 50 MB in one piece",
        served(head(JSON) + b'{"x":"', flood(X, 50 * MEGABYTE), b'",' + WHOLE[1:]),
        TOO_LARGE,
        settings=SMALL,
    ),
    Fault(
        "huge_error",
        "an error of 50 MB",
        served(head(JSON, "500 No") + b'{"message":"', flood(X, 50 * MEGABYTE), b'"}'),
        TOO_LARGE,
        settings=SMALL,
    ),
    Fault(
        "huge_answer",
        "an answer of 50 MB in packets of 64 KB",
        served(head(), flood(event(body(X.decode(), "null")), 50 * MEGABYTE), STREAM),
        replace(TOO_LARGE, partial="*"),
        settings=SMALL,
    ),
    Fault(
        "gzip_bomb",
        "50 MB that come compressed as 50 KB",
        bomb,
        NO_ANSWER,
        settings=SMALL,
    ),
    Fault(
        "endless_comments",
        "comments without end",
        served(head(), flood(b": x\n" * 16_384, 50 * MEGABYTE), STREAM),
        TOO_LARGE,
        settings=SMALL,
    ),
    Fault(
        "endless_line",
        "a comment without end",
        served(head() + b": ", flood(X, 50 * MEGABYTE), b"\n", STREAM),
        TOO_LARGE,
        settings=SMALL,
    ),
    Fault(
        "many_comments",
        "thousands of comments before each event",
        sent(b"".join(b": x\n" * 10_000 + packet for packet in PACKETS)),
        ANSWER,
    ),
)
"""What is too large ends by an error before it was read to its end. `"*"`: some of it."""

FAULTS: Mapping[str, tuple[Fault, ...]] = {
    "The service refuses": REFUSALS,
    "There is no connection": CONNECTIONS,
    "The answer breaks off or stalls": CUTS,
    "More comes behind the answer": BEHIND,
    "The answer is odd": ODDITIES,
    "The answer is too large": FLOODS,
}


# --- Fields of the wrong type ---

VALUES = ("null", '"x"', "7", "-1", "true", "[]", "{}", "1e400")
"""Each stands in every field, as JSON."""

EMPTY = ("null", "[]", "{}")
"""These say nothing, whatever the type should be."""

HI = Answers("hi", "hm", (("f", {"a": "b"}),), usage=(9, 5, 14))
INVALID_CALL = replace(HI, calls=(), invalid_calls=1)
GARBLED = Fails(DashScopeServerError, again=True, status=200)


@dataclass(frozen=True)
class Field:
    """A field of an answer: what comes of a value of a wrong type, and of those that are right.

    `reads` are the values that have a meaning, as JSON. `streamed` is what comes of the others
    where the answer is an event of a stream, if that is something else.
    """

    path: tuple[str | int, ...]
    otherwise: Outcome = HI
    reads: Mapping[str, Outcome] = field(default_factory=dict)
    streamed: Mapping[str, Outcome] = field(default_factory=dict)

    def outcome(self, value: str, *, streamed: bool) -> Outcome:
        """Give the right outcome of a value."""
        reads = {**self.reads, **(self.streamed if streamed else {})}
        return reads.get(value, reads.get("*", self.otherwise))


def _in_choice(*path: str | int) -> tuple[str | int, ...]:
    return ("output", "choices", 0, *path)


def _in_call(*path: str) -> tuple[str | int, ...]:
    return _in_choice("message", "tool_calls", 0, *path)


_NOTHING = replace(HI, text="", reasoning="", calls=())
_NO_CALL = replace(HI, calls=())
_EMPTY_CALL = replace(HI, calls=(("f", {}),))

FIELDS = (
    Field(("request_id",)),
    Field(("usage",), replace(HI, usage=None)),
    Field(
        ("usage", "input_tokens"),
        replace(HI, usage=None),
        {"7": replace(HI, usage=(7, 5, 14))},
    ),
    Field(
        ("usage", "output_tokens"),
        replace(HI, usage=None),
        {"7": replace(HI, usage=(9, 7, 14))},
    ),
    Field(("usage", "total_tokens"), reads={"7": replace(HI, usage=(9, 5, 7))}),
    Field(("usage", "output_tokens_details")),
    Field(("usage", "output_tokens_details", "reasoning_tokens")),
    Field(("usage", "prompt_tokens_details")),
    Field(("usage", "prompt_tokens_details", "cached_tokens")),
    Field(("output",), NO_ANSWER, streamed={"*": CUT}),
    Field(("output", "search_info")),
    Field(("output", "search_info", "search_results")),
    Field(("output", "choices"), NO_ANSWER, streamed={"*": CUT}),
    Field(_in_choice(), NO_ANSWER, streamed={"*": CUT}),
    Field(_in_choice("index"), NO_ANSWER, {"null": HI}, {"*": CUT}),
    Field(_in_choice("finish_reason"), HI, {'"x"': HI}, {"*": replace(CUT, partial="hi")}),
    Field(_in_choice("message"), GARBLED, dict.fromkeys(EMPTY, _NOTHING)),
    Field(_in_choice("message", "role")),
    Field(
        _in_choice("message", "content"),
        GARBLED,
        {'"x"': replace(HI, text="x"), **dict.fromkeys(EMPTY, replace(HI, text=""))},
    ),
    Field(
        _in_choice("message", "reasoning_content"),
        replace(HI, reasoning=""),
        {'"x"': replace(HI, reasoning="x")},
    ),
    Field(
        _in_choice("message", "tool_calls"),
        GARBLED,
        dict.fromkeys(EMPTY, _NO_CALL),
    ),
    Field(_in_call(), GARBLED, {"null": _NO_CALL, "[]": _NO_CALL, "{}": _NO_CALL}),
    Field(_in_call("id")),
    Field(_in_call("index")),
    Field(_in_call("type")),
    Field(_in_call("function"), INVALID_CALL),
    Field(
        _in_call("function", "name"),
        INVALID_CALL,
        {'"x"': replace(HI, calls=(("x", {"a": "b"}),))},
    ),
    Field(_in_call("function", "arguments"), INVALID_CALL, dict.fromkeys(EMPTY, _EMPTY_CALL)),
)


def with_value(path: tuple[str | int, ...], value: str) -> str:
    """Write an answer that has this value in this field."""
    call = {"id": "c", "index": 0, "type": "function"}
    call["function"] = {"name": "f", "arguments": '{"a": "b"}'}
    message = {"role": "assistant", "content": "hi", "reasoning_content": "hm"}
    choice = {"index": 0, "finish_reason": "stop", "message": {**message, "tool_calls": [call]}}
    details = {
        "output_tokens_details": {"reasoning_tokens": 1},
        "prompt_tokens_details": {"cached_tokens": 1},
    }
    document: Any = {
        "output": {"choices": [choice], "search_info": {"search_results": []}},
        "usage": {**TOTALS, **details},
        "request_id": ID,
    }
    holder = document
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = "VALUE"
    return json.dumps(document).replace('"VALUE"', value)
