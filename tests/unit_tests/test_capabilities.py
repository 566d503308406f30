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
from langchain_dashscope_deepseek._dashscope.protocol.parameters import PARAMETERS
from langchain_dashscope_deepseek.capabilities import ParameterDefaults
from langchain_dashscope_deepseek.data._profiles import _PROFILES
from langchain_dashscope_deepseek.testing import _model_rules
from tests.unit_tests.conftest import Ask, Scripted, answer_of


class Figures(NamedTuple):
    thinking: str
    context: int
    input: int
    reasoning: int | None
    output: int
    tools: str
    json_object: bool | None
    search: bool | None
    cache: bool | None
    off: bool
    # temperature / top_p / repetition_penalty / presence_penalty / max_tokens / thinking_budget
    defaults: tuple[float | None, ...]
    settable: str


V4 = Figures(
    "on", 1_000_000, 1_000_000, None, 393_216, "always", True, True, True, False,
    (1.0, 1.0, None, None, 393_216, None), "temperature top_p thinking_budget reasoning_effort",
)  # fmt: skip
V4_US = V4._replace(json_object=False, search=False)
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
    "deepseek-v4-pro-us": V4_US,
    "deepseek-v4-flash": V4._replace(off=True),
    "deepseek-v4-flash-us": V4_US._replace(off=True),
    "deepseek-v4-flash-0731": V4,
    "deepseek-v4-flash-0731-us": V4_US,
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
    "deepseek-r1-distill-llama-8b": DISTILL_OFF,
    "deepseek-r1-distill-llama-70b": DISTILL,
}  # fmt: skip
HIGH, LOW = ("high", "max"), ("low", "high", "max")
V4_ALIASES = (("low", "high"), ("medium", "high"), ("xhigh", "max"))
NEWER_ALIASES = (("medium", "high"), ("xhigh", "high"))
EFFORTS = {
    **dict.fromkeys(
        ("deepseek-v4-pro", "deepseek-v4-pro-us", "deepseek-v4-flash", "deepseek-v4-flash-us"),
        (HIGH, V4_ALIASES, None),
    ),
    **dict.fromkeys(
        ("deepseek-v4-pro-0813", "deepseek-v4-flash-0731", "deepseek-v4-flash-0731-us"),
        (LOW, NEWER_ALIASES, None),
    ),
    "deepseek-v4.1-flash": (
        LOW,
        (("minimal", "low"), *NEWER_ALIASES, ("ultra", "max")),
        (1, 100),
    ),
}


class Partner(NamedTuple):
    thinking: str
    tools: str
    json_object: bool
    json_schema: bool | None
    search: bool
    partial: str
    cache: bool
    temperature: float | None
    top_p: float | None
    unsettable: str = ""


NOT_ON_V4 = "thinking_budget seed repetition_penalty"
PENALTIES = "repetition_penalty presence_penalty"
MODE = "when_not_thinking"
PARTNERS = {
    "vanchin/deepseek-v4-pro": Partner(
        "on", "always", True, None, False, "always", True, 0.6, 0.95, NOT_ON_V4
    ),
    "vanchin/deepseek-v4-pro-0813": Partner(
        "on", "always", True, None, False, "always", True, 0.6, 0.95, NOT_ON_V4
    ),
    "vanchin/deepseek-v3.2-think": Partner(
        "off", "always", True, None, False, "always", True, 0.6, 0.95
    ),
    "vanchin/deepseek-v3.1-terminus": Partner(
        "off", "always", False, False, False, "never", True, 0.7, 0.95
    ),
    "vanchin/deepseek-r1": Partner(
        "always", "always", False, False, False, "always", True, 1.0, 0.8
    ),
    "vanchin/deepseek-v3": Partner("never", "always", True, None, False, "always", True, 1.0, 1.0),
    "vanchin/deepseek-ocr": Partner("never", "never", True, None, False, "never", False, 1.0, 1.0),
    "siliconflow/deepseek-v3.2": Partner(
        "off", "always", False, False, False, MODE, False, None, None, PENALTIES
    ),
    "siliconflow/deepseek-v3.1-terminus": Partner(
        "off", "always", False, False, False, MODE, False, None, None, PENALTIES
    ),
    "siliconflow/deepseek-r1-0528": Partner(
        "always", "always", False, False, False, "never", False, None, None, PENALTIES
    ),
    "siliconflow/deepseek-v3-0324": Partner(
        "never", "always", False, False, False, "always", False, None, None, PENALTIES
    ),
}
UNKNOWN = "vanchin/deepseek-v4.1-flash"
"""A partner's row of which no page says more than its context."""

UNDATED = "deepseek-r1-distill-llama-8b"
"""A row that is off since a day that no page names."""

