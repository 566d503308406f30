"""What is asked again in another form after a refusal, and what is remembered of it.

The wrong route, and `required` among several tools.
"""

from __future__ import annotations

import json
import logging
import warnings
from dataclasses import replace
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from langchain_dashscope_deepseek import (
    MODELS,
    DashScopeInvalidRequestError,
    DashScopeRateLimitError,
    DashScopeRouteError,
    DashScopeUnsupportedError,
    DashScopeWarning,
    ModelCapabilities,
)
from tests.unit_tests.conftest import STYLES, Ask, Scripted, answer_of, transcript

NEW, PRO = "deepseek-v4.1-flash", "deepseek-v4-pro"
BASE = "https://dashscope.aliyuncs.com/api/v1"
WRONG = {
    "code": "InvalidParameter",
    "message": "url error, please check url！ For details, see: https://help.example#error-url",
    "request_id": "request-wrong",
}
IMAGE = [HumanMessage([{"image": "https://example.com/cat.png"}])]


def refuse(service: Scripted, shape: str) -> None:
    if shape == "body":
        service.answer(WRONG, status=400)
    else:
        data = '{{"code":"{code}","message":"{message}","request_id":"{request_id}"}}'
        event = f"id:1\nevent:error\n:HTTP_STATUS/400\ndata:{data.format(**WRONG)}\n\n"
        service.answer(event)


def asked(service: Scripted) -> list[str]:
    return [request.url.path.split("/")[-2].partition("-")[0] for request in service.requests]


@pytest.mark.parametrize(
    ("model", "settings", "routes"),
    [
        (PRO, {}, ["text"]),
        ("some-new-model", {}, ["text"]),
        (NEW, {}, ["multimodal"]),
        ("deepseek-v4.1-flash-1101", {}, ["multimodal"]),
        (NEW, {"capabilities": replace(MODELS[NEW], routes=("text-generation",))}, ["text"]),
    ],
)
async def test_a_model_is_asked_on_the_route_of_its_row(
    model: str, settings: Any, routes: list[str], ask: Ask, service: Scripted
) -> None:
    service.answer(answer_of())
    await ask(service.model(model, **settings), "hi")
    assert asked(service) == routes


