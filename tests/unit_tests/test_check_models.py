"""The comparison with models.dev: what it takes for a difference, and what for a remark."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from langchain_dashscope_deepseek import MODELS

# By its name: docs is no package, so mypy knows the file as `check_models`.
main: Callable[[list[str]], int] = import_module("docs.check_models").main

PRO = """\
limit = { context = 1_000_000, output = 393_216 }
modalities = { input = ["text"], output = ["text"] }
reasoning_options = [{ type = "toggle" }, { type = "effort", values = ["high", "max"] }]
cost = { input = 0.435, output = 0.87 }
tool_call = false
"""
"""What models.dev would say of deepseek-v4-pro if it agreed in all that is compared."""

Check = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Check:
    """Write a checkout and compare it: the exit status, and all lines but the rows not listed."""

    def check(
        toml: str, model: str = "alibaba-cn/deepseek-v4-pro", **more: str
    ) -> tuple[int, list[str]]:
        provider, _, name = model.partition("/")
        files = {f"providers/{provider}/models/{name}": toml, **more}
        (tmp_path / "providers/alibaba/models").mkdir(parents=True)
        for path, text in files.items():
            file = tmp_path / f"{path}.toml"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        status = main([str(tmp_path)])
        lines = capsys.readouterr().out.replace(str(tmp_path), "PATH").splitlines()
        return status, [line for line in lines if not line.startswith("not listed there: ")]

    return check


def test_a_model_on_which_both_agree_is_not_printed(check: Check) -> None:
    """Nor are the cost and tool_call, which are not compared."""
    assert check(PRO) == (0, ["nothing differs"])


@pytest.mark.parametrize(
    ("old", "new", "difference"),
    [
        ("context = 1_000_000", "context = 1_048_576", "context: 1,048,576 there, 1,000,000 here"),
        ("output = 393_216", "input = 5, output = 393_216", "input: 5 there, 1,000,000 here"),
        ("output = 393_216", "output = 384_000", "output: 384,000 there, 393,216 here"),
        (
            '"high", "max"',
            '"high", "max", "ultra"',
            "efforts: high, max, ultra there, high, max here",
        ),
        ('"high", "max"', '"max"', "efforts: max there, high, max here"),
        (
            '{ type = "effort", values = ["high", "max"] }',
            "",
            "efforts: none there, high, max here",
        ),
        ('input = ["text"]', 'input = ["text", "image"]', "images: yes there, no here"),
        (
            'input = ["text"]',
            'input = ["text", "video", "pdf"]',
            "further inputs: pdf, video there, none here",
        ),
        ("tool_call", 'status = "deprecated"\ntool_call', "status: retired there, current here"),
    ],
)
def test_a_fact_that_differs_is_printed_with_both_sides(
    check: Check, old: str, new: str, difference: str
) -> None:
    assert old in PRO
    assert check(PRO.replace(old, new)) == (
        1,
        [f"differs: alibaba-cn/deepseek-v4-pro: {difference}"],
    )


@pytest.mark.parametrize("part", PRO.splitlines())
def test_what_a_file_leaves_out_is_not_compared(check: Check, part: str) -> None:
    assert check(PRO.replace(part, "")) == (0, ["nothing differs"])


def test_an_alias_may_be_listed_and_need_not(check: Check) -> None:
    assert check(PRO.replace('"high"', '"low", "high"')) == (0, ["nothing differs"])


def test_options_may_be_tables(check: Check) -> None:
    tables = '[[reasoning_options]]\ntype = "effort"\nvalues = ["max"]\n[[reasoning_options]]\ntype = "toggle"\n'
    assert check(tables) == (
        1,
        ["differs: alibaba-cn/deepseek-v4-pro: efforts: max there, high, max here"],
    )


def test_the_other_provider_is_compared_too(check: Check) -> None:
    more = {"providers/alibaba/models/deepseek-v4-flash": "limit.output = 1"}
    assert check(PRO, **more) == (
        1,
        ["differs: alibaba/deepseek-v4-flash: output: 1 there, 393,216 here"],
    )


def test_what_only_models_dev_knows_is_no_difference(check: Check) -> None:
    name = "alibaba-cn/siliconflow/deepseek-v3.2"
    assert check(PRO, name) == (
        0,
        [
            f"not known here: {name}: context: 1,000,000",
            f"not known here: {name}: output: 393,216",
            f"not known here: {name}: efforts: high, max",
            f"not known here: {name}: images: no",
            "nothing differs",
        ],
    )


def test_a_model_without_a_row_is_a_difference(check: Check) -> None:
    assert check(PRO, "alibaba-cn/deepseek-no-such-model") == (
        1,
        ["no row here: alibaba-cn/deepseek-no-such-model"],
    )


def test_a_model_that_is_not_of_deepseek_is_not_looked_at(check: Check) -> None:
    more = {"providers/alibaba/models/qwen-max": "no TOML"}
    assert check(PRO, **more) == (0, ["nothing differs"])


@pytest.mark.parametrize("name", ["deepseek-v4-pro-20260101", "deepseek-r1-distill-qwen-1-5b"])
def test_a_date_or_a_dash_for_a_dot_finds_the_row(check: Check, name: str) -> None:
    assert check("", f"alibaba-cn/{name}") == (0, ["nothing differs"])


def test_rows_that_nobody_lists_are_a_remark(
    check: Check, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check(PRO)
    assert main([str(tmp_path)]) == 0
    others = ", ".join(name for name in MODELS if name != "deepseek-v4-pro")
    assert capsys.readouterr().out == f"not listed there: {others}\nnothing differs\n"


@pytest.mark.parametrize("base", ["models/deepseek/pro", "providers/deepseek/models/pro"])
@pytest.mark.parametrize("link", ['base_model = "deepseek/pro"', 'extends.from = "deepseek/pro"'])
def test_a_file_inherits_what_it_does_not_say(check: Check, base: str, link: str) -> None:
    """A table is merged key by key."""
    own = f"{link}\nlimit.output = 393_216"
    inherited = PRO.replace("1_000_000", "7").replace("393_216", "8")
    assert check(own, **{base: inherited}) == (
        1,
        ["differs: alibaba-cn/deepseek-v4-pro: context: 7 there, 1,000,000 here"],
    )


@pytest.mark.parametrize(
    "omits",
    [
        'base_model = "deepseek/pro"\nbase_model_omit = ["limit.context", "modalities", "status.x"]',
        'extends = { from = "deepseek/pro", omit = ["limit.context", "modalities"] }',
    ],
)
def test_a_file_may_omit_what_it_would_inherit(check: Check, omits: str) -> None:
    base = 'status = "beta"\nlimit.context = 7\nmodalities.input = ["image"]'
    assert check(omits, **{"models/deepseek/pro": base}) == (0, ["nothing differs"])


@pytest.mark.parametrize(
    "base", ["deepseek/gone", "gone", "", "../providers/alibaba-cn/models/deepseek-v4-pro"]
)
def test_a_base_that_is_not_there_is_said_and_the_rest_compared(check: Check, base: str) -> None:
    """Nor is a file its own base."""
    status, lines = check(f'base_model = "{base}"\nlimit.output = 8')
    assert status == 1
    assert lines == [
        f"base not resolved: alibaba-cn/deepseek-v4-pro: {base}",
        "differs: alibaba-cn/deepseek-v4-pro: output: 8 there, 393,216 here",
    ]


@pytest.mark.parametrize(
    ("toml", "why"),
    [
        ("no TOML", "Expected '=' after a key"),
        (f"a = {'[' * 10_000}", ""),
        ("limit = 5", "limit: "),
        ("limit.context = '1M'", "limit.context: Input should be a valid integer"),
        ("limit.output = true", "limit.output: Input should be a valid integer"),
        ("modalities.input = 'text'", "modalities.input: "),
        ("reasoning_options = ['high']", "reasoning_options.0: "),
        ("reasoning_options = [{ values = [1] }]", "reasoning_options.0.values.0: "),
        ("base_model = 4", "base_model: "),
        ("extends = {}", "extends.from: "),
        ("status = []", "status: "),
    ],
)
def test_a_file_that_cannot_be_read_is_named_and_the_others_are_compared(
    check: Check, toml: str, why: str
) -> None:
    more = {"providers/alibaba/models/deepseek-v4-flash": "limit.output = 1"}
    status, (first, second) = check(toml, **more)
    assert status == 1
    file = "PATH/providers/alibaba-cn/models/deepseek-v4-pro.toml"
    assert first.startswith(f"cannot be read: alibaba-cn/deepseek-v4-pro: {file}: {why}")
    assert second == "differs: alibaba/deepseek-v4-flash: output: 1 there, 393,216 here"


def test_a_file_that_is_not_utf8_is_named(
    check: Check, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check(PRO)
    file = tmp_path / "providers/alibaba/models/deepseek-v3.toml"
    file.write_bytes(b"name = '\xff'")
    assert main([str(tmp_path)]) == 1
    assert f"cannot be read: alibaba/deepseek-v3: {file}: 'utf-8'" in capsys.readouterr().out


def test_a_base_that_cannot_be_read_is_named_with_the_model(check: Check) -> None:
    base = {"models/deepseek/pro": "limit.context = 1.5"}
    status, [line] = check('base_model = "deepseek/pro"', **base)
    assert status == 1
    file = "PATH/models/deepseek/pro.toml"
    assert line.startswith(f"cannot be read: alibaba-cn/deepseek-v4-pro: {file}: limit.context: ")


def test_a_base_whose_name_no_file_can_have_cannot_be_read(check: Check) -> None:
    status, [line] = check(f'base_model = "{"x" * 300}"')
    assert status == 1
    assert line.startswith("cannot be read: alibaba-cn/deepseek-v4-pro: ")


@pytest.mark.parametrize(
    "folders",
    [
        [],
        ["providers/alibaba-cn/models"],
        ["providers/alibaba-cn/models", "providers/alibaba/models"],
    ],
)
def test_a_folder_that_is_no_checkout_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], folders: list[str]
) -> None:
    """A checkout of which a provider is missing would agree in silence."""
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "qwen-max.toml").touch()
    assert main([str(tmp_path)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == (
        f"no checkout of models.dev: no models of DeepSeek in {tmp_path}/providers/alibaba-cn/models"
        f" and {tmp_path}/providers/alibaba/models\n"
    )


def test_half_a_checkout_is_refused(tmp_path: Path) -> None:
    (tmp_path / "providers/alibaba-cn/models").mkdir(parents=True)
    (tmp_path / "providers/alibaba-cn/models/deepseek-v4-pro.toml").touch()
    assert main([str(tmp_path)]) == 2
