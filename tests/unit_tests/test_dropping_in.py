"""Code that was written for another chat model runs with this one, or hears what to write."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest
from pydantic import ValidationError

from langchain_dashscope_deepseek import ChatDashScopeDeepSeek, DashScopeInputError
from tests.unit_tests.conftest import Ask, Scripted, transcript

# --- What can be read is there ---

COMPUTED = ("base_url", "region", "workspace_id", "profile")
URL = "https://dashscope.aliyuncs.com/api/v1"


@pytest.mark.parametrize("name", COMPUTED)
def test_a_computed_field_is_found_without_being_read(name: str) -> None:
    model = ChatDashScopeDeepSeek(model="deepseek-v4-pro")
    assert inspect.getattr_static(model, name) is not None
    assert name in dir(model)


@pytest.mark.parametrize(
    ("settings", "read"),
    [
        ({}, {"base_url": URL, "region": None, "workspace_id": None}),
        (
            {"region": "ap-southeast-1"},
            {"base_url": "https://dashscope-intl.aliyuncs.com/api/v1", "region": "ap-southeast-1"},
        ),
        ({"base_url": "https://gate.test/api/v1"}, {"base_url": "https://gate.test/api/v1"}),
        ({"workspace_id": "ws-1"}, {"base_url": URL, "workspace_id": "ws-1"}),
    ],
)
def test_a_dump_has_what_computed_fields_read_as(
    settings: dict[str, Any], read: dict[str, Any]
) -> None:
    model = ChatDashScopeDeepSeek(model="deepseek-v4-pro", **settings)
    assert read.items() <= model.model_dump().items()
    assert read.items() <= json.loads(model.model_dump_json()).items()
    assert model.model_dump(include={"base_url"}) == {"base_url": model.base_url}
    assert "base_url" not in model.model_dump(exclude={"base_url"})
    model.base_url = "https://other.test/api/v1"
    assert model.model_dump()["base_url"] == "https://other.test/api/v1"


def test_dumping_gives_nothing_to_the_model() -> None:
    model = ChatDashScopeDeepSeek(model="deepseek-v4-pro")
    model.model_dump()
    model.region = "us-east-1"
    assert model.base_url == "https://dashscope-us.aliyuncs.com/api/v1"


# --- What asks for nothing is as good as left out ---

IDLE: list[dict[str, Any]] = [
    {"organization": None},
    {"verbosity": None},
    {"parallel_tool_calls": None},
    {"n": 1},
    {"frequency_penalty": 0.0},
    {"logprobs": False},
    {"store": False},
    {"stream_usage": True, "service_tier": "auto"},
]
MEANT: list[dict[str, Any]] = [
    {"n": 2},
    {"frequency_penalty": 0.5},
    {"logprobs": True},
    {"store": True},
    {"stream_options": {}},
]


@pytest.mark.parametrize("idle", IDLE)
def test_a_setting_that_asks_for_nothing_is_left_out(idle: dict[str, Any]) -> None:
    plain = ChatDashScopeDeepSeek(model="deepseek-v4-pro")
    dumped = plain.model_dump()
    given: dict[str, Any] = {"model": "deepseek-v4-pro", **idle}
    assert ChatDashScopeDeepSeek(**given).model_dump() == dumped
    assert ChatDashScopeDeepSeek.model_validate(given).model_dump() == dumped
    assert plain.model_copy(update=idle).model_dump() == dumped
    for name, value in idle.items():
        setattr(plain, name, value)
    assert plain.model_dump() == dumped


@pytest.mark.parametrize("idle", IDLE)
async def test_a_keyword_that_asks_for_nothing_is_left_out(
    idle: dict[str, Any], ask: Ask, service: Scripted
) -> None:
    service.answer(transcript("plain_text"))
    await ask(service.model().bind(**idle), "hi")
    await ask(service.model(), "hi", **idle)
    assert service.parameters.keys().isdisjoint(idle)


@pytest.mark.parametrize("meant", MEANT)
async def test_one_that_asks_for_something_is_refused(
    meant: dict[str, Any], ask: Ask, service: Scripted
) -> None:
    with pytest.raises(ValidationError, match="Unknown setting"):
        service.model(**meant)
    with pytest.raises(DashScopeInputError, match="Unknown setting"):
        await ask(service.model(), "hi", **meant)
    assert service.requests == []


# --- Names from elsewhere ---


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("extra_body", "write its entries as settings"),
        ("stream_options", "every stream ends with its token counts"),
        ("thinking", "write enable_thinking"),
        ("max_output_tokens", "write max_tokens"),
        ("functions", r"write model\.bind_tools"),
    ],
)
async def test_a_name_from_elsewhere_in_model_kwargs_is_told_what_to_write(
    name: str, says: str, ask: Ask, service: Scripted
) -> None:
    extra: dict[str, Any] = {"model_kwargs": {name: {"a": "value"}}}
    with pytest.raises(ValidationError, match=f"model_kwargs: .*{name}.*{says}") as refused:
        service.model(**extra)
    assert "value" not in str(refused.value).replace("value_error", "").replace("Value error", "")
    with pytest.raises(DashScopeInputError, match=f"model_kwargs: .*{name}.*{says}"):
        await ask(service.model(), "hi", **extra)


@pytest.mark.parametrize("name", ["logprobs", "n", "no_such_parameter"])
async def test_what_the_service_may_take_is_sent_from_model_kwargs(
    name: str, ask: Ask, service: Scripted
) -> None:
    service.answer(transcript("plain_text"))
    await ask(service.model(model_kwargs={name: 1}), "hi")
    assert service.parameters[name] == 1
