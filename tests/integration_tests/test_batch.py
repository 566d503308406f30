"""The batch command on one machine: it loses nothing, and asks nothing twice."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import pytest

from langchain_dashscope_deepseek.batch import __main__ as command
from langchain_dashscope_deepseek.batch import _ledger
from langchain_dashscope_deepseek.batch._asking import Record
from langchain_dashscope_deepseek.batch._files import write_table
from langchain_dashscope_deepseek.batch._ledger import Ledger, lock
from langchain_dashscope_deepseek.batch._prompts import Row
from langchain_dashscope_deepseek.batch._running import run_here
from langchain_dashscope_deepseek.testing import DashScopeEmulator
from tests.integration_tests.batches import Batch, ids, names, read
from tests.waiting import eventually

pytestmark = pytest.mark.emulator_only


@pytest.fixture
def batch(tmp_path: Path) -> Iterator[Batch]:
    with DashScopeEmulator() as emulator, Batch(tmp_path, emulator) as batch:
        yield batch


# --- What is asked ---


def test_a_second_run_does_nothing(batch: Batch) -> None:
    table = batch.rows(30)
    process = batch.start(table, "--shard-rows", "8")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert "30 of 30 answered" in out
    assert ids(batch.answers()) == names(30)
    assert [len(read(path)) for path in sorted(batch.out.glob("part-*"))] == [8, 8, 8, 6]
    files = {path: path.read_bytes() for path in batch.out.glob("part-*")}
    assert "30 of 30 answered" in batch.run(table, "--shard-rows", "8")
    assert batch.asked() == Counter(f"Say {n}." for n in range(30))
    assert {path: path.read_bytes() for path in batch.out.glob("part-*")} == files


def test_an_answer_holds_text_usage_and_attempts(batch: Batch) -> None:
    usage = {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12}
    batch.emulator.reply("Blue.", reasoning="Hm.", usage=usage)
    batch.run(batch.rows(1), "--set", "enable_thinking=true")
    (answer,) = batch.answers()
    seconds, request = answer.pop("seconds"), answer.pop("request_id")
    assert 0 < seconds < 5
    assert re.fullmatch("[0-9a-f-]{36}", request)
    assert {key: answer["usage"].pop(key) for key in usage} == usage
    del answer["usage"]
    assert answer == {
        "id": "r0",
        "text": "Blue.",
        "reasoning": "Hm.",
        "tool_calls": [],
        "parsed": None,
        "finish_reason": "stop",
        "attempts": 1,
    }


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
@pytest.mark.parametrize("out", ["jsonl", "csv", "parquet"])
def test_tables_are_read_and_written_in_each_format(batch: Batch, form: str, out: str) -> None:
    rows = [{"key": f"r{n}", "text": f'Zeile "{n}",\n二', "more": 7} for n in range(5)]
    batch.run(
        batch.write(rows, form),
        *("--template", "Label {more}: {text}", "--id-column", "key", "--format", out),
    )
    assert batch.asked() == Counter(f'Label 7: Zeile "{n}",\n二' for n in range(5))
    assert ids(batch.answers()) == names(5)
    assert all(answer["text"] for answer in batch.answers())


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_a_column_of_messages_is_sent_as_it_is(batch: Batch, form: str) -> None:
    said = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    table = batch.write([{"id": "r1", "chat": json.dumps(said) if form == "csv" else said}], form)
    batch.run(table, "--messages-column", "chat")
    sent = batch.emulator.requests[0].body["input"]["messages"]
    assert [(m["role"], m["content"]) for m in sent] == [("system", "Be brief."), ("user", "Hi")]


@pytest.mark.parametrize("out", ["jsonl", "csv", "parquet"])
def test_answers_are_parsed_by_a_schema(batch: Batch, out: str) -> None:
    for arguments in ({"quantity": "a few"}, {"customer": "Ada", "product": "Engine"}):
        whole = {"customer": "?", "product": "?", "quantity": 3, "delivery": "normal", **arguments}
        batch.emulator.reply(tool_calls=[{"name": "Order", "arguments": whole}])
    batch.run(
        batch.rows(2),
        *("--schema", "docs.examples.extraction.__main__:Order"),
        *("--concurrency", "1", "--format", out),
    )
    (answer,), (letter,) = batch.answers(), batch.dead()
    parsed = answer["parsed"] if out == "jsonl" else json.loads(answer["parsed"])
    ada = {"customer": "Ada", "product": "Engine", "quantity": 3, "delivery": "normal"}
    assert (answer["id"], parsed) == ("r1", ada)
    assert (letter["id"], letter["code"]) == ("r0", "ValidationError")
    assert "quantity" in letter["message"]
    assert "a few" in letter["message"]  # the answer, as beside the answers


# --- What is not lost, and not asked twice ---


@pytest.mark.slow
def test_a_run_goes_on_after_three_kills(batch: Batch) -> None:
    table = batch.rows(200)
    batch.emulator.reply("Slow.", delay=0.1, times=1000)
    for share in (50, 100, 150):
        process = batch.start(table, "--concurrency", "10", "--shard-rows", "16")
        eventually(lambda share=share: len(batch.emulator.requests) > share)  # type: ignore[misc]
        process.kill()
        process.communicate()
    batch.run(table, "--concurrency", "10", "--shard-rows", "16")
    assert ids(batch.answers()) == names(200)
    assert len(batch.emulator.requests) <= 200 + 3 * 10
    assert max(batch.asked().values()) <= 4


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_around_the_renaming_of_a_file_leaves_each_answer_once(
    batch: Batch, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(path: Path, records: Iterable[str]) -> None:
        if when == "after":
            write_table(path, records)
        raise OSError("No space left on device")

    table, options = batch.rows(8), ("--shard-rows", "3")
    with monkeypatch.context() as patch:
        patch.setattr(_ledger, "write_table", crash)
        assert "Stopped. No space left" in batch.run(table, *options, code=1)
    batch.run(table, *options)
    assert ids(batch.answers()) == names(8)

    rows = [{"id": f"r{n}", "prompt": f"Shout {n}." if n == 4 else f"Say {n}."} for n in range(8)]
    table, before = batch.write(rows), len(batch.emulator.requests)
    with monkeypatch.context() as patch:
        patch.setattr(_ledger, "write_table", crash)
        batch.run(table, *options, "--changed", "ask", code=1)
    batch.run(table, *options)
    assert ids(batch.answers()) == names(8)
    assert len(batch.emulator.requests) == before + 1


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_within_two_seconds_and_loses_no_answer(
    batch: Batch, number: signal.Signals
) -> None:
    table = batch.rows(60)
    batch.emulator.reply("Quick.", times=20)
    batch.emulator.reply("Never.", delay=60, times=10)
    process = batch.start(table, "--concurrency", "10")
    eventually(lambda: len(batch.emulator.requests) == 30)
    time.sleep(0.2)
    began = time.monotonic()
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert time.monotonic() - began < 2
    assert (process.returncode, err) == (130, "")
    assert "run the same command to continue" in out
    assert [answer["text"] for answer in batch.answers()] == ["Quick."] * 20
    batch.run(table)
    assert ids(batch.answers()) == names(60)
    assert len(batch.emulator.requests) == 60 + 10


def test_during_a_run_status_works_and_another_run_is_refused(batch: Batch) -> None:
    table = batch.rows(6)
    batch.emulator.reply("Fine.", times=2)
    batch.emulator.fail("DataInspectionFailed", "Input data may contain ...")
    batch.emulator.reply("Slow.", delay=60, times=3)
    batch.start(table, "--concurrency", "3")
    eventually(lambda: len(batch.emulator.requests) == 6)
    assert batch.call("status", "--out", str(batch.out)) == (
        "2 of 6 answered, 1 failed: the file dead-letters lists them when a run ends, and "
        "retry-failed sends them again.\n"
    )
    assert not batch.dead()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "PATIENCE", 0.1)
        assert "Another run writes" in batch.run(table, code=1)


# --- What was changed ---


@pytest.mark.parametrize("out", ["jsonl", "parquet"])
@pytest.mark.parametrize("choice", ["ask", "keep"])
def test_a_changed_prompt_under_an_old_id_is_noticed(
    batch: Batch, choice: Literal["ask", "keep"], out: str
) -> None:
    table, options = batch.rows(8), ("--shard-rows", "3", "--format", out)
    batch.run(table, *options)
    rows = [{"id": f"r{n}", "prompt": f"Shout {n}." if n == 4 else f"Say {n}."} for n in range(9)]
    table = batch.write(rows)
    said = batch.run(table, *options, code=1)
    assert "'r4'. Nothing was sent. Use --changed ask" in said
    assert len(batch.emulator.requests) == 8
    batch.run(table, *options, "--changed", choice)
    assert ids(batch.answers()) == names(9)
    assert batch.asked()["Shout 4."] == (choice == "ask")
    assert len(batch.emulator.requests) == 9 + (choice == "ask")


def test_another_parameter_is_a_change_too(batch: Batch) -> None:
    table = batch.rows(8)
    batch.run(table)
    said = batch.run(table, "--set", "temperature=0.5", code=1)
    assert "'r0', 'r1', 'r2', 'r3', 'r4' and 3 more" in said


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([{"id": 1, "prompt": "a"}, {"id": "1", "prompt": "b"}], "'1' is in the input twice"),
        (
            [{"id": 1, "prompt": "a"}, {"id": 2}],
            "row 2: no value in the column 'prompt'; the columns are 'id'",
        ),
        ([{"id": 1, "prompt": None}], "row 1: no value in the column 'prompt'; the columns"),
        ([{"id": 1.5, "prompt": "a"}], "row 1: the column 'id' must hold a text or a whole number"),
        ([{"prompt": "a"}], "row 1: no value in the column 'id'; the columns are 'prompt'"),
        ([{"id": 1, "prompt": "a"}, "b"], "row 2: is not a JSON object"),
        (
            [{"id": True, "prompt": "a"}],
            "row 1: the column 'id' must hold a text or a whole number",
        ),
        ([{"id": 1, "prompt": " "}], "row 1: the prompt is empty"),
        ([{"id": 1, "prompt": {"a": 1}}], "row 1: the column 'prompt' must hold a text"),
    ],
)
def test_a_wrong_row_is_reported_before_anything_is_asked(
    batch: Batch, rows: list[dict[str, Any]], says: str
) -> None:
    assert says in batch.run(batch.write(rows), code=1)
    assert not batch.emulator.requests


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.csv", "id,prompt\n1,ok\n2,Hello, world\n", "row 2: has more or fewer values"),
        ("a.csv", "id,prompt\n1\n", "row 1: has more or fewer values"),
        ("a.csv", 'id,prompt\n1,"Hello\n2,fine\n', "row 1: unexpected end of data"),
        ("a.csv", "id,prompt,prompt\n1,a,b\n", "two columns have the same name"),
        (
            "a.csv",
            "7,a private prompt\n8,other\n",
            "the columns are '7', (a text that is not shown).",
        ),
        ("a.csv", "id,prompt\n1,caf\xe9\n", "a.csv is not UTF-8"),
        ("a.jsonl", '{"id":"\\ud800","prompt":"a"}', "row 1: 'utf-8' codec can't encode"),
        ("a.jsonl", '{"id":1,"prompt":"\\ud800"}', "row 1: 'utf-8' codec can't encode"),
        ("a.jsonl", '{"id":1,"prompt":' + "[" * 100_000, "row 1: is not valid JSON"),
        ("a.txt", "Hello", "the name of the file must end in .jsonl"),
    ],
)
def test_a_wrong_file_is_reported_before_anything_is_asked(
    batch: Batch, name: str, text: str, says: str
) -> None:
    table = batch.folder / name
    table.write_bytes(text.encode("latin-1"))
    assert says in batch.run(table, code=1)
    assert not batch.emulator.requests


@pytest.mark.parametrize("said", [[], [1], ["a", {"role": "?"}], [{"content": "a"}], {"a": 1}])
def test_wrong_messages_are_reported_before_anything_is_asked(batch: Batch, said: Any) -> None:
    table = batch.write([{"id": 1, "chat": said}])
    out = batch.run(table, "--messages-column", "chat", code=1)
    assert "row 1: the column 'chat' must hold a list of messages" in out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--set", "temprature=1"], "temprature"),
        (["--set", "temperature=5"], "temperature"),
        (["--schema", "docs.examples.extraction.__main__:Orders"], "AttributeError"),
        (["--schema", "no_such:Order"], "No module named 'no_such'"),
        (["--template", "Say {what}."], "row 1: no value in the column 'what'"),
        (
            ["--messages-column", "prompt"],
            "row 1: the column 'prompt' must hold a list of messages (in CSV as JSON)",
        ),
        (["--template", "Say {prompt.foo}."], "no value in the column 'prompt.foo'"),
        (["--template", "Say {prompt:>9}."], "--template: put only names of columns"),
        (["--template", "Say it."], "--template: put only names of columns"),
        (["--template", "Say {"], "--template: "),
        (["--template", ""], "--template: put only names of columns"),
        (["--schema", "tests.integration_tests.batches:Odd"], "PydanticInvalidForJsonSchema"),
        (["--schema", "Order"], "Give a pydantic class as module:Class"),
        (
            [
                *("--schema", "docs.examples.extraction.__main__:Order"),
                *("--model", "deepseek-r1-distill-qwen-1.5b"),
            ],
            "The model cannot be made or used: deepseek-r1-distill-qwen-1.5b does not support tools",
        ),
    ],
)
def test_wrong_options_are_reported_before_anything_is_asked(
    batch: Batch, options: list[str], says: str
) -> None:
    said = batch.run(batch.rows(3), *options, code=1)
    assert says in said
    assert not batch.emulator.requests


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--requests-per-minute", "0"], "give a whole number above 0"),
        (["--set", "temperature"], "give NAME=VALUE"),
        (
            ["--set", "dashscope_api_key=x"],
            "dashscope_api_key cannot be given with --set: use --model",
        ),
    ],
)
def test_a_wrong_value_of_an_option_is_refused(
    batch: Batch, options: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        command.main(batch.command(batch.rows(1), *options))
    assert says in capsys.readouterr().err


def test_a_missing_key_is_noticed_before_the_table_is_read(batch: Batch) -> None:
    batch.environment["DASHSCOPE_API_KEY"] = ""
    assert "Stopped. There is no API key" in batch.run(batch.folder / "none.jsonl", code=1)


@pytest.mark.parametrize(
    ("option", "module", "extra"),
    [("--format=parquet", "pyarrow", "batch"), ("--ray", "ray", "ray")],
)
def test_a_missing_extra_is_noticed_before_anything_is_asked(
    batch: Batch, option: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    said = batch.run(batch.rows(1), option, code=1)
    assert (
        f'No module named {module!r}: pip install "langchain-dashscope-deepseek[{extra}]"' in said
    )
    assert not batch.emulator.requests


def test_a_template_can_come_from_a_file(batch: Batch) -> None:
    path = batch.folder / "template.txt"
    path.write_text("Label: {prompt}\n", encoding="utf-8-sig")
    batch.run(batch.rows(1), "--template-file", str(path))
    assert batch.asked() == Counter({"Label: Say 0.\n": 1})
    path.write_bytes(b"caf\xe9 {prompt}")
    assert "is not UTF-8" in batch.run(batch.rows(1), "--template-file", str(path), code=1)


def test_half_of_a_surrogate_pair_in_an_answer_is_replaced(batch: Batch) -> None:
    batch.emulator.reply("Half \ud83d.")
    batch.run(batch.rows(1))
    assert [answer["text"] for answer in batch.answers()] == ["Half ?."]


def test_answers_keep_the_format_of_their_folder(batch: Batch) -> None:
    batch.run(batch.rows(1))
    assert "--format jsonl: use it again" in batch.run(batch.rows(1), "--format", "csv", code=1)


def test_a_file_of_answers_that_is_missing_is_written_again(batch: Batch) -> None:
    batch.run(batch.rows(4), "--shard-rows", "2")
    (batch.out / "part-00001.jsonl").unlink()
    batch.run(batch.rows(4), "--shard-rows", "2")
    assert ids(batch.answers()) == names(4)
    assert len(batch.emulator.requests) == 4


def test_a_setting_without_influence_on_answers_may_change(batch: Batch) -> None:
    table = batch.rows(3)
    batch.run(table, "--set", "timeout=60")
    batch.run(table, "--set", "timeout=90")
    assert len(batch.emulator.requests) == 3


def test_answers_without_a_ledger_are_not_overwritten(batch: Batch) -> None:
    batch.out.mkdir()
    old = batch.out / "part-00001.jsonl"
    old.write_text("paid for")
    assert "answers but no ledger" in batch.run(batch.rows(1), code=1)
    assert old.read_text() == "paid for"


def test_a_second_run_into_a_folder_is_refused(batch: Batch) -> None:
    """With Ray the ledger goes from the command to an actor."""
    batch.out.mkdir()
    with closing(lock(batch.out / "run.sqlite")):
        assert "Another run writes" in batch.run(batch.rows(1), code=1)


def test_a_file_without_answers_is_removed(batch: Batch) -> None:
    """Without a row it would have other columns than the others."""
    options = ("--format", "parquet", "--shard-rows", "2", "--concurrency", "1")
    batch.run(batch.rows(4), *options)
    rows = [{"id": f"r{n}", "prompt": f"{'Shout' if n < 2 else 'Say'} {n}."} for n in range(4)]
    batch.run(batch.write(rows), *options, "--changed", "ask")
    assert [path.name for path in sorted(batch.out.glob("part-*"))] == [
        "part-00002.parquet",
        "part-00003.parquet",
    ]
    assert ids(batch.answers()) == names(4)


def test_a_prompt_may_change_after_a_crash_before_its_file_is_written(
    batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(path: Path, records: Iterable[str]) -> None:
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(_ledger, "write_table", crash)
        batch.run(batch.rows(3), code=1)
    batch.emulator.fail("DataInspectionFailed", "Input data may contain ...", times=3)
    rows = [{"id": f"r{n}", "prompt": f"Shout {n}."} for n in range(3)]
    assert "0 of 3 answered, 3 failed" in batch.run(batch.write(rows), "--changed", "ask")
    assert ids(batch.dead()) == names(3)


@pytest.mark.parametrize("after", ["unlinking", "writing"])
@pytest.mark.parametrize("fails", [False, True])
def test_a_crash_while_files_are_replaced_leaves_each_answer_once(
    batch: Batch, after: str, fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does what a crash wrote beside the ledger outlive a prompt that was changed."""
    options = ("--shard-rows", "2", "--concurrency", "1")
    batch.run(batch.rows(4), *options)

    def crash(path: Path, records: Iterable[str]) -> None:
        write_table(path, records)
        if path.exists() == (after == "writing"):
            raise OSError("No space left on device")

    rows = [{"id": f"r{n}", "prompt": f"Shout {n}."} for n in range(4)]
    with monkeypatch.context() as patch:
        patch.setattr(_ledger, "write_table", crash)
        batch.run(batch.write(rows), *options, "--changed", "ask", code=1)
    for row in rows:
        row["prompt"] = "Whisper."
    if fails:
        batch.emulator.fail("DataInspectionFailed", "Input data may contain ...", times=4)
    batch.run(batch.write(rows), *options, "--changed", "ask")
    assert ids(batch.dead() if fails else batch.answers()) == names(4)
    assert len(batch.dead() + batch.answers()) == 4


