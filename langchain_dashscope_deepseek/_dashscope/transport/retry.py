"""When to ask again: the policy as one pure function, and one loop for sync and async.

Sleeps, logs, and nothing else; it knows neither HTTP nor LangChain.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from langchain_dashscope_deepseek._dashscope.protocol.error_codes import find_rule
from langchain_dashscope_deepseek.errors import DashScopeError

logger = logging.getLogger(__name__)

Settle = Callable[[DashScopeError], bool]
"""Tells whether the cause of an error is removed, so that the request can be sent again."""

NO_DEADLINE = float("inf")
"""When a call must be over that may take as long as it takes."""

_CLOCK = 0.01
"""Seconds by which the clock of a loop or of a system may be early."""


def is_over(until: float) -> bool:
    """Tell whether a time by `time.monotonic` has come."""
    return time.monotonic() >= until - _CLOCK


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how long to wait before asking again.

    Attributes:
        max_retries: Attempts after the first one; 0 switches retrying off.
        first_delay: Seconds before the first retry; doubles with each further one.
        longest_delay: Seconds that a doubled delay does not exceed.
        minute_delay: Seconds before the first retry where the limit is a window of a minute.
        jitter: The part of a delay that is left to chance, so that clients do not march in step.
        longest_retry_after: Seconds of a `retry-after` that are still waited for.
        max_seconds: What the whole call may take, all attempts and waits between them; `None`: as
            long as it takes.
    """

    max_retries: int = 2
    first_delay: float = 0.5
    longest_delay: float = 8.0
    minute_delay: float = 20.0
    jitter: float = 0.25
    longest_retry_after: float = 60.0
    max_seconds: float | None = None

    def delay(self, failures: int, error: DashScopeError, *, elapsed: float = 0.0) -> float | None:
        """Tell how long to wait before the next attempt.

        Args:
            failures: Failed attempts so far, this one included.
            error: What the last attempt ended with.
            elapsed: Seconds since the first attempt began.

        Returns:
            Seconds, or `None` if it is not worth another attempt.
        """
        if failures > self.max_retries or not error.is_retryable:
            return None
        asked = error.retry_after
        if asked is not None and asked > self.longest_retry_after:
            return None
        delay = self._wanted_delay(failures, error)
        if self.max_seconds is None:
            return delay
        left = self.max_seconds - elapsed
        least = delay if asked is None else asked
        return None if least >= left else min(delay, left)

    def _wanted_delay(self, failures: int, error: DashScopeError) -> float:
        if error.retry_after is not None:
            # Never sooner than asked; all who were throttled were told the same.
            return error.retry_after * (1 + self.jitter * random.random())  # noqa: S311 - no secret
        rule = find_rule(error.code)
        if rule is not None and rule.waits == "minute":
            delay = self.minute_delay * failures
        else:
            delay = min(self.first_delay * 2 ** (failures - 1), self.longest_delay)
        return delay * (1 - self.jitter * random.random())  # noqa: S311 - not a secret


class Attempt(AbstractContextManager["Attempt"]):
    """One attempt; swallows an error that deserves another one.

    Attributes:
        failures: Failed attempts before this one; after this one has failed, it counts as well.
        until: When the call must be over, by `time.monotonic`.
        committed: Whether a caller has seen something of the answer: nothing is retried then.
        delay: Seconds to wait before the next attempt, once this one is over.
    """

    def __init__(self, policy: RetryPolicy, settle: Settle, failures: int, began: float) -> None:
        """Start an attempt after so many failed ones, the first of which began at that time."""
        self._policy = policy
        self._settle = settle
        self._began = began
        seconds = policy.max_seconds
        self.failures = failures
        self.until = NO_DEADLINE if seconds is None else began + seconds
        self.committed = False
        self.delay: float | None = None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        """Decide whether the error is swallowed and the loop goes on."""
        if self.committed or not isinstance(error, DashScopeError):
            return False
        if self._settle(error):
            self.delay = 0
            return True
        elapsed = time.monotonic() - self._began
        self.delay = self._policy.delay(self.failures + 1, error, elapsed=elapsed)
        if self.delay is None:
            return False
        self.failures += 1
        logger.info(
            "Retry %d of %d in %.2f s after %s (code %s, HTTP %s, request_id %s)",
            self.failures,
            self._policy.max_retries,
            self.delay,
            type(error).__name__,
            error.code,
            error.status_code,
            error.request_id,
        )
        return True


class Attempts(Iterator[Attempt], AsyncIterator[Attempt]):
    """Endless attempts: `for attempt in Attempts(policy): with attempt: ...; return`.

    The last attempt swallows nothing, so the loop always ends by a return or an error.
    """

    def __init__(self, policy: RetryPolicy, settle: Settle = lambda _: False) -> None:
        """Loop by this policy.

        Args:
            policy: How often to retry.
            settle: Tells whether an error is settled: the next attempt follows at once then, and
                the error counts as no failure.
        """
        self._policy = policy
        self._settle = settle
        self._began = time.monotonic()
        self._last: Attempt | None = None

    def __next__(self) -> Attempt:
        """Sleep as long as the last attempt said, then make the next one."""
        if self._last is not None:
            time.sleep(self._last.delay or 0)
        return self._next()

    async def __anext__(self) -> Attempt:
        """Sleep as long as the last attempt said, then make the next one."""
        if self._last is not None:
            await asyncio.sleep(self._last.delay or 0)
        return self._next()

    def _next(self) -> Attempt:
        failures = 0 if self._last is None else self._last.failures
        self._last = Attempt(self._policy, self._settle, failures, self._began)
        return self._last
