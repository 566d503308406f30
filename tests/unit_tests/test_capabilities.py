"""The capability table against the documented figures, written out once more by hand."""

from __future__ import annotations

import dataclasses
import pickle
import warnings
from datetime import date
from typing import Any, NamedTuple

import pytest
from langchain_core.language_models import ModelProfile

from langchain_dashscope_deepseek import (
    MODELS,
    ChatDashScopeDeepSeek,
    DashScopeInputError,
    DashScopeWarning,
    ModelCapabilities,
    find_capabilities,
)
from langchain_dashscope_deepseek.data._profiles import _PROFILES
from tests.unit_tests.conftest import Ask, Scripted, answer_of


class Figures(NamedTuple):
    thinking: str
    context: int
    input: int
    reasoning: int | None
    output: int
    tools: str
    json_object: bool
    search: bool
    cache: bool
    off: bool
    # temperature / top_p / repetition_penalty / presence_penalty / max_tokens / thinking_budget
    defaults: tuple[float | None, ...]
    settable: str


V4 = Figures(
    "on", 1_000_000, 1_000_000, None, 393_216, "always", True, True, True, False,
    (1.0, 1.0, None, None, 393_216, None), "temperature top_p thinking_budget reasoning_effort",
)  # fmt: skip
DISTILL = Figures(
    "always", 32_768, 32_768, 16_384, 16_384, "never", False, False, False, False,
    (0.6, 0.95, None, 1, 16_384, 16_384), "thinking_budget",
)  # fmt: skip
DISTILL_OFF = DISTILL._replace(off=True)
R1 = Figures(
    "always", 131_072, 98_304, 32_768, 16_384, "always", False, True, True, True,
    (0.6, 0.95, None, 1, 16_384, 32_768), "thinking_budget",
)  # fmt: skip

DOCUMENTED = {
    "deepseek-v4-pro": V4,
    "deepseek-v4-pro-0813": V4,
    "deepseek-v4-flash": V4,
    "deepseek-v4-flash-0731": V4,
    "deepseek-v4.1-flash": V4,
    "deepseek-v3.2": Figures(
        "off", 131_072, 98_304, 32_768, 65_536, "always", False, True, True, True,
        (1.0, 0.95, None, None, 65_536, 32_768), "temperature top_p thinking_budget",
    ),
    "deepseek-v3.2-exp": Figures(
        "off", 131_072, 98_304, 32_768, 65_536, "when_not_thinking", False, True, False, True,
        (0.6, 0.95, 1.0, None, 65_536, 32_768),
        "temperature top_p thinking_budget repetition_penalty",
    ),
    "deepseek-v3.1": Figures(
        "off", 131_072, 98_304, 32_768, 65_536, "when_not_thinking", False, True, True, True,
        (0.6, 0.95, 1.0, None, 65_536, 32_768),
        "temperature top_p thinking_budget repetition_penalty",
    ),
    "deepseek-r1": R1,
    "deepseek-r1-0528": R1._replace(cache=False),
    "deepseek-v3": Figures(
        "never", 131_072, 131_072, None, 16_384, "always", False, True, True, True,
        (0.7, 0.6, None, None, 16_384, None), "temperature top_p",
    ),
    "deepseek-r1-distill-qwen-1.5b": DISTILL,
    "deepseek-r1-distill-qwen-7b": DISTILL_OFF,
    "deepseek-r1-distill-qwen-14b": DISTILL_OFF,
    "deepseek-r1-distill-qwen-32b": DISTILL_OFF,
    "deepseek-r1-distill-llama-8b": DISTILL,
    "deepseek-r1-distill-llama-70b": DISTILL,
}  # fmt: skip
EFFORT_LOW = {"deepseek-v4.1-flash", "deepseek-v4-flash-0731", "deepseek-v4-pro-0813"}
REPLAYS = {name for name in DOCUMENTED if name.startswith("deepseek-v4")} | {"deepseek-v3.2"}


def test_the_table_has_the_documented_models() -> None:
    assert set(MODELS) == set(DOCUMENTED)
    assert len(MODELS) == 17


@pytest.mark.parametrize("name", DOCUMENTED)
def test_a_row_says_what_is_documented(name: str) -> None:
    row = MODELS[name]
    assert (
        Figures(
            row.thinking,
            row.context_tokens or 0,
            row.max_input_tokens or 0,
            row.max_reasoning_tokens,
            row.max_output_tokens or 0,
            row.tools,
            row.json_object,
            row.search,
            row.cache,
            row.status == "retired",
            dataclasses.astuple(row.defaults)[:6],
            DOCUMENTED[name].settable,
        )
        == DOCUMENTED[name]
    )
    assert row.settable is not None
    always = {"seed", "max_tokens", "max_completion_tokens", "stop"}
    assert row.settable == always | set(DOCUMENTED[name].settable.split())
    assert row.thinking_needs_stream == (name == "deepseek-v3.1")
    assert (row.reasoning_replay == "with_tool_calls") == (name in REPLAYS)
    assert ("low" in row.reasoning_efforts) == (name in EFFORT_LOW)
    assert ("high" in row.reasoning_efforts) == name.startswith("deepseek-v4")
    assert row.defaults.reasoning_effort == ("high" if row.reasoning_efforts else None)
    assert (row.retired_on == date(2026, 10, 10)) == (row.status == "retired")
    assert (row.replacement in MODELS) == (row.status == "retired")


