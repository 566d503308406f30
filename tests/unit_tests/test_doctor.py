"""The doctor: its report on an emulator that does as the table says, and on one that does not."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from langchain_dashscope_deepseek import DashScopeWarning
from langchain_dashscope_deepseek.capabilities import MODELS
from langchain_dashscope_deepseek.doctor import __main__ as command
from langchain_dashscope_deepseek.doctor._asking import Finding
from langchain_dashscope_deepseek.doctor._checks import EFFORTS, checks_of
from langchain_dashscope_deepseek.testing import DashScopeEmulator

MODEL = "deepseek-v4.1-flash"
ROW = MODELS[MODEL]
KEY = "sk-5e4d3c2b1a"
WORKSPACE = "ws-123"
ONE_PIECE = {"output": {"choices": [{"finish_reason": "stop", "message": {"content": "OK"}}]}}


@dataclass
class Report:
    code: int
    text: str
    errors: str

    def __getitem__(self, check: str) -> list[str]:
        """Give the columns of a check's line: service, table, and DIFFERS or a note."""
        (line,) = (line for line in self.text.splitlines() if line.startswith(f"  {check}  "))
        return re.split(r"\s{2,}", line.strip())[1:]


Run = Callable[..., Report]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command against an emulator."""

    def run(emulator: DashScopeEmulator, *arguments: str) -> Report:
        monkeypatch.setenv("DASHSCOPE_BASE_URL", emulator.base_url)
        monkeypatch.setenv("DASHSCOPE_API_KEY", KEY)
        code = command.main(arguments or ["--yes", "--model", MODEL])
        return Report(code, *capsys.readouterr())

    return run


@pytest.fixture
def emulator() -> Iterator[DashScopeEmulator]:
    with DashScopeEmulator() as emulator:
        yield emulator


@pytest.mark.parametrize("model", {row: name for name, row in MODELS.items()}.values())
def test_a_service_that_does_as_the_table_says_differs_nowhere(
    model: str, run: Run, emulator: DashScopeEmulator
) -> None:
    report = run(emulator, "--yes", "--model", model)

    assert report.code == 0
    assert report["key and region"] == ["yes"]
    assert report["answers"] == ["yes", "yes"]
    assert "DIFFERS" not in report.text
    assert "failed" not in report.text


def row(**fields: Any) -> dict[str, Any]:
    return {"models": {MODEL: replace(ROW, **fields)}}


NO_EFFORTS = row(reasoning_efforts=(), reasoning_effort_aliases=(), reasoning_effort_range=None)
NO_KNOBS = row(settable=(ROW.settable or frozenset()) - {"stop", "seed"})

OTHERWISE: list[tuple[dict[str, Any], dict[str, tuple[str, str]]]] = [
    ({"routes": {MODEL: None}}, {"answers": ("no", "yes")}),
    (
        {"routes": {MODEL: "text-generation"}},
        {"route": ("text-generation", "multimodal-generation"), "image": ("no", "yes")},
    ),
    (row(thinking="off"), {"thinks by default": ("no", "yes")}),
    (
        row(thinking="never"),
        {
            "thinking on": ("no", "yes"),
            "thinking on, streamed": ("no", "yes"),
            "json_object, thinking": ("yes", "no"),
        },
    ),
    (
        row(thinking="always"),
        {
            "thinking off": ("no", "yes"),
            "named tool": ("no", "yes"),
            "required": ("no", "yes"),
        },
    ),
    (row(tools="never"), {"tool": ("no", "yes")}),
    (row(tools="when_not_thinking"), {"tool, thinking": ("no", "yes")}),
    (
        {"accepts": ["forced_choice_while_thinking"]},
        {"named tool, thinking": ("yes", "no"), "required, thinking": ("yes", "no")},
    ),
    (row(json_object=False), {"json_object": ("no", "yes")}),
    (NO_EFFORTS, {f"reasoning_effort={value}": ("no", "yes") for value in EFFORTS}),
    (row(reasoning_replay="never"), {"reasoning sent back": ("no", "yes")}),
    ({"strict_replay": False}, {"reasoning left out": ("yes", "no")}),
    (row(images=False), {"image": ("no", "yes")}),
    (NO_KNOBS, {"stop": ("no", "yes"), "seed": ("no", "yes")}),
]
"""An emulator that is told to do otherwise, and by check: the service, and the table."""

TABLE_OTHERWISE = {
    "json_schema": {"json_schema": True},
    "implicit cache": {"cache": False},  # a miss shows nothing, so only a hit can differ
}
"""Checks that no emulator can be told to fail: by check, what the row is told to say."""


@pytest.mark.parametrize(("settings", "expected"), OTHERWISE, ids=", ".join)
def test_a_point_differs_where_the_service_does_otherwise(
    settings: dict[str, Any], expected: dict[str, tuple[str, str]], run: Run
) -> None:
    with DashScopeEmulator(**settings) as emulator:
        report = run(emulator)

    for check, columns in expected.items():
        assert report[check][:3] == [*columns, "DIFFERS"]
    is_refused = any(columns == ("no", "yes") for columns in expected.values())
    assert report.code == int(is_refused)


@pytest.mark.parametrize("check", TABLE_OTHERWISE)
def test_a_point_differs_where_the_table_says_otherwise(
    check: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MODELS, MODEL, replace(ROW, **TABLE_OTHERWISE[check]))  # type: ignore[arg-type]

    with DashScopeEmulator(models={MODEL: ROW}) as emulator:
        assert run(emulator)[check][2] == "DIFFERS"


def test_a_stream_that_comes_in_one_piece_differs(run: Run, emulator: DashScopeEmulator) -> None:
    emulator.reply("OK", reasoning="Hm.")
    emulator.raw(json.dumps(ONE_PIECE), headers={"content-type": "application/json"})

    assert run(emulator)["streamed"] == ["no", "yes", "DIFFERS"]


def test_every_point_of_which_the_table_says_something_was_told_otherwise() -> None:
    said = {check.name for check in checks_of(ROW, None) if check.table is not None}
    told = {check for _, expected in OTHERWISE for check in expected}
    assert {*said, "answers", "route", "thinks by default"} == {*told, *TABLE_OTHERWISE, "streamed"}


def test_required_with_two_tools_is_found_out_where_the_table_does_not_know(
    run: Run, emulator: DashScopeEmulator
) -> None:
    refused = run(emulator)["required, 2 tools"]
    with DashScopeEmulator(accepts=["required_with_several_tools"]) as other:
        accepted = run(other)["required, 2 tools"]

    assert refused[:2] == ["no", "not known"]
    assert refused[2].startswith("Please set one tool in required mode")
    assert accepted == ["yes", "not known"]


# An answer of the emulator to the request of a check, and how it is read.
@pytest.mark.parametrize(
    ("check", "answer", "expected"),
    [
        ("tool", {"text": "It is noon."}, "unclear"),
        ("named tool", {"text": "It is noon."}, "no"),
        ("required", {"text": "It is", "finish_reason": "length"}, "unclear"),
        ("json_object", {"text": "Here you are: yes."}, "no"),
        ("json_object", {"text": '{"ok": ', "finish_reason": "length"}, "unclear"),
        ("stop", {"text": "one two three four"}, "no"),
        ("stop", {"text": "one two", "finish_reason": "length"}, "unclear"),
        ("thinking on", {"reasoning": "Hm", "finish_reason": "length"}, "yes"),
    ],
)
def test_an_answer_counts_for_no_more_than_it_shows(
    check: str, answer: dict[str, Any], expected: str, run: Run
) -> None:
    class Answering(DashScopeEmulator):
        """Answers one request from a script, and the others by itself."""

        def _answer(self, *request: Any) -> Any:
            response = super()._answer(*request)
            if len(self.requests) == before:
                self.reply(**answer)
            return response

    names = [each.name for each in checks_of(ROW, None)]
    before = 1 + names.index(check)
    with Answering() as emulator:
        assert run(emulator)[check][0] == expected


def test_a_wrong_key_ends_it_at_once_with_what_to_do(run: Run, emulator: DashScopeEmulator) -> None:
    emulator.fail("InvalidApiKey", f"Invalid API-key provided: {KEY}", status=401, times=100)

    report = run(emulator)

    assert report.code == 1
    assert len(emulator.requests) == 1
    assert "a key works only in the region that issued it" in report.errors
    assert KEY not in report.text + report.errors


def test_no_connection_ends_it_at_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with DashScopeEmulator() as emulator:
        base_url = emulator.base_url
    monkeypatch.setattr(DashScopeEmulator, "base_url", base_url)

    report = run(emulator)

    assert report.code == 1
    assert "No connection to the service" in report.errors


def test_a_failure_is_no_refusal(run: Run, emulator: DashScopeEmulator) -> None:
    """A limit, a fault or a quota says nothing of the model."""
    emulator.reply("OK", reasoning="Hm.")
    emulator.fail("Throttling", status=429)
    emulator.fail("Arrearage")

    report = run(emulator)

    assert report["streamed"][:2] == report["thinking on"][:2] == ["failed", "yes"]
    assert report.code == 1


def test_a_failure_is_shown_with_all_of_its_text(run: Run, emulator: DashScopeEmulator) -> None:
    """The code of an unpaid bill stands behind a long text."""
    text = "Access denied, please make sure your account is in good standing."
    emulator.fail("Arrearage", text)
    assert f"{text} [code Arrearage, HTTP 400" in run(emulator)["answers"][2]


def test_without_names_a_model_that_the_account_has_not_is_passed_over(
    run: Run, emulator: DashScopeEmulator
) -> None:
    current = [name for name, row in MODELS.items() if row.status == "current"]
    emulator.fail("AccessDenied", "Access denied.", status=403, times=len(current) - 1)

    report = run(emulator, "--yes")

    assert report.code == 0
    assert report.text.count("Access denied.") == len(current) - 1


def test_where_no_model_answers_it_fails(run: Run, emulator: DashScopeEmulator) -> None:
    emulator.fail("AccessDenied", status=403, times=100)

    report = run(emulator, "--yes")

    assert report["key and region"] == ["failed", "no model answered"]
    assert report.code == 1


def test_of_a_model_that_the_table_has_not_only_the_route_can_differ(run: Run) -> None:
    with DashScopeEmulator(models={"no-such-model": ROW}) as emulator:
        report = run(emulator, "--yes", "--model", "no-such-model")

    assert report.code == 0
    assert report["route"] == ["multimodal-generation", "text-generation", "DIFFERS"]
    assert report.text.count("DIFFERS") == 1


def test_the_estimate_is_not_exceeded(run: Run, emulator: DashScopeEmulator) -> None:
    """Of the requests it is the most, of the tokens it is no less and not twice as many."""
    models = (MODEL, "deepseek-v4-pro", "deepseek-r1")
    arguments = [argument for model in models for argument in ("--model", model)]
    text = run(emulator, "--yes", *arguments).text.replace(",", "")
    ((most, about), (requests, tokens)) = re.findall(r"(\d+) requests.*?(\d+) tokens", text)

    assert len(emulator.requests) == int(requests) <= int(most)
    assert int(tokens) <= int(about) <= 2 * int(tokens)


def test_it_asks_on_a_terminal(
    run: Run, emulator: DashScopeEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for said, code in (("\n", 2), ("y\n", 0)):
        terminal = io.StringIO(said)
        monkeypatch.setattr(terminal, "isatty", lambda: True)
        monkeypatch.setattr(sys, "stdin", terminal)
        assert not emulator.requests
        assert run(emulator, "--model", MODEL).code == code
    assert emulator.requests


def test_without_a_terminal_it_asks_nothing_and_says_what_to_add(
    run: Run, emulator: DashScopeEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))

    report = run(emulator, "--model", MODEL)

    assert report.code == 2
    assert "Add --yes" in report.errors
    assert not emulator.requests


@pytest.mark.parametrize(
    ("variables", "arguments", "error"),
    [
        ({}, [], "There is no API key"),
        ({"DASHSCOPE_API_KEY": KEY, "DASHSCOPE_REGION": "nowhere"}, [], "DASHSCOPE_REGION"),
        ({"DASHSCOPE_API_KEY": KEY}, ["--json", "no/such/folder.json"], "no folder no/such"),
        ({"DASHSCOPE_API_KEY": KEY}, ["--json", "/"], "is a folder"),
        ({"DASHSCOPE_API_KEY": KEY}, ["--nonsense"], "--nonsense"),
    ],
)
def test_wrong_usage_ends_with_2(
    variables: dict[str, str],
    arguments: list[str],
    error: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        command.main(["--yes", *arguments])
    assert ended.value.code == 2
    assert error in capsys.readouterr().err


def test_the_report_for_an_issue_says_all_but_whose_it_is(
    run: Run, emulator: DashScopeEmulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DASHSCOPE_WORKSPACE_ID", WORKSPACE)
    host = emulator.base_url.split("/")[2]
    emulator.reply("OK", reasoning="Hm.")
    emulator.fail("InvalidParameter", f"{WORKSPACE} at {host}: {KEY}", status=400)
    file = tmp_path / "report.json"

    run(emulator, "--yes", "--model", MODEL, "--json", str(file))

    text = file.read_text(encoding="utf-8")
    report = json.loads(text)
    assert {"date", "python", "langchain-dashscope-deepseek", "langchain-core"} < report.keys()
    (streamed,) = (each for each in report["findings"] if each["check"] == "streamed")
    assert streamed["differs"]
    assert streamed["note"].startswith("[redacted] at [redacted]: [redacted]")
    for private in (KEY, WORKSPACE, host):
        assert private not in text


def test_a_workspace_in_the_host_stays_out_of_the_report(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The host is reached through a proxy of the environment, whose errors name it."""
    file = tmp_path / "report.json"
    with DashScopeEmulator() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.base_url.removesuffix("/api/v1"))
        url = f"http://{WORKSPACE}.cn-beijing.maas.aliyuncs.com/api/v1"
        monkeypatch.setattr(DashScopeEmulator, "base_url", url)
        with pytest.warns(DashScopeWarning, match="unencrypted"):
            report = run(proxy, "--yes", "--model", MODEL, "--json", str(file))

    assert proxy.requests[0].path.startswith("http://ws-123.")
    assert report["answers"][:2] == ["no", "yes"]
    text = file.read_text(encoding="utf-8")
    assert json.loads(text)["region"] == "cn-beijing"
    assert WORKSPACE not in text
    assert "maas" not in text


