"""The errors and the warning of this package.

```
DashScopeError
├── DashScopeAuthenticationError        the key is missing or wrong (ValueError)
├── DashScopePermissionDeniedError      the key lacks a permission (ValueError)
│   └── DashScopeQuotaExceededError     the account is in arrears, or a quota is used up
├── DashScopeNotFoundError              no such model (LookupError)
├── DashScopeInvalidRequestError        the request is wrong (ValueError)
│   ├── DashScopeContextOverflowError   the input is too long
│   ├── DashScopeRouteError             the model is not on the routes that were tried
│   ├── DataInspectionFailed            content inspection refused the input or the output
│   └── DashScopeInputError             refused by this package before any request
│       └── DashScopeUnsupportedError   the model lacks a feature of the request
├── DashScopeRateLimitError             too many requests: retried
├── DashScopeServerError                the service failed: retried
│   └── DashScopeAnswerTooLargeError    more than max_answer_size (RuntimeError)
├── DashScopeTimeoutError               no answer in time: retried
│   └── DashScopeDeadlineError          more than max_seconds (RuntimeError)
└── DashScopeConnectionError            no connection: retried
    └── DashScopeStreamCutError         the answer ended without a finish_reason
```

Each class also subclasses LangChain's class for its condition (`ModelRateLimitError`, ...), so code
that catches those works with any provider. Errors that a retry cannot help also subclass the Python
class in brackets, because retry policies such as LangGraph's default do not retry that. None is an
`OSError`: Starlette treats one within a streamed response as a disconnected client.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

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
    """Something was left out or changed, or needs attention, and the call continued.

    By default Python shows each text once; `warnings.filterwarnings` with this class silences all
    of them, or turns them into errors.
    """


class DashScopeError(ModelError):
    """Base of all errors of this package.

    Attributes:
        code: The service's error code, such as `"Throttling.RateQuota"`; `None` if the service
            did not send the error.
        status_code: The HTTP status of an error response; for an error within a stream, the status
            that its event states. `None` if there is none, as for an answer that was cut off.
        request_id: The service's id of the request, for a support ticket; `None` if it sent none.
        is_retryable: Whether the same request may succeed later, for LangChain's
            `ModelRetryMiddleware`.
        retry_after: Seconds to wait before the next attempt, if the service sent them.
        partial_message: The part of the answer that arrived before the error, as an `AIMessage`;
            `None` if nothing had arrived. It is not in the text, the repr or a pickle.
        hint: The general advice in the error's text; more specific advice may follow it.
    """

    hint: str = "See the errors page of the documentation."

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
        """Build the text from the message, the identifiers and the hint."""
        self.hint = hint or self.hint
        facts = {"code": code, "HTTP": status_code, "request_id": request_id}
        known = ", ".join(f"{name} {value}" for name, value in facts.items() if value)
        identifiers = f" [{known}]" if known else ""
        super().__init__(f"{_end_sentence(message)}{identifiers} {self.hint}".rstrip())
        self.code = code
        self.status_code = status_code
        self.request_id = request_id
        self.retry_after = retry_after
        self.partial_message: AIMessage | None = None

    def add_advice(self, advice: str) -> None:
        """Append a sentence of advice to the error's text."""
        self.args: tuple[Any, ...] = (f"{self.args[0]} {advice}".rstrip(), *self.args[1:])

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the text and the identifiers, without the partial answer."""
        state = {**self.__dict__, "partial_message": None}
        return type(self).__new__, (type(self), *self.args), state


class DashScopeAuthenticationError(DashScopeError, ModelAuthenticationError, ValueError):
    """The API key is missing or not accepted (HTTP 401)."""

    hint = (
        "Check api_key / DASHSCOPE_API_KEY: a key works only in the region that issued it, so "
        "region or base_url must match it."
    )


class DashScopePermissionDeniedError(DashScopeError, ModelPermissionDeniedError, ValueError):
    """The key is valid, but lacks the permission for the request (HTTP 403)."""

    hint = (
        "Activate the model in the Model Studio console, or give the key's workspace access to it."
    )


class DashScopeQuotaExceededError(DashScopePermissionDeniedError):
    """The account is in arrears, or a quota that does not refill is used up."""

    hint = "Retrying does not help: settle the bill, buy quota, or raise the budget in the console."


class DashScopeNotFoundError(DashScopeError, ModelNotFoundError, LookupError):
    """The model or the workspace does not exist for this key and region (HTTP 404)."""

    hint = (
        "Check the model's name, the workspace, the host of base_url, and that the region offers "
        "the model."
    )


class DashScopeInvalidRequestError(DashScopeError, ModelInvalidRequestError, ValueError):
    """The service refuses the request (HTTP 400)."""

    hint = "Sending it again does not help: change the request as the message says."


class DashScopeContextOverflowError(DashScopeInvalidRequestError, ContextOverflowError):
    """The input is longer than the model accepts."""

    hint = "Shorten the input (trim_messages, SummarizationMiddleware), or change the model."


class DashScopeRouteError(DashScopeInvalidRequestError):
    """The service does not offer the model on the routes that were tried.

    These are those of the model's row, or the multimodal one if the request holds an image.
    """

    hint = (
        "Check the model's name, and that the region of base_url offers it. If the request "
        "holds an image, the model may not read images. If you passed "
        "ModelCapabilities(routes=...), check those routes, too."
    )


class DataInspectionFailed(DashScopeInvalidRequestError):  # noqa: N818 - the service's name
    """Content inspection refused the input or the output.

    Attributes:
        side: `"input"` or `"output"`; `None` if the service's text names neither or both.
    """

    hint = "Rephrase the input; asking the same again gets the same refusal."

    def __init__(self, message: str, **facts: Any) -> None:
        """Read from the service's text which side was refused."""
        super().__init__(message, **facts)
        found: Any = {word.lower() for word in re.findall(r"(?i)\b(?:input|output)\b", message)}
        self.side: Literal["input", "output"] | None = found.pop() if len(found) == 1 else None


