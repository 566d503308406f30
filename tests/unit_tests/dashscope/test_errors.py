"""Five shapes of error, one tree: the right class, its identifiers, and what to do next."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from langchain_core import exceptions as core
from langgraph.graph import MessagesState, StateGraph
from langgraph.types import RetryPolicy

from langchain_dashscope_deepseek import errors
from langchain_dashscope_deepseek._dashscope.protocol.error_codes import CODES, error_from_service
from langchain_dashscope_deepseek.errors import (
    DashScopeAuthenticationError,
    DashScopeConnectionError,
    DashScopeContextOverflowError,
    DashScopeError,
    DashScopeInputError,
    DashScopeInvalidRequestError,
    DashScopeNotFoundError,
    DashScopePermissionDeniedError,
    DashScopeQuotaExceededError,
    DashScopeRateLimitError,
    DashScopeRouteError,
    DashScopeServerError,
    DashScopeStreamCutError,
    DashScopeTimeoutError,
    DashScopeUnsupportedError,
    DataInspectionFailed,
)
from tests.unit_tests.conftest import EVENTS, JSON, Ask, Scripted, transcript

ID = "request-7"


def body(code: str, message: str) -> dict[str, str]:
    return {"code": code, "message": message, "request_id": ID}


def event(code: str, message: str, status: int = 400) -> str:
    document = json.dumps(body(code, message))
    return f"id:1\nevent:error\n:HTTP_STATUS/{status}\ndata:{document}\n\n"


SHAPES: dict[str, Any] = {
    "json": lambda s, c, m, status: s.answer(body(c, m), status=status),
    "json without a content type": lambda s, c, m, status: s.answer(
        json.dumps(body(c, m)), status=status, headers={}
    ),
    "event under 200": lambda s, c, m, status: s.answer(event(c, m, status)),
    "event without a blank line": lambda s, c, m, status: s.answer(event(c, m, status).rstrip()),
    "event as json": lambda s, c, m, status: s.answer(event(c, m), status=status, headers=JSON),
    "event under its status": lambda s, c, m, status: s.answer(event(c, m), status=status),
    "json under 200": lambda s, c, m, status: s.answer(body(c, m)),
    "within a stream": lambda s, c, m, status: s.answer(
        transcript("plain_text").split(b"id:2")[0] + event(c, m, status).encode()
    ),
    "openai": lambda s, c, m, status: s.answer(
        {"error": {"message": m, "type": c, "code": c}},
        status=status,
        headers={**JSON, "x-request-id": ID},
    ),
}

CASES = [
    ("Brand.New", "Something new.", 400, DashScopeInvalidRequestError),
    ("Brand.New", "Something new.", 401, DashScopeAuthenticationError),
    ("InvalidParameter", "Required parameter missing.", 400, DashScopeInvalidRequestError),
    ("Throttling.RateQuota", "Requests rate limit exceeded.", 429, DashScopeRateLimitError),
    ("InvalidApiKey", "Invalid API-key provided.", 401, DashScopeAuthenticationError),
    ("InternalError.Algo", "An error occurred.", 500, DashScopeServerError),
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("code", "message", "status", "error"), CASES)
async def test_every_shape_becomes_the_same_error(
    shape: str,
    code: str,
    message: str,
    status: int,
    error: type[DashScopeError],
    ask: Ask,
    service: Scripted,
) -> None:
    SHAPES[shape](service, code, message, status)

    with pytest.raises(DashScopeError) as caught:
        await ask(service.model(), "hi")

    nothing_tells = shape == "json under 200" and code == "Brand.New"
    assert type(caught.value) is (DashScopeServerError if nothing_tells else error)
    assert (caught.value.code, caught.value.request_id) == (code, ID)
    assert message in str(caught.value)
    assert caught.value.status_code == (None if shape == "json under 200" else status)


async def test_an_error_that_calls_itself_a_stream_is_read(ask: Ask, service: Scripted) -> None:
    service.answer(json.dumps(body("InvalidApiKey", "No.")), headers=EVENTS, size=7)
    with pytest.raises(DashScopeAuthenticationError, match="No"):
        await ask(service.model(), "hi")


@pytest.mark.parametrize(
    ("document", "status", "error"),
    [
        (
            {"code": "Throttling", "message": "no", "output": {"choices": []}},
            200,
            DashScopeRateLimitError,
        ),
        (
            {"output": {"choices": [{"message": {"content": "no"}}]}, "message": "no"},
            500,
            DashScopeServerError,
        ),
    ],
)
async def test_errors_of_gateways_are_read(
    document: dict[str, Any], status: int, error: type[DashScopeError], ask: Ask, service: Scripted
) -> None:
    service.answer(document, status=status)
    with pytest.raises(DashScopeError, match="no") as caught:
        await ask(service.model(), "hi")
    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("status", "error"), [(401, DashScopeAuthenticationError), (503, DashScopeServerError)]
)
async def test_an_error_whose_body_was_cut_goes_by_its_status(
    status: int, error: type[DashScopeError], ask: Ask, service: Scripted
) -> None:
    service.answer('{"code": "In', status=status, headers=JSON, breaks=httpx.ReadError("reset"))
    with pytest.raises(DashScopeError) as caught:
        await ask(service.model(), "hi")
    assert type(caught.value) is error
    assert caught.value.status_code == status


FREE = "Free allocated quota exceeded."
TABLE = [
    ("InvalidParameter.DataInspection", "x", 400, DashScopeInvalidRequestError),
    ("invalid_parameter_error", "x", 400, DashScopeInvalidRequestError),
    ("BadRequest.EmptyInput", "x", 400, DashScopeInvalidRequestError),
    ("InvalidURL", "x", 400, DashScopeInvalidRequestError),
    ("UnsupportedOperation", "x", 400, DashScopeInvalidRequestError),
    (
        "InvalidParameter",
        "<400> InternalError.Algo.InvalidParameter: bad param",
        400,
        DashScopeInvalidRequestError,
    ),
    ("InternalError.Algo.InvalidParameter", "bad param", 400, DashScopeInvalidRequestError),
    (
        "InvalidParameter",
        "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 98304]",
        400,
        DashScopeContextOverflowError,
    ),
    (
        "InvalidParameter",
        "This model's maximum context length is 131072 tokens.",
        400,
        DashScopeContextOverflowError,
    ),
    (
        "DataInspectionFailed",
        "Input data may contain inappropriate content.",
        400,
        DataInspectionFailed,
    ),
    ("data_inspection_failed", "x", 400, DataInspectionFailed),
    ("CustomRoleBlocked", "x", 400, DataInspectionFailed),
    ("FaqRuleBlocked", "x", 400, DataInspectionFailed),
    ("IPInfringementSuspect", "x", 400, DataInspectionFailed),
    ("Arrearage", "Access denied, account in arrears.", 400, DashScopeQuotaExceededError),
    ("invalid_api_key", "x", 401, DashScopeAuthenticationError),
    ("NOT AUTHORIZED", "x", 401, DashScopeAuthenticationError),
    ("AccessDenied.Unpurchased", "x", 403, DashScopePermissionDeniedError),
    ("Model.AccessDenied", "x", 403, DashScopePermissionDeniedError),
    ("Workspace.AccessDenied", "x", 403, DashScopePermissionDeniedError),
    ("AllocationQuota.FreeTierOnly", "x", 403, DashScopeQuotaExceededError),
    ("ModelNotFound", "Model not exist.", 404, DashScopeNotFoundError),
    ("model_not_found", "x", 404, DashScopeNotFoundError),
    ("Model.NotExist", "x", 404, DashScopeNotFoundError),
    ("model_not_supported", "x", 404, DashScopeNotFoundError),
    ("WorkSpaceNotFound", "x", 404, DashScopeNotFoundError),
    ("InvalidParameter", "Model not exist.", 400, DashScopeNotFoundError),
    ("Throttling", "x", 429, DashScopeRateLimitError),
    ("Throttling.BurstRate", "x", 429, DashScopeRateLimitError),
    ("Throttling.Concurrency", "x", 429, DashScopeRateLimitError),
    ("LimitRequests", "x", 429, DashScopeRateLimitError),
    ("limit_requests", "x", 429, DashScopeRateLimitError),
    ("Throttling.AllocationQuota", "Allocated quota exceeded", 429, DashScopeRateLimitError),
    ("insufficient_quota", "Allocated quota exceeded", 429, DashScopeRateLimitError),
    ("Throttling.AllocationQuota", FREE, 429, DashScopeQuotaExceededError),
    ("insufficient_quota", FREE, 429, DashScopeQuotaExceededError),
    ("CommodityNotPurchased", "x", 429, DashScopeQuotaExceededError),
    ("PrepaidBillOverdue", "x", 429, DashScopeQuotaExceededError),
    ("PostpaidBillOverdue", "x", 429, DashScopeQuotaExceededError),
    ("BudgetLimitExceeded", "x", 429, DashScopeQuotaExceededError),
    ("InternalError", "x", 500, DashScopeServerError),
    ("InternalError.Timeout", "x", 500, DashScopeTimeoutError),
    ("internal_error", "x", 500, DashScopeServerError),
    ("SystemError", "x", 500, DashScopeServerError),
    ("ModelServiceFailed", "x", 500, DashScopeServerError),
    ("RequestTimeOut", "x", 408, DashScopeTimeoutError),
    ("ResponseTimeout", "x", 500, DashScopeTimeoutError),
    ("InternalError", "<429> InternalError.Algo: busy", 500, DashScopeRateLimitError),
    ("ModelServingError", "x", 503, DashScopeServerError),
    ("ModelUnavailable", "x", 503, DashScopeServerError),
    ("ServiceUnavailable", "x", 503, DashScopeServerError),
    ("GatewayTimeout", "x", 504, DashScopeTimeoutError),
    (
        "InternalError.Algo",
        "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 9]",
        400,
        DashScopeContextOverflowError,
    ),
    (
        "InternalError",
        "<400> InternalError.Algo.DataInspectionFailed: Input data may contain",
        400,
        DataInspectionFailed,
    ),
    # Codes that nobody has told us of: the status decides.
    ("Brand.New", "x", 400, DashScopeInvalidRequestError),
    ("Brand.New", "x", 418, DashScopeInvalidRequestError),
    ("Brand.New", "x", 429, DashScopeRateLimitError),
    ("Brand.New", "x", 503, DashScopeServerError),
    (None, "", None, DashScopeServerError),
]
RETRYABLE = (
    DashScopeRateLimitError,
    DashScopeServerError,
    DashScopeTimeoutError,
    DashScopeConnectionError,
)


@pytest.mark.parametrize(("code", "message", "status", "error"), TABLE)
def test_a_code_means_what_the_documentation_says(
    code: str | None, message: str, status: int | None, error: type[DashScopeError]
) -> None:
    actual = error_from_service(message, code=code, status_code=status)
    assert type(actual) is error
    assert actual.is_retryable == issubclass(error, RETRYABLE)


@pytest.mark.parametrize("code", CODES)
def test_an_error_says_what_to_do_about_its_code(code: str) -> None:
    rule = CODES[code]
    error = error_from_service("x", code=code)
    says = rule.advice or rule.error.hint
    if rule.error is DashScopeTimeoutError:  # raising `timeout`, as its hint says, would not help
        says = "A server timed out: try again (in a stream, if it was not), or ask for less."
    assert str(error) == f"DashScope: x. [code {code}] {says}"


def test_the_advice_of_a_code_goes_where_the_message_says_something_else() -> None:
    assert CODES["InvalidURL"].advice
    error = error_from_service("url error, please check url！", code="InvalidURL")
    assert str(error).endswith(DashScopeRouteError.hint)


@pytest.mark.parametrize(
    ("message", "side"),
    [
        ("Input data may contain inappropriate content.", "input"),
        ("Output data may contain inappropriate content.", "output"),
        ("<400> InternalError.Algo.DataInspectionFailed: Output data may contain", "output"),
        ("Input or output data may contain inappropriate content.", None),
        ("Blocked.", None),
    ],
)
def test_content_inspection_says_which_side(message: str, side: str | None) -> None:
    error = error_from_service(message, code="DataInspectionFailed", status_code=400)
    assert isinstance(error, DataInspectionFailed)
    assert error.side == side


@pytest.mark.parametrize("code", ["Throttling", "AccessDenied", "InternalError", "ModelNotFound"])
@pytest.mark.parametrize("retryable", [True, False])
def test_the_server_may_say_whether_a_retry_helps(code: str, retryable: bool) -> None:
    headers = {"x-should-retry": str(retryable)}
    assert error_from_service("x", code=code, headers=headers).is_retryable is retryable


@pytest.mark.parametrize("code", ["InvalidParameter", "DataInspectionFailed", "Arrearage"])
def test_what_a_retry_cannot_mend_is_not_retried_whatever_the_server_says(code: str) -> None:
    error = error_from_service("x", code=code, headers={"x-should-retry": "true"})
    assert not error.is_retryable


# --- The tree ---


def subclasses(cls: type[DashScopeError]) -> list[type[DashScopeError]]:
    return [cls, *(deeper for sub in cls.__subclasses__() for deeper in subclasses(sub))]


@pytest.mark.parametrize("error", subclasses(DashScopeError))
def test_every_error_is_langchains_is_drawn_and_has_a_hint(error: type[DashScopeError]) -> None:
    assert issubclass(error, core.ModelError)
    assert error.__name__ in (errors.__doc__ or "")
    assert "is_retryable" not in vars(DashScopeError)
    if not issubclass(error, DashScopeInputError):  # their text says it, case by case
        assert error.hint
        assert str(error("It broke")).startswith("It broke. ")


@pytest.mark.parametrize(
    ("ours", "cores"),
    [
        (DashScopeAuthenticationError, core.ModelAuthenticationError),
        (DashScopePermissionDeniedError, core.ModelPermissionDeniedError),
        (DashScopeQuotaExceededError, core.ModelPermissionDeniedError),
        (DashScopeNotFoundError, core.ModelNotFoundError),
        (DashScopeInvalidRequestError, core.ModelInvalidRequestError),
        (DashScopeContextOverflowError, core.ContextOverflowError),
        (DataInspectionFailed, core.ModelInvalidRequestError),
        (DashScopeInputError, core.ModelInvalidRequestError),
        (DashScopeUnsupportedError, ValueError),
        (DashScopeRateLimitError, core.ModelRateLimitError),
        (DashScopeServerError, core.ModelAPIError),
        (DashScopeTimeoutError, core.ModelTimeoutError),
        (DashScopeConnectionError, core.ModelConnectionError),
        (DashScopeStreamCutError, core.ModelConnectionError),
    ],
)
def test_an_error_is_also_langchains_error_for_the_condition(
    ours: type[DashScopeError], cores: type[Exception]
) -> None:
    assert issubclass(ours, cores)


@pytest.mark.parametrize("error", subclasses(DashScopeError))
def test_an_error_survives_pickling_without_the_answer(error: type[DashScopeError]) -> None:
    from langchain_core.messages import AIMessage  # noqa: PLC0415

    original = error("It broke", code="C", status_code=500, request_id="r", retry_after=2.0)
    original.partial_message = AIMessage("half an answer")
    for other in (pickle.loads(pickle.dumps(original)), copy.copy(original)):
        assert type(other) is error
        assert str(other) == str(original)
        assert (other.code, other.status_code, other.request_id) == ("C", 500, "r")
        assert other.partial_message is None


async def _invoke(graph: Any) -> None:
    graph.invoke({"messages": []})


async def _ainvoke(graph: Any) -> None:
    await graph.ainvoke({"messages": []})


@pytest.mark.parametrize("run", [_invoke, _ainvoke])
@pytest.mark.parametrize("is_pickled", [False, True])
@pytest.mark.parametrize("error", subclasses(DashScopeError)[1:])
async def test_langgraphs_own_retry_policy_repeats_what_a_retry_may_mend(
    error: type[DashScopeError], run: Callable[[Any], Awaitable[None]], *, is_pickled: bool
) -> None:
    raised = error("It broke", code="C", status_code=500)
    raised = pickle.loads(pickle.dumps(raised)) if is_pickled else raised
    attempts: list[int] = []

    def ask(_: Any) -> Any:
        attempts.append(1)
        raise raised

    policy = RetryPolicy(initial_interval=0, jitter=False)
    graph: Any = StateGraph(MessagesState)
    graph.add_node("ask", ask, retry_policy=policy).add_edge("__start__", "ask")
    with pytest.raises(error):
        await run(graph.compile())
    assert len(attempts) == (policy.max_attempts if error.is_retryable else 1)


@pytest.mark.parametrize("error", subclasses(DashScopeError))
def test_no_error_is_taken_for_a_client_that_left(error: type[DashScopeError]) -> None:
    """Starlette drops an `OSError` that is raised within a streamed response."""
    assert not issubclass(error, OSError)


def test_a_key_in_a_message_is_redacted() -> None:
    error = error_from_service("Incorrect API key provided: sk-0123456789abcdef.", status_code=401)
    assert "0123456789abcdef" not in f"{error} {error!r} {error.args}"
    assert str(error).startswith("DashScope: Incorrect API key provided: [redacted]. [HTTP 401]")


def test_a_long_message_is_shortened() -> None:
    error = error_from_service("x" * 100_000, status_code=500)
    assert str(error).startswith(f"DashScope: {'x' * 500}. [HTTP 500] ")


@pytest.mark.parametrize(
    ("message", "facts", "text"),
    [
        ("It broke", {}, "It broke. Do this."),
        ("It broke. \n", {}, "It broke. Do this."),
        *((f"It broke{end}", {}, f"It broke{end} Do this.") for end in ".!?。！？"),
        ("It broke", {"code": "C"}, "It broke. [code C] Do this."),
        ("It broke", {"status_code": 500}, "It broke. [HTTP 500] Do this."),
        ("It broke", {"request_id": "r"}, "It broke. [request_id r] Do this."),
        (
            "It broke",
            {"code": "C", "status_code": 500, "request_id": "r", "retry_after": 2},
            "It broke. [code C, HTTP 500, request_id r] Do this.",
        ),
    ],
)
def test_a_text_says_what_happened_where_and_what_to_do(
    message: str, facts: dict[str, Any], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DashScopeError, "hint", "Do this.")
    assert str(DashScopeError(message, **facts)) == text


def test_an_error_without_a_hint_ends_with_what_happened() -> None:
    assert str(DashScopeInputError("No", request_id="r")) == "No. [request_id r]"


def test_an_error_carries_no_answer_where_none_arrived() -> None:
    assert error_from_service("x").partial_message is None


def test_advice_is_appended_to_the_text_and_to_nothing_else() -> None:
    error = DashScopeInputError(" No")
    error.args = (*error.args, "more")
    error.add_advice("Do that. ")
    assert error.args == (" No. Do that.", "more")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        *((0, DashScopeServerError), (1, DashScopeServerError), (399, DashScopeServerError)),
        *((400, DashScopeInvalidRequestError), (499, DashScopeInvalidRequestError)),
        *((500, DashScopeServerError), (409, DashScopeServerError)),
    ],
)
def test_the_hundred_of_a_status_decides_where_nothing_else_does(
    status: int, error: type[DashScopeError]
) -> None:
    said = error_from_service("", status_code=status)
    assert type(said) is error
    assert str(said).startswith("DashScope sent no error message.")


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        (None, None, DashScopeContextOverflowError),
        ("Brand.New", None, DashScopeContextOverflowError),
        ("Brand.New", 400, DashScopeContextOverflowError),
        ("InternalError.Algo.More", 500, DashScopeContextOverflowError),
        ("Throttling", None, DashScopeRateLimitError),
        (None, 401, DashScopeAuthenticationError),
    ],
)
def test_a_text_narrows_what_its_code_leaves_open_and_overrules_none(
    code: str | None, status: int | None, error: type[DashScopeError]
) -> None:
    said = error_from_service("maximum context length", code=code, status_code=status)
    assert type(said) is error


@pytest.mark.parametrize(
    ("header", "retryable"),
    [(" TRUE ", True), ("False", False), ("", True), ("no", True), (None, True)],
)
def test_only_true_and_false_decide_on_a_retry(header: str | None, *, retryable: bool) -> None:
    headers = {} if header is None else {"x-should-retry": header}
    assert error_from_service("x", status_code=500, headers=headers).is_retryable is retryable


@pytest.mark.parametrize(
    ("model", "instead"),
    [
        ("deepseek-r1", "use deepseek-v4.1-flash"),
        ("deepseek-v3.2", "switched off since 2026-10-10"),
    ],
)
async def test_a_model_that_is_off_names_what_to_use_instead(
    model: str, instead: str, ask: Ask, service: Scripted
) -> None:
    service.answer(body("ModelNotFound", "Model not exist."), status=404)
    with pytest.raises(DashScopeNotFoundError, match=instead):
        await ask(service.model(model), "hi")


# --- Errors of the network ---


@pytest.mark.parametrize(
    ("foreign", "ours"),
    [
        (httpx.ConnectTimeout("slow"), DashScopeTimeoutError),
        (httpx.ReadTimeout("slow"), DashScopeTimeoutError),
        (httpx.WriteTimeout("slow"), DashScopeTimeoutError),
        (httpx.PoolTimeout("slow"), DashScopeTimeoutError),
        (httpx.ConnectError("refused"), DashScopeConnectionError),
        (httpx.ProxyError("no"), DashScopeConnectionError),
        (httpx.RemoteProtocolError("eh"), DashScopeConnectionError),
        (httpx.LocalProtocolError("illegal header"), DashScopeInputError),
        (httpx.UnsupportedProtocol("ftp"), DashScopeInputError),
        (httpx.DecodingError("gzip"), DashScopeServerError),
    ],
)
async def test_no_error_of_httpx_escapes_and_the_key_stays_out_of_its_cause(
    foreign: httpx.RequestError, ours: type[DashScopeError], ask: Ask, service: Scripted
) -> None:
    foreign.request = httpx.Request("POST", "https://x", headers={"Authorization": "Bearer sk-k"})
    service.fail(foreign)
    with pytest.raises(DashScopeError) as caught:
        await ask(service.model(), "hi")
    assert type(caught.value) is ours
    assert caught.value.__cause__ is foreign
    assert "authorization" not in foreign.request.headers
    assert "illegal header" not in str(foreign)  # which may quote the key


@pytest.mark.parametrize(
    ("answer", "headers", "status", "error"),
    [
        ("<html>Bad gateway</html>", {"content-type": "text/html"}, 502, DashScopeServerError),
        ("<html>Hello</html>", {"content-type": "text/html"}, 200, DashScopeServerError),
        ("<html>No</html>", {"content-type": "text/html"}, 403, DashScopePermissionDeniedError),
        ("", JSON, 200, DashScopeServerError),
        ("", {}, 500, DashScopeServerError),
        ("[]", JSON, 200, DashScopeServerError),
        ("null", JSON, 200, DashScopeServerError),
        ('{"output": {}}', JSON, 200, DashScopeServerError),
        ('{"output": {"choices": []}}', JSON, 200, DashScopeServerError),
        ("{" * 100_000, JSON, 200, DashScopeServerError),
        ("[" * 100_000, JSON, 200, DashScopeServerError),
        ('{"output": {"cho', JSON, 200, DashScopeServerError),
        ("data:not json\n\n", EVENTS, 200, DashScopeStreamCutError),
        ("data:" + "[" * 100_000 + "\n\n", EVENTS, 200, DashScopeStreamCutError),
        ("", EVENTS, 200, DashScopeStreamCutError),
        ("hello", EVENTS, 200, DashScopeStreamCutError),
        ("", {"location": "https://else.test"}, 302, DashScopeInvalidRequestError),
    ],
)
async def test_what_is_no_answer_is_an_error_that_does_not_quote_it(
    answer: str,
    headers: dict[str, str],
    status: int,
    error: type[DashScopeError],
    ask: Ask,
    service: Scripted,
) -> None:
    service.answer(answer, headers=headers, status=status)
    with pytest.raises(DashScopeError) as caught:
        await ask(service.model(), "hi")
    assert type(caught.value) is error
    assert "html>" not in str(caught.value)


# --- Advice where a text says little ---


def refusal(message: str, code: str = "InvalidParameter") -> dict[str, str]:
    return {"code": code, "message": message, "request_id": "r"}


@pytest.mark.parametrize(
    ("message", "advice"),
    [
        ("<400> InternalError.Algo: Failed to download multimodal content", "as base64."),
        ("This response_format type is unavailable now", 'use {"type": "json_object"}, or'),
        ("The model x does not support enable_thinking", "Leave enable_thinking out"),
    ],
)
async def test_a_text_that_says_little_comes_with_advice(
    message: str, advice: str, ask: Ask, service: Scripted
) -> None:
    service.answer(refusal(message), status=400)
    with pytest.raises(DashScopeInvalidRequestError) as caught:
        await ask(service.model(), "hi")
    assert message in str(caught.value)
    assert advice in str(caught.value)


async def test_a_key_of_a_plan_is_told_where_it_belongs(ask: Ask, service: Scripted) -> None:
    service.answer(refusal("Invalid API-key provided.", "InvalidApiKey"), status=401)
    with pytest.raises(DashScopeAuthenticationError) as caught:
        await ask(service.model(api_key=" sk-sp-0123456789\n"), "hi")
    assert "A key that begins with sk-sp- belongs to a plan" in str(caught.value)
    assert "does not support this protocol" in str(caught.value)
    assert "0123456789" not in str(caught.value)
    with pytest.raises(DashScopeAuthenticationError) as caught:
        await ask(service.model(), "hi")
    assert "plan" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (404, "ModelNotFound", "Model not exist."),
        (400, "InvalidParameter", "No."),
        (400, "InvalidParameter", "url error, please check url！"),
    ],
)
async def test_a_partners_model_says_itself_that_its_pages_know_another_protocol(
    status: int, code: str, message: str, ask: Ask, service: Scripted
) -> None:
    """It is asked all the same: the service has the last word."""
    service.answer(refusal(message, code), status=status)
    with pytest.raises(DashScopeError, match="documented for the OpenAI-compatible API only"):
        await ask(service.model("vanchin/deepseek-v4-pro"), "hi")
    assert service.requests
    with pytest.raises(DashScopeError) as caught:
        await ask(service.model("siliconflow/deepseek-v3.2"), "hi")
    assert "OpenAI-compatible" not in str(caught.value)


@pytest.mark.parametrize(
    ("region", "asked", "says"),
    [
        ("us-east-1", {"enable_search": True}, "enable_search is not documented"),
        (
            "us-east-1",
            {"response_format": {"type": "json_object"}},
            "response_format is not documented",
        ),
        ("cn-beijing", {"enable_search": True}, None),
        ("us-east-1", {}, None),
    ],
)
async def test_a_region_without_a_feature_is_named_where_the_service_refuses(
    region: str, asked: dict[str, Any], says: str | None, ask: Ask, service: Scripted
) -> None:
    service.answer(refusal("No."), status=400)
    for workspace in (None, "ws-1"):
        model = service.model(region=region, workspace_id=workspace)
        with pytest.raises(DashScopeInvalidRequestError) as caught:
            await ask(model, "json", **asked)
        assert (f"{says}" in str(caught.value)) == (says is not None)
        assert (region in str(caught.value)) == (says is not None)


async def test_a_model_that_does_not_exist_names_the_nearest(ask: Ask, service: Scripted) -> None:
    service.answer(refusal("Model not exist.", "ModelNotFound"), status=404)
    with pytest.raises(DashScopeNotFoundError, match=r"nearest name .* is 'deepseek-v4-pro'"):
        await ask(service.model("deepseek-v4-prp"), "hi")


# --- Secrets stand in nothing that is said ---

SECRET_KEYS = [
    "sk-ws-H.abcdefgh.ijklmnop.qrstuvwx",  # as Model Studio issues them today
    "gateway/token+with=signs",
    "sk-sp-0123456789abcdef",
    "0123456789abcdef0123456789abcdef",
]
QUESTION = "What did my sister say on the phone on Tuesday?"


def texts_of(error: BaseException | None) -> list[str]:
    """Give all that an error says, with its causes and what a pickle of it holds."""
    texts = []
    while error is not None:
        texts += [str(error), repr(error), repr(vars(error)), *traceback.format_exception(error)]
        error = error.__cause__ or error.__context__
    return texts


@pytest.mark.parametrize("key", SECRET_KEYS)
@pytest.mark.parametrize(
    "place",
    ["message", "cut", "code", "request_id", "x-request-id", "location", "content-type", "glued"],
)
async def test_no_error_quotes_the_key_or_a_part_of_it(
    key: str, place: str, ask: Ask, service: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    told = {**refusal("No."), "code": "InvalidParameter"}
    headers = {"content-type": "application/json"}
    status: int = 400
    if place == "message":
        told["message"] = (
            f"Incorrect API key provided: {key}, parts: {key.rsplit('.', maxsplit=1)[-1]}"
        )
    elif place == "cut":
        told["message"] = "x" * 480 + key
    elif place == "glued":
        told["message"] = f"_{key}_"
    elif place in told:
        told[place] = f"No.{key}"
    elif place == "location":
        status, headers["location"] = 307, f"https://elsewhere.test/?key={key}"
    elif place == "content-type":
        status, headers["content-type"] = 200, f"text/{key}"
    else:
        headers[place] = key
        del told["request_id"]
    service.answer(b"<html>" if place == "content-type" else told, status=status, headers=headers)
    with pytest.raises(DashScopeError) as caught:
        await ask(service.model(api_key=key), QUESTION)
    secrets = [key, *(part for part in key.split(".") if len(part) >= 8)]
    for text in [*texts_of(caught.value), caplog.text, repr(pickle.dumps(caught.value))]:
        assert not any(secret in text for secret in secrets)


async def test_the_services_own_text_is_shown_even_where_it_quotes_the_prompt(
    ask: Ask, service: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    service.answer(refusal(f"Bad input: {QUESTION}"), status=400)
    with pytest.raises(DashScopeError) as caught:
        await ask(service.model(), QUESTION)
    assert str(caught.value).startswith(f"DashScope: Bad input: {QUESTION} [code InvalidParameter")
    assert "sister" not in caplog.text


async def test_a_foreign_text_is_cut(ask: Ask, service: Scripted) -> None:
    service.answer(refusal("x" * 10_000, "y" * 10_000), status=400)
    with pytest.raises(DashScopeError) as caught:
        await ask(service.model(), "hi")
    assert len(str(caught.value)) < 1_000
    assert caught.value.code == "y" * 100


async def test_what_h11_quotes_is_not_passed_on(ask: Ask, service: Scripted) -> None:
    line = f"illegal header line: bytearray(b'x: {QUESTION}')"
    error = httpx.RemoteProtocolError(line)
    error.__cause__ = ValueError(line)
    service.fail(error)
    with pytest.raises(DashScopeError, match="sent no answer, or invalid HTTP") as caught:
        await ask(service.model(), QUESTION)
    assert not any("sister" in text for text in texts_of(caught.value))


async def test_a_redirect_that_leads_nowhere_says_so(ask: Ask, service: Scripted) -> None:
    service.answer(b"", status=301, headers={"location": ""})
    with pytest.raises(DashScopeError, match="redirects without a location: set base_url"):
        await ask(service.model(), "hi")
