"""What can go wrong, as one tree.

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

    hint: str = "See the errors page of the documentation."
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


_SIDE = re.compile(r"\b(input|output)\b", re.IGNORECASE)


def _end_sentence(text: str) -> str:
    text = text.rstrip()
    return text if text.endswith((".", "!", "?", "。", "！", "？")) else f"{text}."