class DashScopeInputError(DashScopeInvalidRequestError):
    """Refused by this package before any request was sent.

    Where a model is made or changed, pydantic's `ValidationError` may hold it.
    """

    hint = ""


class DashScopeUnsupportedError(DashScopeInputError):
    """The model, or every DeepSeek model, lacks a feature of the request; nothing was sent."""


class DashScopeRateLimitError(DashScopeError, ModelRateLimitError):
    """Too many requests or tokens in a period (HTTP 429)."""

    hint = "Slow down (LangChain's rate_limiter), raise max_retries, or ask for a higher limit."


class DashScopeServerError(DashScopeError, ModelAPIError):
    """The service failed (HTTP 5xx or 409), or sent a response that is not an answer."""

    hint = "Usually temporary: try again later. If it lasts, send the request_id to Alibaba Cloud."


class DashScopeAnswerTooLargeError(DashScopeServerError, RuntimeError):
    """The answer is larger than `max_answer_size`; the rest of it was not read."""

    hint = "Raise max_answer_size if such an answer is wanted."
    is_retryable = False


class DashScopeTimeoutError(DashScopeError, ModelTimeoutError):
    """Connecting, sending or reading exceeded `timeout`, or a server timed out (408, 504)."""

    hint = "Raise timeout; without a stream, no data arrives while the model thinks."


class DashScopeDeadlineError(DashScopeTimeoutError, RuntimeError):
    """The whole call, all its attempts together, took longer than `max_seconds`."""

    hint = "Raise max_seconds, or ask for less."
    is_retryable = False


class DashScopeConnectionError(DashScopeError, ModelConnectionError):
    """No connection could be made, or it broke."""

    hint = "Check the network, the proxy settings and base_url."


class DashScopeStreamCutError(DashScopeConnectionError):
    """The answer ended before the service said that it was finished.

    `partial_message` is the part that had arrived, not a complete answer.
    """

    hint = "Ask again; partial_message holds what had arrived, if anything."


def _end_sentence(text: str) -> str:
    text = text.rstrip()
    return text if text.endswith((".", "!", "?", "。", "！", "？")) else f"{text}."
