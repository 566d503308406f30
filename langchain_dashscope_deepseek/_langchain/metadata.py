"""The data beside the text of an answer: token counts, `llm_output`, and citations. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.messages import content as blocks
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatResult

# --- Token counts ---


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


# --- llm_output, which cost counters read ---


def chat_result(message: AIMessage) -> ChatResult:
    """Wrap the answer to one prompt. Core copies `llm_output` into the message's metadata."""
    metadata = message.response_metadata
    output = {name: metadata[name] for name in ("token_usage", "model_name") if name in metadata}
    return ChatResult(generations=[ChatGeneration(message=message)], llm_output=output)


def combined(outputs: Sequence[Mapping[str, Any] | None]) -> dict[str, Any]:
    """Add up the outputs of several prompts; an answer from a cache has none."""
    total: dict[str, Any] = {"token_usage": {}}
    for output in filter(None, outputs):
        usage = _added(total["token_usage"], output.get("token_usage", {}))
        total = {**total, **output, "token_usage": usage}
    return total


def _added(total: Mapping[str, Any], counts: Mapping[str, Any]) -> dict[str, Any]:
    sums = dict(total)
    for name, count in counts.items():
        is_group = isinstance(count, Mapping)
        sums[name] = _added(sums.get(name, {}), count) if is_group else sums.get(name, 0) + count
    return sums


# --- Citations: the sources of a web search ---


def content_blocks(message: AIMessage) -> list[blocks.ContentBlock]:
    """Return the content blocks of a message, with its sources as citations of the text.

    Core calls this function; a `NotImplementedError` makes core convert the message itself.
    """
    results = message.response_metadata.get("search_results")
    if not results:
        raise NotImplementedError
    metadata = {k: v for k, v in message.response_metadata.items() if k != "model_provider"}
    plain = message.model_copy(update={"response_metadata": metadata})
    found = [dict(block) for block in plain.content_blocks]
    texts = [block for block in found if block["type"] == "text"]
    if not texts:
        # The last chunk of a stream: its block merges into the text before it.
        texts = [{"type": "text", "text": ""}]
        found += texts
    texts[-1]["annotations"] = citations(results)
    return found  # type: ignore[return-value]


def citations(results: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the results of a search as LangChain's citations."""
    cited = []
    for result in results:
        known = {key: result[key] for key in ("url", "title") if isinstance(result.get(key), str)}
        extras = {key: value for key, value in result.items() if key not in known}
        cited.append({"type": "citation", **known, **({"extras": extras} if extras else {})})
    return cited
