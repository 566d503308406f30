"""Partial mode: the model continues the AI message that ends a conversation."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from langchain_dashscope_deepseek import (
    ChatDashScopeDeepSeek,
    DashScopeInvalidRequestError,
    DashScopeUnsupportedError,
    ModelCapabilities,
)
from langchain_dashscope_deepseek.testing import DashScopeEmulator
from tests.unit_tests.conftest import Ask, Scripted, answer_of

pytest_plugins = ["langchain_dashscope_deepseek.testing.fixtures"]

BEGUN = AIMessage("def add(", additional_kwargs={"partial": True})
CONVERSATION = [HumanMessage("Write a function."), BEGUN]
ON_THE_WIRE = {"role": "assistant", "content": "def add(", "partial": True}
THAT_DO = (
    "siliconflow/deepseek-v3.2, siliconflow/deepseek-v3.1-terminus, siliconflow/deepseek-v3-0324"
)


@pytest.mark.parametrize(
    "model",
    [
        *("vanchin/deepseek-v4-pro", "siliconflow/deepseek-v3.2", "siliconflow/deepseek-v3-0324"),
        *("vanchin/deepseek-v4.1-flash", "some-new-model"),  # no page says: the service decides
    ],
)
async def test_a_marked_ai_message_may_end_the_conversation(
    model: str, ask: Ask, service: Scripted
) -> None:
    service.answer(answer_of("a, b):"))
    answer = await ask(service.model(model), CONVERSATION)
    assert service.sent["input"]["messages"][-1] == ON_THE_WIRE
    assert answer.text == "a, b):"


async def test_the_mark_may_stand_in_a_dict(ask: Ask, service: Scripted) -> None:
    """As the service's pages and other classes write it."""
    service.answer(answer_of())
    await ask(
        service.model("siliconflow/deepseek-v3.2"), [{"role": "user", "content": "x"}, ON_THE_WIRE]
    )
    assert service.sent["input"]["messages"][-1] == ON_THE_WIRE


async def test_only_the_last_message_is_marked(ask: Ask, service: Scripted) -> None:
    """A thread that went on holds the begun message and what followed it."""
    service.answer(answer_of())
    thread = [*CONVERSATION, AIMessage("a, b):"), HumanMessage("Go on.")]
    await ask(service.model("deepseek-v4-pro"), thread)
    assert all("partial" not in message for message in service.sent["input"]["messages"])


@pytest.mark.parametrize(
    "model",
    [
        *("deepseek-v4.1-flash", "deepseek-v4-pro", "deepseek-v3.2"),
        *("vanchin/deepseek-v3.1-terminus", "siliconflow/deepseek-r1-0528"),
    ],
)
async def test_a_model_without_partial_mode_is_not_asked(
    model: str, ask: Ask, service: Scripted
) -> None:
    with pytest.raises(DashScopeUnsupportedError) as caught:
        await ask(service.model(model), CONVERSATION)
    assert str(caught.value) == (
        f"{model} does not support continuing an AI message (partial). Models that do: {THAT_DO}."
    )
    assert service.requests == []


async def test_a_model_with_partial_mode_while_not_thinking_names_the_switch(
    ask: Ask, service: Scripted
) -> None:
    model = service.model("siliconflow/deepseek-v3.2", enable_thinking=True)
    with pytest.raises(DashScopeUnsupportedError, match="set enable_thinking=False"):
        await ask(model, CONVERSATION)
    assert service.requests == []


CONTINUED = " … continued by the emulator of siliconflow/deepseek-v3.2, not by the model itself."


async def test_the_emulator_continues(ask: Ask, dashscope_emulator: DashScopeEmulator) -> None:
    answer = await ask(ChatDashScopeDeepSeek(model="siliconflow/deepseek-v3.2"), CONVERSATION)
    assert answer.text == CONTINUED
    assert dashscope_emulator.requests[0].body["input"]["messages"][-1] == ON_THE_WIRE


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
@pytest.mark.usefixtures("dashscope_emulator")
async def test_events_continue_as_well() -> None:
    model = ChatDashScopeDeepSeek(model="siliconflow/deepseek-v3.2")
    assert model.stream_events(CONVERSATION, version="v3").output.text == CONTINUED
    stream = await model.astream_events(CONVERSATION, version="v3")
    assert (await stream.output).text == CONTINUED


@pytest.mark.parametrize(
    ("name", "settings"),
    [("deepseek-v4-pro", {}), ("siliconflow/deepseek-v3.2", {"enable_thinking": True})],
)
async def test_the_emulator_refuses_it_where_the_model_has_none(
    name: str, settings: dict[str, Any], ask: Ask, dashscope_emulator: DashScopeEmulator
) -> None:
    row = ModelCapabilities(thinking="on", partial="always")
    model = ChatDashScopeDeepSeek(model=name, capabilities=row, **settings)
    with pytest.raises(DashScopeInvalidRequestError, match="the role in last message must be in"):
        await ask(model, CONVERSATION)
    assert len(dashscope_emulator.requests) == 1
