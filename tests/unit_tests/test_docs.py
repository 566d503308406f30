"""The docs tell the truth: their code runs, their tables are what the code says, links lead on."""

from __future__ import annotations

import asyncio
import inspect
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.chat_models import init_chat_model
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.language_models import FakeListChatModel
from langchain_core.language_models.chat_model_stream import AsyncChatModelStream, ChatModelStream
from langchain_core.runnables import ConfigurableField
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from pydantic.errors import PydanticInvalidForJsonSchema
from pytest_examples import CodeExample, EvalExample, find_examples

from docs.check_types import GOES_ON, chains
from docs.links import site, standalone, urls
from docs.make_tables import CHINESE
from langchain_dashscope_deepseek import ChatDashScopeDeepSeek, DashScopeStreamCutError
from langchain_dashscope_deepseek._dashscope.protocol.error_codes import CODES
from langchain_dashscope_deepseek.testing import DashScopeEmulator
from tests import shown
from tests.unit_tests.conftest import Scripted, answer_of

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]


@pytest.fixture(autouse=True)
def emulator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)  # where a page that writes files may
    with DashScopeEmulator() as emulator:
        monkeypatch.setenv("DASHSCOPE_API_KEY", emulator.api_key)
        monkeypatch.setenv("DASHSCOPE_HTTP_BASE_URL", emulator.base_url)
        yield
    HTTPXClientInstrumentor().uninstrument()  # which docs/tracing.md switches on


def blocks_of(page: Path) -> list[CodeExample]:
    return [example for example in find_examples(page) if example.prefix.startswith("python")]


