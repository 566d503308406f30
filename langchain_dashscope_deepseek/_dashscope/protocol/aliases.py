"""Names that a setting has elsewhere, and what it is called here: one table, one text.

Pure. People come from other classes and from the service's own pages, and write what they know.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

_NOT_HERE = "no page documents it for DeepSeek, and the service ignores or refuses it"
_OURS = "this package sets it, to read the answer"

ELSEWHERE: Mapping[str, str] = {
    "reasoning": (
        'reasoning={"effort": ...} is written reasoning_effort="high" here, and '
        "enable_thinking=False switches thinking off"
    ),
    "thinking": "write enable_thinking=True or False, and thinking_budget for its length",
    "extra_body": "write the parameters by their names, and those that have none in model_kwargs",
    "model_name_or_path": "write model",
    **dict.fromkeys(
        (
            "api_base",
            "openai_api_base",
            "deepseek_api_base",
            "endpoint",
            "azure_endpoint",
            "host",
            "url",
        ),
        "write base_url, which ends in /api/v1, or region",
    ),
    **dict.fromkeys(("openai_api_key", "deepseek_api_key", "key", "token"), "write api_key"),
    **dict.fromkeys(
        ("stream_usage", "stream_options"), "leave it out: every stream ends with its usage"
    ),
    **dict.fromkeys(
        ("max_output_tokens", "max_new_tokens", "max_length", "num_predict"), "write max_tokens"
    ),
    **dict.fromkeys(
        ("top_k", "logprobs", "top_logprobs", "logit_bias", "preserve_thinking"),
        f"{_NOT_HERE}. model_kwargs sends it all the same",
    ),
    "frequency_penalty": f"{_NOT_HERE}. Write repetition_penalty, on models that take it",
    "n": f"{_NOT_HERE}. Ask several times, by batch",
    **dict.fromkeys(("result_format", "incremental_output"), f"leave it out: {_OURS}"),
    "functions": "write model.bind_tools([...])",
    "function_call": 'write model.bind_tools([...], tool_choice="name")',
    "stop_words": "write stop",
    "json_mode": 'write response_format={"type": "json_object"}, or with_structured_output',
    **dict.fromkeys(
        ("headers", "extra_query"), "write default_headers, or extra_headers for one call"
    ),
    **dict.fromkeys(("max_retry_seconds", "max_time", "deadline"), "write max_seconds"),
    **dict.fromkeys(("retries", "num_retries"), "write max_retries"),
    **dict.fromkeys(("openai_proxy", "http_proxy", "proxies"), "write proxy"),
    "async_http_client": "write http_async_client",
    "max_input_tokens": "leave it out: trim_messages(token_counter=model) cuts a thread",
    **dict.fromkeys(("ssl_verify", "verify_ssl"), "write verify"),
    "cert": "write verify, an ssl.SSLContext that load_cert_chain was called on",
    **dict.fromkeys(
        ("organization", "openai_organization"),
        "leave it out: a key belongs to an account, and workspace_id names a workspace of it",
    ),
    **dict.fromkeys(
        ("use_responses_api", "store", "service_tier", "include"),
        "leave it out: it belongs to OpenAI's API",
    ),
    "web_search": "write enable_search=True, and search_options",
}
"""What other chat models and the service's pages call a setting, and what to write here."""

_IDLE: Mapping[str, Any] = {
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
"""Values of names from elsewhere that ask for what happens anyway."""


def is_idle(name: str, value: Any) -> bool:
    """Tell whether a value of an unknown name is as good as left out."""
    if value is None:
        return True
    idle = _IDLE.get(name)
    return isinstance(value, bool) is isinstance(idle, bool) and bool(value == idle)


FOR_ONE_CALL: Mapping[str, str] = {
    "extra_headers": "it is for one call; for all calls write default_headers",
    **dict.fromkeys(("tools", "tool_choice"), "write it in bind_tools, or at the call"),
}
"""What a call takes and a model does not, and what to write for the model."""


def misplaced(names: Iterable[object]) -> list[str]:
    """Return the names from elsewhere that `model_kwargs` must not send."""
    return [
        str(name) for name in names if not ELSEWHERE.get(str(name), _NOT_HERE).startswith(_NOT_HERE)
    ]


def unknown_names(names: Collection[str], known: Collection[str]) -> str:
    """Say what to write instead of names that are none here; one of the known may be meant."""
    return "; ".join(_what_to_write(name, known) for name in sorted(names))


def _what_to_write(name: str, known: Collection[str]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - 2 ms, for a mistake

    known_by = ELSEWHERE.get(name.lower()) or FOR_ONE_CALL.get(name.lower())
    if known_by:
        return f"Unknown setting {name}: {known_by}"
    near = get_close_matches(name.lower(), known, n=1, cutoff=0.75)
    if near:
        return f"Unknown setting {name}: did you mean {near[0]}?"
    return f"Unknown setting {name}. Parameters of the service without a name here: model_kwargs"
