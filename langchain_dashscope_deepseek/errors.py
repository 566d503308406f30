"""What can go wrong, as one tree, and the table that maps the service's errors to it.

```
DashScopeError
├── DashScopeAuthenticationError        the key is missing or wrong (ValueError)
├── DashScopePermissionDeniedError      the key may not do this (ValueError)
│   └── DashScopeQuotaExceededError     no money, no quota: a retry does not help
├── DashScopeNotFoundError              no such model (LookupError)
├── DashScopeInvalidRequestError        the request is wrong (ValueError)
│   ├── DashScopeContextOverflowError   the input is too long
│   ├── DashScopeRouteError             the model is on neither of the service's two routes
│   ├── DataInspectionFailed            content inspection refused the input or the output
│   └── DashScopeInputError             refused here, before any request
│       └── DashScopeUnsupportedError   the capability table says that the model cannot do it
├── DashScopeRateLimitError             too fast: retried
├── DashScopeServerError                the service failed: retried
│   └── DashScopeAnswerTooLargeError    more than max_answer_size (RuntimeError)
├── DashScopeTimeoutError               no answer in time: retried
│   └── DashScopeDeadlineError          more than max_seconds (RuntimeError)
└── DashScopeConnectionError            no connection: retried
    └── DashScopeStreamCutError         the answer ended without a finish_reason
```

Each class is also the LangChain class for its condition (`ModelRateLimitError`, ...), so code
that catches those works with any provider. Errors that a retry does not help are also the class of
Python in brackets, by which retry policies such as LangGraph's default one tell that. None is an
`OSError`: Starlette takes one that is raised within a streamed response for a client that left.
This module must not import anything else of the
package; of LangChain it knows the exceptions only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from langchain_core.exceptions import (
    ContextOverflowError,
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelPermissionDeniedError,
    ModelRateLimitError,
    ModelTimeoutError,
)

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage


class DashScopeWarning(UserWarning):
    """Something that was asked for was left out or changed, and the call went on.

    By default each text is shown once; `warnings.filterwarnings` with this class silences them
    all, or turns them into errors.
    """


class DashScopeError(ModelError):
    """Base of all errors of this package.

    Attributes:
        code: The service's error code, such as `"Throttling.RateQuota"`; `None` where the
            error was not the service's.
        status_code: The HTTP status. Of an error within a stream, what a comment line of the
            stream says. `None` where no line says it, or no answer came.
        request_id: The service's id of the request, for a support ticket.
        is_retryable: Whether the same request may succeed later. LangChain's
            `ModelRetryMiddleware` asks for it.
        retry_after: Seconds that the service asks to wait before the next attempt, if it said so.
        partial_message: What had arrived of the answer before the error, as an `AIMessage`;
            `None` if nothing had. Not part of the text, the repr or a pickle.
    """

    hint = "See the errors page of the documentation."
    """What to do next. Ends the error's text."""

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        status_code: int | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        hint: str = "",
    ) -> None:
        """Build the text from what happened, the identifiers and the hint."""
        self.hint = hint or self.hint
        facts = [f"code {code}"] if code else []
        facts += [f"HTTP {status_code}"] if status_code else []
        facts += [f"request_id {request_id}"] if request_id else []
        identifiers = f" [{', '.join(facts)}]" if facts else ""
        super().__init__(f"{_end_sentence(message)}{identifiers} {self.hint}".rstrip())
        self.code = code
        self.status_code = status_code
        self.request_id = request_id
        self.retry_after = retry_after
        self.partial_message: AIMessage | None = None

    def add_advice(self, advice: str) -> None:
        """Append a sentence that helps in this one case to the error's text."""
        self.args: tuple[Any, ...] = (f"{self.args[0]} {advice}".rstrip(), *self.args[1:])

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the text and the identifiers, never the partial answer."""
        state = {**self.__dict__, "partial_message": None}
        return _rebuild, (type(self), self.args, state)


def _rebuild(
    cls: type[DashScopeError], args: tuple[Any, ...], state: dict[str, Any]
) -> DashScopeError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class DashScopeAuthenticationError(DashScopeError, ModelAuthenticationError, ValueError):
    """The API key is missing or not accepted (HTTP 401)."""

    hint = (
        "Check api_key / DASHSCOPE_API_KEY: a key works only in the region that issued it, so "
        "region or base_url must match it."
    )


class DashScopePermissionDeniedError(DashScopeError, ModelPermissionDeniedError, ValueError):
    """The key is valid but may not do this (HTTP 403)."""

    hint = (
        "Activate the model in the Model Studio console, or give the key's workspace access to it."
    )


class DashScopeQuotaExceededError(DashScopePermissionDeniedError):
    """The account is in arrears, or a quota is used up that time does not refill."""

    hint = "Retrying does not help: settle the bill, buy quota, or raise the budget in the console."


class DashScopeNotFoundError(DashScopeError, ModelNotFoundError, LookupError):
    """The model (or the workspace) does not exist for this key and region (HTTP 404)."""

    hint = (
        "Check the model's name and the workspace, that the region offers it, and that base_url "
        "ends in /api/v1."
    )


class DashScopeInvalidRequestError(DashScopeError, ModelInvalidRequestError, ValueError):
    """The service refuses the request as it is (HTTP 400)."""

    hint = "Sending it again does not help: change the request as the message says."


class DashScopeContextOverflowError(DashScopeInvalidRequestError, ContextOverflowError):
    """The input is longer than the model takes."""

    hint = "Shorten the input: trim_messages, SummarizationMiddleware, or a model that takes more."


class DashScopeRouteError(DashScopeInvalidRequestError):
    """The service binds the model to neither of the routes that could serve the request."""

    hint = (
        "Check the model's name, that the region of base_url offers it, and a route that is "
        "pinned by ModelCapabilities(routes=...)."
    )


class DataInspectionFailed(DashScopeInvalidRequestError):  # noqa: N818 - the service's name
    """Content inspection refused the input or the output.

    Attributes:
        side: `"input"` or `"output"`, or `None` where the service did not say.
    """

    hint = "Rephrase the input; asking the same again gets the same refusal."

    def __init__(self, message: str, **facts: Any) -> None:
        """Read from the service's text which side was refused."""
        super().__init__(message, **facts)
        named = _SIDE.search(message)
        self.side: Literal["input", "output"] | None = (
            None if named is None else "input" if named[1].lower() == "input" else "output"
        )


