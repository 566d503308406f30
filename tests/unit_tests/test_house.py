"""The house: floors, where I/O may be, where LangChain may be, and what is complete."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import langchain_dashscope_deepseek as package

ROOT = Path(package.__file__).parent

FLOORS = {
    "__init__": 8,
    "chat_models": 7,
    "_call": 6,
    "_client": 4,
    "_call_log": 3,
    "_events": 5,
    "_stream": 4,
    "_structured": 3,
    "_history": 4,
    "_messages": 3,
    "_changes": 2,
    "_images": 2,
    "_request": 2,
    "_routes": 2,
    "_pool": 2,
    "_network": 1,
    "_retry": 1,
    "_leftovers": 0,
    "_keys": 1,
    "_names": 0,
    "_handed_in": 2,
    "_blotting": 1,
    "_sse": 1,
    "_citations": 1,
    "_tokens": 1,
    "_tools": 1,
    "_warnings": 1,
    "_wire": 1,
    "data._profiles": 1,
    "data._texts": 0,
    "data.__init__": 0,
    "_regions": 0,
    "_version": 0,
    "capabilities": 0,
    "errors": 0,
}
"""A module imports only from lower floors."""

WITHOUT_LANGCHAIN = {
    "_tokens",
    "_client",
    "_request",
    "_images",
    "_keys",
    "_names",
    "_call_log",
    "_handed_in",
    "_routes",
    "_leftovers",
    "_network",
    "_blotting",
    "_pool",
    "_retry",
    "_sse",
    "_wire",
    "_regions",
    "capabilities",
}
WITH_HTTPX = {"_client", "_handed_in", "_pool", "_sse", "chat_models"}


def modules() -> dict[str, Path]:
    found = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in ROOT.rglob("*.py")
    }
    return {name: path for name, path in found.items() if not name.startswith("testing.")}


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
            if node.module == package.__name__:
                names |= {f"{node.module}.{alias.name}" for alias in node.names}
                names.discard(node.module)
    return names


def test_every_module_has_a_floor() -> None:
    assert set(modules()) == set(FLOORS)


@pytest.mark.parametrize("name", FLOORS)
def test_a_module_imports_only_from_lower_floors(name: str) -> None:
    prefix = f"{package.__name__}."
    for imported in imports(modules()[name]):
        other = imported.removeprefix(prefix)
        if imported.startswith(prefix):
            assert FLOORS[other] < FLOORS[name], f"{name} imports {other}"


@pytest.mark.parametrize("name", FLOORS)
def test_langchain_and_httpx_stay_in_their_rooms(name: str) -> None:
    outside = {imported.partition(".")[0] for imported in imports(modules()[name])}
    if name in WITHOUT_LANGCHAIN:
        assert "langchain_core" not in outside
    if name not in WITH_HTTPX:
        assert "httpx" not in outside
    assert "dashscope" not in outside


def test_of_langchain_the_errors_know_the_exceptions_only() -> None:
    tree = ast.parse((ROOT / "errors.py").read_text(encoding="utf-8"))
    at_run_time = {node.module for node in tree.body if isinstance(node, ast.ImportFrom)}
    assert {m for m in at_run_time if m and m.startswith("langchain")} == {
        "langchain_core.exceptions"
    }


def test_the_emulator_knows_nothing_but_the_capability_table() -> None:
    """So it cannot agree with our mistakes."""
    for path in (ROOT / "testing").glob("*.py"):
        for imported in imports(path):
            if imported.startswith(package.__name__):
                own = imported.startswith(f"{package.__name__}.testing")
                assert own or imported == f"{package.__name__}.capabilities"


@pytest.mark.parametrize("name", FLOORS)
def test_a_module_opens_by_saying_what_lives_in_it(name: str) -> None:
    assert ast.get_docstring(ast.parse(modules()[name].read_text(encoding="utf-8")))


def test_what_is_public_is_exported() -> None:
    exported = set(package.__all__)
    errors = {
        name
        for name, value in vars(package.errors).items()
        if isinstance(value, type) and name.startswith(("DashScope", "Data"))
    }
    assert errors <= exported
    assert all(hasattr(package, name) for name in exported)


def test_importing_starts_nothing_and_needs_no_network() -> None:
    code = (
        "import socket, threading; socket.socket.connect = None\n"
        "import langchain_dashscope_deepseek, langchain_dashscope_deepseek.testing, sys\n"
        "assert threading.active_count() == 1\n"
        "assert 'pytest' not in sys.modules and 'dashscope' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_every_setting_says_what_it_is_and_what_it_is_by_default() -> None:
    model = package.ChatDashScopeDeepSeek
    schema = model.model_json_schema(mode="serialization")["properties"]
    for name in model.model_fields.keys() & model.__annotations__.keys():
        text = model.model_fields[name].description
        assert text, name
        assert re.search(r"[Dd]efault", text), name
        assert f"{name}: {text}" in (inspect.getdoc(model) or "")
        if not model.model_fields[name].exclude:
            assert schema[name]["description"] == text


def test_what_editors_show_of_the_class_is_its_documentation() -> None:
    tree = ast.parse((ROOT / "chat_models.py").read_text(encoding="utf-8"))
    (shown,) = (
        ast.get_docstring(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name == "__init__"
    )
    words = " ".join((inspect.getdoc(package.ChatDashScopeDeepSeek) or "").split())
    assert words.startswith(" ".join((shown or "").split()))
