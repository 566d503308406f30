"""The capability table against the documented figures, written out once more by hand."""

from __future__ import annotations

import dataclasses
import pickle
import warnings
from datetime import date
from typing import Any

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
from langchain_dashscope_deepseek._dashscope.protocol.parameters import PARAMETERS
from langchain_dashscope_deepseek.capabilities import ParameterDefaults
from langchain_dashscope_deepseek.data._profiles import _PROFILES
from langchain_dashscope_deepseek.testing import _model_rules
from tests.unit_tests.conftest import Ask, Scripted, answer_of

Figures = dict[str, Any]
"""The documented facts of a row: all but its source and the day it was read."""


def settable(names: str) -> frozenset[str]:
    return frozenset({"seed", "max_tokens", "max_completion_tokens", "stop", *names.split()})


def tokens(context: int, sent: int, reasoning: int | None, answer: int) -> Figures:
    return {
        "context_tokens": context,
        "max_input_tokens": sent,
        "max_reasoning_tokens": reasoning,
        "max_output_tokens": answer,
    }


def defaults(temperature: float, top_p: float, **others: Any) -> Figures:
    return {"defaults": ParameterDefaults(temperature=temperature, top_p=top_p, **others)}


def published(name: str, year: int, month: int, day: int) -> Figures:
    return {"display_name": f"DeepSeek {name}", "released": date(year, month, day)}


def off(replacement: str) -> Figures:
    day = date(2026, 10, 10)
    return {"status": "retired", "retired_on": day, "replacement": replacement}


ALIBABA: Figures = {
    "tools": "always",
    "images": False,
    "partial": "never",
    "cache": True,
    "open_weights": True,
}
V4: Figures = {
    **ALIBABA,
    **tokens(1_000_000, 1_000_000, None, 393_216),
    **defaults(1.0, 1.0, max_tokens=393_216, reasoning_effort="high"),
    "thinking": "on",
    "search_missing_in": frozenset({"eu-central-1", "us-east-1"}),
    "json_missing_in": frozenset({"us-east-1"}),
    "settable": settable("temperature top_p thinking_budget reasoning_effort"),
    "reasoning_efforts": ("high", "max"),
    "reasoning_effort_aliases": (("low", "high"), ("medium", "high"), ("xhigh", "max")),
    "reasoning_replay": "with_tool_calls",
}
PRO: Figures = {**V4, "json_schema": None}
AUGUST: Figures = {
    "reasoning_efforts": ("low", "high", "max"),
    "reasoning_effort_aliases": (("medium", "high"), ("xhigh", "high")),
}
US: Figures = {
    "json_object": False,
    "json_schema": False,
    "search": False,
    "search_missing_in": frozenset(),
    "json_missing_in": frozenset(),
}
RETIRED: Figures = {**ALIBABA, **off("deepseek-v4.1-flash"), "json_object": False}
V32: Figures = {
    **RETIRED,
    **tokens(131_072, 98_304, 32_768, 65_536),
    **defaults(1.0, 0.95, max_tokens=65_536, thinking_budget=32_768),
    "thinking": "off",
    "settable": settable("temperature top_p thinking_budget"),
}
V31: Figures = {
    **V32,
    **defaults(0.6, 0.95, repetition_penalty=1.0, max_tokens=65_536, thinking_budget=32_768),
    "tools": "when_not_thinking",
    "settable": settable("temperature top_p thinking_budget repetition_penalty"),
}
R1: Figures = {
    **RETIRED,
    **tokens(131_072, 98_304, 32_768, 16_384),
    **defaults(0.6, 0.95, presence_penalty=1, max_tokens=16_384, thinking_budget=32_768),
    "thinking": "always",
    "settable": settable("thinking_budget"),
}
V3: Figures = {
    **RETIRED,
    **tokens(131_072, 131_072, None, 16_384),
    **defaults(0.7, 0.6, max_tokens=16_384),
    "thinking": "never",
    "settable": settable("temperature top_p"),
}
DISTILL_OFF: Figures = {
    **R1,
    **tokens(32_768, 32_768, 16_384, 16_384),
    **defaults(0.6, 0.95, presence_penalty=1, max_tokens=16_384, thinking_budget=16_384),
    "tools": "never",
    "search": False,
    "cache": False,
}
DISTILL: Figures = {**DISTILL_OFF, "status": "current", "retired_on": None, "replacement": None}
VANCHIN: Figures = {
    **defaults(0.6, 0.95),
    "thinking": "off",
    "tools": "always",
    "json_schema": None,
    "search": False,
    "partial": "always",
    "cache": True,
    "documented_natively": False,
}
NOT_ON_V4: Figures = {"unsettable": frozenset({"thinking_budget", "seed", "repetition_penalty"})}
NO_JSON: Figures = {"json_object": False, "json_schema": False}
SILICONFLOW: Figures = {
    "thinking": "off",
    "tools": "always",
    "json_object": False,
    "search": False,
    "partial": "when_not_thinking",
    "unsettable": frozenset({"repetition_penalty", "presence_penalty"}),
}

