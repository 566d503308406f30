"""Sends the prompt of a row, with retries, and makes a record of the answer or of the failure."""

import asyncio
import json
import random
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.runnables import Runnable
from pydantic import BaseModel

from langchain_dashscope_deepseek._dashscope.transport.endpoint import authorization
from langchain_dashscope_deepseek.batch._prompts import Row, StoppedError, Task
from langchain_dashscope_deepseek.chat_models import ChatDashScopeDeepSeek
from langchain_dashscope_deepseek.errors import (
    DashScopeAuthenticationError,
    DashScopeError,
    DashScopeNotFoundError,
    DashScopePermissionDeniedError,
    DashScopeRateLimitError,
    DashScopeRouteError,
)

# The key, the bill or the model: the other rows would probably fail as well.
FATAL = (
    DashScopeAuthenticationError,
    DashScopePermissionDeniedError,
    DashScopeNotFoundError,
    DashScopeRouteError,
)
MAX_FAILURES = 20  # rows that fail in succession before `_stop_if_all_fail` may stop the run
MAX_RATE_LIMITS = 30  # rate limit errors of one row; --attempts does not count them
MAX_WAIT = 60.0  # seconds


class Limits(Protocol):
    """The part of `TokenRateLimiter` that is used here; with --ray it is in another process."""

    async def aacquire(self) -> bool: ...
    def settle(self, tokens: int | None) -> None: ...
    def pause(self, seconds: float) -> None: ...


MakeAsker = Callable[[Limits], "Asker"]


class Outcome(NamedTuple):
    """An answer, an error, or both: an answer that does not fit the schema."""

    message: AIMessage | None
    parsed: BaseModel | None
    failure: Exception | None

    @property
    def usage(self) -> UsageMetadata | None:
        return self.message.usage_metadata if self.message else None


class Record(NamedTuple):
    """An outcome, as the ledger stores it."""

    id: str
    answered: bool
    text: str  # the row of the results, as a JSON object
    requests: int
    input_tokens: int = 0
    output_tokens: int = 0


class Asker:
    """Sends the prompts of rows, several at once; `StoppedError` if the others would fail, too."""

    def __init__(self, task: Task, attempts: int, expect_failures: bool, limits: Limits) -> None:
        # Retries are made here, so that the limits count each of them.
        settings = {**task.settings, "max_retries": 0}
        schema = task.load_schema()
        try:
            self._model = ChatDashScopeDeepSeek(model=task.model, **settings)
            self._chain: Runnable[Any, Any] = self._model
            if schema:
                self._chain = self._model.with_structured_output(schema, include_raw=True)
        except ValueError as error:
            raise StoppedError(f"The model cannot be made or used: {error}") from None
        self._attempts, self._limits = attempts, limits
        # If failures are expected, they do not mean that the next rows fail.
        self._failures, self._works = 0, expect_failures

    async def ask(self, row: Row) -> Record:
        """Ask until there is an answer, an error that no retry can help, or no attempt left."""
        attempts = rate_limits = 0
        while True:
            attempts += 1
            await self._limits.aacquire()
            began = time.monotonic()
            try:
                outcome = _outcome(await self._chain.ainvoke(json.loads(row.messages)))
            except Exception as error:  # noqa: BLE001 - such as a message that cannot be converted
                rate_limits += isinstance(error, DashScopeRateLimitError)
                wait = self._seconds_to_retry(error, attempts, rate_limits)
                # Not earlier: this wakes a waiting call, and the limits may have to pause first.
                self._limits.settle(0)
                if wait is not None:
                    await asyncio.sleep(wait)
                    continue
                outcome = Outcome(None, None, error)
            else:
                self._limits.settle(outcome.usage["total_tokens"] if outcome.usage else None)
            self._stop_if_all_fail(outcome.failure)
            return _record(row, outcome, attempts, time.monotonic() - began)

    def check_key(self) -> None:
        """Raise `DashScopeAuthenticationError` if there is no key."""
        authorization(self._model.api_key)

    async def aclose(self) -> None:
        await self._model.aclose()

    def _seconds_to_retry(self, error: Exception, attempts: int, rate_limits: int) -> float | None:
        if isinstance(error, FATAL):
            raise StoppedError(f"{type(error).__name__}: {error}") from None
        if not isinstance(error, DashScopeError) or not error.is_retryable:
            return None
        is_rate_limit = isinstance(error, DashScopeRateLimitError)
        tries = rate_limits if is_rate_limit else attempts - rate_limits
        if tries >= (MAX_RATE_LIMITS if is_rate_limit else self._attempts):
            return None
        seconds = min(error.retry_after or 2.0 ** min(tries - 2, 10), MAX_WAIT)
        if is_rate_limit:
            self._limits.pause(seconds)
            return 0.0  # the next call waits for the limits, as all others do
        return seconds * random.uniform(0.75, 1.25)  # noqa: S311 - not a secret

    def _stop_if_all_fail(self, failure: Exception | None) -> None:
        """Stop if all rows fail, from the start or because the service stopped answering."""
        if failure is None:
            self._failures, self._works = 0, True
            return
        self._failures += 1
        is_temporary = isinstance(failure, DashScopeError) and failure.is_retryable
        if self._failures >= MAX_FAILURES and (is_temporary or not self._works):
            # The texts of other errors may quote prompts and answers.
            name = type(failure).__name__
            text = f"{name}: {failure}" if isinstance(failure, DashScopeError) else name
            raise StoppedError(
                f"{self._failures} rows failed in succession. When the cause is gone, run "
                f"retry-failed. The last error: {text}"
            )


def _outcome(answer: Any) -> Outcome:
    """Read the output of the chain: a message, or the dict that `include_raw=True` returns."""
    if isinstance(answer, AIMessage):
        return Outcome(answer, None, None)
    failure = answer["parsing_error"]
    if answer["parsed"] is None and failure is None:
        failure = OutputParserException(
            "The answer has no call of the function of --schema: raise max_tokens if it was cut "
            "off. If the model thinks, no call can be forced: add --set enable_thinking=false."
        )
    return Outcome(answer["raw"], answer["parsed"], failure)


def _record(row: Row, outcome: Outcome, attempts: int, seconds: float) -> Record:
    message, parsed, failure = outcome
    usage, metadata = outcome.usage, message.response_metadata if message else {}
    fields: dict[str, Any] = {"id": row.id}
    if failure:
        code = failure.code if isinstance(failure, DashScopeError) else None
        fields |= {"code": code or type(failure).__name__, "message": str(failure)}
    elif message:
        fields["text"] = message.text
        fields["reasoning"] = message.additional_kwargs.get("reasoning_content")
        fields["tool_calls"] = message.tool_calls if parsed is None else []
        fields["parsed"] = None if parsed is None else json.loads(parsed.model_dump_json())
    fields["request_id"] = metadata.get("request_id") or getattr(failure, "request_id", None)
    fields["finish_reason"] = metadata.get("finish_reason")
    fields |= {"usage": usage, "seconds": round(seconds, 3), "attempts": attempts}
    # SQLite and UTF-8 refuse lone surrogates, which an answer may hold.
    text = json.dumps(fields, ensure_ascii=False).encode(errors="replace").decode()
    tokens = (usage["input_tokens"], usage["output_tokens"]) if usage else (0, 0)
    return Record(row.id, failure is None, text, attempts, *tokens)
