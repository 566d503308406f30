"""Waiting for what another thread or process does, as long as a busy machine needs."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_SECONDS = 60


def eventually(holds: Callable[[], bool]) -> bool:
    """Tell whether it holds, at once or after a while."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not holds() and time.monotonic() < end:
        time.sleep(0.01)
    return holds()
