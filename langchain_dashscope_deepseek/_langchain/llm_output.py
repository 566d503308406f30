"""`LLMResult.llm_output`: token counts and the model, under the names that cost counters read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatResult


def token_usage(usage: UsageMetadata | None) -> dict[str, int]:
    """Return the counts under OpenAI's names."""
    if usage is None:
        return {}
    return {
        "prompt_tokens": usage["input_tokens"],
        "completion_tokens": usage["output_tokens"],
        "total_tokens": usage["total_tokens"],
    }


def chat_result(message: AIMessage) -> ChatResult:
    """Wrap the answer to one prompt. Core copies `llm_output` into the message's metadata."""
    metadata = message.response_metadata
    output = {name: metadata[name] for name in ("token_usage", "model_name") if name in metadata}
    return ChatResult(generations=[ChatGeneration(message=message)], llm_output=output)


def combined(outputs: Sequence[Mapping[str, Any] | None]) -> dict[str, Any]:
    """Add up the outputs of several prompts; an answer from a cache has none."""
    usage: Counter[str] = Counter()
    whole: dict[str, Any] = {}
    for output in filter(None, outputs):
        usage.update(output.get("token_usage", {}))
        whole.update(output)
    return {**whole, "token_usage": dict(usage)}
