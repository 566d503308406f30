"""Maps the service's error codes, messages and HTTP statuses to error classes, with advice."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from langchain_dashscope_deepseek._dashscope.protocol.redaction import (
    LONGEST_MESSAGE,
    printable,
    redact_keys,
)
from langchain_dashscope_deepseek.errors import (
    DashScopeAuthenticationError,
    DashScopeContextOverflowError,
    DashScopeError,
    DashScopeInvalidRequestError,
    DashScopeNotFoundError,
    DashScopePermissionDeniedError,
    DashScopeQuotaExceededError,
    DashScopeRateLimitError,
    DashScopeRouteError,
    DashScopeServerError,
    DashScopeTimeoutError,
    DataInspectionFailed,
)


class CodeRule(NamedTuple):
    """The meaning of an error code of the service."""

    error: type[DashScopeError]
    advice: str = ""  # replaces the hint of the error class
    per_minute: bool = False  # the limit refills each minute, so a retry waits longer


class MessageRule(NamedTuple):
    """A message that is more exact than its code."""

    text: str  # part of the message
    replaces: tuple[type[DashScopeError], ...]  # the errors by code or status that it replaces
    error: type[DashScopeError]


_INVALID, _NOT_FOUND = DashScopeInvalidRequestError, DashScopeNotFoundError
_DENIED, _QUOTA = DashScopePermissionDeniedError, DashScopeQuotaExceededError
_RATE_LIMIT, _SERVER = DashScopeRateLimitError, DashScopeServerError
_AUTH, _TIMEOUT = DashScopeAuthenticationError, DashScopeTimeoutError
_VAGUE = (_INVALID, _SERVER)  # the errors of vague codes, which the message may explain

_SERVER_TIMEOUT = "A server timed out: try again (in a stream, if it was not), or ask for less."

_RULES: Mapping[str, CodeRule] = {
    "InvalidParameter, invalid_parameter_error": CodeRule(_INVALID),
    "InternalError.Algo.InvalidParameter, BadRequest, UnsupportedOperation": CodeRule(_INVALID),
    "InvalidURL": CodeRule(_INVALID, "Send a public URL, or the image as base64."),
    "DataInspectionFailed, data_inspection_failed": CodeRule(DataInspectionFailed),
    "InternalError.Algo.DataInspectionFailed": CodeRule(DataInspectionFailed),
    "FaqRuleBlocked, IPInfringementSuspect": CodeRule(DataInspectionFailed),
    "CustomRoleBlocked": CodeRule(
        DataInspectionFailed, "Rephrase the input, or change the blocking rule in the console."
    ),
    "InvalidApiKey, invalid_api_key": CodeRule(_AUTH),
    "NOT AUTHORIZED": CodeRule(
        _AUTH, "Check workspace_id, region and base_url, and that the account is in the workspace."
    ),
    "AccessDenied, access_denied, Model.AccessDenied, Workspace.AccessDenied": CodeRule(_DENIED),
    "Arrearage": CodeRule(_QUOTA, "Settle the bill in the console, and wait some minutes."),
    "AllocationQuota.FreeTierOnly": CodeRule(
        _QUOTA, "Allow paid use beyond the free quota in the console; an account must be verified."
    ),
    "CommodityNotPurchased": CodeRule(_QUOTA, "Subscribe to the service in the console."),
    "PrepaidBillOverdue, PostpaidBillOverdue": CodeRule(_QUOTA, "Settle the bill in the console."),
    "BudgetLimitExceeded": CodeRule(_QUOTA, "Raise the budget in the console."),
    "ModelNotFound, model_not_found, Model.NotExist, model_not_supported": CodeRule(_NOT_FOUND),
    "WorkSpaceNotFound": CodeRule(_NOT_FOUND, "Check workspace_id."),
    "Throttling, LimitRequests, limit_requests": CodeRule(_RATE_LIMIT),
    "limit_burst_rate, rate_limit_exceeded": CodeRule(_RATE_LIMIT),
    "Throttling.AllocationQuota, insufficient_quota": CodeRule(_RATE_LIMIT, per_minute=True),
    "InternalError, internal_error, SystemError, ModelServiceFailed": CodeRule(_SERVER),
    "ModelServingError, ModelUnavailable, ServiceUnavailable": CodeRule(_SERVER),
    "RequestTimeOut, InternalError.Timeout, ResponseTimeout, GatewayTimeout": CodeRule(_TIMEOUT),
}
"""The rules. Codes with the same one share a line."""

CODES = {code: rule for codes, rule in _RULES.items() for code in codes.split(", ")}
"""The rule of each code, and of longer codes: `Throttling` covers `Throttling.RateQuota`.

