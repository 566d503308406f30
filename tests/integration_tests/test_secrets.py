"""Where keys, secret headers and prompts must not be: texts, dumps, traces, logs, errors, pickles."""

from __future__ import annotations

import copy
import json
import logging
import pickle
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import cloudpickle
import pytest
from langchain_core.load import dumpd, dumps, loads
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import ConfigurableField
from langchain_core.tracers import LangChainTracer
from langsmith import Client
from pydantic import SecretStr

from langchain_dashscope_deepseek import (
    ChatDashScopeDeepSeek,
    DashScopeAuthenticationError,
    DashScopeError,
)
from langchain_dashscope_deepseek.testing import DashScopeEmulator
from tests.leaks import all_text
from tests.unit_tests.conftest import STYLES, Ask

pytest_plugins = ["langchain_dashscope_deepseek.testing.fixtures"]
pytestmark = [
    pytest.mark.emulator_only,
    pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning"),
]

KEY = "sk-0123456789-of-nobody"
HEADER = "hush-hush"
PROMPT = "Nobody may read what I ask"
SECRETS = (KEY, HEADER)


@pytest.fixture(params=STYLES)
def ask(request: pytest.FixtureRequest) -> Ask:
    return STYLES[request.param]


def make(**settings: Any) -> ChatDashScopeDeepSeek:
    mine = {"api_key": KEY, "default_headers": {"X-Secret": HEADER}, "max_retries": 0}
    return ChatDashScopeDeepSeek(**{"model": "deepseek-v4-pro", **mine, **settings})


def assert_no_secret(text: str, *more: str) -> None:
    assert [secret for secret in (*SECRETS, *more) if secret in text] == []


# --- What shows a model ---

OBJECT: dict[str, Any] = {"type": "object", "properties": {"name": {"type": "string"}}}
TOOL: dict[str, Any] = {"name": "greet", "description": "Greet.", "parameters": OBJECT}
CHAINS: dict[str, Callable[[ChatDashScopeDeepSeek], Any]] = {
    "model": lambda model: model,
    "bound": lambda model: model.bind(temperature=0),
    "with tools": lambda model: model.bind_tools([{"type": "function", "function": TOOL}]),
    "structured": lambda model: model.with_structured_output({"title": "Name", **OBJECT}),
    "with retry": lambda model: model.with_retry(),
    "with fallbacks": lambda model: model.with_fallbacks([make(model="deepseek-v4-flash-0731")]),
    "configurable": lambda model: model.configurable_fields(
        temperature=ConfigurableField(id="temperature")
    ),
    "sequence": lambda model: (
        ChatPromptTemplate.from_template("{x}") | model.bind(stop=["a"]) | StrOutputParser()
    ),
}


@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS)
def test_no_way_to_show_a_model_shows_a_secret(
    chain: Callable[[ChatDashScopeDeepSeek], Any],
) -> None:
    shown = chain(make())
    graph = shown.get_graph()
    for text in (
        repr(shown),
        str(shown),
        f"{shown.config_specs}",
        dumps(shown),
        f"{dumpd(shown)}",
        f"{graph.to_json(with_schemas=True)}",
        graph.draw_mermaid(),
        f"{[node.data for node in graph.nodes.values()]}",
        f"{shown.config_schema().model_json_schema()}",
        f"{shown.get_input_jsonschema()}",
    ):
        assert_no_secret(text)
    assert KEY not in f"{vars(shown)}"


def test_no_dump_of_a_model_holds_a_secret() -> None:
    model = make()
    for text in (
        f"{model.model_dump()}",
        model.model_dump_json(),
        f"{model.asdict()}",
        f"{model._identifying_params}",
        f"{model._get_llm_string()}",
        f"{model._get_ls_params()}",
        f"{model._serialized}",
        json.dumps(type(model).model_json_schema(mode="serialization")),
    ):
        assert text
        assert_no_secret(text)


