"""The house: its two halves, which modules may know which, and what is complete."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path
from typing import get_type_hints

import pytest

import langchain_dashscope_deepseek as package
from langchain_dashscope_deepseek._model_fields import ModelFields

ROOT = Path(package.__file__).parent

DASHSCOPE, LANGCHAIN = f"{package.__name__}._dashscope", f"{package.__name__}._langchain"
"""The two halves: one speaks DashScope and knows no LangChain, the other speaks LangChain."""

TABLES = ("capabilities", "errors")
"""What both halves, and users, read."""


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


def own(name: str) -> set[str]:
    """Give the modules of the package that a module imports."""
    prefix = f"{package.__name__}."
    found = {other.removeprefix(prefix) for other in imports(modules()[name])}
    return {other if other in modules() else f"{other}.__init__" for other in found} & set(
        modules()
    )


@pytest.mark.parametrize("name", [name for name in modules() if name.startswith("_dashscope.")])
def test_the_half_that_speaks_dashscope_knows_nothing_of_langchain(name: str) -> None:
    for imported in imports(modules()[name]):
        assert not imported.startswith(("langchain_core", "langgraph", LANGCHAIN))
        assert imported != f"{package.__name__}.chat_models"


@pytest.mark.parametrize("name", [name for name in modules() if name.startswith("_langchain.")])
def test_the_half_that_speaks_langchain_asks_nobody(name: str) -> None:
    """Only the other half knows HTTP."""
    for imported in imports(modules()[name]):
        assert imported.partition(".")[0] not in ("httpx", "httpcore", "httpx_sse", "anyio", "h11")
        assert imported != f"{package.__name__}.chat_models"


IO = frozenset(
    {
        *("anyio", "asyncio", "concurrent", "h11", "httpcore", "os", "pathlib", "select"),
        *("selectors", "socket", "ssl", "subprocess", "tempfile", "threading", "urllib"),
    }
)


@pytest.mark.parametrize("name", [n for n in modules() if n.startswith("_dashscope.protocol.")])
def test_the_protocol_does_no_io(name: str) -> None:
    """It may name httpx's types, and imports nothing that waits, reads or opens."""
    tree = ast.parse(modules()[name].read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []  # as at run time
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            module = getattr(node, "module", None) or node.names[0].name
            assert module.partition(".")[0] not in IO
            assert not module.startswith(f"{DASHSCOPE}.transport")
        if isinstance(node, ast.Call):
            assert ast.unparse(node.func) not in ("open", "print", "input", "time.sleep")
            assert ast.unparse(node.func) not in ("httpx.Client", "httpx.AsyncClient")


@pytest.mark.parametrize(
    "name", [n for n in modules() if not n.startswith("_dashscope.transport.")]
)
def test_only_the_transport_opens_connections(name: str) -> None:
    assert {imported.partition(".")[0] for imported in imports(modules()[name])}.isdisjoint(
        {"httpcore", "h11", "socket"}
    )


@pytest.mark.parametrize("name", [n for n in modules() if n.startswith("_dashscope.transport.")])
def test_one_file_touches_private_names_of_other_libraries(name: str) -> None:
    is_private = name == "_dashscope.transport.private"
    assert ("SLF001" in modules()[name].read_text(encoding="utf-8")) == is_private


@pytest.mark.parametrize("name", TABLES)
def test_the_tables_know_neither_half(name: str) -> None:
    assert all(other in TABLES for other in own(name))


@pytest.mark.parametrize("name", modules())
def test_the_official_package_is_no_part_of_ours(name: str) -> None:
    assert "dashscope" not in {imported.partition(".")[0] for imported in imports(modules()[name])}


@pytest.mark.parametrize("name", [name for name in modules() if name != "middleware"])
def test_only_the_middleware_imports_langchain(name: str) -> None:
    """The package itself needs `langchain_core` alone, and nothing imports the middleware."""
    assert "langchain" not in {imported.partition(".")[0] for imported in imports(modules()[name])}
    assert f"{package.__name__}.middleware" not in imports(modules()[name])


@pytest.mark.parametrize("command", ["batch", "doctor"])
def test_nothing_imports_a_command(command: str) -> None:
    for name in modules():
        own = name.startswith(f"{command}.")
        assert own or not any(
            imported.startswith(f"{package.__name__}.{command}")
            for imported in imports(modules()[name])
        )


def test_the_batch_runs_without_its_extras() -> None:
    code = (
        "import sys; sys.modules |= {'pyarrow': None, 'ray': None}\n"
        "import langchain_dashscope_deepseek.batch.__main__ as batch; batch.main(['--help'])"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_no_module_imports_itself_by_way_of_others() -> None:
    order = TopologicalSorter({name: own(name) for name in modules()})
    assert set(order.static_order()) == set(modules())


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


@pytest.mark.parametrize("name", modules())
def test_a_module_opens_by_saying_what_lives_in_it(name: str) -> None:
    assert ast.get_docstring(ast.parse(modules()[name].read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", package.__all__)
def test_the_hints_of_what_is_public_resolve(name: str) -> None:
    """Core asks for those of methods, to know which of them return a runnable."""
    public = getattr(package, name)
    members = [each for base in getattr(public, "__mro__", ()) for each in vars(base).items()]
    methods = [method for name, method in members if name[0] != "_"]
    for hinted in filter(inspect.isfunction, [public, *methods]):
        if package.__name__ in hinted.__module__:  # not core's and pydantic's own
            get_type_hints(hinted)


@pytest.mark.parametrize("name", [n for n in modules() if not n.endswith("__init__")])
def test_a_module_is_on_the_map_of_contributing(name: str) -> None:
    text = (ROOT.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    top, _, file = f"{name.replace('.', '/')}.py".rpartition("/")
    assert file in ("_version.py", "__main__.py") or f"{file}`" in text or f"{top}/`" in text, name


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
    for name in model.model_fields.keys() & ModelFields.__annotations__.keys():
        text = model.model_fields[name].description
        assert text, name
        assert re.search(r"[Dd]efault", text), name
        assert f"{name}: {' '.join(text.split())}" in (inspect.getdoc(model) or "")
        if not model.model_fields[name].exclude:
            assert schema[name]["description"] == text


def test_what_editors_show_of_the_class_is_its_documentation() -> None:
    tree = ast.parse((ROOT / "_model_fields.py").read_text(encoding="utf-8"))
    (base,) = (n for n in ast.walk(tree) if isinstance(n, ast.ClassDef) and n.name == "_Base")
    (shown,) = (ast.get_docstring(n) for n in ast.walk(base) if isinstance(n, ast.FunctionDef))
    words = " ".join((inspect.getdoc(package.ChatDashScopeDeepSeek) or "").split())
    title, _, arguments = (shown or "").partition("\n")
    assert words.startswith(title)
    assert " ".join(arguments.split()) in words
