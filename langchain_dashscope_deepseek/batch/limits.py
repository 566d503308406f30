"""What keeps the limits of an account, here or in an actor of all workers."""

from typing import Protocol


class Limits(Protocol):
    """What a `TokenRateLimiter` does, wherever it is."""

    async def aacquire(self) -> bool:
        """Wait until a call may go out."""
        ...

    def settle(self, tokens: int | None) -> None:
        """Tell what a call took, or that nobody knows."""
        ...

    def pause(self, seconds: float) -> None:
        """Let no call out for so long."""
        ...
