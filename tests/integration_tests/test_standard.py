"""LangChain's own integration suite, for a model of each kind, each in the modes that it has."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any, Literal

import httpx
import pytest
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_tests.integration_tests import ChatModelIntegrationTests

from langchain_dashscope_deepseek import ChatDashScopeDeepSeek, find_capabilities
from langchain_dashscope_deepseek.testing import DashScopeEmulator

pytestmark = pytest.mark.filterwarnings("ignore::langchain_dashscope_deepseek.DashScopeWarning")

Detail = Literal[
    "audio_input", "audio_output", "reasoning_output", "cache_read_input", "cache_creation_input"
]


@pytest.fixture(autouse=True, scope="class")
def collected() -> Iterator[None]:
    """Let the connections that the suite leaves open go: one that nobody closed warns."""
    yield
    gc.collect()


@pytest.fixture(autouse=True)
def picture(service: DashScopeEmulator | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the suite the picture that it downloads; it is here where the service is emulated."""
    if service is not None:
        page = httpx.Request("GET", "https://example.invalid/picture.jpg")
        monkeypatch.setattr(
            httpx, "get", lambda *_, **__: httpx.Response(200, content=b"a picture", request=page)
        )


class StandardIntegrationTests(ChatModelIntegrationTests):
    """What the suite may expect of a model follows from its row and from the switch."""

    model_name: str
    enable_thinking: bool | None = None
    counts_reasoning = True

    @property
    def chat_model_class(self) -> type[ChatDashScopeDeepSeek]:
        return ChatDashScopeDeepSeek

    @property
    def chat_model_params(self) -> dict[str, Any]:
        params: dict[str, Any] = {"model": self.model_name}
        if self.enable_thinking is not None:
            params["enable_thinking"] = self.enable_thinking
        return params

    @property
    def standard_chat_model_params(self) -> dict[str, Any]:
        # The suite's 100 tokens would be spent on thinking.
        return {**super().standard_chat_model_params, "max_tokens": 4000}

    @property
    def _thinks(self) -> bool:
        row = find_capabilities(self.model_name)
        assert row is not None
        return row.thinks(self.enable_thinking)

    @property
    def _profile(self) -> dict[str, Any]:
        return dict(ChatDashScopeDeepSeek(**self.chat_model_params).profile or {})

    @property
    def has_tool_calling(self) -> bool:
        return bool(self._profile["tool_calling"])

    @property
    def has_tool_choice(self) -> bool:
        return bool(self._profile["tool_choice"])

    @property
    def has_structured_output(self) -> bool:
        return self.has_tool_calling

    @property
    def supports_image_inputs(self) -> bool:
        return bool(self._profile["image_inputs"])

    @property
    def supports_image_urls(self) -> bool:
        return bool(self._profile["image_url_inputs"])

    @property
    def supports_image_tool_message(self) -> bool:
        return bool(self._profile["image_tool_message"])

    @property
    def supports_anthropic_inputs(self) -> bool:
        return self.has_tool_calling  # the test binds a tool

    @property
    def supports_json_mode(self) -> bool:
        row = find_capabilities(self.model_name)
        return row is not None and row.json_object is True and self.enable_thinking is not True

    @property
    def model_override_value(self) -> str:
        return "deepseek-v4-flash-0731"

    @property
    def supported_usage_metadata_details(
        self,
    ) -> dict[Literal["invoke", "stream"], list[Detail]]:
        details: list[Detail] = []
        if self._thinks and self.counts_reasoning:
            details.append("reasoning_output")
        row = find_capabilities(self.model_name)
        if row is not None and row.cache and self.counts_reasoning:
            details.append("cache_read_input")
        return {"invoke": details, "stream": details}

    def invoke_with_reasoning_output(self, *, stream: bool = False) -> AIMessage:
        return self._ask("How many days has a week? Think.", stream=stream)

    def invoke_with_cache_read_input(self, *, stream: bool = False) -> AIMessage:
        question = "What is the capital of France? " * 200
        self._ask(question, stream=stream)
        return self._ask(question, stream=stream)

    def _ask(self, question: str, *, stream: bool) -> AIMessage:
        model = ChatDashScopeDeepSeek(**self.chat_model_params)
        if not stream:
            return model.invoke(question)
        chunks: list[AIMessageChunk] = list(model.stream(question))
        whole = chunks[0]
        for chunk in chunks[1:]:
            whole = whole + chunk
        return whole


class TestV4ProAsItIs(StandardIntegrationTests):
    model_name = "deepseek-v4-pro"


class TestV4FlashNotThinking(StandardIntegrationTests):
    model_name = "deepseek-v4-flash-0731"
    enable_thinking = False

    @property
    def model_override_value(self) -> str:
        return "deepseek-v4-pro"


class TestV41FlashAsItIs(StandardIntegrationTests):
    model_name = "deepseek-v4.1-flash"

    @property
    def model_override_value(self) -> str:
        return "deepseek-v4-pro"


class TestV41FlashThinking(StandardIntegrationTests):
    model_name = "deepseek-v4.1-flash"
    enable_thinking = True

    @property
    def has_structured_output(self) -> bool:
        # The choice cannot be forced, so nothing is promised.
        return False


class TestV32(StandardIntegrationTests):
    model_name = "deepseek-v3.2"


class TestV32Thinking(StandardIntegrationTests):
    model_name = "deepseek-v3.2"
    enable_thinking = True

    @property
    def has_structured_output(self) -> bool:
        # The choice cannot be forced, so nothing is promised.
        return False


class TestV31(StandardIntegrationTests):
    model_name = "deepseek-v3.1"


class TestV31Thinking(StandardIntegrationTests):
    model_name = "deepseek-v3.1"
    enable_thinking = True


class TestR1(StandardIntegrationTests):
    model_name = "deepseek-r1"
    counts_reasoning = False


class TestV3(StandardIntegrationTests):
    model_name = "deepseek-v3"


class TestDistill(StandardIntegrationTests):
    model_name = "deepseek-r1-distill-qwen-1.5b"
    counts_reasoning = False