def run_the_command_of(page: str) -> None:
    """Write the prompts of docs/batch.md, and send them as it says: its code reads the answers."""
    (prompts,) = re.findall(r'^```json\n((?:{"id".*}\n)+)```', page, re.MULTILINE)
    Path("prompts.jsonl").write_text(prompts, encoding="utf-8")
    (command,) = re.findall(r"^python (.* run (?:.*\\\n)*.*)$", page, re.MULTILINE)
    words = [sys.executable, *command.replace("\\", "").split()]
    subprocess.run(words, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")  # loads
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_code_of_a_page_runs_and_prints_what_the_page_shows(
    page: Path, eval_example: EvalExample, capsys: pytest.CaptureFixture[str]
) -> None:
    """A block runs alone, unless it says that it goes on from the one above."""
    names: dict[str, Any] = {}
    made: list[Any] = []
    wrong: list[str] = []
    text = page.read_text(encoding="utf-8")
    under = shown.shown_under(text)
    if page.name == "batch.md":
        run_the_command_of(text)
    with shown.listening() as said:
        for block, output in zip(blocks_of(page), under, strict=True):
            if not block.source.startswith(GOES_ON):
                names = {}
            names["print"] = printer = shown.Printer()
            names |= eval_example.run(block, module_globals=names)
            made += names.values()
            untruths = shown.untruths(
                block.source, output, printer.printed, capsys.readouterr().out, said.texts
            )
            wrong += [f"{page.name}, block of line {block.start_line}: {it}" for it in untruths]
    for value in made:
        if isinstance(value, ChatDashScopeDeepSeek):
            value.close()
        if isinstance(value, DashScopeEmulator):
            value.stop()
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("source", "under", "wrong"),
    [
        ("print(1 + 1)  # 2", None, False),
        ("print(1 + 1)  # 3", None, True),
        ("print(1 + 1)", None, True),
        ("print(1 + 1)", "2\n", False),
        ("print(1 + 1)", "3\n", True),
        ("print(1 + 1)  # the sum", "2\n", False),
        ("print(1 + 1)  # the sum", None, True),
        ("print(\n    1 + 1,\n    3,\n)  # 2 3", None, False),
        ("print(\n    1 + 1,\n    3,\n)  # 2 4", None, True),
        ("for i in range(2):\n    print(i)", "0\n1\n", False),
        ("for i in range(2):\n    print(i)", "0\n", True),
        ("if False:\n    print(1)  # 1", None, True),
        ("if False:\n    print(1)", None, False),
        ("import sys\n_ = sys.stdout.write('2')", None, True),
        ("import sys\n_ = sys.stdout.write('2')", "2\n", False),
        ("print('Said.')", None, False),
        ("for word in ('Sa', 'id.'):\n    print(word, end='')", None, False),
        ("print('Said.', 2)", None, True),
        ("print('Said.', 2)  # ... 2", None, False),
        ("print('Said.', 2)  # ... 3", None, True),
        ("print('Said.', 2)  # ...", None, True),
        (
            "from uuid import uuid4\nprint(uuid4())  # 59222f41-63af-4590-aefa-d2194963b295",
            None,
            False,
        ),
        ("print(2)  # 59222f41-63af-4590-aefa-d2194963b295", None, True),
    ],
)
def test_a_wrong_value_in_a_page_is_found(
    source: str, under: str | None, wrong: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    printer = shown.Printer()
    exec(compile(source, "page", "exec"), {"print": printer})
    output = capsys.readouterr().out
    untruths = list(shown.untruths(source, under, printer.printed, output, {"", "Said."}))
    assert bool(untruths) == wrong, untruths


def test_the_emulator_of_the_readme_runs_anywhere_without_a_key(tmp_path: Path) -> None:
    sources = [block.source for block in blocks_of(ROOT / "README.md")]
    block = next(source for source in sources if "DashScopeEmulator" in source)
    bare = {name: value for name, value in os.environ.items() if "DASHSCOPE" not in name}
    done = subprocess.run(
        [sys.executable, "-c", block], cwd=tmp_path, env=bare, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"emulator" in done.stdout


@pytest.mark.parametrize("repository", ["", "https://example.com/it"])
def test_every_link_of_a_distribution_and_of_the_site_follows_one_variable(repository: str) -> None:
    text = standalone((ROOT / "README.md").read_text(encoding="utf-8"), repository)
    found = re.findall(r"\]\(([^)]+)\)", text)
    assert all(link.startswith(("https://", "#")) for link in found)
    assert ("`docs/thinking.md`" in text) != (f"({repository}/blob/main/docs/thinking.md)" in text)
    assert all(url.startswith("https://") for url in urls(repository).values())
    assert (urls(repository).get("Source") == repository) == bool(repository)
    settings = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert (f"repo_url: {repository}" in site(settings, repository)) == bool(repository)
    assert site(site(settings, repository), "") == site(settings, "")


def test_no_file_names_the_repository_by_hand() -> None:
    """But `pyproject.toml`, and mkdocs.yml, which is written from it."""
    texts = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("**/*.md"), *(ROOT / "docs").glob("**/*.py")]
    for path in [*texts, *(ROOT / "langchain_dashscope_deepseek").glob("**/*.py")]:
        named = r"https://(?:github|gitlab|pypi)\.\w+/\S*dashscope[-_]deepseek"
        assert not re.findall(named, path.read_text(encoding="utf-8")), path


def test_langchain_takes_no_outside_providers_by_name() -> None:
    """As docs/switching-models.md says; should this fail, the page can say something better."""
    for name in ("dashscope", "dashscope_deepseek", "langchain_dashscope_deepseek"):
        with pytest.raises(ValueError, match="provider"):
            init_chat_model("deepseek-v4.1-flash", model_provider=name)


def test_bind_tools_loses_the_configuration_of_a_run() -> None:
    """As docs/switching-models.md says; should LangChain mend it, the page need not warn."""
    model = ChatDashScopeDeepSeek(model="deepseek-v4.1-flash")
    switchable: Any = model.configurable_fields(model=ConfigurableField(id="model"))
    tool = {"type": "function", "function": {"name": "add"}}
    bound = {"bind_tools": switchable.bind_tools([tool]), "bind": switchable.bind(tools=[tool])}
    config = {"configurable": {"model": "deepseek-v4-pro"}}
    answers = {how: runnable.invoke("Hello", config) for how, runnable in bound.items()}
    assert {how: answer.response_metadata["model_name"] for how, answer in answers.items()} == {
        "bind_tools": "deepseek-v4.1-flash",
        "bind": "deepseek-v4-pro",
    }


def test_an_agent_takes_no_model_with_retry() -> None:
    """As docs/retries.md says."""
    model: Any = ChatDashScopeDeepSeek(model="deepseek-v4.1-flash").with_retry()
    agent: Any = create_agent(model, [len])
    with pytest.raises(AttributeError, match="bind_tools"):
        agent.invoke({"messages": ["Hello"]})


def test_an_agent_ends_after_a_call_with_malformed_arguments() -> None:
    """As docs/tools-and-agents.md says."""
    with DashScopeEmulator() as emulator:
        emulator.reply(tool_calls=[{"name": "len", "arguments": '{"city": '}])
        model = ChatDashScopeDeepSeek(model="deepseek-v4.1-flash", base_url=emulator.base_url)
        agent: Any = create_agent(model, [len])
        last = agent.invoke({"messages": ["Hello"]})["messages"][-1]
        model.close()
    assert (last.text, last.tool_calls) == ("", [])
    assert [call["name"] for call in last.invalid_tool_calls] == ["len"]


def test_the_counts_of_an_interrupted_call_are_in_its_error_or_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As docs/costs.md says; should a callback count them one day, the page need not warn."""
    caplog.set_level("INFO", "langchain_dashscope_deepseek")
    counter = UsageMetadataCallbackHandler()
    with DashScopeEmulator() as emulator:
        model = ChatDashScopeDeepSeek(model="deepseek-v4.1-flash", base_url=emulator.base_url)
        emulator.cut(3)
        with pytest.raises(DashScopeStreamCutError) as caught:
            list(model.stream("Hello", {"callbacks": [counter]}))
        part = caught.value.partial_message
        assert part is not None
        assert part.usage_metadata is not None
        assert part.usage_metadata["output_tokens"] > 0
        emulator.stall(3, 60)
        stream = model.stream("Hello", {"callbacks": [counter]})
        next(stream)
        stream.close()  # type: ignore[attr-defined]
        model.close()
    assert re.search(r"abandoned.* tokens \d+ in [1-9]\d* out", caplog.messages[-1])
    assert counter.usage_metadata == {}


def test_a_synchronous_stream_of_events_cannot_be_closed() -> None:
    """As docs/streaming.md says."""
    assert hasattr(AsyncChatModelStream, "aclose")
    assert not hasattr(ChatModelStream, "close")


def test_the_type_checkers_read_every_block() -> None:
    assert sum(len(blocks_of(page)) for page in PAGES) > 15
    for page in PAGES:
        read = [block for chain in chains(page.read_text(encoding="utf-8")) for block in chain]
        assert read == [block.source for block in blocks_of(page)]


def test_a_block_stands_alone_unless_it_says_that_it_goes_on() -> None:
    one, two, more = "one = 1\n", "two = 2\n", f"{GOES_ON[0]}\nthree = one\n"
    page = "\n".join(f"```python\n{block}```\n" for block in (one, more, two))
    assert list(chains(page)) == [[one, more], [two]]


def test_the_page_on_switching_models_shows_each_way() -> None:
    text = (ROOT / "docs" / "switching-models.md").read_text(encoding="utf-8")
    code = "\n".join(block for chain in chains(text) for block in chain)
    for way in ("create_agent(", ".configurable_fields(", ".configurable_alternatives("):
        assert way in code
    assert "docs/switching-models.md" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_tables_are_what_the_code_says() -> None:
    command = [sys.executable, "-m", "docs.make_tables", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_tables_of_chinese_pages_are_translated() -> None:
    """By docs/tables.zh-CN.toml: each cell that is not code, and nothing that no page shows."""
    texts = [page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("**/*.zh-CN.md")]
    made = "\n".join(re.findall(r"made by docs/make_tables.*?<!-- end", "".join(texts), re.DOTALL))
    cells = set(re.findall(r"(?<=\| )[^|]+(?= \|)", made))
    english = {cell for cell in cells if not re.match(r"`|&nbsp;|-+$|.*[\u4e00-\u9fff]", cell)}
    assert not english, "add them to docs/tables.zh-CN.toml"
    assert not set(CHINESE.values()) - cells, "remove them from docs/tables.zh-CN.toml"


def test_the_errors_page_says_what_to_do_about_each_code() -> None:
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    head, _, rest = page.partition("<!-- codes: made by")
    rows = [line.strip("| ").split(" | ") for line in rest.partition("<!-- end")[0].splitlines()]
    header, _, *rows = [row for row in rows if len(row) > 1]
    assert header == ["error", "codes", "what to do", "retried"]
    codes = [code for row in rows for code in re.findall("`([^`]+)`", row[1])]
    assert sorted(codes) == sorted(CODES)
    assert all(len(row) == len(header) and all(row) for row in rows)
    assert len({row[2] for row in rows}) > len(rows) * 0.8, "codes with the same advice share a row"
    for url in (
        "https://help.aliyun.com/zh/model-studio/error-code",
        "https://www.alibabacloud.com/help/en/model-studio/error-code",
    ):
        assert f"({url})" in head


def test_every_promise_about_safety_names_tests_that_exist() -> None:
    page = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", page)
    assert len(named) > 15
    for path, test in named:
        assert test in (ROOT / path).read_text(encoding="utf-8"), (path, test)


def test_unusual_code_names_tests_that_exist() -> None:
    page = (ROOT / "docs" / "internals.md").read_text(encoding="utf-8")
    named = re.findall(r"`(test_\w+\.py)(?:::(\w+))?`", page)
    assert len(named) > 10
    for file, test in named:
        (path,) = (ROOT / "tests").glob(f"**/{file}")
        assert test in path.read_text(encoding="utf-8"), (file, test)


@pytest.mark.parametrize(
    "page", [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"], ids=lambda page: page.name
)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert link.startswith("https://") or (page.parent / link).exists(), link


def test_the_readme_names_the_two_commands_and_stays_short() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "\nmake demo\n" in text
    assert "\nmake test\n" in text
    assert len(text.splitlines()) <= 130


def test_the_class_docstring_has_langchains_sections() -> None:
    doc = inspect.getdoc(ChatDashScopeDeepSeek) or ""
    for section in (
        *("Setup", "Key init args", "Instantiate", "Invoke", "Stream", "Async", "Tool calling"),
        *(
            "Structured output",
            "JSON mode",
            "Reasoning",
            "Token usage",
            "Response metadata",
            "Errors",
        ),
    ):
        assert f"\n{section}:\n" in doc


def test_the_examples_of_the_class_docstring_run() -> None:
    blocks = re.findall(
        r"```python\n(.*?)\n *```", inspect.getdoc(ChatDashScopeDeepSeek) or "", re.DOTALL
    )
    assert len(blocks) > 5
    body = "\n".join(blocks)
    names: dict[str, object] = {}
    exec(f"async def main():\n{body}\n    await model.aclose()\n", names)
    asyncio.run(names["main"]())  # type: ignore[operator]


def test_the_json_schema_is_that_of_serialization() -> None:
    """As docs/reference/chat-model.md says; should the default work one day, the page need not."""
    for model in (ChatDashScopeDeepSeek, FakeListChatModel):
        with pytest.raises(PydanticInvalidForJsonSchema):
            model.model_json_schema()
    schema = ChatDashScopeDeepSeek.model_json_schema(mode="serialization")
    assert schema["properties"]["thinking_budget"]["description"]


def test_the_reference_lists_the_keys_of_response_metadata(service: Scripted) -> None:
    answer = answer_of("hi")
    answer["output"]["search_info"] = {"search_results": [{"title": "a page"}]}
    answer["usage"]["plugins"] = {"search": {"count": 1}}
    service.answer(answer)
    page = (ROOT / "docs" / "reference" / "chat-model.md").read_text(encoding="utf-8")
    table = page.partition("<!-- metadata:")[2].partition("<!-- end of metadata -->")[0]
    listed = re.findall(r"^\| `(\w+)` \| .", table, re.MULTILINE)
    assert service.model().invoke("hi").response_metadata.keys() <= set(listed)


def test_the_demo_has_no_side_effects_when_imported() -> None:
    assert "main" in runpy.run_path(str(ROOT / "docs" / "examples" / "demo.py"), run_name="demo")
