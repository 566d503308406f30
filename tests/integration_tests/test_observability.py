"""What others see of a call: OpenTelemetry, Sentry, OpenInference, LangSmith, and vcrpy's cassettes.

The first two and vcrpy patch httpx: each sees our requests only if they go through what it patches.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import vcr
from langchain_core.tracers import BaseTracer
from openinference.instrumentation.langchain import LangChainInstrumentor
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from langchain_dashscope_deepseek import ChatDashScopeDeepSeek
from langchain_dashscope_deepseek.testing import DashScopeEmulator
from tests.unit_tests.conftest import STYLES, Ask

pytest_plugins = ["langchain_dashscope_deepseek.testing.fixtures"]
pytestmark = [
    pytest.mark.emulator_only,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of the instrumentations
]

PROMPT = "Nobody may read what I ask"
WORKSPACE = "ws-nobody-may-read"


@pytest.fixture(params=STYLES)
def ask(request: pytest.FixtureRequest) -> Ask:
    return STYLES[request.param]


def model_of(emulator: DashScopeEmulator, **settings: Any) -> ChatDashScopeDeepSeek:
    where = {"base_url": emulator.base_url, "api_key": emulator.api_key}
    return ChatDashScopeDeepSeek(**{"model": "deepseek-v4-pro", **where, **settings})


@pytest.fixture
def provider() -> tuple[TracerProvider, InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider, exporter


@pytest.fixture
def http_spans(
    provider: tuple[TracerProvider, InMemorySpanExporter],
) -> Iterator[InMemorySpanExporter]:
    HTTPXClientInstrumentor().instrument(tracer_provider=provider[0])
    yield provider[1]
    HTTPXClientInstrumentor().uninstrument()


@pytest.fixture
def runs(provider: tuple[TracerProvider, InMemorySpanExporter]) -> Iterator[InMemorySpanExporter]:
    LangChainInstrumentor().instrument(tracer_provider=provider[0])
    yield provider[1]
    LangChainInstrumentor().uninstrument()


async def test_opentelemetry_sees_a_span_an_attempt_with_no_key_and_no_prompt(
    ask: Ask, http_spans: InMemorySpanExporter, dashscope_emulator: DashScopeEmulator
) -> None:
    dashscope_emulator.fail("Throttling", status=429, headers={"retry-after": "0"})
    model = model_of(dashscope_emulator)
    await ask(model, PROMPT)
    spans = http_spans.get_finished_spans()
    assert [span.attributes and span.attributes["http.status_code"] for span in spans] == [429, 200]
    for span in spans:
        text = span.to_json()
        assert dashscope_emulator.api_key not in text
        assert PROMPT not in text


@pytest.fixture
def sentry() -> Iterator[list[Any]]:
    """Give the events that would go to Sentry."""
    import sentry_sdk  # noqa: PLC0415 - it patches what it finds
    from sentry_sdk.integrations.httpx import HttpxIntegration  # noqa: PLC0415

    seen: list[Any] = []
    sentry_sdk.init(
        dsn="https://key@sentry.invalid/1",
        before_send_transaction=lambda event, _: seen.append(event),  # and None: it is not sent
        integrations=[HttpxIntegration()],
        default_integrations=False,
        auto_enabling_integrations=False,
        traces_sample_rate=1.0,
    )
    yield seen
    sentry_sdk.init(default_integrations=False, auto_enabling_integrations=False)  # sends nothing


async def test_sentry_sees_a_span_an_attempt_with_no_key_and_no_prompt(
    ask: Ask, sentry: list[Any], dashscope_emulator: DashScopeEmulator
) -> None:
    import sentry_sdk  # noqa: PLC0415 - as above

    dashscope_emulator.fail("Throttling", status=429, headers={"retry-after": "0"})
    with sentry_sdk.start_transaction(name="a call"):
        await ask(model_of(dashscope_emulator), PROMPT)
    (event,) = sentry
    spans = [span for span in event["spans"] if span["op"] == "http.client"]
    assert [span["data"]["http.response.status_code"] for span in spans] == [429, 200]
    assert dashscope_emulator.api_key not in json.dumps(event, default=str)
    assert PROMPT not in json.dumps(event, default=str)


def attributes(spans: tuple[ReadableSpan, ...]) -> dict[str, Any]:
    (span,) = (s for s in spans if s.name == "ChatDashScopeDeepSeek")
    return dict(span.attributes or {})


async def test_openinference_counts_the_tokens(
    ask: Ask, runs: InMemorySpanExporter, dashscope_emulator: DashScopeEmulator
) -> None:
    dashscope_emulator.reply("Blue.", reasoning="Rayleigh.")
    message: Any = await ask(model_of(dashscope_emulator), PROMPT)
    usage = message.usage_metadata
    seen = attributes(runs.get_finished_spans())
    assert seen["llm.model_name"] == "deepseek-v4-pro"
    assert seen["llm.token_count.prompt"] == usage["input_tokens"]
    assert seen["llm.token_count.completion"] == usage["output_tokens"]
    assert seen["llm.token_count.total"] == usage["total_tokens"]
    reasoning = usage["output_token_details"]["reasoning"]
    assert seen["llm.token_count.completion_details.reasoning"] == reasoning > 0
    assert dashscope_emulator.api_key not in json.dumps(seen, default=str)


class Heard(BaseTracer):
    """Keeps what LangSmith would be sent."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: list[Any] = []

    def _persist_run(self, run: Any) -> None:
        self.runs.append(run)