class DashScopeInputError(DashScopeInvalidRequestError):
    """Refused by this package before any request was sent."""

    hint = ""


class DashScopeUnsupportedError(DashScopeInputError):
    """The capability table says that the model cannot do what was asked; nothing was sent."""


class DashScopeRateLimitError(DashScopeError, ModelRateLimitError):
    """Too many requests or tokens at a time (HTTP 429)."""

    hint = "Slow down (LangChain's rate_limiter), raise max_retries, or ask for a higher limit."


class DashScopeServerError(DashScopeError, ModelAPIError):
    """The service failed, or answered something that is no answer (HTTP 5xx)."""

    hint = "Usually passing: try again later, and quote the request_id if it lasts."


class DashScopeAnswerTooLargeError(DashScopeServerError, RuntimeError):
    """The answer is larger than `max_answer_size`; the rest of it was not read."""

    hint = "Raise max_answer_size if such an answer is wanted."
    is_retryable = False


class DashScopeTimeoutError(DashScopeError, ModelTimeoutError):
    """Connecting, sending, or the next byte of the answer took longer than `timeout`."""

    hint = "Raise timeout, or stream: a stream sends bytes while the model thinks."


class DashScopeDeadlineError(DashScopeTimeoutError, RuntimeError):
    """The whole call, all its attempts together, took longer than `max_seconds`."""

    hint = "Raise max_seconds, or ask for less."
    is_retryable = False  # who asks again gives it more time


class DashScopeConnectionError(DashScopeError, ModelConnectionError):
    """No connection could be made, or it broke."""

    hint = "Check the network, the proxy settings and base_url."


class DashScopeStreamCutError(DashScopeConnectionError):
    """The answer ended before the service said that it was finished.

    What had arrived is in `partial_message`. It is not an answer.
    """

    hint = "Ask again; partial_message holds what had arrived."


class CodeRule(NamedTuple):
    """One line of the code table."""

    error: type[DashScopeError]
    waits: Literal["", "minute"] = ""
    """`"minute"`: the limit is a window of one minute, so a retry waits longer."""
    advice: str = ""
    """What to do next, in place of the error's hint."""


_BAD, _DENIED, _QUOTA = (
    DashScopeInvalidRequestError,
    DashScopePermissionDeniedError,
    DashScopeQuotaExceededError,
)
_LIMIT, _SERVER, _MISSING = DashScopeRateLimitError, DashScopeServerError, DashScopeNotFoundError

_STREAM = "Ask again, and stream: a stream sends bytes while the model thinks."