def test_further_signals_lose_no_answer(batch: Batch) -> None:
    rows = [Row(f"r{n}", json.dumps([{"role": "user", "content": "Hi"}])) for n in range(10)]
    batch.out.mkdir()
    with (
        closing(Ledger(batch.out, "jsonl", 5000, 0)) as ledger,
        pytest.MonkeyPatch.context() as patch,
    ):
        queued, add = ledger.plan(rows, None, retry_failed=False), ledger.add

        def slowly(records: list[Record]) -> None:
            time.sleep(0.4)
            add(records)

        patch.setattr(ledger, "add", slowly)
        for seconds in (0.1, 0.2, 0.3):
            threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            run_here(ledger, _AtOnce(), queued, 10)  # type: ignore[arg-type]
        assert ledger.counts.answered == 10


class _AtOnce:
    async def ask(self, row: Row) -> Record:
        await asyncio.sleep(0 if row.id == "r0" else 0.02)
        return Record(row.id, answered=True, text=json.dumps({"id": row.id}), requests=1)

    async def aclose(self) -> None:
        pass


# --- What fails ---


def test_a_failed_row_with_another_prompt_is_asked_again(batch: Batch) -> None:
    batch.emulator.fail("DataInspectionFailed", "Input data may contain ...")
    batch.run(batch.rows(2), "--concurrency", "1")
    batch.run(batch.write([{"id": "r0", "prompt": "Mended."}, {"id": "r1", "prompt": "Say 1."}]))
    assert batch.asked() == Counter({"Say 0.": 1, "Say 1.": 1, "Mended.": 1})
    assert (ids(batch.answers()), batch.dead()) == (names(2), [])


