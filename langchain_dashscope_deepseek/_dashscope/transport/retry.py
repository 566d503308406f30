"""Retries: the policy, which computes delays, and the loop over attempts, sync and async."""

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

AdaptRequest = Callable[[DashScopeError], bool]  # tells whether to send it again at once

NO_DEADLINE = float("inf")

_TIMER_TOLERANCE = 0.01
"""Seconds by which a timer of the event loop or of the system may fire early."""


def is_over(until: float) -> bool:
    """Tell whether a deadline (by `time.monotonic`) has passed."""
    return time.monotonic() >= until - _TIMER_TOLERANCE


@dataclass(frozen=True)
class RetryPolicy:
    """How many retries a call has, and how long it waits before each; times in seconds."""

    max_retries: int = 2
    first_delay: float = 0.5  # doubled for each further retry
    longest_delay: float = 8.0  # the limit of the doubling
    minute_delay: float = 20.0  # before retry n: n times this, if the limit refills each minute
    jitter: float = 0.25  # the largest random share of a delay: clients must not retry together
    longest_retry_after: float = 60.0  # above it, the call fails at once
    max_seconds: float | None = None  # of the whole call, with all its attempts and delays

    def delay(self, retry: int, error: DashScopeError, left: float = NO_DEADLINE) -> float | None:
        """Return the delay before this retry, within the seconds left; `None`: do not retry."""
        retry_after = error.retry_after
        is_too_long = retry_after is not None and retry_after > self.longest_retry_after
        if retry > self.max_retries or not error.is_retryable or is_too_long:
            return None
        jitter = self.jitter * random.random()  # noqa: S311 - no secret
        rule = find_rule(error.code)
        if retry_after is not None:
            # Jitter only lengthens it: the service asks all throttled clients for the same delay.
            delay = retry_after * (1 + jitter)
        elif rule is not None and rule.per_minute:
            delay = self.minute_delay * retry * (1 - jitter)
        else:
            delay = min(self.first_delay * 2 ** (retry - 1), self.longest_delay) * (1 - jitter)
        return None if (delay if retry_after is None else retry_after) >= left else min(delay, left)


class Attempts(Iterator["Attempts"], AsyncIterator["Attempts"], AbstractContextManager["Attempts"]):
    """The attempts of a call: `for attempt in Attempts(policy): with attempt: ...; return`.

    Yields itself for each attempt, after the delay. As a context manager it suppresses an error if
    another attempt follows. The loop ends when the body returns or an error is raised.
    """

    def __init__(self, policy: RetryPolicy, adapt: AdaptRequest = lambda _: False) -> None:
        self._policy = policy
        self._adapt = adapt
        self.until = time.monotonic() + (policy.max_seconds or NO_DEADLINE)
        self.retries = 0
        self.committed = False  # the caller has seen a chunk, so there are no further retries
        self.delay: float | None = None  # before the next attempt

    def __next__(self) -> Attempts:
        if self.delay is not None:
            time.sleep(self.delay)
        return self

    async def __anext__(self) -> Attempts:
        if self.delay is not None:
            await asyncio.sleep(self.delay)
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        self.delay = None
        if self.committed or not isinstance(error, DashScopeError):
            return False
        if self._adapt(error):  # does not count as a retry
            self.delay = 0
            return True
        left = self.until - time.monotonic()
        self.delay = self._policy.delay(self.retries + 1, error, left)
        if self.delay is None:
            return False
        self.retries += 1
        text = "Retry %d of %d in %.2f s after %s (code %s, HTTP %s, request_id %s)"
        facts = (type(error).__name__, error.code, error.status_code, error.request_id)
        logger.info(text, self.retries, self._policy.max_retries, self.delay, *facts)
        return True