def test_a_model_that_was_dumped_is_loaded_with_its_key_by_name() -> None:
    model = make(temperature=0.5, stop=["x"], region="us-east-1", enable_thinking=False)
    text = dumps(model)
    assert '"DASHSCOPE_API_KEY"' in text
    loaded = loads(
        text,
        allowed_objects=[ChatDashScopeDeepSeek],
        secrets_map={"DASHSCOPE_API_KEY": KEY},
        valid_namespaces=["langchain_dashscope_deepseek"],
    )
    assert isinstance(loaded, ChatDashScopeDeepSeek)
    assert loaded.api_key == model.api_key
    assert loaded.model_dump() == model.model_dump()
    # Headers may be secret and have no name to be found by: they are handed in again.
    assert loaded.default_headers is None


def test_a_bound_model_that_was_dumped_is_loaded() -> None:
    bound = make().bind(temperature=0)
    loaded = loads(
        dumps(bound),
        allowed_objects=[ChatDashScopeDeepSeek, type(bound)],
        secrets_map={"DASHSCOPE_API_KEY": KEY},
        valid_namespaces=["langchain_dashscope_deepseek"],
    )
    assert loaded.kwargs == {"temperature": 0}
    assert loaded.bound.api_key.get_secret_value() == KEY


# --- Copies and pickles ---


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda m: m.model_copy(), lambda m: m.model_copy(deep=True)],
    ids=["copy", "deepcopy", "model_copy", "deep model_copy"],
)
def test_a_copy_keeps_the_secrets(
    copied: Callable[[ChatDashScopeDeepSeek], ChatDashScopeDeepSeek],
) -> None:
    other = copied(make())
    assert isinstance(other.api_key, SecretStr)
    assert other.api_key.get_secret_value() == KEY
    assert other.default_headers == {"X-Secret": HEADER}


PICKLES = [
    pytest.param(dumped, chain, id=f"{name} by {dumped.__module__}")
    for dumped in (pickle.dumps, cloudpickle.dumps)
    for name, chain in CHAINS.items()
    # LangChain's parser of it holds a function that only cloudpickle takes.
    if (dumped, name) != (pickle.dumps, "structured")
]


@pytest.mark.filterwarnings("ignore:default_headers was not pickled")
@pytest.mark.parametrize(("dumped", "chain"), PICKLES)
def test_no_pickle_holds_the_key(
    dumped: Callable[[Any], bytes], chain: Callable[[ChatDashScopeDeepSeek], Any]
) -> None:
    pickled = dumped(chain(make()))
    assert b"deepseek-v4-pro" in pickled
    assert KEY.encode() not in pickled


@pytest.mark.filterwarnings("ignore:default_headers was not pickled")
async def test_an_unpickled_model_without_a_key_says_what_to_set(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, dashscope_emulator: DashScopeEmulator
) -> None:
    monkeypatch.delenv("DASHSCOPE_API_KEY")
    model = pickle.loads(pickle.dumps(make()))
    with pytest.raises(DashScopeAuthenticationError, match="Set the variable DASHSCOPE_API_KEY"):
        await ask(model, PROMPT)
    assert dashscope_emulator.requests == []


# --- Traces ---