V41: Figures = V4 | {
    "images": True,
    "routes": ("multimodal-generation", "text-generation"),
    "reasoning_efforts": ("low", "high", "max"),
    "reasoning_effort_aliases": (
        *(("minimal", "low"), ("medium", "high"), ("xhigh", "high"), ("ultra", "max")),
    ),
    "reasoning_effort_range": (1, 100),
}

DOCUMENTED: dict[str, Figures] = {
    "deepseek-v4.1-flash": V41 | published("V4.1 Flash", 2026, 9, 10),
    "deepseek-v4-pro": PRO | published("V4 Pro", 2026, 4, 24),
    "deepseek-v4-pro-0813": PRO | AUGUST | published("V4 Pro 0813", 2026, 8, 12),
    "deepseek-v4-pro-us": PRO | US | published("V4 Pro", 2026, 4, 24),
    "deepseek-v4-flash-0731": V4 | AUGUST | published("V4 Flash 0731", 2026, 7, 31),
    "deepseek-v4-flash-0731-us": V4 | AUGUST | US | published("V4 Flash 0731", 2026, 7, 31),
    "deepseek-v4-flash": V4 | published("V4 Flash", 2026, 4, 24) | off("deepseek-v4-flash-0731"),
    "deepseek-v4-flash-us": V4
    | US
    | published("V4 Flash", 2026, 4, 24)
    | off("deepseek-v4-flash-0731-us"),
    "deepseek-v3.2": V32 | published("V3.2", 2025, 12, 1) | {"reasoning_replay": "with_tool_calls"},
    "deepseek-v3.2-exp": V31 | published("V3.2 Exp", 2025, 9, 29) | {"cache": False},
    "deepseek-v3.1": V31 | published("V3.1", 2025, 8, 21) | {"thinking_needs_stream": True},
    "deepseek-r1": R1 | published("R1", 2025, 1, 20),
    "deepseek-r1-0528": R1 | published("R1 0528", 2025, 5, 28) | {"cache": False},
    "deepseek-v3": V3 | published("V3", 2024, 12, 26),
    "deepseek-r1-distill-qwen-1.5b": DISTILL | published("R1 Distill Qwen 1.5B", 2025, 1, 20),
    "deepseek-r1-distill-qwen-7b": DISTILL_OFF | published("R1 Distill Qwen 7B", 2025, 1, 20),
    "deepseek-r1-distill-qwen-14b": DISTILL_OFF | published("R1 Distill Qwen 14B", 2025, 1, 20),
    "deepseek-r1-distill-qwen-32b": DISTILL_OFF | published("R1 Distill Qwen 32B", 2025, 1, 20),
    "deepseek-r1-distill-llama-8b": DISTILL_OFF
    | published("R1 Distill Llama 8B", 2025, 1, 20)
    | {"retired_on": None},
    "deepseek-r1-distill-llama-70b": DISTILL | published("R1 Distill Llama 70B", 2025, 1, 20),
    # Names with a prefix are models of their own: these rows say only what their own pages say.
    "vanchin/deepseek-v4.1-flash": {
        **dict.fromkeys(("json_object", "json_schema", "search", "cache")),
        "context_tokens": 1_048_576,
        "tools": "unknown",
        "documented_natively": False,
    },
    "vanchin/deepseek-v4-pro": VANCHIN | NOT_ON_V4 | {"thinking": "on"},
    "vanchin/deepseek-v4-pro-0813": VANCHIN | NOT_ON_V4 | {"thinking": "on"},
    "vanchin/deepseek-v3.2-think": VANCHIN,
    "vanchin/deepseek-v3.1-terminus": VANCHIN
    | NO_JSON
    | defaults(0.7, 0.95)
    | {"partial": "never"},
    "vanchin/deepseek-r1": VANCHIN | NO_JSON | defaults(1.0, 0.8) | {"thinking": "always"},
    "vanchin/deepseek-v3": VANCHIN | defaults(1.0, 1.0) | {"thinking": "never"},
    "vanchin/deepseek-ocr": VANCHIN
    | defaults(1.0, 1.0)
    | {"thinking": "never", "tools": "never", "partial": "never", "cache": False},
    "siliconflow/deepseek-v3.2": SILICONFLOW,
    "siliconflow/deepseek-v3.1-terminus": SILICONFLOW,
    "siliconflow/deepseek-r1-0528": SILICONFLOW | {"thinking": "always", "partial": "never"},
    "siliconflow/deepseek-v3-0324": SILICONFLOW | {"thinking": "never", "partial": "always"},
}


