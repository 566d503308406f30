"""Names of settings in other packages and on the service's pages, and what to write instead."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

_UNDOCUMENTED = "it is not documented for DeepSeek, and the service ignores or refuses it"

_NAMES_BY_ADVICE: Mapping[str, str] = {
    'write reasoning_effort="high", or enable_thinking=False for no reasoning': "reasoning",
    "write enable_thinking=True or enable_thinking=False; thinking_budget limits it": "thinking",
    "write its entries as settings, and what is no setting into model_kwargs": "extra_body",
    "write model": "model_name_or_path",
    "write base_url, which ends in /api/v1, or region": (
        "api_base openai_api_base deepseek_api_base endpoint azure_endpoint host url"
    ),
    "write api_key": "openai_api_key deepseek_api_key key token",
    "leave it out: every stream ends with its token counts": "stream_usage stream_options",
    "write max_tokens": "max_output_tokens max_new_tokens max_length num_predict",
    f"{_UNDOCUMENTED}. To send it anyway, put it into model_kwargs": (
        "top_k logprobs top_logprobs logit_bias preserve_thinking"
    ),
    f"{_UNDOCUMENTED}. Write repetition_penalty, on models that support it": "frequency_penalty",
    f"{_UNDOCUMENTED}. Send several requests with model.batch([...])": "n",
    "leave it out: this package sets it": "result_format incremental_output",
    "write model.bind_tools([...])": "functions",
    'write model.bind_tools([...], tool_choice="name")': "function_call",
    "write stop": "stop_words",
    'write response_format={"type": "json_object"}, or with_structured_output': "json_mode",
    "write default_headers, or extra_headers for one call": "headers",
    "write max_seconds": "max_retry_seconds max_time deadline",
    "write max_retries": "retries num_retries",
    "write proxy": "openai_proxy http_proxy proxies",
    "write http_async_client": "async_http_client",
    "leave it out: trim_messages(token_counter=model) shortens a thread": "max_input_tokens",
    "write verify": "ssl_verify verify_ssl",
    "write verify, with an ssl.SSLContext on which load_cert_chain was called": "cert",
    "leave it out: the key identifies the account, and workspace_id the workspace": (
        "organization openai_organization"
    ),
    "leave it out: it belongs to OpenAI's API": (
        "use_responses_api store service_tier include include_response_headers disabled_params "
        "extra_query tiktoken_model_name"
    ),
    "write enable_search=True, and search_options": "web_search",
}

ADVICE_BY_NAME: Mapping[str, str] = {
    name: advice for advice, names in _NAMES_BY_ADVICE.items() for name in names.split()
}

_NO_OPS: Mapping[str, Any] = {
    "n": 1,
    "frequency_penalty": 0,
    "logprobs": False,
    "top_logprobs": 0,
    "logit_bias": {},
    "store": False,
    "service_tier": "auto",
    "stream_usage": True,
    "stream_options": {"include_usage": True},
    "use_responses_api": False,
    "json_mode": False,
}
"""Values of these names that change nothing, because they are the defaults."""

FOR_ONE_CALL: Mapping[str, str] = {
    "extra_headers": "it is for one call; for all calls write default_headers",
    **dict.fromkeys(("tools", "tool_choice"), "write it in bind_tools, or at the call"),
}
"""Arguments of a call that are no settings of a model, and what to write instead."""


def is_no_op(name: str, value: Any) -> bool:
    """Tell whether an unknown setting has a value that changes nothing."""
    return value is None or bool(value == _NO_OPS.get(name))


def misplaced(names: Iterable[object]) -> list[str]:
    """Return the names that `model_kwargs` must not send: undocumented parameters may be sent."""
    advice = {str(name): ADVICE_BY_NAME.get(str(name), _UNDOCUMENTED) for name in names}
    return [name for name, text in advice.items() if not text.startswith(_UNDOCUMENTED)]


def explain_unknown(names: Collection[str], known: Collection[str]) -> str:
    """Say what to write instead of unknown names."""
    return "; ".join(f"Unknown setting {name}{_advice_on(name, known)}" for name in sorted(names))


def _advice_on(name: str, known: Collection[str]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - 2 ms, for a mistake

    advice = ADVICE_BY_NAME.get(name.lower()) or FOR_ONE_CALL.get(name.lower())
    if advice:
        return f": {advice}"
    near = get_close_matches(name.lower(), known, n=1, cutoff=0.75)
    if near:
        return f": did you mean {near[0]}?"
    return ". To send a parameter that is not a field of the model, use model_kwargs"