class _LangSmith(ThreadingHTTPServer):
    """Takes whatever LangSmith's client sends."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Takes)
        self.taken: list[str] = []


class _Takes(BaseHTTPRequestHandler):
    server: _LangSmith

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.taken.append(f"{self.path}\n{body.decode()}")
        self.send_response(202)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_PATCH = do_POST  # noqa: N815 - a name that http.server looks for

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        pass


@pytest.fixture
def langsmith() -> Iterator[_LangSmith]:
    with _LangSmith() as server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("fails", [False, True], ids=["success", "error"])
async def test_a_trace_holds_the_question_and_no_secret(
    fails: bool, ask: Ask, langsmith: _LangSmith, dashscope_emulator: DashScopeEmulator
) -> None:
    client = Client(
        api_url=f"http://127.0.0.1:{langsmith.server_port}",
        api_key="lsv2-of-nobody",
        auto_batch_tracing=False,
        info={},
    )
    tracer = LangChainTracer(project_name="tests", client=client)
    if fails:
        dashscope_emulator.fail("InvalidApiKey", f"Incorrect API key: {KEY}", status=401)
    async with make() as model:
        chain = ChatPromptTemplate.from_template("{x}") | model.bind(temperature=0.5)
        try:
            await ask(chain.with_config(callbacks=[tracer]), {"x": PROMPT})
        except DashScopeError:
            assert fails
    tracer.wait_for_futures()
    client.close()
    text = "\n".join(langsmith.taken)
    assert PROMPT in text
    assert "deepseek-v4-pro" in text
    assert ("DashScopeAuthenticationError" in text) is fails
    assert_no_secret(text)


# --- Logs ---


async def test_no_log_line_of_anybody_holds_a_secret_or_a_prompt(
    ask: Ask, caplog: pytest.LogCaptureFixture, dashscope_emulator: DashScopeEmulator
) -> None:
    """Of httpx and httpcore neither, in a success, a retry, an error, and a stream that is cut."""
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore", "asyncio", "langchain_dashscope_deepseek"):
        caplog.set_level(logging.DEBUG, logger=name)
    async with make(max_retries=1) as model:
        dashscope_emulator.fail("Throttling", KEY, status=429, headers={"retry-after": "0"})
        await ask(model, PROMPT)
        dashscope_emulator.fail("InvalidParameter", f"{PROMPT} {KEY}")
        with pytest.raises(DashScopeError):
            await ask(model, PROMPT)
        dashscope_emulator.cut(2, times=2)
        with pytest.raises(DashScopeError):
            await ask(model, PROMPT)
    loggers = {record.name.partition(".")[0] for record in caplog.records}
    assert {"httpx", "httpcore", "langchain_dashscope_deepseek"} <= loggers
    ours = [r for r in caplog.records if ".testing" not in r.name]
    text = "\n".join(f"{record.getMessage()} {record.__dict__!r}" for record in ours)
    assert_no_secret(text, PROMPT)


# --- Errors ---


def fail_with_status(emulator: DashScopeEmulator) -> None:
    emulator.fail("InvalidApiKey", f"Incorrect API key provided: {KEY}", status=401)


def fail_in_a_stream(emulator: DashScopeEmulator) -> None:
    emulator.fail("InternalError", KEY, status=500, shape="sse", after=2)


def cut(emulator: DashScopeEmulator) -> None:
    emulator.cut(2)


def stall(emulator: DashScopeEmulator) -> None:
    emulator.stall(2, 60)


def redirect(emulator: DashScopeEmulator) -> None:
    emulator.raw("", status=307, headers={"location": "https://elsewhere.test/"})


def answer_nonsense(emulator: DashScopeEmulator) -> None:
    emulator.raw(f"<html>{KEY}</html>", headers={"content-type": "text/html"})


def say_it_is_compressed(emulator: DashScopeEmulator) -> None:
    emulator.raw("no gzip", headers={"content-encoding": "gzip"})


def stop(emulator: DashScopeEmulator) -> None:
    emulator.stop()


FAILURES = (
    *(fail_with_status, fail_in_a_stream, cut, stall, redirect),
    *(answer_nonsense, say_it_is_compressed, stop),
)


@pytest.mark.parametrize("failure", FAILURES)
async def test_nothing_that_an_error_leads_to_holds_a_secret_or_the_prompt(
    failure: Callable[[DashScopeEmulator], None],
    ask: Ask,
    dashscope_emulator: DashScopeEmulator,
) -> None:
    failure(dashscope_emulator)
    async with make(timeout=1) as model:
        with pytest.raises(DashScopeError) as caught:
            await ask(model, PROMPT)
    assert_no_secret(all_text(caught.value), PROMPT)
    assert_no_secret(all_text(pickle.loads(pickle.dumps(caught.value))), PROMPT)


async def test_a_prompt_that_utf_8_cannot_carry_is_not_quoted(
    ask: Ask, dashscope_emulator: DashScopeEmulator
) -> None:
    async with make() as model:
        with pytest.raises(DashScopeError, match="surrogate") as caught:
            await ask(model, f"{PROMPT} \ud800")
    assert_no_secret(all_text(caught.value), PROMPT)