PUBLISHED = {
    "deepseek-v4.1-flash": ("DeepSeek V4.1 Flash", "2026-09-10"),
    "deepseek-v4-pro": ("DeepSeek V4 Pro", "2026-04-24"),
    "deepseek-v4-pro-us": ("DeepSeek V4 Pro", "2026-04-24"),
    "deepseek-v4-pro-0813": ("DeepSeek V4 Pro 0813", "2026-08-12"),
    "deepseek-v4-flash": ("DeepSeek V4 Flash", "2026-04-24"),
    "deepseek-v4-flash-us": ("DeepSeek V4 Flash", "2026-04-24"),
    "deepseek-v4-flash-0731": ("DeepSeek V4 Flash 0731", "2026-07-31"),
    "deepseek-v4-flash-0731-us": ("DeepSeek V4 Flash 0731", "2026-07-31"),
    "deepseek-v3.2": ("DeepSeek V3.2", "2025-12-01"),
    "deepseek-v3.2-exp": ("DeepSeek V3.2 Exp", "2025-09-29"),
    "deepseek-v3.1": ("DeepSeek V3.1", "2025-08-21"),
    "deepseek-r1": ("DeepSeek R1", "2025-01-20"),
    "deepseek-r1-0528": ("DeepSeek R1 0528", "2025-05-28"),
    "deepseek-v3": ("DeepSeek V3", "2024-12-26"),
    "deepseek-r1-distill-qwen-1.5b": ("DeepSeek R1 Distill Qwen 1.5B", "2025-01-20"),
    "deepseek-r1-distill-qwen-7b": ("DeepSeek R1 Distill Qwen 7B", "2025-01-20"),
    "deepseek-r1-distill-qwen-14b": ("DeepSeek R1 Distill Qwen 14B", "2025-01-20"),
    "deepseek-r1-distill-qwen-32b": ("DeepSeek R1 Distill Qwen 32B", "2025-01-20"),
    "deepseek-r1-distill-llama-8b": ("DeepSeek R1 Distill Llama 8B", "2025-01-20"),
    "deepseek-r1-distill-llama-70b": ("DeepSeek R1 Distill Llama 70B", "2025-01-20"),
}
REPLAYS = {name for name in DOCUMENTED if name.startswith("deepseek-v4")} | {"deepseek-v3.2"}


def test_the_table_has_the_documented_models() -> None:
    assert set(MODELS) == {*DOCUMENTED, *PARTNERS, UNKNOWN}
    assert len(MODELS) == 20 + 12
    assert next(iter(MODELS)) == "deepseek-v4.1-flash"


def test_a_partners_row_says_only_what_its_own_page_says() -> None:
    """Names with a prefix are models of their own."""
    for name, said in PARTNERS.items():
        row = MODELS[name]
        expected = ModelCapabilities(
            **{
                **{key: said._asdict()[key] for key in Partner._fields[:7]},
                "defaults": ParameterDefaults(temperature=said.temperature, top_p=said.top_p),
                "unsettable": frozenset(said.unsettable.split()),
                "documented_natively": name.startswith("siliconflow/"),
                "source": row.source,
                "checked_on": date(2026, 9, 22),
            }
        )
        assert row == expected, name


def test_a_partners_row_that_no_page_describes_stays_unknown() -> None:
    row = MODELS[UNKNOWN]
    facts = (row.thinking, row.tools, row.json_object, row.json_schema, row.search, row.partial)
    assert facts == ("unknown", "unknown", None, None, None, "unknown")
    assert (row.cache, row.images, row.settable, row.context_tokens) == (
        None,
        None,
        None,
        1_048_576,
    )
    assert row.defaults == ParameterDefaults()


def test_a_retired_row_names_a_current_model_to_use_instead() -> None:
    for name, row in MODELS.items():
        if row.status == "retired":
            assert MODELS[row.replacement or ""].status == "current", name
        else:
            assert row.replacement is None, name
    assert MODELS["deepseek-v4-flash"].replacement == "deepseek-v4-flash-0731"
    assert MODELS["deepseek-v4-flash-us"].replacement == "deepseek-v4-flash-0731-us"


def test_a_row_says_where_its_facts_come_from_and_when_that_was_read() -> None:
    for name, row in MODELS.items():
        assert row.source, name
        assert row.checked_on is not None, name


def test_which_model_reads_images_and_where_it_is_asked_first() -> None:
    for name in DOCUMENTED:
        reads = name == "deepseek-v4.1-flash"
        first = "multimodal-generation" if reads else "text-generation"
        assert (MODELS[name].images, MODELS[name].routes[0]) == (reads, first)
        assert len(MODELS[name].routes) == 2


@pytest.mark.parametrize("routes", [(), ("odd",), "text-generation"])
def test_routes_that_do_not_exist_are_refused(routes: Any) -> None:
    with pytest.raises(ValueError, match="routes takes a tuple of one or both of 'text-gen"):
        ModelCapabilities(routes=routes)


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
    efforts = (row.reasoning_efforts, row.reasoning_effort_aliases, row.reasoning_effort_range)
    assert efforts == EFFORTS.get(name, ((), (), None))
    assert row.defaults.reasoning_effort == ("high" if row.reasoning_efforts else None)
    day = date(2026, 10, 10) if row.status == "retired" and name != UNDATED else None
    assert row.retired_on == day
    assert row.json_schema is (
        None if name in ("deepseek-v4-pro", "deepseek-v4-pro-0813") else False
    )
    assert row.partial == "never"


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
    assert profile is not None
    assert profile["structured_output"] is False
    assert profile["open_weights"] is True
    assert profile["mid_conversation_system_messages"] is True
    assert profile["mid_conversation_tools"] is False
    assert (profile["name"], profile["release_date"]) == PUBLISHED[name]
    assert profile["last_updated"] == profile["release_date"]
    reads = name == "deepseek-v4.1-flash"
    for key in ("image_inputs", "image_url_inputs", "image_tool_message", "attachment"):
        assert profile.get(key) is reads
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


def test_a_profile_leaves_out_what_is_not_known() -> None:
    for name in ("vanchin/deepseek-v4.1-flash", "vanchin/deepseek-v4-pro", "deepseek-v4-pro-0901"):
        profile = ChatDashScopeDeepSeek(model=name).profile
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
    for parameter in (*PARAMETERS, "top_k"):
        assert _model_rules.can_set(row, parameter) == row.can_set(parameter)
    for effort in (*("low", "medium", "high", "max", "xhigh", "none", "minimal"), *range(-1, 102)):
        assert _model_rules.knows_effort(row, effort) == row.knows_effort(effort)
