"""Every fault of the fault table in every call style has the one right outcome, and leaves nothing."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import time
import traceback
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk

from langchain_dashscope_deepseek import ChatDashScopeDeepSeek, DashScopeError
from tests.integration_tests.faults import (
    FAULTS,
    FIELDS,
    VALUES,
    Answers,
    Fails,
    Fault,
    Field,
    Outcome,
)
from tests.integration_tests.faults.fields import with_value
from tests.integration_tests.faults.floods import FLOODS
from tests.integration_tests.faults.what import ID, MEGABYTE, body, event, head
from tests.integration_tests.stage import KEY, PROMPT, Certificates, Stage, flood, read_request

pytestmark = [
    pytest.mark.emulator_only,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning"),
]

Model = ChatDashScopeDeepSeek


# --- The eight call styles ---


def merged(chunks: list[AIMessageChunk]) -> AIMessage:
    return chunks[0] + chunks[1:]


async def _invoke(model: Model) -> AIMessage:
    return model.invoke(PROMPT)


async def _ainvoke(model: Model) -> AIMessage:
    return await model.ainvoke(PROMPT)


async def _stream(model: Model) -> AIMessage:
    return merged(list(model.stream(PROMPT)))


async def _astream(model: Model) -> AIMessage:
    return merged([chunk async for chunk in model.astream(PROMPT)])


async def _events(model: Model) -> AIMessage:
    message: AIMessage = model.stream_events(PROMPT, version="v3").output
    return message


async def _aevents(model: Model) -> AIMessage:
    message: AIMessage = await (await model.astream_events(PROMPT, version="v3")).output
    return message


async def _batch(model: Model) -> AIMessage:
    (message,) = model.batch([PROMPT])
    return message


async def _abatch(model: Model) -> AIMessage:
    (message,) = await model.abatch([PROMPT])
    return message


STYLES: dict[str, Callable[[Model], Awaitable[AIMessage]]] = {
    "invoke": _invoke,
    "ainvoke": _ainvoke,
    "stream": _stream,
    "astream": _astream,
    "events": _events,
    "aevents": _aevents,
    "batch": _batch,
    "abatch": _abatch,
}
LONGEST_RETRY_AFTER = 60.0
STREAMED = ("stream", "astream", "events", "aevents")


# --- The stage ---


@pytest.fixture(scope="module")
def certificates() -> Certificates:
    return Certificates()


@pytest.fixture(scope="module", autouse=True)
def _nothing_is_left_to_the_garbage_collector() -> Iterator[None]:
    """What nobody closed warns when it is collected, and warnings are errors."""
    yield
    gc.collect()


@pytest.fixture
def stage(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Stage]:
    """An empty stage. Clients trust one authority only, which makes them quick to make."""
    trusted = tmp_path / "trusted.pem"
    certificates.trusted.cert_pem.write_to_path(str(trusted))
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    with Stage(certificates) as stage:
        yield stage


@pytest.fixture(autouse=True)
def _no_pause_before_a_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    """How long is `test_retries.py`'s; here it would only take time."""
    sleep = asyncio.sleep
    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.setattr(asyncio, "sleep", lambda _, *result: sleep(0, *result))


def model_on(stage: Stage, fault: Fault, monkeypatch: pytest.MonkeyPatch) -> Model:
    fault.act(stage)
    for name, value in stage.environment.items():
        monkeypatch.setenv(name, value)
    settings: dict[str, Any] = {"timeout": 10, "max_retries": 1, **stage.settings, **fault.settings}
    return Model(model="deepseek-v4-pro", api_key=KEY, **settings)


async def outcome_of(style: str, model: Model) -> tuple[Outcome, DashScopeError | None]:
    """Ask and tell what came; whatever is raised but our errors fails the test."""
    try:
        return answer_seen(await STYLES[style](model)), None
    except DashScopeError as error:
        return error_seen(error), error


def answer_seen(message: AIMessage) -> Answers:
    usage = message.usage_metadata
    return Answers(
        text=message.text,
        reasoning=message.additional_kwargs.get("reasoning_content", ""),
        calls=tuple((call["name"], call["args"]) for call in message.tool_calls),
        invalid_calls=len(message.invalid_tool_calls),
        usage=usage and (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]),
    )


def error_seen(error: DashScopeError) -> Fails:
    return Fails(
        type(error),
        again=error.is_retryable and (error.retry_after or 0) < LONGEST_RETRY_AFTER,
        partial=error.partial_message.text if error.partial_message else "",
        code=error.code,
        status=error.status_code,
        begun=bool(error.request_id),
    )