def test_langsmith_gets_the_parameters_the_usage_and_the_first_token(
    dashscope_emulator: DashScopeEmulator,
) -> None:
    heard = Heard()
    model = model_of(dashscope_emulator, temperature=0.5, stop=["END"])
    list(model.stream(PROMPT, config={"callbacks": [heard]}))
    (run,) = heard.runs
    metadata = run.extra["metadata"]
    assert metadata["ls_provider"] == "dashscope_deepseek"
    assert metadata["ls_model_name"] == "deepseek-v4-pro"
    assert metadata["ls_model_type"] == "chat"
    assert metadata["ls_temperature"] == 0.5
    assert metadata["ls_stop"] == ["END"]
    assert "new_token" in [event["name"] for event in run.events]
    message = run.outputs["generations"][0][0]["message"]["kwargs"]
    assert message["usage_metadata"]["output_token_details"]["reasoning"] > 0
    assert "input_token_details" in message["usage_metadata"]
    assert dashscope_emulator.api_key not in run.model_dump_json()


# --- Cassettes ---


def scrubbed(response: dict[str, Any]) -> dict[str, Any]:
    """Take out what names the account, as docs/testing.md shows it."""
    response["headers"] = {
        name: value for name, value in response["headers"].items() if name.lower() != "set-cookie"
    }
    return response


CASSETTES = vcr.VCR(
    filter_headers=["authorization", "x-dashscope-workspace"],
    before_record_response=scrubbed,
    match_on=("method", "path", "body"),
    record_mode="once",
)


async def test_a_cassette_holds_no_key_and_replays_a_stream(
    ask: Ask, tmp_path: Path, dashscope_emulator: DashScopeEmulator
) -> None:
    path = tmp_path / "sky.yaml"
    dashscope_emulator.reply("Blue.", reasoning="Rayleigh.")
    settings: dict[str, Any] = {"default_headers": {"X-DashScope-WorkSpace": WORKSPACE}}
    with CASSETTES.use_cassette(str(path)):
        said: Any = await ask(model_of(dashscope_emulator, **settings), PROMPT)
    text = path.read_text(encoding="utf-8")
    assert "deepseek-v4-pro" in text
    assert dashscope_emulator.api_key not in text
    assert WORKSPACE not in text
    asked = len(dashscope_emulator.requests)
    with CASSETTES.use_cassette(str(path)) as cassette:
        again: Any = await ask(model_of(dashscope_emulator, **settings), PROMPT)
        assert cassette.play_count == 1
    assert len(dashscope_emulator.requests) == asked
    assert (again.text, again.additional_kwargs) == (said.text, said.additional_kwargs)
    assert again.usage_metadata == said.usage_metadata
