"""Search results as citations on the text block, where LangChain's content blocks have them.

Core asks a provider's translator for the `content_blocks` of its messages. Ours adds the sources of
a web search, and leaves all else to core's own reading.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.messages import content as blocks


def content_blocks(message: AIMessage) -> list[blocks.ContentBlock]:
    """Return a message's blocks with its sources as citations.

    Raises:
        NotImplementedError: It has no sources; core then reads it by itself.
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