def test_failed_rows_that_fail_again_do_not_stop_the_run(
    batch: Batch,
) -> None:
    batch.emulator.reply("Fine.")
    batch.emulator.fail("DataInspectionFailed", "Input data may contain ...", times=30 + 25)
    batch.run(batch.rows(31), "--concurrency", "1")
    batch.run(batch.rows(31), "--concurrency", "1", command="retry-failed")
    assert (len(batch.dead()), len(batch.answers())) == (25, 6)


def test_run_asks_the_rows_that_a_stopped_retry_failed_left(batch: Batch) -> None:
    batch.emulator.fail("DataInspectionFailed", "Input data may contain ...", times=2)
    batch.run(batch.rows(2), "--concurrency", "1")
    table = batch.write([{"id": f"r{n}", "prompt": f"Mended {n}."} for n in range(2)])
    batch.emulator.reply("Fine.")
    batch.emulator.fail("InvalidApiKey", status=401)
    batch.run(table, "--concurrency", "1", command="retry-failed", code=1)
    batch.run(table, "--concurrency", "1")
    asked = {"Say 0.": 1, "Say 1.": 1, "Mended 0.": 1, "Mended 1.": 2}
    assert batch.asked() == Counter(asked)
    assert ids(batch.answers()) == names(2)


@pytest.mark.filterwarnings("ignore:The model did not call")
def test_answers_that_never_fit_stop_the_run(batch: Batch) -> None:
    batch.emulator.reply("I would rather not.", times=60)
    schema = ("--schema", "tests.integration_tests.batches:Marks")
    said = batch.run(batch.rows(60), *schema, "--concurrency", "1", code=1)
    assert "20 rows failed in succession" in said
    assert len(batch.emulator.requests) == 20
    assert {each["code"] for each in batch.dead()} == {"OutputParserException"}


