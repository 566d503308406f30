"""A rate limiter by requests and by tokens a minute. It knows LangChain, and nothing of DashScope.

Each call is given its time when it asks, one after the other; what it turns out to take moves the
times of all that still wait.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import chain
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.exceptions import ModelRateLimitError
from langchain_core.outputs import LLMResult
from langchain_core.rate_limiters import BaseRateLimiter

_SAVED_SECONDS = 1.0
"""What an idle limiter saves up: so no minute has more than 61 seconds' worth."""
_LONGEST_NAP = 1.0
"""Seconds after which one that waits looks again whether its time was moved nearer."""
_NEWEST = 0.1
"""How much the last call counts in what a call takes usually."""


class TokenRateLimiter(BaseRateLimiter, BaseCallbackHandler):
    """Keeps requests and tokens a minute below the limits of an account, across threads and loops.

    As the `rate_limiter` of a model it lets calls wait, first come, first served; as one of its
    `callbacks` it learns what they took. A call is booked with what calls took before it, and
    corrected when its usage arrives. A rate limit error makes all calls wait.

    Example:
        ```python
        limiter = TokenRateLimiter(requests_per_minute=600, tokens_per_minute=1_000_000)
        model = ChatDashScopeDeepSeek(
            model="deepseek-v4-flash", rate_limiter=limiter, callbacks=[limiter]
        )
        ```
    """

    run_inline = True  # in the loop: what it does takes microseconds

    def __init__(
        self,
        *,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with nothing under way.

        Args:
            requests_per_minute: Calls a minute; `None` for no limit.
            tokens_per_minute: Tokens a minute, input and output together; `None` for no limit.
            clock: Tells the time in seconds.
        """
        self._requests, self._tokens = _Line(requests_per_minute), _Line(tokens_per_minute)
        self._clock, self._lock = clock, threading.Lock()
        self._booked: deque[float] = deque(maxlen=100_000)
        self._usual = 0.0
        self._paused_until = -math.inf

    def acquire(self, *, blocking: bool = True) -> bool:
        """Wait until a call may go out.

        Args:
            blocking: Whether to wait, or to tell whether it may go out now.

        Returns:
            Whether it may go out; always if it waited.
        """
        ticket = self._book(blocking=blocking)
        try:
            while ticket and (seconds := self._seconds_left(ticket)) > 0:
                time.sleep(seconds)
        except BaseException:
            self._give_back(ticket)
            raise
        return ticket is not None

    async def aacquire(self, *, blocking: bool = True) -> bool:
        """Wait until a call may go out, as `acquire` does."""
        ticket = self._book(blocking=blocking)
        try:
            while ticket and (seconds := self._seconds_left(ticket)) > 0:  # noqa: ASYNC110 - a time
                await asyncio.sleep(seconds)
        except BaseException:
            self._give_back(ticket)
            raise
        return ticket is not None

    def settle(self, tokens: int) -> None:
        """Correct the oldest booking by what a call took; as a callback it does so by itself.

        Args:
            tokens: Input and output together; 0 for a call that failed.
        """
        with self._lock:
            more = tokens - (self._booked.popleft() if self._booked else 0.0)
            self._tokens.move(more * self._tokens.seconds_each, self._clock())
            if tokens:
                self._usual += (tokens - self._usual) * (_NEWEST if self._usual else 1)

    def pause(self, seconds: float) -> None:
        """Let no call out for so many seconds; a pause within another one adds nothing to it."""
        with self._lock:
            now = self._clock()
            until = max(now + seconds, self._paused_until)
            self._requests.move(until - max(self._paused_until, now), now)
            self._paused_until = until

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        """Correct a call's booking by its usage; what came from a cache was not booked."""
        generations = chain.from_iterable(response.generations)
        messages = [getattr(each, "message", None) for each in generations]
        usages = [getattr(message, "usage_metadata", None) or {} for message in messages]
        if not any("total_cost" in usage for usage in usages):
            self.settle(sum(usage.get("total_tokens", 0) for usage in usages))

    def on_llm_error(self, error: BaseException, **_: Any) -> None:
        """Give back what a failed call was booked with; a rate limit makes all calls wait."""
        self.settle(0)
        if isinstance(error, ModelRateLimitError):
            self.pause(getattr(error, "retry_after", None) or 1.0)

    def _book(self, *, blocking: bool) -> tuple[float, float, float] | None:
        with self._lock:
            now, tokens = self._clock(), self._usual
            if not blocking and max(self._requests.free_at, self._tokens.free_at) > now:
                return None
            self._booked.append(tokens)
            return self._requests.book(1, now), self._tokens.book(tokens, now), tokens

    def _seconds_left(self, ticket: tuple[float, float, float]) -> float:
        with self._lock:
            due = max(ticket[0] + self._requests.moved, ticket[1] + self._tokens.moved)
            return min(due - self._clock(), _LONGEST_NAP)

    def _give_back(self, ticket: tuple[float, float, float] | None) -> None:
        with self._lock:
            if ticket and self._booked:
                self._booked.pop()
                self._requests.move(-self._requests.seconds_each, self._clock())
                self._tokens.move(-ticket[2] * self._tokens.seconds_each, self._clock())


class _Line:
    """The times that are given out, one after the other, so many a minute."""

    def __init__(self, per_minute: float | None) -> None:
        self.seconds_each = 60 / per_minute if per_minute else 0.0
        self.free_at = -math.inf
        self.moved = 0.0

    def book(self, amount: float, now: float) -> float:
        """Give the next time, less what all times were moved by until now."""
        start = max(self.free_at, now - _SAVED_SECONDS)
        self.free_at = start + amount * self.seconds_each
        return start - self.moved

    def move(self, seconds: float, now: float) -> None:
        """Move what is free, and all that wait."""
        self.free_at = (max(self.free_at, now) if seconds > 0 else self.free_at) + seconds
        self.moved += seconds
