"""What errors, warnings and the log say: who was asked, what to write, and at which line."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import re
import sys
import time
import warnings
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from langchain_dashscope_deepseek import (
    ChatDashScopeDeepSeek,
    DashScopeDeadlineError,
    DashScopeError,
    DashScopeInputError,
    DashScopeQuotaExceededError,
    DashScopeWarning,
)
from langchain_dashscope_deepseek._dashscope import reporting
from langchain_dashscope_deepseek._dashscope.protocol.aliases import ADVICE_BY_NAME, FOR_ONE_CALL
from tests.unit_tests.conftest import STYLES, Ask, Scripted, answer_of

# --- Who was asked ---


@pytest.mark.parametrize(
    ("status", "code"), [(401, "InvalidApiKey"), (403, "AccessDenied"), (404, "ModelNotFound")]
)
async def test_an_error_of_the_place_names_model_host_and_region(
    status: int, code: str, ask: Ask, service: Scripted
) -> None:
    service.answer({"code": code, "message": "No."}, status=status)
    model = service.model("deepseek-v4-pro", region="ap-southeast-1")
    with pytest.raises(DashScopeError) as caught:
        await ask(model, "hi")
    asked = "Requested: deepseek-v4-pro at dashscope-intl.aliyuncs.com, in ap-southeast-1."
    assert asked in str(caught.value)


async def test_a_failed_connection_names_model_host_and_region(ask: Ask, service: Scripted) -> None:
    """A workspace ID that is misspelt makes a host that does not exist."""
    service.fail(httpx.ConnectError("Name or service not known"))
    model = service.model("m", region="ap-southeast-1", workspace_id="llm-typo", max_retries=0)
    asked = r"Requested: m at llm-typo\.ap-southeast-1\.maas\.aliyuncs\.com, in ap-southeast-1\."
    with pytest.raises(DashScopeError, match=asked):
        await ask(model, "hi")


async def test_a_host_without_a_region_is_named_alone(ask: Ask, service: Scripted) -> None:
    service.answer({"code": "InvalidApiKey", "message": "No."}, status=401)
    with pytest.raises(DashScopeError, match=r"Requested: deepseek-v4-pro at gateway\.test:8443\."):
        await ask(service.model(base_url="https://gateway.test:8443/api/v1"), "hi")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("DeepSeek-V4-Pro", "The nearest name that is known here is 'deepseek-v4-pro'"),
        ("deepseek-chat", "here it is deepseek-v4.1-flash with enable_thinking=False"),
        ("deepseek-reasoner", "here it is deepseek-v4.1-flash, which thinks by default"),
        ("deepseek-v4-pro ", "The nearest name that is known here is 'deepseek-v4-pro'"),
        ("deepseek-ai/DeepSeek-V4-Pro", "The nearest name that is known here is 'deepseek-v4-pro'"),
        (
            "deepseek-v3.1-terminus",
            "The nearest name that is known here is 'siliconflow/deepseek-v3.1-terminus'",
        ),
        ("deepseek-v4-prp", "The nearest name that is known here is 'deepseek-v4-pro'"),
    ],
)
async def test_a_near_miss_is_told_what_it_is_called_here(
    name: str, says: str, ask: Ask, service: Scripted
) -> None:
    service.answer({"code": "ModelNotFound", "message": "No such model."}, status=404)
    with pytest.raises(DashScopeError, match=re.escape(says)):
        await ask(service.model(name), "hi")


# --- What a setting is called here ---


@pytest.mark.parametrize("name", ADVICE_BY_NAME)
async def test_a_name_of_elsewhere_is_told_what_to_write(
    name: str, ask: Ask, service: Scripted
) -> None:
    """The same text at construction and at the call."""
    says = f"Unknown setting {name}: {ADVICE_BY_NAME[name]}"
    with pytest.raises(ValidationError) as at_construction:
        ChatDashScopeDeepSeek(model="m", **{name: 2})
    assert says in str(at_construction.value)
    with pytest.raises(DashScopeInputError) as at_the_call:
        await ask(service.model(), "hi", **{name: 2})
    assert str(at_the_call.value).startswith(says)


def test_no_name_of_elsewhere_is_one_of_ours() -> None:
    assert not ADVICE_BY_NAME.keys() & ChatDashScopeDeepSeek.model_fields.keys()


async def test_a_slip_of_the_pen_is_told_what_was_meant(ask: Ask, service: Scripted) -> None:
    with pytest.raises(ValidationError, match="did you mean temperature"):
        service.model(temprature=1)
    with pytest.raises(DashScopeInputError, match="did you mean max_tokens"):
        await ask(service.model(), "hi", max_token=1)
    with pytest.raises(DashScopeInputError, match=r"Unknown setting odd\. .*model_kwargs"):
        await ask(service.model(), "hi", odd=1)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("apikey", "did you mean api_key"),
        ("base_urls", "did you mean base_url"),
        ("streming", "did you mean streaming"),
    ],
)
async def test_a_slip_is_told_the_same_wherever_it_stands(
    name: str, says: str, ask: Ask, service: Scripted
) -> None:
    settings: dict[str, Any] = {"model": "m", name: 1}
    with pytest.raises(ValidationError, match=says):
        ChatDashScopeDeepSeek(**settings)
    with pytest.raises(ValueError, match=says):
        service.model().model_copy(update={name: 1})
    with pytest.raises(DashScopeInputError, match=says):
        await ask(service.model(), "hi", **{name: 1})


@pytest.mark.parametrize("name", FOR_ONE_CALL)
def test_what_belongs_to_one_call_is_told_so(name: str, service: Scripted) -> None:
    settings: dict[str, Any] = {"model": "m", name: 1}
    with pytest.raises(ValidationError, match=re.escape(FOR_ONE_CALL[name])):
        ChatDashScopeDeepSeek(**settings)


async def test_another_name_in_model_kwargs_is_no_second_value(ask: Ask, service: Scripted) -> None:
    service.answer(answer_of())
    await ask(service.model(model_kwargs={"stop_sequences": ["x"]}), "hi")
    assert json.loads(service.requests[-1].content)["parameters"]["stop"] == ["x"]
    with pytest.raises(ValidationError, match="stop is given twice: take it out of model_kwargs"):
        service.model(stop="y", model_kwargs={"stop_sequences": ["x"]})
    with pytest.raises(ValidationError, match="stop is given twice: take it out of model_kwargs"):
        service.model(model_kwargs={"stop": "y", "stop_sequences": ["x"]})


async def test_a_deadline_says_what_to_raise(ask: Ask, service: Scripted) -> None:
    service.fail(httpx.ReadTimeout("slow"))
    with pytest.raises(DashScopeDeadlineError, match="Raise max_seconds, or ask") as caught:
        await ask(service.model(max_seconds=1e-9), "hi")
    assert caught.value.is_retryable is False


async def test_an_error_of_the_quota_says_what_was_asked(ask: Ask, service: Scripted) -> None:
    service.answer({"code": "AllocationQuota.FreeTierOnly", "message": "Used up."}, status=403)
    with pytest.raises(DashScopeQuotaExceededError, match=r"Requested: deepseek-v4-pro at dashsc"):
        await ask(service.model("deepseek-v4-pro"), "hi")


def test_langsmith_hears_the_limit_of_answer_and_reasoning(service: Scripted) -> None:
    model = service.model(max_completion_tokens=7)
    assert model._get_ls_params()["ls_max_tokens"] == 7
    assert model._get_ls_params(max_completion_tokens=8)["ls_max_tokens"] == 8
    assert model._get_ls_params(max_tokens=9)["ls_max_tokens"] == 9


# --- At which line a warning points ---


POINTS = pytest.mark.skipif(sys.version_info < (3, 12), reason="no skip_file_prefixes")


def lines_of(caught: list[warnings.WarningMessage]) -> list[tuple[str, int]]:
    return [(w.filename, w.lineno) for w in caught if w.category is DashScopeWarning]


def here() -> int:
    """The line of who calls this."""
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno


def test_a_warning_that_was_ignored_is_shown_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporting, "_shown", set())  # other tests may have shown it

    def make() -> None:
        ChatDashScopeDeepSeek(model="m", base_url="http://proxy.test/api/v1")

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        make()
        warnings.simplefilter("default")
        make()
        make()
    assert len(lines_of(caught)) == 1


@POINTS
def test_a_warning_at_construction_points_at_its_line() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        line = here() + 1
        ChatDashScopeDeepSeek(model="m", base_url="http://proxy.test/api/v1")
    assert lines_of(caught) == [(__file__, line)]


# --- What is known at the first chunk ---


async def test_who_stops_early_has_the_request_id(service: Scripted) -> None:
    service.answer(answer_of("hi"))
    model = service.model()
    assert next(model.stream("hi")).response_metadata["request_id"] == "request-1"
    stream = model.astream("hi")
    first = await anext(stream)
    assert first.response_metadata["request_id"] == "request-1"
    await stream.aclose()  # type: ignore[attr-defined]


def packets(*request_ids: str | None) -> str:
    documents = []
    for number, request_id in enumerate(request_ids):
        document = answer_of("x")
        finish = "stop" if number == len(request_ids) - 1 else "null"
        document["output"]["choices"][0]["finish_reason"] = finish
        document["request_id"] = request_id
        documents.append(document)
    return "".join(f"data:{json.dumps(document)}\n\n" for document in documents)


@pytest.mark.parametrize("ids", [("a", "a"), ("a", None), ("a", "b"), (None, None)])
async def test_a_merged_stream_has_the_request_id_of_the_whole_message(
    ids: tuple[str | None, ...], service: Scripted
) -> None:
    service.answer(packets(*ids))
    whole = service.model().invoke("hi")
    for style in ("stream", "astream"):
        merged = await STYLES[style](service.model(), "hi")
        assert merged.response_metadata == whole.response_metadata
    wanted = next(filter(None, ids), None)
    assert whole.response_metadata.get("request_id") == wanted


# --- An answer that is all reasoning ---


async def test_an_answer_that_is_all_reasoning_is_said(ask: Ask, service: Scripted) -> None:
    document = answer_of("", reasoning_content="Hm.")
    document["output"]["choices"][0]["finish_reason"] = "length"
    service.answer(document)
    with pytest.warns(DashScopeWarning, match="all of it is reasoning") as caught:
        message = await ask(service.model(max_tokens=2), "hi")
    assert message.response_metadata["only_reasoning"] is True
    (text,) = [str(warning.message) for warning in caught]
    assert "after 2 output tokens (max_tokens=2), and" in text
    assert "Raise max_tokens, shorten" in text
    assert "enable_thinking=False" in text


@pytest.mark.parametrize(
    ("text", "finish"), [("So", "length"), ("", "stop"), ("", "content_filter")]
)
async def test_other_answers_are_no_such_thing(
    text: str, finish: str, ask: Ask, service: Scripted
) -> None:
    document = answer_of(text, reasoning_content="Hm.")
    document["output"]["choices"][0]["finish_reason"] = finish
    service.answer(document)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        message = await ask(service.model(), "hi")
    assert "only_reasoning" not in message.response_metadata


async def test_what_the_service_used_of_its_own_is_told(ask: Ask, service: Scripted) -> None:
    document = answer_of()
    document["usage"]["plugins"] = {"search": {"count": 2, "strategy": "turbo"}}
    service.answer(document)
    message = await ask(service.model(enable_search=True), "hi")
    assert message.response_metadata["plugins"] == {"search": {"count": 2, "strategy": "turbo"}}


# --- The log ---

SECRETS = ("sk-test-key", "secret-prompt", "secret-answer")


async def test_a_call_is_one_line_at_info(
    ask: Ask, service: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    service.answer(answer_of("secret-answer"))
    with caplog.at_level(logging.INFO, "langchain_dashscope_deepseek"):
        await ask(service.model(), "secret-prompt")
    (line,) = [record.getMessage() for record in caplog.records]
    assert re.fullmatch(
        r"deepseek-v4-pro on text-generation: finish_reason stop, request_id request-1, first "
        r"packet \d\.\d\d s, total \d\.\d\d s, tokens 5 in 2 out, retries 0",
        line,
    )


async def test_a_call_that_fails_is_one_line_too(
    ask: Ask, service: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    refusal = {"code": "Throttling", "message": "secret-answer", "request_id": "r-1"}
    service.answer(refusal, status=429, headers={"retry-after": "0"})
    with (
        caplog.at_level(logging.INFO, "langchain_dashscope_deepseek"),
        pytest.raises(DashScopeError),
    ):
        await ask(service.model(max_retries=1), "secret-prompt")
    *retries, line = caplog.messages
    assert len(retries) == 1
    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING"]
    assert "DashScopeRateLimitError (code Throttling, HTTP 429), request_id r-1" in line
    assert line.endswith("retries 1")


def test_a_sync_stream_of_events_that_was_read_is_logged_as_a_whole_call(
    service: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    """Core asks for nothing behind the last event."""
    service.answer(packets("a", "a"))
    with caplog.at_level(logging.INFO, "langchain_dashscope_deepseek"):
        kept = service.model().stream_events("hi", version="v3")
        list(kept)
    assert ["finish_reason stop" in record.getMessage() for record in caplog.records] == [True]


def test_a_model_of_two_lines_takes_one_line_of_the_log(
    service: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    service.answer(answer_of())
    with caplog.at_level(logging.INFO, "langchain_dashscope_deepseek"):
        service.model("m\nERROR forged").invoke("hi")
    assert [record.getMessage().count("\n") for record in caplog.records] == [0]


FORGED = ["r\nERROR forged", "r\r\x1b[2J", "r\u2028\u202e", "r" * 1_000_000]


@pytest.mark.parametrize("forged", FORGED)
@pytest.mark.parametrize("name", ["request_id", "finish_reason"])
async def test_what_an_answer_names_is_short_and_on_one_line_wherever_it_is_shown(
    name: str, forged: str, ask: Ask, service: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    document = answer_of()
    (document["output"]["choices"][0] if name == "finish_reason" else document)[name] = forged
    service.answer(document)
    with caplog.at_level(logging.INFO, "langchain_dashscope_deepseek"):
        message = await ask(service.model(), "hi")
    for shown in (message.response_metadata[name], *caplog.messages):
        assert shown.isprintable()
        assert len(shown) < 400


@pytest.mark.parametrize("forged", FORGED)
@pytest.mark.parametrize("name", ["request_id", "code"])
async def test_what_an_error_names_is_short_and_on_one_line_wherever_it_is_shown(
    name: str, forged: str, ask: Ask, service: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    refused = {"code": "Throttling", "message": "No.", "request_id": "r", name: forged}
    service.answer(refused, status=429, headers={"retry-after": "0"})
    with (
        caplog.at_level(logging.INFO, "langchain_dashscope_deepseek"),
        pytest.raises(DashScopeError) as caught,
    ):
        await ask(service.model(max_retries=1), "hi")
    for shown in (getattr(caught.value, name), str(caught.value), *caplog.messages):
        assert shown.isprintable()
        assert len(shown) < 500


@pytest.mark.parametrize(
    "refused", [{"code": "." * 1_000_000}, {"code": "X", "message": "sk-." * 250_000}]
)
async def test_what_an_error_says_is_shortened_before_it_is_read(
    refused: dict[str, str], ask: Ask, service: Scripted
) -> None:
    service.answer(refused, status=400)
    began = time.process_time()
    with pytest.raises(DashScopeError):
        await ask(service.model(), "hi")
    assert time.process_time() - began < 1


def test_a_stream_that_is_abandoned_says_so(
    service: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    service.answer(packets("a", "a", "a"), size=60)
    with caplog.at_level(logging.INFO, "langchain_dashscope_deepseek"):
        chunks = service.model().stream("hi")
        next(chunks)
        chunks.close()  # type: ignore[attr-defined]
    assert "abandoned, request_id a" in caplog.records[-1].getMessage()
    assert caplog.records[-1].levelname == "INFO"


async def test_a_call_that_is_cancelled_did_not_fail(
    service: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    service.fail(httpx.ConnectError("no"))
    with caplog.at_level(logging.INFO, "langchain_dashscope_deepseek"):
        call = asyncio.create_task(service.model(max_retries=1).ainvoke("hi"))
        while not caplog.records:  # noqa: ASYNC110 - it waits for its retry
            await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert [record.levelname for record in caplog.records] == ["INFO", "INFO"]


async def test_the_shape_of_the_wire_is_told_at_debug(
    ask: Ask, service: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    service.answer(answer_of("secret-answer"))
    with caplog.at_level(logging.DEBUG, "langchain_dashscope_deepseek"):
        await ask(service.model(seed=1), "secret-prompt")
    lines = [record.getMessage() for record in caplog.records]
    assert any("roles user, parameters incremental_output,result_format,seed" in x for x in lines)
    assert any("Response: HTTP 200" in line for line in lines)
    assert not any(secret in line for secret in SECRETS for line in lines)
