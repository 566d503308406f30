"""LangChain's own unit suite, for a model of each kind."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_tests.unit_tests import ChatModelUnitTests
from syrupy.assertion import SnapshotAssertion

from langchain_dashscope_deepseek import ChatDashScopeDeepSeek

pytestmark = pytest.mark.filterwarnings("ignore::langchain_dashscope_deepseek.DashScopeWarning")


class StandardUnitTests(ChatModelUnitTests):
    model_name: str

    @property
    def chat_model_class(self) -> type[ChatDashScopeDeepSeek]:
        return ChatDashScopeDeepSeek

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": self.model_name}

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        return (
            {
                "DASHSCOPE_API_KEY": "sk-from-env",
                "DASHSCOPE_HTTP_BASE_URL": "https://example.invalid/api/v1",
                "DASHSCOPE_WORKSPACE_ID": "ws-1",
            },
            {"model": self.model_name},
            {
                "api_key": "sk-from-env",
                "base_url": "https://example.invalid/api/v1",
                "workspace_id": "ws-1",
            },
        )

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    @pytest.mark.xfail(
        reason="core's loads() admits only its own mapping, so no third party passes",
        raises=ValueError,
        strict=True,
    )
    def test_serdes(self, model: BaseChatModel, snapshot: SnapshotAssertion) -> None:
        super().test_serdes(model, snapshot)


class TestV41Flash(StandardUnitTests):
    model_name = "deepseek-v4.1-flash"

    @property
    def supports_image_inputs(self) -> bool:
        return True

    @property
    def supports_image_urls(self) -> bool:
        return True

    @property
    def supports_image_tool_message(self) -> bool:
        return True


class TestV4Pro(StandardUnitTests):
    model_name = "deepseek-v4-pro"


class TestR1(StandardUnitTests):
    model_name = "deepseek-r1"


class TestDistill(StandardUnitTests):
    model_name = "deepseek-r1-distill-llama-8b"

    @property
    def has_tool_calling(self) -> bool:
        return False

    @property
    def has_structured_output(self) -> bool:
        return False