CODES: Mapping[str, CodeRule] = {
    "InvalidParameter": CodeRule(_BAD),
    "invalid_parameter_error": CodeRule(_BAD),
    "InternalError.Algo.InvalidParameter": CodeRule(_BAD),
    "BadRequest": CodeRule(_BAD),
    "InvalidURL": CodeRule(
        _BAD, advice="Send a URL that the service can reach, or the image itself, as base64."
    ),
    "UnsupportedOperation": CodeRule(_BAD),
    "DataInspectionFailed": CodeRule(DataInspectionFailed),
    "data_inspection_failed": CodeRule(DataInspectionFailed),
    "InternalError.Algo.DataInspectionFailed": CodeRule(DataInspectionFailed),
    "CustomRoleBlocked": CodeRule(
        DataInspectionFailed, advice="Rephrase the input, or change that rule in the console."
    ),
    "FaqRuleBlocked": CodeRule(DataInspectionFailed),
    "IPInfringementSuspect": CodeRule(DataInspectionFailed),
    "InvalidApiKey": CodeRule(DashScopeAuthenticationError),
    "invalid_api_key": CodeRule(DashScopeAuthenticationError),
    "NOT AUTHORIZED": CodeRule(
        DashScopeAuthenticationError,
        advice="Check workspace_id, region and base_url, and that the account is in the workspace.",
    ),
    "AccessDenied": CodeRule(_DENIED),
    "access_denied": CodeRule(_DENIED),
    "Model.AccessDenied": CodeRule(_DENIED),
    "Workspace.AccessDenied": CodeRule(_DENIED),
    "Arrearage": CodeRule(
        _QUOTA, advice="Settle the bill in the console; calls work again after some minutes."
    ),
    "AllocationQuota.FreeTierOnly": CodeRule(
        _QUOTA,
        advice="Allow paid use beyond the free quota in the console; verify a new account first.",
    ),
    "CommodityNotPurchased": CodeRule(_QUOTA, advice="Subscribe the workspace in the console."),
    "PrepaidBillOverdue": CodeRule(_QUOTA, advice="Settle the bill in the console."),
    "PostpaidBillOverdue": CodeRule(_QUOTA, advice="Settle the bill in the console."),
    "BudgetLimitExceeded": CodeRule(_QUOTA, advice="Raise the budget in the console."),
    "ModelNotFound": CodeRule(_MISSING),
    "model_not_found": CodeRule(_MISSING),
    "Model.NotExist": CodeRule(_MISSING),
    "model_not_supported": CodeRule(_MISSING),
    "WorkSpaceNotFound": CodeRule(_MISSING, advice="Check workspace_id."),
    "Throttling": CodeRule(_LIMIT),
    "Throttling.AllocationQuota": CodeRule(_LIMIT, waits="minute"),
    "insufficient_quota": CodeRule(_LIMIT, waits="minute"),
    "LimitRequests": CodeRule(_LIMIT),
    "limit_requests": CodeRule(_LIMIT),
    "limit_burst_rate": CodeRule(_LIMIT),
    "rate_limit_exceeded": CodeRule(_LIMIT),
    "InternalError": CodeRule(_SERVER),
    "internal_error": CodeRule(_SERVER),
    "SystemError": CodeRule(_SERVER),
    "ModelServiceFailed": CodeRule(_SERVER),
    "RequestTimeOut": CodeRule(DashScopeTimeoutError, advice=_STREAM),
    "InternalError.Timeout": CodeRule(DashScopeTimeoutError, advice=_STREAM),
    "ResponseTimeout": CodeRule(DashScopeTimeoutError, advice=_STREAM),
    "ModelServingError": CodeRule(_SERVER),
    "ModelUnavailable": CodeRule(_SERVER),
    "ServiceUnavailable": CodeRule(_SERVER),
    "GatewayTimeout": CodeRule(DashScopeTimeoutError, advice=_STREAM),
}
"""The code table: a code, or the part of it before a dot, and what it means.

Source: the error page of the documentation, the official client, and recorded traffic. What the
documentation says of a code stands in `docs/code_meanings.py`.
"""

MESSAGES: tuple[tuple[str, tuple[type[DashScopeError], ...], type[DashScopeError]], ...] = (
    ("Range of input length should be", (_BAD, _SERVER), DashScopeContextOverflowError),
    ("maximum context length", (_BAD, _SERVER), DashScopeContextOverflowError),
    ("inappropriate content", (_BAD, _SERVER), DataInspectionFailed),
    ("InternalError.Algo.DataInspectionFailed", (_BAD, _SERVER), DataInspectionFailed),
    ("Model not exist", (_BAD,), _MISSING),
    ("url error, please check url", (_BAD,), DashScopeRouteError),
    ("Free allocated quota exceeded", (_LIMIT, _DENIED), _QUOTA),
    ("<429> InternalError", (_SERVER, _BAD), _LIMIT),
    ("<400> InternalError.Algo.InvalidParameter", (_SERVER,), _BAD),
)
"""Texts that say more than their code: (part of the message, what the code said, what it is)."""

