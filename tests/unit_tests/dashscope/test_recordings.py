"""Real traffic, replayed: what the client makes of it equals what is in the file.

The recordings are not part of the project; without their folder these tests are skipped.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from langchain_dashscope_deepseek import (
    DashScopeAuthenticationError,
    DashScopeError,
    DashScopeInvalidRequestError,
    DashScopeRateLimitError,
)
from tests.unit_tests.conftest import Ask, Scripted

FOLDER = Path(__file__).parents[4] / "shared" / "recordings"
NOT_OURS = {
    "cnblogs-single-generation-message-roleplay-nosse": "n > 1: several answers",
    "loongsuite-test_generation_call_streaming": "output.text, cumulative",
    "loongsuite-test_generation_call_streaming_incremental_output": "output.text",
    "loongsuite-test_generation_call_basic": "output.text",
    "loongsuite-test_generation_call_with_all_parameters": "output.text",
}
ERRORS = {
    "cnblogs-auth-error-nosse": (DashScopeAuthenticationError, "InvalidApiKey"),
    "loongsuite-TestAgentError.test_agent_with_invalid_model-0": (
        DashScopeAuthenticationError,
        "InvalidApiKey",
    ),
    "loongsuite-TestReactStepSpan.test_react_step_exception_failover-0": (
        DashScopeAuthenticationError,
        "InvalidApiKey",
    ),
    "cnblogs-parameter-error-nosse": (DashScopeInvalidRequestError, "InvalidParameter"),
    "cnblogs-parameter-error-sse": (DashScopeInvalidRequestError, "InvalidParameter"),
    "qwencode-error-frame": (DashScopeInvalidRequestError, "InvalidParameter"),
    "qwencode-429-midstream-sse": (DashScopeRateLimitError, "Throttling.AllocationQuota"),
}
FILES = sorted(path.stem for path in FOLDER.glob("*.json")) if FOLDER.exists() else []
ANSWERS = [name for name in FILES if name not in {*NOT_OURS, *ERRORS}]

pytestmark = [
    pytest.mark.skipif(not FILES, reason="the recordings are not here"),
    pytest.mark.filterwarnings("ignore:.*all of it is reasoning"),
]


def response_of(name: str) -> dict[str, Any]:
    recording = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    response: dict[str, Any] = recording["response"]
    return response


def serve(service: Scripted, name: str, size: int | None) -> dict[str, Any]:
    response = response_of(name)
    # The files hold the bodies decoded and whole.
    dropped = ("content-encoding", "transfer-encoding", "content-length")
    headers = {k.lower(): v for k, v in (response["headers"] or {}).items()}
    for header in dropped:
        headers.pop(header, None)
    service.answer(response["body"], status=response["status"], headers=headers, size=size)
    return response


def documents_of(body: str) -> list[dict[str, Any]]:
    """Read a body anew, without a line of the package: one JSON document a packet."""
    if body.lstrip().startswith("{"):
        return [json.loads(body)]
    return [json.loads(line[5:]) for line in body.split("\n") if line.startswith("data:")]


def text_of(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content or [])


def calls_of(messages: list[dict[str, Any]]) -> list[tuple[str, str, Any]]:
    calls: dict[int, list[str]] = {}
    for message in messages:
        for delta in message.get("tool_calls") or []:
            call = calls.setdefault(delta["index"], ["", "", ""])
            call[0] = call[0] or delta.get("id") or ""
            call[1] = call[1] or delta["function"].get("name") or ""
            call[2] += delta["function"].get("arguments") or ""
    return [(call_id, name, json.loads(arguments)) for call_id, name, arguments in calls.values()]


@pytest.mark.parametrize("size", [None, 5])
@pytest.mark.parametrize("name", ANSWERS)
async def test_a_recorded_answer_is_read_as_it_is(
    name: str, size: int | None, ask: Ask, service: Scripted
) -> None:
    documents = documents_of(serve(service, name, size)["body"])
    choices = [choice for d in documents for choice in d["output"].get("choices", [])]
    messages = [choice["message"] for choice in choices]

    message = await ask(service.model(), "hi")

    assert message.content == "".join(text_of(m.get("content")) for m in messages)
    reasoning = "".join(m.get("reasoning_content") or "" for m in messages)
    assert message.additional_kwargs.get("reasoning_content", "") == reasoning
    assert [(c["id"], c["name"], c["args"]) for c in message.tool_calls] == calls_of(messages)
    assert message.invalid_tool_calls == []
    usage = documents[-1]["usage"]
    assert message.usage_metadata is not None
    assert message.usage_metadata["input_tokens"] == usage["input_tokens"]
    assert message.usage_metadata["output_tokens"] == usage["output_tokens"]
    total = usage.get("total_tokens", usage["input_tokens"] + usage["output_tokens"])
    assert message.usage_metadata["total_tokens"] == total
    details = message.usage_metadata.get("output_token_details", {})
    assert details.get("reasoning") == usage.get("output_tokens_details", {}).get(
        "reasoning_tokens"
    )
    cached = message.usage_metadata.get("input_token_details", {})
    assert cached.get("cache_read") == usage.get("prompt_tokens_details", {}).get("cached_tokens")
    assert message.response_metadata["finish_reason"] == choices[-1]["finish_reason"]
    assert message.response_metadata["request_id"] == documents[-1]["request_id"]
    searched = documents[0]["output"].get("search_info", {}).get("search_results")
    assert message.response_metadata.get("search_results") == searched


@pytest.mark.parametrize("size", [None, 5])
@pytest.mark.parametrize("name", ERRORS)
async def test_a_recorded_error_becomes_its_typed_error(
    name: str, size: int | None, ask: Ask, service: Scripted
) -> None:
    body = serve(service, name, size)["body"]
    with pytest.raises(DashScopeError) as caught:
        await ask(service.model(), "hi")
    error, code = ERRORS[name]
    assert type(caught.value) is error
    assert caught.value.code == code
    assert caught.value.request_id == documents_of(body)[0]["request_id"]


def test_every_recording_is_replayed_or_named_as_not_ours() -> None:
    assert {*ANSWERS, *NOT_OURS, *ERRORS} == set(FILES)
    for name in ANSWERS:
        assert '"choices"' in response_of(name)["body"]
