"""LangChain's `ModelProfile` of each model, derived from the capability table.

No fact of its own stands here, and nothing is claimed that the service may not do: where it is not
known whether a model answers in a JSON schema, `structured_output` is false, and agents use tool
calls for it.
"""

from __future__ import annotations

from langchain_core.language_models import ModelProfile

from langchain_dashscope_deepseek.capabilities import MODELS, ModelCapabilities


def profile_of(row: ModelCapabilities, *, enable_thinking: bool | None = None) -> ModelProfile:
    """Derive a row's profile; `enable_thinking` decides whether tools can be called and forced."""
    thinking = row.thinks(enable_thinking)
    tools = row.calls_tools(thinking=thinking)
    by_default_only = row.is_hybrid and enable_thinking is None
    profile = ModelProfile(
        status="active" if row.status == "current" else "deprecated",
        text_inputs=True,
        image_inputs=row.images is True,
        image_url_inputs=row.images is True,
        pdf_inputs=False,
        audio_inputs=False,
        video_inputs=False,
        image_tool_message=row.images is True,
        pdf_tool_message=False,
        text_outputs=True,
        image_outputs=False,
        audio_outputs=False,
        video_outputs=False,
        reasoning_output=row.thinking != "never",
        tool_calling=tools,
        tool_choice=tools and (not thinking or by_default_only),
        tool_call_streaming=tools,
        mid_conversation_system_messages=True,
        mid_conversation_tools=False,
        structured_output=row.json_schema is True,
        attachment=row.images is True,
        temperature=row.can_set("temperature"),
    )
    if row.display_name is not None:
        profile["name"] = row.display_name
    if row.released is not None:  # published weights stay as they are: an update has another name
        profile["release_date"] = profile["last_updated"] = row.released.isoformat()
    if row.open_weights is not None:
        profile["open_weights"] = row.open_weights
    if row.max_input_tokens is not None:
        profile["max_input_tokens"] = row.max_input_tokens
    if row.max_output_tokens is not None:
        profile["max_output_tokens"] = row.max_output_tokens
    if row.reasoning_efforts:
        profile["reasoning_effort_levels"] = list(row.reasoning_efforts)
    if row.defaults.reasoning_effort is not None:
        profile["reasoning_effort_default"] = row.defaults.reasoning_effort
    return profile


_PROFILES: dict[str, ModelProfile] = {name: profile_of(row) for name, row in MODELS.items()}
