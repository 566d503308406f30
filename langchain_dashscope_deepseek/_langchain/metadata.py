"""`LLMResult.llm_output`: token counts and the model, under the names that cost counters read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatResult


def token_usage(usage: UsageMetadata | None) -> dict[str, Any]:
    """Return the counts under OpenAI's names, with the details that tracers read there."""
    if usage is None:
        return {}
    cached = usage.get("input_token_details", {}).get("cache_read")
    reasoning = usage.get("output_token_details", {}).get("reasoning")
    return {
        "prompt_tokens": usage["input_tokens"],
        "completion_tokens": usage["output_tokens"],
        "total_tokens": usage["total_tokens"],
        **({"prompt_tokens_details": {"cached_tokens": cached}} if cached else {}),
        **({"completion_tokens_details": {"reasoning_tokens": reasoning}} if reasoning else {}),
    }


def chat_result(message: AIMessage) -> ChatResult:
    """Wrap the answer to one prompt. Core copies `llm_output` into the message's metadata."""
    metadata = message.response_metadata
    output = {name: metadata[name] for name in ("token_usage", "model_name") if name in metadata}
    return ChatResult(generations=[ChatGeneration(message=message)], llm_output=output)


def combined(outputs: Sequence[Mapping[str, Any] | None]) -> dict[str, Any]:
    """Add up the outputs of several prompts; an answer from a cache has none."""
    whole: dict[str, Any] = {"token_usage": {}}
    for output in filter(None, outputs):
        usage = _added(whole["token_usage"], output.get("token_usage", {}))
        whole = {**whole, **output, "token_usage": usage}
    return whole


def _added(total: Mapping[str, Any], counts: Mapping[str, Any]) -> dict[str, Any]:
    sums = {
        name: _added(total.get(name, {}), count)
        if isinstance(count, Mapping)
        else total.get(name, 0) + count
        for name, count in counts.items()
    }
    return {**total, **sums}