@pytest.mark.parametrize(
    ("name", "same_as"),
    [
        ("deepseek-v4-pro-0901", "deepseek-v4-pro"),
        ("deepseek-v4-pro-20260901", "deepseek-v4-pro"),
        ("deepseek-v4-pro-2026-09-01", "deepseek-v4-pro"),
        ("deepseek-r1-0528", "deepseek-r1-0528"),
        ("deepseek-v3.2-1201", "deepseek-v3.2"),
        ("deepseek-v3.2-exp-1201", "deepseek-v3.2-exp"),
    ],
)
def test_a_known_name_with_a_date_has_its_row(name: str, same_as: str) -> None:
    assert find_capabilities(name) is MODELS[same_as]


@pytest.mark.parametrize(
    "name",
    [
        *("deepseek-r1-distill-new", "deepseek-v4", "deepseek-v4-pro-9999", "deepseek-v4-pro-1"),
        *("deepseek-v4-pro-turbo", "siliconflow/deepseek-v3.2", "deepseek-v4-pro-0901-x"),
        *("deepseek-v4-pro-2026-13-01", "", "DeepSeek-V4-Pro"),
    ],
)
def test_no_other_name_inherits_a_row(name: str) -> None:
    assert find_capabilities(name) is None


def test_a_row_is_frozen_and_survives_pickling() -> None:
    row = MODELS["deepseek-v4-pro"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        row.tools = "never"  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(row)) == row


# --- LangChain's profiles ---


def test_every_row_has_a_profile_that_core_knows_all_keys_of() -> None:
    assert set(_PROFILES) == set(MODELS)
    for profile in _PROFILES.values():
        assert set(profile) <= set(ModelProfile.__annotations__)


@pytest.mark.parametrize("name", DOCUMENTED)
def test_a_profile_claims_nothing_that_the_service_cannot_do(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        profile = ChatDashScopeDeepSeek(model=name).profile
    figures = DOCUMENTED[name]
    assert profile is not None
    assert profile["structured_output"] is False
    assert profile["image_inputs"] is False
    assert profile["max_input_tokens"] == figures.input
    assert profile["max_output_tokens"] == figures.output
    assert profile["tool_calling"] == (figures.tools != "never")
    assert profile["reasoning_output"] == (figures.thinking != "never")
    assert profile["status"] == ("deprecated" if figures.off else "active")


@pytest.mark.parametrize(
    ("name", "enable_thinking", "tools", "choice"),
    [
        ("deepseek-v4-pro", None, True, True),
        ("deepseek-v4-pro", True, True, False),
        ("deepseek-v4-pro", False, True, True),
        ("deepseek-v3.1", None, True, True),
        ("deepseek-v3.1", True, False, False),
        ("deepseek-r1", None, True, False),
        ("deepseek-v3", None, True, True),
    ],
)
def test_a_profile_follows_the_switch(
    name: str, enable_thinking: bool | None, tools: bool, choice: bool
) -> None:
    profile = ChatDashScopeDeepSeek(model=name, enable_thinking=enable_thinking).profile
    assert profile is not None
    assert (profile["tool_calling"], profile["tool_choice"]) == (tools, choice)


def test_an_unknown_model_has_no_profile() -> None:
    assert ChatDashScopeDeepSeek(model="some-new-model").profile is None


# --- Rows of the user's ---

QWEN_PLUS = ModelCapabilities(thinking="off", tools="always", max_input_tokens=997_952)
QWQ_PLUS = ModelCapabilities(thinking="always", thinking_needs_stream=True, tools="always")
KIMI = ModelCapabilities(
    thinking="always", tools="always", reasoning_replay="with_tool_calls", search=False
)


async def test_a_declared_row_decides(ask: Ask, service: Scripted) -> None:
    service.answer(answer_of())
    qwen = service.model("qwen-plus", capabilities=QWEN_PLUS)
    await ask(qwen, "hi", temperature=0.1, presence_penalty=1, enable_thinking=True)
    assert service.parameters == {
        "temperature": 0.1,
        "presence_penalty": 1,
        "enable_thinking": True,
    }
    assert qwen.profile is not None
    assert qwen.profile["max_input_tokens"] == 997_952

    with pytest.warns(DashScopeWarning, match="enable_thinking was left out"):
        await ask(service.model("qwq-plus", capabilities=QWQ_PLUS), "hi", enable_thinking=False)
    assert "x-dashscope-sse" in service.requests[-1].headers

    await ask(service.model("kimi-k2-thinking", capabilities=KIMI), "hi")
    assert service.parameters == {}


async def test_a_declared_row_is_for_its_model_only(ask: Ask, service: Scripted) -> None:
    service.answer(answer_of())
    model = service.model("qwen-plus", capabilities=QWEN_PLUS)
    with pytest.warns(DashScopeWarning, match="deepseek-v3"):
        await ask(model, "hi", model="deepseek-v3", enable_thinking=True)


async def test_a_row_corrects_the_table(ask: Ask, service: Scripted) -> None:
    service.answer(answer_of())
    row = dataclasses.replace(MODELS["deepseek-v3.2"], json_object=True)
    wanted: dict[str, Any] = {"response_format": {"type": "json_object"}}
    await ask(service.model("deepseek-v3.2", capabilities=row), "json", **wanted)
    assert service.parameters == wanted
    with pytest.raises(DashScopeInputError):
        await ask(service.model("deepseek-v3.2"), "json", **wanted)
