"""Which of the two routes is asked, what `url error` changes, and what is remembered."""

from __future__ import annotations

import logging
import threading
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
    ModelCapabilities,
)
from langchain_dashscope_deepseek._dashscope import routes as _routes
from langchain_dashscope_deepseek._dashscope.routes import learnt_route
from tests.unit_tests.conftest import Ask, Scripted, answer_of, transcript

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
    assert "is not on the route" in caplog.text
    assert "Retry" not in caplog.text

    await ask(service.model(model), "hi")  # another object
    assert asked(service)[2:] == [second]


async def test_what_was_learnt_holds_for_a_base_url_and_a_model(
    ask: Ask, service: Scripted
) -> None:
    refuse(service, "body")
    service.answer(answer_of())
    await ask(service.model(NEW), "hi")
    assert learnt_route(BASE, NEW) == "text-generation"
    await ask(service.model(NEW, base_url="https://other.test/api/v1"), "hi")
    await ask(service.model("some-new-model"), "hi")
    assert asked(service) == ["multimodal", "text", "multimodal", "text"]


async def test_what_was_learnt_holds_in_other_threads(service: Scripted) -> None:
    refuse(service, "body")
    service.answer(answer_of())
    service.model(NEW).invoke("hi")
    thread = threading.Thread(target=lambda: service.model(NEW).invoke("hi"))
    thread.start()
    thread.join()
    assert asked(service) == ["multimodal", "text", "text"]


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
        "deepseek-v4.1-flash is neither on the route multimodal-generation nor on text-generation, "
        f"says the service at {BASE} ('url error'). [code InvalidParameter, HTTP 400, request_id "
        "request-wrong] Check the model's name, that the region of base_url offers it, and a route "
        "that is pinned by ModelCapabilities(routes=...)."
    )
    assert isinstance(caught.value, DashScopeInvalidRequestError)
    assert learnt_route(BASE, NEW) is None


async def test_a_pinned_route_is_the_only_one(ask: Ask, service: Scripted) -> None:
    refuse(service, "body")
    row = ModelCapabilities(routes=("multimodal-generation",))
    with pytest.raises(
        DashScopeRouteError, match="not on the route multimodal-generation, the onl"
    ):
        await ask(service.model("qwen-vl", capabilities=row), "hi")
    assert asked(service) == ["multimodal"]


async def test_an_image_is_never_sent_to_the_text_route(ask: Ask, service: Scripted) -> None:
    refuse(service, "body")
    with pytest.raises(DashScopeRouteError, match="the only one that may serve this request"):
        await ask(service.model(NEW), IMAGE)
    assert asked(service) == ["multimodal"]

    row = replace(MODELS[NEW], routes=("text-generation",))
    with pytest.raises(DashScopeUnsupportedError, match="pins it to the text route, which carries"):
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


def test_the_memory_is_bounded() -> None:
    for n in range(2_000):
        _routes._learn((BASE, f"model-{n}"), "text-generation")
    assert len(_routes._learnt) == 1_000
    assert learnt_route(BASE, "model-1999") == "text-generation"