def test_rate_limit_errors_do_not_count_as_attempts(batch: Batch) -> None:
    batch.emulator.fail(
        "Throttling.RateQuota", status=429, headers={"retry-after": "0.01"}, times=5
    )
    batch.emulator.fail("InternalError", status=500, headers={"retry-after": "0.01"})
    batch.run(batch.rows(1), "--attempts", "2")
    assert [each["attempts"] for each in batch.answers()] == [7]


def test_numbers_that_json_cannot_hold_are_null(batch: Batch) -> None:
    batch.emulator.reply(
        tool_calls=[{"name": "Marks", "arguments": {"marks": {}, "weight": "inf"}}]
    )
    batch.run(batch.rows(1), "--schema", "tests.integration_tests.batches:Marks")
    assert [answer["parsed"] for answer in batch.answers()] == [{"marks": {}, "weight": None}]


def test_retry_failed_asks_failed_rows_again(batch: Batch) -> None:
    table = batch.rows(6)
    batch.emulator.reply("Fine.", times=2)
    batch.emulator.fail("DataInspectionFailed", "Input data may contain inappropriate content.")
    batch.emulator.fail("InvalidParameter", "Range of max_tokens should be [1, 32768]")
    out = batch.run(table, "--concurrency", "1")
    assert "4 of 6 answered" in out
    assert [(each["id"], each["code"]) for each in batch.dead()] == [
        ("r2", "DataInspectionFailed"),
        ("r3", "InvalidParameter"),
    ]
    assert all(each["request_id"] and each["message"] for each in batch.dead())

    batch.run(table)
    assert len(batch.emulator.requests) == 6
    batch.emulator.fail("DataInspectionFailed", "Input data may contain inappropriate content.")
    batch.run(table, "--concurrency", "1", command="retry-failed")
    assert len(batch.emulator.requests) == 8
    assert (ids(batch.dead()), ids(batch.answers())) == (["r2"], ["r0", "r1", "r3", "r4", "r5"])