# --- What is right ---


def insist_on(expected: Outcome, seen: Outcome) -> None:
    if isinstance(expected, Fails) and isinstance(seen, Fails) and expected.partial == "*":
        seen = replace(seen, partial="*")
    # As ASCII and shortened: half a surrogate pair breaks whoever prints it, a flood as well.
    assert ascii(seen)[:500] == ascii(expected)[:500]


def insist_on_secrecy(error: BaseException | None, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the key nor the question is in any text, of the whole chain of causes."""
    texts = [caplog.text, *(str(record.args) for record in caplog.records)]
    if error is not None:
        texts += traceback.format_exception(error)
    while error is not None:
        texts += [str(error), repr(error), repr(error.args), repr(vars(error))]
        error = error.__cause__ or error.__context__
    for text in texts:
        assert KEY not in text
        assert PROMPT not in text


async def insist_on_silence(stage: Stage) -> None:
    """Nothing is left open; a server may need a moment to see that its client left."""
    end = time.monotonic() + 5
    while stage.open and time.monotonic() < end:
        await asyncio.to_thread(threading.Event().wait, 0.01)
    assert stage.open == 0


# --- The faults; the slowest first, since others can run beside it ---


@pytest.mark.parametrize(
    ("style", "events"), [("invoke", 1_000_000), ("ainvoke", 50_000), ("astream", 10_000)]
)
async def test_tiny_events_are_one_answer_however_many(
    style: str, events: int, stage: Stage
) -> None:
    tiny = b'data:{"output":{"choices":[{"message":{"content":"x"}}]}}\n\n'
    stage.serve(read_request, head(), flood(tiny * 1_000, events * len(tiny)), event(body("")))
    model = Model(model="deepseek-v4-pro", api_key=KEY, max_retries=0, **stage.settings)
    message = await STYLES[style](model)
    await model.aclose()
    assert message.text == "x" * events


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(
    "fault", [fault for group in FAULTS.values() for fault in group], ids=lambda fault: fault.name
)
async def test_a_fault_has_one_right_outcome(
    fault: Fault,
    style: str,
    stage: Stage,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    model = model_on(stage, fault, monkeypatch)
    try:
        seen, error = await outcome_of(style, model)
        retries = sum(record.getMessage().startswith("Retry ") for record in caplog.records)
        await insist_on_silence(stage)
    finally:
        await model.aclose()

    insist_on(fault.outcome, seen)
    again = isinstance(fault.outcome, Fails) and fault.outcome.again
    shown = isinstance(seen, Fails) and seen.partial != ""
    assert retries == (again and not (shown and style in STREAMED))
    assert stage.seen in (None, 1 + retries + fault.detours)
    insist_on_secrecy(error, caplog)


# --- Fields of the wrong type, in the four styles that have code of their own ---


@pytest.mark.parametrize("streamed", [False, True], ids=["body", "event"])
@pytest.mark.parametrize("style", ["invoke", "ainvoke", "stream", "astream"])
@pytest.mark.parametrize("field", FIELDS, ids=lambda field: ".".join(map(str, field.path)))
async def test_a_field_of_the_wrong_type_has_one_right_outcome(
    field: Field, style: str, *, streamed: bool, stage: Stage
) -> None:
    emulator = stage.emulate()
    model = Model(model="deepseek-v4-pro", api_key=KEY, max_retries=0, **stage.settings)
    expected, seen = {}, {}
    for value in VALUES:
        document = with_value(field.path, value)
        content = event(document) if streamed else document
        kind = "text/event-stream" if streamed else "application/json"
        emulator.raw(
            content, headers={"content-type": kind, "x-request-id": ID, "connection": "close"}
        )
        expected[value] = field.outcome(value, streamed=streamed)
        seen[value], _ = await outcome_of(style, model)
    await model.aclose()
    assert seen == expected


# --- Memory ---


@pytest.mark.parametrize("style", ["invoke", "ainvoke"])
@pytest.mark.parametrize("fault", FLOODS, ids=lambda fault: fault.name)
async def test_a_flood_does_not_fill_the_memory(
    fault: Fault, style: str, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fifty megabytes are offered, and an answer may have sixteen at most."""
    model = model_on(stage, fault, monkeypatch)
    tracemalloc.start()
    try:
        await outcome_of(style, model)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        await model.aclose()
    assert peak < 40 * MEGABYTE
