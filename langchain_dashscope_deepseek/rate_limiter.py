"""A rate limiter by requests and by tokens a minute. It knows LangChain, and nothing of DashScope.

Those who wait stand in a queue. Whoever looks at the clock lets out all whose time has come, so
nobody who sleeps, or left, holds up the others; whoever is let out, or becomes the first, is woken.
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

_SAVED_SECONDS = 1.0
"""What an idle limiter saves up: so no minute has more than 61 seconds' worth."""
_LONGEST_NAP = 1.0
"""Seconds after which one that waits looks again whether its time came nearer, or a tenth of it."""
_LONGEST_PAUSE = 60.0
"""Seconds of a pause; a call waits no longer for a retry, either."""
_FIRST_GUESS = 1_000.0
"""Tokens that a call is booked with before one has told what it took."""
_NEWEST = 0.1
"""How much the last call counts in what a call takes usually."""


class TokenRateLimiter(BaseRateLimiter, BaseCallbackHandler):
    """Keeps requests and tokens a minute below the limits of an account, across threads and loops.

    As the `rate_limiter` of a model it lets calls wait, first come, first served; as one of its
    `callbacks` it learns what they took. A call is booked with what calls took before it (at first
    with 1,000 tokens), and corrected when its usage arrives. A rate limit error makes all calls
    wait. Retries within a call pass it unseen: leave them to a caller that asks it again.

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

        Raises:
            ValueError: A limit is not above 0.
        """
        self._requests, self._tokens = _Line(requests_per_minute), _Line(tokens_per_minute)
        self._clock, self._lock = clock, threading.Lock()
        self._numbers, self._waiting = count(), OrderedDict[int, Callable[[], object]]()
        self._booked, self._paused_until = deque[float](maxlen=100_000), -math.inf
        self._usual, self._weight = _FIRST_GUESS, 1.0

    def acquire(self, *, blocking: bool = True) -> bool:
        """Wait until a call may go out.

        Args:
            blocking: Whether to wait, or to tell whether it may go out now.

        Returns:
            Whether it may go out; always if it waited.
        """
        woken = threading.Event()
        with self._place(woken.set) as place:
            while blocking and (seconds := self._seconds_left(place)) > 0:
                woken.wait(seconds)
                woken.clear()
            return blocking or self._seconds_left(place) <= 0

    async def aacquire(self, *, blocking: bool = True) -> bool:
        """Wait until a call may go out, as `acquire` does."""
        woken, loop = asyncio.Event(), asyncio.get_running_loop()

        def wake() -> None:
            with suppress(RuntimeError):  # its loop is closed
                loop.call_soon_threadsafe(woken.set)

        with self._place(wake) as place:
            while blocking and (seconds := self._seconds_left(place)) > 0:
                timer = loop.call_later(seconds, woken.set)
                try:
                    await woken.wait()
                finally:
                    timer.cancel()
                woken.clear()
            return blocking or self._seconds_left(place) <= 0

    def settle(self, tokens: int | None) -> None:
        """Correct the oldest booking by what a call took; as a callback it does so by itself.

        Args:
            tokens: Input and output together; 0 for a call that failed, `None` if nobody knows.
        """
        with self._lock:
            booked = self._booked.popleft() if self._booked else 0.0
            if tokens is not None:
                self._tokens.add(tokens - booked, self._clock() if tokens > booked else -math.inf)
            if tokens:
                self._usual += (tokens - self._usual) * self._weight
                self._weight = _NEWEST
            self._wake_first()

    def pause(self, seconds: float) -> None:
        """Let no call out for so many seconds, 60 at most.

        A pause within another one adds nothing to it.
        """
        seconds = min(seconds, _LONGEST_PAUSE)
        _logger.info("No call goes out for %.2f s", seconds)
        with self._lock:
            self._paused_until = max(self._paused_until, self._clock() + seconds)

    def on_llm_end(self, response: LLMResult, **_: object) -> None:
        """Correct a call's booking by its usage; what came from a cache was not booked."""
        messages = [getattr(each, "message", None) for each in chain(*response.generations)]
        usages = [getattr(message, "usage_metadata", None) or {} for message in messages]
        if not any("total_cost" in usage for usage in usages):
            self.settle(sum(usage.get("total_tokens", 0) for usage in usages) or None)

    def on_llm_error(self, error: BaseException, **_: object) -> None:
        """Give back what a failed call was booked with; a rate limit makes all calls wait."""
        if isinstance(error, Exception):  # what was left midway, or cancelled, may have cost
            self.settle(0)
        if isinstance(error, ModelRateLimitError):
            self.pause(getattr(error, "retry_after", None) or 1.0)

    @contextmanager
    def _place(self, wake: Callable[[], object]) -> Iterator[int]:
        """Stand in the queue; who ends by an error, such as a cancelled task, gives all back."""
        with self._lock:
            self._waiting[place := next(self._numbers)] = wake
        has_ended = False
        try:
            yield place
            has_ended = True
        finally:
            with self._lock:
                was_let_out = self._waiting.pop(place, None) is None
                if was_let_out and not has_ended and self._booked:
                    self._requests.add(-1, -math.inf)
                    self._tokens.add(-self._booked.pop(), -math.inf)
                self._wake_first()

    def _seconds_left(self, place: int) -> float:
        """Let out all whose time has come, and guess when this one's comes; 0 if it has."""
        with self._lock:
            now = self._clock()
            while self._waiting and self._due() <= now:
                _, wake = self._waiting.popitem(last=False)
                wake()
                self._booked.append(self._usual)
                since = max(now - _SAVED_SECONDS, self._paused_until)  # a pause saves up nothing
                self._requests.add(1, since)
                self._tokens.add(self._usual, since)
            if place not in self._waiting:
                return max(self._paused_until - now, 0.0)
            seconds = self._due(place - next(iter(self._waiting))) - now
            return min(seconds, max(seconds / 10, _LONGEST_NAP), _LONGEST_PAUSE)

    def _wake_first(self) -> None:
        """Wake the first in the queue: its time may have come nearer."""
        for wake in self._waiting.values():
            wake()
            return

    def _due(self, ahead: int = 0) -> float:
        """Tell when the next call may go out, or the one behind so many others."""
        taken = ((self._requests, ahead), (self._tokens, ahead * self._usual))
        return max(self._paused_until, *(of.free_at + n * of.seconds_each for of, n in taken))


class _Line:
    """The time from which on a limit has something left."""

    def __init__(self, per_minute: float | None) -> None:
        if isinstance(per_minute, bool) or (per_minute is not None and not per_minute > 0):
            raise ValueError("A limit must be a number above 0, or None: there is none")
        self.seconds_each = 60 / per_minute if per_minute else 0.0
        self.free_at = -math.inf

    def add(self, amount: float, since: float) -> None:
        """Count what was taken, or less than nothing; what was not taken counts since some time."""
        self.free_at = max(self.free_at, since) + amount * self.seconds_each