@pytest.mark.parametrize("shape", ["body", "event"])
@pytest.mark.parametrize("model", [PRO, NEW, "some-new-model"])
async def test_a_wrong_route_means_the_other_within_the_same_attempt(
    model: str, shape: str, ask: Ask, service: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    """It takes no retry (there is none here), waits for nothing, and is remembered."""
    refuse(service, shape)
    service.answer(transcript("thinking_then_text"))
    caplog.set_level(logging.INFO)

    message = await ask(service.model(model, max_retries=0), "hi")

    assert message.text == "1+1 等于 **2**。🎉"
    first, second = asked(service)
    assert {first, second} == {"text", "multimodal"}
    contents = service.sent["input"]["messages"][0]["content"]
    assert contents == ("hi" if second == "text" else [{"text": "hi"}])
    assert "in another form after 'url error" in caplog.text
    assert "Retry" not in caplog.text
    assert "retries 0" in caplog.text

    await ask(service.model(model), "hi")  # another object
    assert asked(service)[2:] == [second]


async def test_what_was_learnt_holds_for_a_base_url_and_a_model(
    ask: Ask, service: Scripted
) -> None:
    refuse(service, "body")
    service.answer(answer_of())
    await ask(service.model(NEW), "hi")
    await ask(service.model(NEW, base_url="https://other.test/api/v1"), "hi")
    await ask(service.model("some-new-model"), "hi")
    assert asked(service) == ["multimodal", "text", "multimodal", "text"]


async def test_a_binding_that_changes_is_learnt_anew(ask: Ask, service: Scripted) -> None:
    refuse(service, "body")
    service.answer(answer_of())
    refuse(service, "body")
    service.answer(answer_of())
    await ask(service.model(NEW), "hi")
    await ask(service.model(NEW), "hi")
    await ask(service.model(NEW), "hi")
    assert asked(service) == ["multimodal", "text", "text", "multimodal", "multimodal"]


@pytest.mark.parametrize("shape", ["body", "event"])
async def test_both_routes_refuse(shape: str, ask: Ask, service: Scripted) -> None:
    refuse(service, shape)
    with pytest.raises(DashScopeRouteError) as caught:
        await ask(service.model(NEW, max_retries=5), "hi")
    assert asked(service) == ["multimodal", "text"]
    assert str(caught.value) == (
        "DashScope: url error, please check url！ For details, see: https://help.example#error-url. "
        "[code InvalidParameter, HTTP 400, request_id request-wrong] Check the model's name, and "
        "that the region of base_url offers it. If the request holds an image, the model "
        "may not read images. If you passed ModelCapabilities(routes=...), check those routes, "
        "too. Requested: deepseek-v4.1-flash at dashscope.aliyuncs.com, in cn-beijing, on "
        "text-generation and multimodal-generation."
    )
    assert isinstance(caught.value, DashScopeInvalidRequestError)
    service.answer(answer_of())
    await ask(service.model(NEW), "hi")
    assert asked(service) == ["multimodal", "text", "multimodal"]


async def test_a_pinned_route_is_the_only_one(ask: Ask, service: Scripted) -> None:
    refuse(service, "body")
    row = ModelCapabilities(routes=("multimodal-generation",))
    with pytest.raises(DashScopeRouteError, match=r"on multimodal-generation\."):
        await ask(service.model("qwen-vl", capabilities=row), "hi")
    assert asked(service) == ["multimodal"]


async def test_an_image_is_never_sent_to_the_text_route(ask: Ask, service: Scripted) -> None:
    refuse(service, "body")
    with pytest.raises(DashScopeRouteError, match=r"on multimodal-generation\."):
        await ask(service.model(NEW), IMAGE)
    assert asked(service) == ["multimodal"]

    row = replace(MODELS[NEW], routes=("text-generation",))
    with pytest.raises(DashScopeUnsupportedError, match="reads text only"):
        await ask(service.model(NEW, capabilities=row), IMAGE)
    assert asked(service) == ["multimodal"]


async def test_an_image_goes_to_its_route_whatever_was_learnt(ask: Ask, service: Scripted) -> None:
    refuse(service, "body")
    service.answer(answer_of())
    await ask(service.model(NEW), "hi")
    await ask(service.model(NEW), IMAGE)
    assert asked(service) == ["multimodal", "text", "multimodal"]


async def test_a_retry_begins_on_the_route_that_was_learnt(ask: Ask, service: Scripted) -> None:
    refuse(service, "body")
    throttled = {"code": "Throttling.RateQuota", "message": "Slow.", "request_id": "r"}
    service.answer(throttled, status=429, headers={"retry-after": "0"})
    service.answer(answer_of())
    await ask(service.model(NEW, max_retries=1), "hi")
    assert asked(service) == ["multimodal", "text", "text"]


async def test_other_errors_on_a_route_stay_what_they_are(ask: Ask, service: Scripted) -> None:
    refuse(service, "body")
    service.answer({"code": "Throttling", "message": "Slow.", "request_id": "r"}, status=429)
    with pytest.raises(DashScopeRateLimitError):
        await ask(service.model(NEW), "hi")
    assert len(service.requests) == 2


async def test_after_the_first_chunk_a_wrong_route_is_an_error(
    ask_stream: Ask, service: Scripted
) -> None:
    """What the user has seen cannot be taken back."""
    first = transcript("plain_text").split(b"\n\n")[0] + b"\n\n"
    data = b'{"code":"InvalidParameter","message":"url error, please check url!"}'
    service.answer(first + b"id:2\nevent:error\n:HTTP_STATUS/400\ndata:" + data + b"\n\n")
    with pytest.raises(DashScopeRouteError) as caught:
        await ask_stream(service.model(NEW), "hi")
    assert caught.value.partial_message is not None
    assert len(service.requests) == 1


# --- `required` among several tools ---

ONE = {"type": "function", "function": {"name": "one", "parameters": {"type": "object"}}}
TWO = {"type": "function", "function": {"name": "two", "parameters": {"type": "object"}}}
SEVERAL = {"tools": [ONE, TWO], "tool_choice": "any", "enable_thinking": False}
ONE_ONLY = {
    "code": "InvalidParameter",
    "message": "<400> InternalError.Algo.InvalidParameter: Please set one tool in required mode",
    "request_id": "request-required",
}
NOT_ENFORCED = {"tool_choice": {"asked": "required", "sent": "auto"}}


def choices(service: Scripted) -> list[Any]:
    bodies = [json.loads(request.content) for request in service.requests]
    return [body["parameters"].get("tool_choice") for body in bodies]


async def ask_events(model: Any, question: str, **kwargs: Any) -> Any:
    return model.stream_events(question, version="v3", **kwargs).output


async def ask_events_async(model: Any, question: str, **kwargs: Any) -> Any:
    return await (await model.astream_events(question, version="v3", **kwargs)).output


EVERY_STYLE = pytest.mark.parametrize("ask", [*STYLES.values(), ask_events, ask_events_async])


@EVERY_STYLE
@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
async def test_a_refused_required_is_asked_again_as_auto(
    status: int, ask: Ask, service: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    """It takes no retry, and the answer says that the choice was not enforced."""
    refusal = json.dumps(ONE_ONLY)
    event = f"id:1\nevent:error\n:HTTP_STATUS/400\ndata:{refusal}\n\n"
    service.answer(event if status == 200 else ONE_ONLY, status=status)
    service.answer(transcript("plain_text"))
    caplog.set_level(logging.INFO)

    with pytest.warns(DashScopeWarning, match="may answer without calling a tool") as warned:
        message = await ask(service.model(max_retries=0), "hi", **SEVERAL)

    assert choices(service) == ["required", "auto"]
    assert message.response_metadata["request_changes"] == NOT_ENFORCED
    assert [w.category for w in warned].count(DashScopeWarning) == 1
    assert "retries 0" in caplog.text


async def test_a_refused_required_is_remembered(ask: Ask, service: Scripted) -> None:
    """For the base URL and the model; each answer says what was sent."""
    service.answer(ONE_ONLY, status=400)
    service.answer(answer_of())
    with pytest.warns(DashScopeWarning, match="single tool only"):
        await ask(service.model(), "hi", **SEVERAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DashScopeWarning)
        message = await ask(service.model(), "hi", **SEVERAL)
    await ask(service.model("deepseek-v4-pro-0813"), "hi", **SEVERAL)
    await ask(service.model(base_url="https://other.test/api/v1"), "hi", **SEVERAL)
    assert choices(service) == ["required", "auto", "auto", "required", "required"]
    assert message.response_metadata["request_changes"] == NOT_ENFORCED


async def test_required_that_is_taken_stays(ask: Ask, service: Scripted) -> None:
    service.answer(answer_of())
    message = await ask(service.model(), "hi", **SEVERAL)
    assert choices(service) == ["required"]
    assert "request_changes" not in message.response_metadata


async def test_where_warnings_are_errors_a_refused_required_raises_one(
    ask: Ask, service: Scripted
) -> None:
    service.answer(ONE_ONLY, status=400)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DashScopeWarning)
        for _ in range(2):
            with pytest.raises(DashScopeWarning, match="as 'auto'"):
                await ask(service.model(), "hi", **SEVERAL)
    assert choices(service) == ["required"] * 2


async def test_a_wrong_route_and_a_refused_required_are_both_settled(
    ask: Ask, service: Scripted
) -> None:
    refuse(service, "body")
    service.answer(ONE_ONLY, status=400)
    service.answer(answer_of())
    with pytest.warns(DashScopeWarning, match="as 'auto'"):
        await ask(service.model(NEW, max_retries=0), "hi", **SEVERAL)
    assert asked(service) == ["multimodal", "text", "text"]
    assert choices(service) == ["required", "required", "auto"]