def test_the_table_has_the_documented_models() -> None:
    assert set(MODELS) == set(DOCUMENTED)


@pytest.mark.parametrize("name", MODELS)
def test_a_row_says_what_is_documented_and_where_that_was_read(name: str) -> None:
    row = MODELS[name]
    assert row.source
    assert row.source_date
    read: Figures = {"source": row.source, "source_date": row.source_date}
    assert row == ModelCapabilities(**DOCUMENTED[name], **read)


def test_a_retired_row_names_a_current_model_to_use_instead() -> None:
    for name, row in MODELS.items():
        if row.status == "retired":
            assert MODELS[row.replacement or ""].status == "current", name
        else:
            assert row.replacement is None, name


@pytest.mark.parametrize("routes", [(), ("odd",), "text-generation"])
def test_routes_that_do_not_exist_are_refused(routes: Any) -> None:
    with pytest.raises(ValueError, match="routes must be a tuple of one or both of 'text-gen"):
        ModelCapabilities(routes=routes)


@pytest.mark.parametrize(
    ("name", "same_as"),
    [
        ("deepseek-v4-pro-0901", "deepseek-v4-pro"),
        ("deepseek-v4-pro-20260901", "deepseek-v4-pro"),
        ("deepseek-v4-pro-2026-09-01", "deepseek-v4-pro"),
        ("deepseek-r1-0528", "deepseek-r1-0528"),
        ("deepseek-v4.1-flash-1017", "deepseek-v4.1-flash"),
        ("deepseek-v4-flash-0731-us", "deepseek-v4-flash-0731-us"),
        ("deepseek-v4-pro-us-0901", "deepseek-v4-pro-us"),
        ("deepseek-v3.2-1201", "deepseek-v3.2"),
        ("deepseek-v3.2-exp-1201", "deepseek-v3.2-exp"),
    ],
)
def test_a_known_name_with_a_date_has_its_row(name: str, same_as: str) -> None:
    """Of a snapshot that the table does not know, neither its name nor its release is known."""
    undated: dict[str, Any] = {} if name in MODELS else {"display_name": None, "released": None}
    assert find_capabilities(name) == dataclasses.replace(MODELS[same_as], **undated)


