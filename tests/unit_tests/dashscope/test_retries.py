"""What is asked again, when, and what never is."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from email.utils import formatdate
from typing import Any

import httpx
import pytest

from langchain_dashscope_deepseek import (
    DashScopeConnectionError,
    DashScopeError,
    DashScopeRateLimitError,
    DashScopeStreamCutError,
)
from langchain_dashscope_deepseek._dashscope.protocol.error_codes import (
    error_from_service,
    retry_after,
)
from langchain_dashscope_deepseek._dashscope.transport.retry import Attempts, RetryPolicy
from tests.unit_tests.conftest import STYLES, Ask, Scripted, answer_of, transcript

BUSY = {"code": "Throttling", "message": "Slow down.", "request_id": "r"}
SOON = {"content-type": "application/json", "retry-after-ms": "1"}


@pytest.fixture
def patient(service: Scripted) -> Any:
    """A model that retries twice."""
    return service.model(max_retries=2)


async def test_a_throttled_call_is_asked_again(ask: Ask, service: Scripted, patient: Any) -> None:
    """Also where the opening of a stream was refused."""
    service.answer(BUSY, status=429, headers=SOON)
    service.answer(BUSY, status=429, headers=SOON)
    service.answer(transcript("plain_text"))
    assert (await ask(patient, "hi")).content == "The sky is blue."
    assert len(service.requests) == 3


async def test_after_the_last_retry_the_error_comes(
    ask: Ask, service: Scripted, patient: Any
) -> None:
    service.answer(BUSY, status=429, headers=SOON)
    with pytest.raises(DashScopeRateLimitError):
        await ask(patient, "hi")
    assert len(service.requests) == 3


async def test_zero_switches_retrying_off(ask: Ask, service: Scripted) -> None:
    service.answer(BUSY, status=429, headers=SOON)
    with pytest.raises(DashScopeRateLimitError):
        await ask(service.model(max_retries=2), "hi", max_retries=0)
    assert len(service.requests) == 1


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("InvalidParameter", "no"),
        ("InvalidParameter", "<400> InternalError.Algo.InvalidParameter: no"),
        ("DataInspectionFailed", "Input data may contain inappropriate content."),
        ("Arrearage", "pay"),
        ("Throttling.AllocationQuota", "Free allocated quota exceeded."),
    ],
)
async def test_what_a_retry_cannot_mend_is_asked_once(
    code: str, message: str, ask: Ask, service: Scripted, patient: Any
) -> None:
    service.answer({"code": code, "message": message}, status=429)
    with pytest.raises(DashScopeError):
        await ask(patient, "hi")
    assert len(service.requests) == 1


async def test_a_stream_is_not_retried_after_its_first_chunk(
    ask_stream: Ask, service: Scripted, patient: Any
) -> None:
    """What the user has seen cannot be taken back."""
    service.answer(transcript("plain_text").split(b"id:2")[0])
    with pytest.raises(DashScopeStreamCutError) as caught:
        await ask_stream(patient, "hi")
    assert len(service.requests) == 1
    assert caught.value.partial_message is not None


@pytest.mark.parametrize("style", ["invoke", "ainvoke"])
async def test_an_invoke_that_streams_underneath_is_retried_whole(
    style: str, service: Scripted, patient: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing was shown, so nothing is doubled."""
    caplog.set_level(logging.INFO, "langchain_dashscope_deepseek")
    service.answer(transcript("plain_text").split(b"id:2")[0])
    service.answer(transcript("plain_text"))

    message = await STYLES[style](patient, "a secret question")

    assert message.content == "The sky is blue."
    assert len(service.requests) == 2
    assert "Retry 1 of 2" in caplog.text
    assert "secret" not in caplog.text


async def test_a_stream_that_showed_nothing_yet_is_retried(
    ask_stream: Ask, service: Scripted, patient: Any
) -> None:
    keep_alive = 'data:{"output":{},"usage":{"input_tokens":1},"request_id":"r"}\n\n'
    service.answer(f"{keep_alive}event:error\ndata:{json.dumps(BUSY)}\n\n")
    service.answer(transcript("plain_text"))
    message = await ask_stream(patient, "hi")
    assert (message.content, len(service.requests)) == ("The sky is blue.", 2)


async def test_a_connection_error_is_retried(ask: Ask, service: Scripted, patient: Any) -> None:
    service.fail(httpx.ConnectError("refused"))
    service.answer(answer_of("hi"))
    assert (await ask(patient, "hi")).content == "hi"


async def test_the_time_for_retries_can_be_bounded(ask: Ask, service: Scripted) -> None:
    service.answer(BUSY, status=429, headers={**SOON, "retry-after-ms": "5000"})
    with pytest.raises(DashScopeRateLimitError):
        await ask(service.model(max_retries=2, max_seconds=4), "hi")
    assert len(service.requests) == 1


async def test_the_bound_may_be_set_for_one_call(ask: Ask, service: Scripted) -> None:
    service.answer(BUSY, status=429, headers={**SOON, "retry-after-ms": "5000"})
    service.answer(transcript("plain_text"))
    with pytest.raises(DashScopeRateLimitError):
        await ask(service.model(max_retries=2), "hi", max_seconds=4)
    assert (await ask(service.model(max_retries=2), "hi", max_seconds=4)).content


# --- The policy ---


def rate_limit(
    code: str = "Throttling", retry_after: float | None = None, **facts: Any
) -> DashScopeError:
    error = error_from_service("x", code=code, status_code=429, **facts)
    error.retry_after = retry_after
    return error


