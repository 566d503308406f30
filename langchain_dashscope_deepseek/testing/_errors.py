"""Errors of the emulated service."""

from __future__ import annotations

from typing import NoReturn


class ServiceError(Exception):
    """An error response; with `in_stream`, a streaming request receives it as an event."""

    def __init__(
        self, code: str, message: str, status: int = 400, *, in_stream: bool = False
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status
        self.in_stream = in_stream


def refuse(message: str) -> NoReturn:
    """Raise the error for an invalid request."""
    raise ServiceError("InvalidParameter", message)
