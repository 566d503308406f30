"""A small soak: many streams at a time, a third of them abandoned, in several event loops."""

from __future__ import annotations

import pytest

from tests.soak.soak import Soak, server

pytestmark = pytest.mark.slow


def test_streams_leak_nothing_and_never_cross() -> None:
    with server() as port:
        soak = Soak(port)
        rounds = list(soak.run(streams=300, rounds=3))

    assert soak.faults == []
    assert sum(done.outcomes.total() for done in rounds) == 300
    assert all(done.outcomes["answer"] and done.outcomes["error"] for done in rounds)