def test_ctrl_c_ends_it_quietly_and_keeps_the_findings(
    run: Run, emulator: DashScopeEmulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shown = command._show

    def show(finding: Finding, before: list[Finding]) -> None:
        if finding.check == "seed":
            raise KeyboardInterrupt
        shown(finding, before)

    monkeypatch.setattr(command, "_show", show)
    file = tmp_path / "report.json"

    report = run(emulator, "--yes", "--model", MODEL, "--json", str(file))

    assert report.code == 130
    assert not report.errors
    findings = json.loads(file.read_text(encoding="utf-8"))["findings"]
    assert findings[-1]["check"] == "stop"


def test_nothing_is_sent_otherwise_than_it_is_written(
    run: Run, emulator: DashScopeEmulator
) -> None:
    """The chat model would switch thinking off, or ask again."""
    run(emulator)

    sent = [request.body["parameters"] for request in emulator.requests]
    forced = [each for each in sent if each.get("tool_choice") == "required"]
    assert [(each["enable_thinking"], len(each["tools"])) for each in forced] == [
        *((False, 1), (False, 2)),
        *((True, 1), (True, 2)),
    ]


def test_it_is_a_command_with_a_help() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "langchain_dashscope_deepseek.doctor", "--help"],
        check=True,
        capture_output=True,
        text=True,
    )
    for word in ("--yes", "--model", "--json", "exit codes", "DASHSCOPE_API_KEY"):
        assert word in shown.stdout