@pytest.mark.parametrize(
    "name",
    [
        *("deepseek-r1-distill-new", "deepseek-v4", "deepseek-v4-pro-9999", "deepseek-v4-pro-1"),
        *("deepseek-v4-pro-turbo", "siliconflow/deepseek-v4-pro", "deepseek-v4-pro-0901-x"),
        *("deepseek-v4-pro-2026-13-01", "", "DeepSeek-V4-Pro"),
        *("deepseek-v4-pro-0813-us", "deepseek-v4.1-flash-us", "deepseek-v3.2-us"),
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
    """Also the lowest core that is declared: it warns of others."""
    assert set(_PROFILES) == set(MODELS)
    assert set(_PROFILES["deepseek-v4-pro"]) == set(ModelProfile.__annotations__)
    for profile in _PROFILES.values():
        assert set(profile) <= set(ModelProfile.__annotations__)


@pytest.mark.parametrize("name", DOCUMENTED)
def test_a_profile_claims_nothing_that_the_service_cannot_do(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        profile = ChatDashScopeDeepSeek(model=name).profile
    figures = DOCUMENTED[name]
    reads = figures.get("images") is True
    assert profile is not None
    assert profile["structured_output"] is False
    assert profile.get("open_weights") is figures.get("open_weights")
    assert profile["mid_conversation_system_messages"] is True
    assert profile["mid_conversation_tools"] is False
    assert profile.get("name") == figures.get("display_name")
    day = figures["released"].isoformat() if "released" in figures else None
    assert (profile.get("release_date"), profile.get("last_updated")) == (day, day)
    for key in ("image_inputs", "image_url_inputs", "image_tool_message", "attachment"):
        assert profile.get(key) is reads
    assert profile.get("max_input_tokens") == figures.get("max_input_tokens")
    assert profile.get("max_output_tokens") == figures.get("max_output_tokens")
    assert profile["tool_calling"] == (figures["tools"] in ("always", "when_not_thinking"))
    assert profile["reasoning_output"] == (figures.get("thinking") != "never")
    assert (profile["status"] == "deprecated") == (figures.get("status") == "retired")


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


def test_a_profile_of_a_snapshot_has_no_name_and_no_date() -> None:
    profile = ChatDashScopeDeepSeek(model="deepseek-v4-pro-0901").profile
    assert profile is not None
    assert not {"name", "release_date", "last_updated"} & set(profile)


def test_a_declared_row_says_what_its_profile_says() -> None:
    row = ModelCapabilities(
        display_name="Mine", released=date(2026, 11, 1), open_weights=False, json_schema=True
    )
    profile = ChatDashScopeDeepSeek(model="mine", capabilities=row).profile
    assert profile is not None
    assert profile["name"] == "Mine"
    assert profile["release_date"] == "2026-11-01"
    assert profile["open_weights"] is False
    assert profile["structured_output"] is True


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


# --- The emulator's own reading ---


@pytest.mark.parametrize("name", MODELS)
def test_client_and_emulator_read_a_row_alike(name: str) -> None:
    """Each by rules of its own, so that a mistake in one of them shows."""
    row = MODELS[name]
    for switch in (None, True, False):
        assert _model_rules.thinks(row, switch) == row.thinks(switch)
    for thinking in (True, False):
        assert _model_rules.calls_tools(row, thinking=thinking) == row.calls_tools(
            thinking=thinking
        )
        assert _model_rules.takes_partial(row, thinking=thinking) == row.takes_partial(
            thinking=thinking
        )
    for parameter in (*PARAMETERS, "no_such_parameter"):
        assert _model_rules.can_set(row, parameter) == row.can_set(parameter)
    for effort in (*("low", "medium", "high", "max", "xhigh", "none", "minimal"), *range(-1, 102)):
        assert _model_rules.knows_effort(row, effort) == row.knows_effort(effort)
