"""How the service says no."""

from __future__ import annotations

from typing import NoReturn


class ServiceError(Exception):
    """An error that the service answers; `in_stream`: as an event where a stream was asked for."""

    def __init__(
        self, code: str, message: str, status: int = 400, *, in_stream: bool = False
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status
        self.in_stream = in_stream


def refuse(message: str) -> NoReturn:
    """Refuse a request for what stands in it."""
    raise ServiceError("InvalidParameter", message)