Source: the error page of the documentation, the official client, and recorded traffic.
"""

MESSAGES = (
    MessageRule("Range of input length should be", _VAGUE, DashScopeContextOverflowError),
    MessageRule("maximum context length", _VAGUE, DashScopeContextOverflowError),
    MessageRule("inappropriate content", _VAGUE, DataInspectionFailed),
    MessageRule("InternalError.Algo.DataInspectionFailed", _VAGUE, DataInspectionFailed),
    MessageRule("Model not exist", (_INVALID,), _NOT_FOUND),
    MessageRule("url error, please check url", (_INVALID,), DashScopeRouteError),
    MessageRule("Free allocated quota exceeded", (_RATE_LIMIT, _DENIED), _QUOTA),
    MessageRule("<429> InternalError", _VAGUE, _RATE_LIMIT),
    MessageRule("<400> InternalError.Algo.InvalidParameter", (_SERVER,), _INVALID),
)
"""The rules for messages, also if code and status are unknown; the first match counts."""

ADVICE: Mapping[str, str] = {
    "Failed to download multimodal content": (
        "The service could not fetch an image: its URL must be one that the service can read (not "
        "expired, not private, not on this machine). Or send the image itself, as base64."
    ),
    "response_format type is unavailable now": (
        'The model has no json_schema on DashScope: use {"type": "json_object"}, or '
        'with_structured_output with method="function_calling".'
    ),
    "does not support enable_thinking": "Leave enable_thinking out for this model.",
}
"""Advice by a part of the message, for messages that give none.

Sources: the error page of the documentation; for json_schema, a message that the authors of another
client received on 23 September 2026.
"""

STATUSES: Mapping[int, type[DashScopeError]] = {
    401: _AUTH,
    403: _DENIED,
    404: _NOT_FOUND,
    408: _TIMEOUT,
    409: _SERVER,
    429: _RATE_LIMIT,
    504: _TIMEOUT,
}
"""The error of a status, if the code is unknown. Any other 4xx is an invalid request; any other
status is an error of the server."""

_FINAL = (DashScopeQuotaExceededError, DashScopeInvalidRequestError)
"""Errors that an `x-should-retry: true` header does not make retryable."""


def error_from_service(
    message: str,
    *,
    code: str | None = None,
    status_code: int | None = None,
    request_id: str | None = None,
    headers: Mapping[str, str] = {},
    redact: Callable[[str], str] = redact_keys,
    prefix: str = "DashScope: ",
) -> DashScopeError:
    """Return the error for a response, by its code, its message, or its status."""
    longest = 2 * LONGEST_MESSAGE  # before redaction, which may shorten it
    message, code = message[:longest], code and code[:longest]
    rule = find_rule(code)
    cls = _classify(rule, message, status_code)
    own_advice = rule.advice if rule and rule.error is cls else ""
    text = redact(message)[:LONGEST_MESSAGE]
    code, request_id = (name and printable(redact(name[:longest])) for name in (code, request_id))
    error = cls(
        f"{prefix}{text}" if text else "DashScope sent no error message",
        code=code,
        status_code=status_code,
        request_id=request_id,
        retry_after=retry_after(headers),
        hint=own_advice or (_SERVER_TIMEOUT if cls is _TIMEOUT else ""),
    )
    for part, advice in ADVICE.items():
        if part in message:
            error.add_advice(advice)
    should_retry = headers.get("x-should-retry", "").strip().lower()
    # Gateways send "true" by status alone, and no retry helps an unpaid bill or a wrong request.
    if should_retry == "false" or (should_retry == "true" and not isinstance(error, _FINAL)):
        error.is_retryable = should_retry == "true"
    return error


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds to wait by the `retry-after-ms` or `retry-after` header."""
    for name, per_second in (("retry-after-ms", 1000), ("retry-after", 1)):
        with suppress(ValueError):
            number = float(headers.get(name, ""))
            if 0 <= number < float("inf"):
                return number / per_second
    with suppress(ValueError, OverflowError):
        date = parsedate_to_datetime(headers.get("retry-after", ""))
        return max(0.0, date.timestamp() - time.time())
    return None


def find_rule(code: str | None) -> CodeRule | None:
    """Return the rule of a code, else of its longest dotted prefix in the table."""
    while code and code not in CODES:
        code = code.rpartition(".")[0]
    return CODES[code] if code else None


def _classify(rule: CodeRule | None, message: str, status_code: int | None) -> type[DashScopeError]:
    by_code = rule.error if rule else STATUSES.get(status_code or 0)
    for text, replaces, error in MESSAGES:
        if text in message and (by_code is None or by_code in replaces):
            return error
    return by_code or (_INVALID if status_code in range(400, 500) else _SERVER)
