"""A rate limiter for requests and tokens per minute, for the chat model of any provider.

Waiting calls form a queue. Each waiting caller that wakes up releases all calls that are due, so a
caller that sleeps or was cancelled does not delay the others.
"""

import asyncio
import logging
import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain, count

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.exceptions import ModelRateLimitError
from langchain_core.outputs import LLMResult
from langchain_core.rate_limiters import BaseRateLimiter

_logger = logging.getLogger(__name__)

_BURST_SECONDS = 1.0  # unused capacity builds up for at most this time
_MIN_RECHECK = 1.0  # a waiting call checks again after this or, if longer, a tenth of its wait
_LONGEST_PAUSE = 60.0
_FIRST_ESTIMATE = 1_000.0  # tokens of a call, until a call has reported its usage
_NEWEST_WEIGHT = 0.1  # the weight of the newest call in the average usage of a call


class TokenRateLimiter(BaseRateLimiter, BaseCallbackHandler):
    """Keeps an account within its limits per minute, across threads and event loops.

    As the `rate_limiter` of a model it makes calls wait, first come, first served; as one of its
    `callbacks` it reads their usage. Each call reserves the recent average (at first 1,000 tokens);
    its usage corrects the reservation. A rate limit error makes all calls wait. Retries within a
    call are not counted, so set `max_retries=0`.

    Example:
        ```python
        limiter = TokenRateLimiter(requests_per_minute=600, tokens_per_minute=1_000_000)
        model = ChatDashScopeDeepSeek(
            model="deepseek-v4.1-flash",
            rate_limiter=limiter,
            callbacks=[limiter],
            max_retries=0,
        )
        ```
    """

    run_inline = True  # in the event loop, since the callbacks take microseconds

    def __init__(
        self,
        *,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Set the limits.

        Args:
            requests_per_minute: Calls per minute; `None` for no limit.
            tokens_per_minute: Tokens per minute, input and output together; `None` for no limit.
            clock: Returns the time in seconds.

        Raises:
            ValueError: A limit is not above 0.
        """
        self._requests, self._tokens = _Limit(requests_per_minute), _Limit(tokens_per_minute)
        self._clock, self._lock = clock, threading.Lock()
        self._tickets, self._waiting = count(), OrderedDict[int, Callable[[], object]]()
        self._reserved, self._paused_until = deque[float](maxlen=100_000), -math.inf
        self._average, self._weight = _FIRST_ESTIMATE, 1.0

    def acquire(self, *, blocking: bool = True) -> bool:
        """Wait until a call may be sent.

        Args:
            blocking: Whether to wait. `False` returns at once.

        Returns:
            Whether the call may be sent; always `True` if `blocking`.
        """
        woken = threading.Event()
        with self._queued(woken.set) as ticket:
            while blocking and (seconds := self._release_due(ticket)) > 0:
                woken.wait(seconds)
                woken.clear()
            return blocking or self._release_due(ticket) <= 0

    async def aacquire(self, *, blocking: bool = True) -> bool:
        """Wait until a call may be sent, as `acquire` does."""
        woken, loop = asyncio.Event(), asyncio.get_running_loop()

        def wake() -> None:
            with suppress(RuntimeError):  # the event loop is closed
                loop.call_soon_threadsafe(woken.set)

        with self._queued(wake) as ticket:
            while blocking and (seconds := self._release_due(ticket)) > 0:
                timer = loop.call_later(seconds, woken.set)
                try:
                    await woken.wait()
                finally:
                    timer.cancel()
                woken.clear()
            return blocking or self._release_due(ticket) <= 0

    def settle(self, tokens: int | None) -> None:
        """Correct the oldest reservation by the usage of a call; callbacks do this automatically.

        Args:
            tokens: Input and output together; 0 for a call that failed, `None` if not known.
        """
        with self._lock:
            reserved = self._reserved.popleft() if self._reserved else 0.0
            if tokens is not None:
                since = self._clock() if tokens > reserved else -math.inf
                self._tokens.add(tokens - reserved, since)
            if tokens:
                self._average += (tokens - self._average) * self._weight
                self._weight = _NEWEST_WEIGHT
            self._wake_first()

    def pause(self, seconds: float) -> None:
        """Send no call for some seconds, at most 60. Pauses that overlap are not added up."""
        seconds = min(seconds, _LONGEST_PAUSE)
        _logger.info("No call is sent for %.2f s", seconds)
        with self._lock:
            self._paused_until = max(self._paused_until, self._clock() + seconds)

    def on_llm_end(self, response: LLMResult, **_: object) -> None:
        """Settle a call by its usage; answers from a cache reserved nothing."""
        messages = [getattr(each, "message", None) for each in chain(*response.generations)]
        usages = [getattr(message, "usage_metadata", None) or {} for message in messages]
        # langchain-core adds `total_cost` to the usage of an answer from its cache.
        if not any("total_cost" in usage for usage in usages):
            self.settle(sum(usage.get("total_tokens", 0) for usage in usages) or None)

    def on_llm_error(self, error: BaseException, **_: object) -> None:
        """Settle a failed call; a rate limit error makes all calls wait."""
        if isinstance(error, Exception):  # a cancelled call may have used tokens
            self.settle(0)
        if isinstance(error, ModelRateLimitError):
            self.pause(getattr(error, "retry_after", None) or 1.0)

    @contextmanager
    def _queued(self, wake: Callable[[], object]) -> Iterator[int]:
        with self._lock:
            self._waiting[ticket := next(self._tickets)] = wake
        try:
            yield ticket
        finally:
            with self._lock:
                self._waiting.pop(ticket, None)
                self._wake_first()

    def _release_due(self, ticket: int) -> float:
        """Release all calls that are due, and estimate how long this one waits; 0 if it is due."""
        with self._lock:
            now = self._clock()
            while self._waiting and self._due() <= now:
                _, wake = self._waiting.popitem(last=False)
                wake()
                self._reserved.append(self._average)
                since = max(now - _BURST_SECONDS, self._paused_until)  # none builds up in a pause
                self._requests.add(1, since)
                self._tokens.add(self._average, since)
            if ticket not in self._waiting:
                return max(self._paused_until - now, 0.0)
            seconds = self._due(ticket - next(iter(self._waiting))) - now
            return min(seconds, max(seconds / 10, _MIN_RECHECK), _LONGEST_PAUSE)

    def _wake_first(self) -> None:
        """Wake the first call in the queue, which may now be due earlier."""
        if self._waiting:
            next(iter(self._waiting.values()))()

    def _due(self, ahead: int = 0) -> float:
        """Return the time at which the call behind the first `ahead` ones in the queue is due."""
        of_requests = self._requests.due(ahead)
        return max(self._paused_until, of_requests, self._tokens.due(ahead * self._average))


class _Limit:
    def __init__(self, per_minute: float | None) -> None:
        if isinstance(per_minute, bool) or (per_minute is not None and not per_minute > 0):
            raise ValueError("A limit must be a number above 0, or None for no limit")
        self._seconds_each = 60 / per_minute if per_minute else 0.0
        self._free_at = -math.inf

    def due(self, amount: float) -> float:
        """Return the time at which capacity is free after `amount` more has been counted."""
        return self._free_at + amount * self._seconds_each

    def add(self, amount: float, since: float) -> None:
        """Count an amount, negative if it is returned; capacity before `since` has expired."""
        self._free_at = max(self._free_at, since) + amount * self._seconds_each
