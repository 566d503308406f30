"""What the fuzzer holds for any bytes, on its seeds and on what it found once."""

from __future__ import annotations

import pytest

from langchain_dashscope_deepseek._dashscope.transport.connections import PooledConnection
from tests.fuzz import one_connection
from tests.fuzz.one_input import check, may_be_whole, seeds

SEEDS = seeds()
FINDINGS: dict[str, bytes] = {}
"""Inputs that broke something once, named by what they broke."""

pytestmark = pytest.mark.filterwarnings("ignore:.*all of it is reasoning")


@pytest.mark.parametrize("name", SEEDS)
def test_a_seed_breaks_nothing(name: str) -> None:
    """In both twins: which one is asked follows from the length."""
    check(SEEDS[name])
    check(SEEDS[name] + b"\n")


@pytest.mark.parametrize("name", FINDINGS)
def test_a_finding_breaks_nothing_any_more(name: str) -> None:
    check(FINDINGS[name])
    check(FINDINGS[name] + b"\n")


@pytest.mark.parametrize("name", ["plain_text", "parallel_tool_calls"])
def test_the_fuzzer_knows_an_answer_that_is_cut(name: str) -> None:
    """Else it would find nothing."""
    whole = SEEDS[name][4:]
    assert may_be_whole(whole)
    assert not may_be_whole(whole[: whole.rindex(b"id:")])


CONNECTIONS = one_connection.seeds()
CROSSINGS: dict[str, bytes] = {}
"""Connections on which a call got what was another's once, named by how."""


@pytest.mark.parametrize("name", [*CONNECTIONS, *CROSSINGS])
def test_what_a_connection_brings_belongs_to_one_call(name: str) -> None:
    one_connection.check({**CONNECTIONS, **CROSSINGS}[name])


def test_the_fuzzer_knows_a_call_that_got_what_was_anothers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else it would find nothing."""
    monkeypatch.setattr(PooledConnection, "is_reusable", lambda _: True)
    monkeypatch.setattr(one_connection.Stream, "get_extra_info", lambda *_: None)
    with pytest.raises(AssertionError):
        one_connection.check(CONNECTIONS["answered_twice"])