def test_a_retryable_failure_is_retried_and_counted(batch: Batch) -> None:
    batch.emulator.fail("InternalError", status=500, headers={"retry-after": "0.1"}, times=2)
    batch.run(batch.rows(1))
    (answer,) = batch.answers()
    assert (answer["attempts"], len(batch.emulator.requests)) == (3, 3)


def test_a_row_fails_after_its_attempts(batch: Batch) -> None:
    batch.emulator.fail("InternalError", status=500, headers={"retry-after": "0.1"}, times=3)
    batch.run(batch.rows(1), "--attempts", "3")
    (letter,) = batch.dead()
    assert (letter["code"], letter["attempts"]) == ("InternalError", 3)


@pytest.mark.parametrize(
    ("code", "status", "says"),
    [
        ("InvalidApiKey", 401, "DashScopeAuthenticationError"),
        ("Arrearage", 400, "DashScopeQuotaExceededError"),
        ("ModelNotFound", 404, "DashScopeNotFoundError"),
        ("InvalidParameter", 400, "20 rows failed in succession"),
    ],
)
def test_a_failure_of_every_row_stops_the_run(
    batch: Batch, code: str, status: int, says: str
) -> None:
    batch.emulator.fail(code, status=status, times=1000)
    said = batch.run(batch.rows(200), "--concurrency", "5", code=1)
    assert says in said
    assert "Traceback" not in said
    assert len(batch.emulator.requests) < 40
    assert len(batch.dead()) < 20


