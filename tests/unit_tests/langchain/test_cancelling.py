"""A task that is cancelled while it reads an answer ends there."""

from __future__ import annotations

import asyncio

from tests.unit_tests.conftest import Scripted, transcript


async def test_a_task_that_is_cancelled_does_not_go_on(service: Scripted) -> None:
    """At whatever step of the loop it comes: an agent that was told to stop must not go on."""
    service.answer(transcript("plain_text"), size=64)
    model = service.model()

    async def ask() -> None:
        async for _ in model.astream("hi"):
            pass
        await asyncio.Event().wait()

    for steps in range(30):
        task = asyncio.create_task(ask())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task], timeout=1)
        assert task.cancelled(), steps