ADVICE: Mapping[str, str] = {
    "Failed to download multimodal content": (
        "The service could not fetch an image: its URL must be one that the service can read (not "
        "expired, not private, not on this machine). Or send the image itself, as base64."
    ),
    "response_format type is unavailable now": (
        'The model has no json_schema on DashScope: use {"type": "json_object"}, or '
        "with_structured_output, which goes out as function calling."
    ),
    "Please set one tool in required mode": (
        "Name the tool that must be called, by tool_choice, or leave tool_choice out."
    ),
    "does not support enable_thinking": ("Leave enable_thinking out for this model."),
}
"""What helps where a text of the service does not: (part of the message, what to do).

Source: the error page of the documentation, and what clients measured in September 2026.
"""

STATUSES: Mapping[int, type[DashScopeError]] = {
    400: _BAD,
    401: DashScopeAuthenticationError,
    403: _DENIED,
    404: _MISSING,
    408: DashScopeTimeoutError,
    409: _SERVER,
    429: _LIMIT,
    504: DashScopeTimeoutError,
}
"""The HTTP statuses that decide where neither code nor message does; other 4xx and 5xx follow
their hundred."""

_FINAL = (DashScopeQuotaExceededError, DashScopeInvalidRequestError)
"""What a retry cannot mend, whatever a header says."""

_SIDE = re.compile(r"\b(input|output)\b", re.IGNORECASE)
_KEY = re.compile(r"(?<![A-Za-z0-9])sk-[\w*-]{4,}(?:\.[\w*-]+)*")
REDACTED = "[redacted]"
"""Stands for a secret in a text that is shown."""
LONGEST_MESSAGE = 500
"""Characters of a foreign text that an error shows."""
_LONGEST_READ = 2 * LONGEST_MESSAGE
"""Characters of a foreign text that are read; the rest is dropped."""
_LONGEST_NAME = 100


def redact_keys(text: str) -> str:
    """Redact what looks like a key, whosever it is."""
    return _KEY.sub(REDACTED, text)


def error_from_service(
    message: str,
    *,
    code: str | None = None,
    status_code: int | None = None,
    request_id: str | None = None,
    headers: Mapping[str, str] | None = None,
    retry_after: float | None = None,
    redact: Callable[[str], str] = redact_keys,
) -> DashScopeError:
    """Turn what the service said into the error that it means.

    Decided by the code, then by the code's dotted prefixes, then by the message, then by the
    HTTP status.

    Args:
        message: The service's text. Shortened to 500 characters; secrets are redacted.
        code: The service's code.
        status_code: The HTTP status of the answer.
        request_id: The service's id of the request.
        headers: The answer's headers, for `x-should-retry`.
        retry_after: Seconds to wait, as read from the headers.
        redact: Takes secrets out of a text.

    Returns:
        The error, to be raised.
    """
    message, code = message[:_LONGEST_READ], code and code[:_LONGEST_READ]
    rule = find_rule(code)
    cls = _classify(rule, message, status_code)
    text = redact(message)[:LONGEST_MESSAGE]
    code, request_id = (
        name and printable(redact(name[:_LONGEST_READ])) for name in (code, request_id)
    )
    error = cls(
        f"DashScope: {text}" if text else "DashScope gave no message",
        code=code,
        status_code=status_code,
        request_id=request_id,
        retry_after=retry_after,
        hint=rule.advice if rule and rule.error is cls else "",
    )
    for part, advice in ADVICE.items():
        if part in message:
            error.add_advice(advice)
    should_retry = (headers or {}).get("x-should-retry", "").strip().lower()
    # A gateway says "true" to a whole status, so it cannot know of a bill or of a wrong request.
    if should_retry == "false" or (should_retry == "true" and not isinstance(error, _FINAL)):
        error.is_retryable = should_retry == "true"
    return error


def printable(name: str) -> str:
    """Shorten a name to 100 characters, and replace what could forge a line of a log."""
    name = name[:_LONGEST_NAME]
    if name.isprintable():
        return name
    return "".join(char if char.isprintable() else "\ufffd" for char in name)


def find_rule(code: str | None) -> CodeRule | None:
    """Look up a code's line in the table: the whole code, else its longest dotted prefix."""
    while code:
        if code in CODES:
            return CODES[code]
        code = code.rpartition(".")[0]
    return None


def _classify(rule: CodeRule | None, message: str, status_code: int | None) -> type[DashScopeError]:
    by_code = rule.error if rule else STATUSES.get(status_code or 0)
    for text, broad, narrow in MESSAGES:
        if text in message and (by_code is None or by_code in broad):
            return narrow
    if by_code is not None:
        return by_code
    return _BAD if status_code is not None and 400 <= status_code < 500 else _SERVER  # noqa: PLR2004


def _end_sentence(text: str) -> str:
    text = text.rstrip()
    return text if text.endswith((".", "!", "?", "。", "！", "？")) else f"{text}."
