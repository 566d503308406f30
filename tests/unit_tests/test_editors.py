"""What an editor shows of the model, and what type checkers say: asked of pyright and mypy.

A user's file, so that no plugin and no setting of this repository helps.
"""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import langchain_dashscope_deepseek as package
from langchain_dashscope_deepseek import ChatDashScopeDeepSeek

pytestmark = pytest.mark.slow

ROOT = Path(package.__file__).parents[1]
GOOD = """
import httpx
from pydantic import SecretStr
from langchain_dashscope_deepseek import ChatDashScopeDeepSeek

model = ChatDashScopeDeepSeek(model="deepseek-v4.1-flash", api_key="sk-x", temperature=0.5)
ChatDashScopeDeepSeek(model="m", api_key=SecretStr("sk-x"), timeout=httpx.Timeout(5))
ChatDashScopeDeepSeek(model="m", api_key=lambda: "sk-x", stop=["a"], reasoning_effort=3)


async def key() -> str:
    return "sk-x"


ChatDashScopeDeepSeek(model="m", api_key=key, proxy="http://proxy.test", cache=False)
theirs: ChatDashScopeDeepSeek = model.for_tenant(api_key="sk-y", region="us-east-1")
text: str = model.invoke("hi").text
"""
WRONG = {
    "a missing model": "ChatDashScopeDeepSeek()",
    "an unknown name": 'ChatDashScopeDeepSeek(model="m", temprature=0.2)',
    "a wrong type": 'ChatDashScopeDeepSeek(model="m", temperature="hot")',
    "an unknown name that is assigned": 'ChatDashScopeDeepSeek(model="m").temprature = 0.2',
    "a key of a wrong type": 'ChatDashScopeDeepSeek(model="m", api_key=5)',
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a user's, in which each wrong line is on a line of its own."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "good.py").write_text(GOOD, encoding="utf-8")
    head = "from langchain_dashscope_deepseek import ChatDashScopeDeepSeek\n"
    (folder / "wrong.py").write_text(head + "\n".join(WRONG.values()) + "\n", encoding="utf-8")
    venv = Path(sys.prefix)
    settings = {"venvPath": str(venv.parent), "venv": venv.name, "typeCheckingMode": "strict"}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


def run(*command: str, folder: Path) -> str:
    binaries = str(Path(sys.executable).parent)
    paths = {"PYTHONPATH": str(ROOT), "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **paths},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def pyright(folder: Path, *arguments: str) -> dict[str, Any]:
    command = (sys.executable, "-m", "pyright", "--outputjson")
    found: dict[str, Any] = json.loads(run(*command, *arguments, folder=folder))
    return found


def test_mypy_takes_what_is_right_and_refuses_what_is_wrong(project: Path) -> None:
    command = (sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-error-summary")
    assert run(*command, "good.py", folder=project) == ""
    lines = run(*command, "wrong.py", folder=project).splitlines()
    errors = {line.split(":")[1]: line for line in lines if "error:" in line}
    assert set(errors) == {str(line) for line in range(2, 2 + len(WRONG))}
    assert 'did you mean "temperature"?' in errors["3"]


def test_pyright_takes_what_is_right_and_refuses_what_is_wrong(project: Path) -> None:
    assert pyright(project, "good.py")["generalDiagnostics"] == []
    found = pyright(project, "wrong.py")["generalDiagnostics"]
    assert {error["range"]["start"]["line"] + 1 for error in found} == {*range(2, 2 + len(WRONG))}
    assert 'No parameter named "temprature"' in [error["message"] for error in found]


def test_every_public_type_is_known(project: Path) -> None:
    arguments = ("--verifytypes", "langchain_dashscope_deepseek", "--ignoreexternal")
    report = pyright(project, *arguments)["typeCompleteness"]
    unknown = [
        symbol["name"]
        for symbol in report["symbols"]
        if symbol["isExported"] and not symbol["isTypeKnown"]
    ]
    assert (unknown, report["completenessScore"]) == ([], 1)


# --- The language server ---


class LanguageServer:
    """pyright's, asked as an editor asks it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pyright.langserver", "--stdio"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=folder,
        )
        self._number = 0
        capabilities = {"textDocument": {"hover": {"contentFormat": ["markdown"]}}}
        place = {"uri": folder.as_uri(), "name": "project"}
        settings = {"rootUri": folder.as_uri(), "workspaceFolders": [place]}
        self.ask("initialize", processId=os.getpid(), capabilities=capabilities, **settings)
        self._send(method="initialized", params={})

    def ask(self, method: str, **params: Any) -> Any:
        self._number += 1
        self._send(id=self._number, method=method, params=params)
        while True:
            message = self._read()
            if message.get("id") == self._number and "method" not in message:
                return message["result"]
            if "id" in message:  # it asks back
                items = message["params"].get("items", ())
                self._send(id=message["id"], result=[{} for _ in items] or None)

    def hover(self, name: str, text: str, word: str) -> str:
        """Tell what is shown over a word of a file."""
        line = next(i for i, content in enumerate(text.splitlines()) if word in content)
        character = text.splitlines()[line].index(word) + 1
        uri = (self._folder / name).as_uri()
        document = {"uri": uri, "languageId": "python", "version": 1, "text": text}
        self._send(method="textDocument/didOpen", params={"textDocument": document})
        position = {"line": line, "character": character}
        shown = self.ask("textDocument/hover", textDocument={"uri": uri}, position=position)
        return "" if shown is None else str(shown["contents"]["value"])

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _send(self, **message: Any) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        self._process.stdin.flush()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        length = 0
        while head := self._process.stdout.readline().strip():
            if head.lower().startswith(b"content-length:"):
                length = int(head.partition(b":")[2])
        message: dict[str, Any] = json.loads(self._process.stdout.read(length))
        return message


@pytest.fixture(scope="module")
def editor(project: Path) -> Iterator[LanguageServer]:
    server = LanguageServer(project)
    yield server
    server.stop()


def words(text: str) -> str:
    """The words of a text, without what Markdown adds."""
    return " ".join(text.replace("\\", "").replace("&nbsp;", " ").replace("`", "").split())


def test_over_the_class_an_editor_shows_its_documentation(editor: LanguageServer) -> None:
    shown = words(editor.hover("good.py", GOOD, 'ChatDashScopeDeepSeek(model="deepseek'))
    first = words((inspect.getdoc(ChatDashScopeDeepSeek) or "").split("Setup:")[0])
    assert first in shown
    assert "Parameters that are left out are not sent" in shown
    assert "parsing and validating input data" not in shown


@pytest.mark.parametrize("name", ["model", "api_key", "temperature"])
def test_over_a_keyword_an_editor_shows_its_text_and_default(
    name: str, editor: LanguageServer
) -> None:
    shown = words(editor.hover("good.py", GOOD, f"{name}="))
    text = ChatDashScopeDeepSeek.model_fields[name].description
    assert text is not None
    assert words(text) in shown
    assert "default" in shown.lower()