def test_delays_double_with_jitter_and_stay_bounded() -> None:
    policy = RetryPolicy(max_retries=10)
    for failures, longest in enumerate([0.5, 1, 2, 4, 8, 8, 8], start=1):
        delay = policy.delay(failures, rate_limit())
        assert delay is not None
        assert longest * 0.75 <= delay <= longest


def test_delays_differ_so_that_clients_do_not_march_in_step() -> None:
    assert len({RetryPolicy().delay(1, rate_limit()) for _ in range(20)}) > 1


def test_a_window_of_a_minute_is_waited_out_longer_than_a_burst() -> None:
    delay = RetryPolicy().delay(1, rate_limit("Throttling.AllocationQuota"))
    assert delay is not None
    assert 15 <= delay <= 20
    policy = RetryPolicy(max_retries=4, jitter=0)
    limit = rate_limit("Throttling.AllocationQuota")
    assert [policy.delay(failures, limit) for failures in (1, 2, 3, 4)] == [20, 40, 60, 80]


def test_the_server_says_how_long() -> None:
    policy = RetryPolicy(jitter=0)
    assert policy.delay(1, rate_limit(retry_after=3.5)) == 3.5
    assert policy.delay(1, rate_limit(retry_after=60)) == 60
    assert RetryPolicy().delay(1, rate_limit(retry_after=61)) is None


def test_no_retry_begins_after_the_time_that_a_user_allows() -> None:
    policy = RetryPolicy(jitter=0)
    assert policy.delay(1, rate_limit(), left=0.6) == 0.5
    assert policy.delay(1, rate_limit(), left=0.5) is None
    assert policy.delay(1, rate_limit(retry_after=9), left=10) == 9
    assert policy.delay(1, rate_limit(retry_after=10), left=10) is None


def test_who_was_told_the_same_does_not_come_back_at_the_same_moment() -> None:
    """Never sooner than asked, and never later than the call may take."""
    delays = [RetryPolicy().delay(1, rate_limit(retry_after=4)) for _ in range(50)]
    assert len(set(delays)) > 1
    assert all(delay is not None and 4 <= delay <= 5 for delay in delays)
    soon = [RetryPolicy().delay(1, rate_limit(retry_after=4), left=4.1) for _ in range(50)]
    assert all(delay is not None and 4 <= delay <= 4.1 for delay in soon)


def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Make sleeping a note of its length."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(time, "sleep", waited.append)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    return waited


THREE = RetryPolicy(max_retries=3, jitter=0)
FAILURES = (None, 0, None, None)
"""What the server says of the wait, failure by failure."""


def fail() -> None:
    failures = iter(FAILURES)
    for attempt in Attempts(THREE):
        with attempt:
            raise rate_limit(retry_after=next(failures))


async def fail_async() -> None:
    failures = iter(FAILURES)
    async for attempt in Attempts(THREE):
        with attempt:
            raise rate_limit(retry_after=next(failures))


def test_a_loop_waits_as_long_as_the_policy_says(monkeypatch: pytest.MonkeyPatch) -> None:
    waited = waits(monkeypatch)
    with pytest.raises(DashScopeRateLimitError):
        fail()
    assert waited == [0.5, 0, 2]


async def test_an_async_loop_waits_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        waited = waits(patched)
        with pytest.raises(DashScopeRateLimitError):
            await fail_async()
    assert waited == [0.5, 0, 2]


def test_the_time_since_the_first_attempt_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    waits(monkeypatch)
    clock = iter([100.0, 109.0, 109.5])
    with monkeypatch.context() as patched:
        patched.setattr(time, "monotonic", lambda: next(clock))
        attempts = Attempts(RetryPolicy(max_retries=3, max_seconds=10, jitter=0))
        goes_on = [
            attempt.__exit__(DashScopeRateLimitError, rate_limit(), None)
            for attempt in (next(attempts), next(attempts))
        ]
    assert goes_on == [True, False]


def test_what_a_ticket_needs_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    waits(monkeypatch)
    caplog.set_level(logging.INFO, "langchain_dashscope_deepseek")
    for number, attempt in enumerate(Attempts(THREE)):
        with attempt:
            if number < 2:
                raise rate_limit(request_id="r")
            break
    assert caplog.messages == [
        f"Retry {retry} of 3 in {delay} s after DashScopeRateLimitError "
        "(code Throttling, HTTP 429, request_id r)"
        for retry, delay in ((1, "0.50"), (2, "1.00"))
    ]


@pytest.mark.parametrize(
    ("error", "seen"),
    [
        (ValueError("x"), False),
        (error_from_service("x", status_code=400), False),
        (rate_limit(), True),
    ],
)
def test_what_no_retry_mends_and_what_was_seen_leaves_the_attempt(
    error: Exception, *, seen: bool
) -> None:
    attempt = next(Attempts(THREE))
    attempt.committed = seen
    assert not attempt.__exit__(type(error), error, None)
    assert attempt.delay is None


def test_enough_is_enough() -> None:
    assert RetryPolicy(max_retries=1).delay(2, rate_limit()) is None
    assert RetryPolicy().delay(1, error_from_service("x", status_code=400)) is None
    assert RetryPolicy().delay(1, DashScopeConnectionError("x")) is not None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "0"}, 0),
        ({"retry-after": ""}, None),
        ({"retry-after-ms": "0", "retry-after": "2"}, 0),
        ({"retry-after-ms": "soon", "retry-after": "2"}, 2),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": formatdate(time.time() - 10, usegmt=True)}, 0),
    ],
)
def test_retry_after_is_read(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_retry_after_may_be_a_date() -> None:
    seconds = retry_after({"retry-after": formatdate(time.time() + 30, usegmt=True)})
    assert seconds is not None
    assert 25 < seconds <= 30
