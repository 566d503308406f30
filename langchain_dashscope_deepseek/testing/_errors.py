"""How the service says no."""

from __future__ import annotations

from typing import NoReturn


class ServiceError(Exception):
    """An error that the service answers."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


def refuse(message: str) -> NoReturn:
    """Refuse a request for what stands in it."""
    raise ServiceError("InvalidParameter", message)
