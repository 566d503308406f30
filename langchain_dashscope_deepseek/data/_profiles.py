"""LangChain's `ModelProfile` of each model, derived from the capability table.

If the table does not say whether a model supports JSON schemas, `structured_output` is false, so
that agents use tool calls instead.
"""

from __future__ import annotations

from typing import cast

from langchain_core.language_models import ModelProfile

from langchain_dashscope_deepseek.capabilities import MODELS, ModelCapabilities


def profile_of(row: ModelCapabilities, *, enable_thinking: bool | None = None) -> ModelProfile:
    """Derive the profile of a row; calling and forcing tools depends on `enable_thinking`."""
    thinking = row.thinks(enable_thinking)
    tools = row.calls_tools(thinking=thinking)
    # Models are not updated after their release: an update has another name.
    day = row.released.isoformat() if row.released else None
    facts = {
        "status": "active" if row.status == "current" else "deprecated",
        "text_inputs": True,
        "image_inputs": row.images is True,
        "image_url_inputs": row.images is True,
        "pdf_inputs": False,
        "audio_inputs": False,
        "video_inputs": False,
        "image_tool_message": row.images is True,
        "pdf_tool_message": False,
        "text_outputs": True,
        "image_outputs": False,
        "audio_outputs": False,
        "video_outputs": False,
        "reasoning_output": row.thinking != "never",
        "tool_calling": tools,
        # A forced choice switches thinking off, if that was not set.
        "tool_choice": tools and (not thinking or (row.is_hybrid and enable_thinking is None)),
        "tool_call_streaming": tools,
        "mid_conversation_system_messages": True,
        "mid_conversation_tools": False,
        "structured_output": row.json_schema is True,
        "attachment": row.images is True,
        "temperature": row.can_set("temperature"),
        "name": row.display_name,
        "release_date": day,
        "last_updated": day,
        "open_weights": row.open_weights,
        "max_input_tokens": row.max_input_tokens,
        "max_output_tokens": row.max_output_tokens,
        "reasoning_effort_levels": list(row.reasoning_efforts) or None,
        "reasoning_effort_default": row.defaults.reasoning_effort,
    }
    return cast("ModelProfile", {name: fact for name, fact in facts.items() if fact is not None})


_PROFILES: dict[str, ModelProfile] = {name: profile_of(row) for name, row in MODELS.items()}
