"""Errors from the service."""

from __future__ import annotations

import json

from langchain_dashscope_deepseek import (
    DashScopeAuthenticationError,
    DashScopeContextOverflowError,
    DashScopeNotFoundError,
    DashScopeQuotaExceededError,
    DashScopeRouteError,
    DataInspectionFailed,
)
from tests.integration_tests.faults.what import (
    ANSWER,
    BAD,
    FIRST,
    JSON,
    KEEP_ALIVE,
    LIMIT,
    NONE,
    PACKETS,
    SERVER,
    STATUSES,
    STREAM,
    THROTTLED,
    WRONG_ROUTE,
    Fails,
    Fault,
    bound_to,
    emulated,
    event,
    head,
    refusal,
    refused,
    sent,
    served,
)
from tests.integration_tests.stage import KEY

REFUSALS = (
    Fault(
        "error_as_json",
        "an error as a JSON body",
        sent(THROTTLED, status=429),
        refused(LIMIT, "Throttling.RateQuota", 429),
    ),
    Fault(
        "error_without_content_type",
        "an error without a `content-type`",
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
        "an error event with the content type of JSON",
        emulated(lambda e: e.fail("InvalidParameter", "No.", shape="sse_as_json", times=99)),
        refused(BAD, "InvalidParameter", 400),
    ),
    Fault(
        "error_event_in_mid_stream",
        "an error event after the first part of the answer",
        sent(PACKETS[0] + event(THROTTLED, "error", 429)),
        refused(LIMIT, "Throttling.RateQuota", 429, partial=FIRST),
    ),
    Fault(
        "error_event_after_keep_alive",
        "an error event after packets without content",
        sent(KEEP_ALIVE + event(THROTTLED, "error", 429)),
        refused(LIMIT, "Throttling.RateQuota", 429),
    ),
    Fault(
        "error_in_openai_shape",
        "an error in OpenAI's format",
        emulated(lambda e: e.fail("model_not_found", "No.", status=404, shape="openai", times=99)),
        refused(DashScopeNotFoundError, "model_not_found", 404),
    ),
    Fault(
        "error_as_html",
        "an HTML error page of a proxy",
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
        "an error as a JSON body with the content type of a stream",
        sent(json.dumps(THROTTLED).encode()),
        refused(LIMIT, "Throttling.RateQuota", None),
    ),
    Fault(
        "error_text_cut",
        "an error whose body is truncated",
        served(head(JSON, "503 No", content_length="99") + b'{"code": "Mod'),
        refused(SERVER, None, 503),
    ),
    Fault(
        "error_quotes_the_key",
        "an error whose message contains the key",
        sent(refusal("InvalidApiKey", f"Incorrect API key provided: {KEY}"), status=401),
        refused(DashScopeAuthenticationError, "InvalidApiKey", 401),
    ),
    Fault(
        "error_after_the_answer",
        "an error event after the last packet",
        sent(STREAM + event(THROTTLED, "error", 429)),
        ANSWER,
    ),
    Fault(
        "wrong_route",
        "`url error` on one route, an answer on the other",
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
        "an image that the service cannot download",
        sent(refusal("InvalidParameter", "Failed to download multimodal content"), status=400),
        refused(BAD, "InvalidParameter", 400),
    ),
    Fault(
        "format_unavailable",
        "a `response_format` that the model does not support",
        sent(
            refusal("InvalidParameter", "This response_format type is unavailable now"), status=400
        ),
        refused(BAD, "InvalidParameter", 400),
    ),
    Fault(
        "thinking_not_supported",
        "a model that does not support `enable_thinking`",
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
        "a used-up quota",
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
            f"HTTP {status} with an unknown code",
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
