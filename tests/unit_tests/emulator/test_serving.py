"""The emulator as a fixture, a server and a module."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from langchain_dashscope_deepseek import ChatDashScopeDeepSeek
from langchain_dashscope_deepseek.testing import DashScopeEmulator
from tests.unit_tests.emulator.asking import ROUTE

pytest_plugins = ["langchain_dashscope_deepseek.testing.fixtures"]


@pytest.mark.parametrize("name", ["HTTP_PROXY", "ALL_PROXY"])
def test_a_proxy_of_the_environment_does_not_keep_the_fixture_away(
    name: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv(name, "http://127.0.0.1:9")
    emulator = request.getfixturevalue("dashscope_emulator")
    emulator.reply("Reached.")
    assert ChatDashScopeDeepSeek(model="deepseek-v4-pro", max_retries=0).invoke("Hi").text


def test_the_fixture_sets_the_environment(dashscope_emulator: DashScopeEmulator) -> None:
    assert os.environ["DASHSCOPE_API_KEY"] == dashscope_emulator.api_key
    assert os.environ["DASHSCOPE_HTTP_BASE_URL"] == dashscope_emulator.base_url


@pytest.fixture
def served() -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    command = [sys.executable, "-m", "langchain_dashscope_deepseek.testing", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process, [process.stdout.readline().strip() for _ in range(2)]
        process.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM")
def test_it_serves_from_the_command_line(
    served: tuple[subprocess.Popen[str], list[str]], http: httpx.Client
) -> None:
    process, (base_url, hint) = served
    assert hint == f"export DASHSCOPE_HTTP_BASE_URL={base_url} DASHSCOPE_API_KEY=sk-emulator"

    response = http.post(base_url + ROUTE, headers={"Authorization": "Bearer sk-x"}, json={})

    assert response.status_code == 400
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0


def test_it_does_not_import_pytest_or_the_client() -> None:
    """It must run without the test dependencies, and must not share the client's mistakes."""
    code = (
        "import ast, pathlib, langchain_dashscope_deepseek.testing as t\n"
        "for path in pathlib.Path(t.__file__).parent.glob('*.py'):\n"
        "    for node in ast.walk(ast.parse(path.read_text('utf-8'))):\n"
        "        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []\n"
        "        if isinstance(node, ast.ImportFrom) and not node.level:\n"
        "            names += [node.module]\n"
        "        assert not [n for n in names if n.startswith('langchain')"
        " and not n.endswith('.capabilities') and '.testing' not in n], path\n"
        "import sys\nassert 'pytest' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