# --- How fast ---


def test_tokens_per_minute_are_limited(batch: Batch) -> None:
    usage = {"input_tokens": 50, "output_tokens": 50, "total_tokens": 100}
    batch.emulator.reply("Much.", usage=usage, times=1000)
    began = time.monotonic()
    batch.run(batch.rows(30), "--tokens-per-minute", "60000", "--concurrency", "4")
    # 3,000 tokens, 1,000 a second: a second's worth at once, and the last call's go on top.
    assert time.monotonic() - began > 1.8


@pytest.mark.slow
def test_a_rate_limit_error_pauses_all_requests(batch: Batch) -> None:
    table = batch.rows(40)
    batch.emulator.reply("Fine.", times=10)
    batch.emulator.fail("Throttling.RateQuota", status=429, headers={"retry-after": "1.5"}, times=1)
    process = batch.start(table, "--concurrency", "4")
    eventually(lambda: len(batch.emulator.requests) >= 11)
    time.sleep(0.7)
    assert len(batch.emulator.requests) <= 11 + 3  # those that were in flight
    process.communicate(timeout=30)
    assert ids(batch.answers()) == names(40)
    assert sum(answer["attempts"] for answer in batch.answers()) == 41


def test_the_progress_shows_counts_rates_and_cost(batch: Batch) -> None:
    usage = {"input_tokens": 1000, "output_tokens": 500, "total_tokens": 1500}
    batch.emulator.reply("Fine.", usage=usage, times=4)
    out = batch.run(batch.rows(4), "--price-input", "2", "--price-output", "8")
    assert re.search(
        r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d 4 of 4 done, 0 failed, [\d,]+ tokens/s, "
        r"[\d.]+ requests/s, cost 0\.0240, 0:00:00 left$",
        out,
        re.MULTILINE,
    )
    assert "\r" not in out
