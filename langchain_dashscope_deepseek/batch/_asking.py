"""One row asked: messages in, a record out, with as many attempts as it takes."""

import asyncio
import json
import random
import time
from collections.abc import Mapping
from typing import Any

from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable

from langchain_dashscope_deepseek.batch.limits import Limits
from langchain_dashscope_deepseek.batch.records import (
    Facts,
    Record,
    answer_record,
    dead_record,
    parsed_record,
)
from langchain_dashscope_deepseek.batch._prompts import Row, Task
from langchain_dashscope_deepseek.batch.schemas import load, names_in
from langchain_dashscope_deepseek.batch.tables import StoppedError
from langchain_dashscope_deepseek import (
    ChatDashScopeDeepSeek,
    DashScopeAuthenticationError,
    DashScopeError,
    DashScopeNotFoundError,
    DashScopePermissionDeniedError,
    DashScopeRateLimitError,
    DashScopeRouteError,
)

# What one row is refused for, all are: the key, the bill, the model.
FAILS_FOR_ALL = (
    DashScopeAuthenticationError,
    DashScopePermissionDeniedError,
    DashScopeNotFoundError,
    DashScopeRouteError,
)
IN_SUCCESSION = 20  # rows that fail one after the other, after which all would
THROTTLED = 30  # attempts of a row that is told nothing but to slow down
LONGEST_WAIT = 60.0


class Asker:
    """Asks row by row, and stops where it makes no sense to go on."""

    def __init__(
        self,
        task: Task,
        limits: Limits,
        *,
        attempts: int,
        where: Mapping[str, Any],
        failed_before: bool = False,
    ) -> None:
        """Make the model.

        Args:
            task: The model and its settings.
            limits: Who is asked before each attempt, and told what it took.
            attempts: How often a row is asked that fails for a reason that may pass.
            where: Settings that no answer depends on, such as `base_url`.
            failed_before: Whether each row is one that failed, so that it tells nothing of others.

        Raises:
            StoppedError: The model or the schema cannot be made.
        """
        # Retries are made here, so that each one counts for the limits.
        settings = {**task.settings, **where, "max_retries": 0}
        try:
            self._model = ChatDashScopeDeepSeek(model=task.model, **settings)
        except ValueError as error:
            raise StoppedError(f"The model cannot be made: {error}") from None
        self._chain: Runnable[Any, Any] = self._model
        self._names: set[str] = set()
        if task.schema:
            schema = load(task.schema)
            self._chain = self._model.with_structured_output(schema, include_raw=True)
            self._names = {*names_in(schema.model_json_schema())}
        self._limits, self._attempts = limits, attempts
        self._failed, self._ever_answered = 0, failed_before

    async def ask(self, row: Row) -> Record:
        """Ask until there is an answer, or a failure that a retry cannot mend.

        Raises:
            StoppedError: It would fail for every row.
        """
        attempt = throttled = 0
        while True:
            attempt += 1
            await self._limits.aacquire()
            began = time.monotonic()
            tokens: int | None = 0
            try:
                answer = await self._chain.ainvoke(json.loads(row.messages))
                message: AIMessage = answer["raw"] if isinstance(answer, dict) else answer
                tokens = message.usage_metadata["total_tokens"] if message.usage_metadata else None
            except Exception as error:  # noqa: BLE001 - such as messages that are none
                throttled += isinstance(error, DashScopeRateLimitError)
                wait = self._seconds_before_next(error, attempt, throttled)
                if wait is None:
                    self._count_failure(error)
                    return dead_record(Facts(row.id, time.monotonic() - began, attempt), error)
            else:
                facts = Facts(row.id, time.monotonic() - began, attempt)
                if isinstance(answer, dict):
                    if answer["parsed"] is answer["parsing_error"] is None:
                        answer["parsing_error"] = OutputParserException("no call of the schema")
                    record = parsed_record(facts, message, answer, self._names)
                else:
                    record = answer_record(facts, message)
                if record.answered:
                    self._failed, self._ever_answered = 0, True
                else:
                    self._count_failure(answer["parsing_error"])
                return record
            finally:
                self._limits.settle(tokens)
            await asyncio.sleep(wait)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._model.aclose()

    def _seconds_before_next(self, error: Exception, attempt: int, throttled: int) -> float | None:
        if isinstance(error, FAILS_FOR_ALL):
            raise StoppedError(f"{type(error).__name__}: {error}") from None
        only_slower = isinstance(error, DashScopeRateLimitError)
        tries = throttled if only_slower else attempt - throttled
        most = THROTTLED if only_slower else self._attempts
        if not isinstance(error, DashScopeError) or not error.is_retryable or tries >= most:
            return None
        seconds = min(error.retry_after or 2.0 ** min(tries - 2, 10), LONGEST_WAIT)
        if only_slower:
            self._limits.pause(seconds)
            return 0.0  # the limits let it wait, with all others
        return seconds * random.uniform(0.75, 1.25)  # noqa: S311 - not a secret

    def _count_failure(self, error: BaseException | None) -> None:
        """Stop where everything fails: from the beginning, or since the service went away."""
        self._failed += 1
        passing = isinstance(error, DashScopeError) and error.is_retryable
        if self._failed >= IN_SUCCESSION and (passing or not self._ever_answered):
            what = str(error) if isinstance(error, DashScopeError) else type(error).__name__
            raise StoppedError(f"{self._failed} rows failed in succession, the last one by: {what}")
