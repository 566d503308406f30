"""Compare the capability table with models.dev: `python -m docs.check_models PATH`.

PATH is a checkout of models.dev (https://models.dev, repository anomalyco/models.dev). Compared
are the limits, the values of `reasoning_effort`, what a model reads besides text, and whether it is
still served, for every model of DeepSeek that Alibaba's two providers list there. models.dev is
written by hand, too: a difference is a reason to read DashScope's own page, not to change a row.

Left aside are the cost, which the table does not hold; `tool_call`, because models.dev gives the
distills tool calling, which DashScope's own pages deny; and `structured_output`, which does not
say whether JSON mode is meant or a schema.

Exit status: 0 if nothing differs, 1 if something does or cannot be read, 2 if PATH is no checkout.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from langchain_dashscope_deepseek import MODELS
from langchain_dashscope_deepseek.capabilities import ModelCapabilities, find_capabilities

if sys.version_info >= (3, 11):
    import tomllib
else:  # mypy reads this branch on every Python, and tomli is installed on 3.10 alone
    import tomli as tomllib  # type: ignore[import-not-found, unused-ignore]

PROVIDERS = ("alibaba-cn", "alibaba")
SPELLINGS = {name.replace(".", "-"): name for name in MODELS}
"""Our names as some files there spell them: `deepseek-v3-1`."""

REMARKS = UNKNOWN, UNLISTED = "not known here", "not listed there"

Finding = tuple[str, str]
"""What kind of finding it is, and the finding. All but the remarks fail the comparison."""


class _Limit(BaseModel, strict=True):
    context: int | None = None
    input: int | None = None
    output: int | None = None


class _Modalities(BaseModel, strict=True):
    input: list[str] | None = None


class _Option(BaseModel, strict=True):
    values: list[str] = []  # of an effort; a toggle and a budget have none


class _Extends(BaseModel, strict=True):  # older than base_model
    base: str = Field(alias="from")
    omit: list[str] = []


class Listed(BaseModel, strict=True):
    """What is read of a file of models.dev; what a file leaves out is not compared."""

    base_model: str | None = None
    base_model_omit: list[str] = []
    extends: _Extends | None = None
    limit: _Limit = _Limit()
    modalities: _Modalities = _Modalities()
    reasoning_options: list[_Option] | None = None
    status: str | None = None


def main(argv: Sequence[str] | None = None) -> int:
    """Print what differs, what only models.dev knows, and what it does not list."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("check_models", description=__doc__, formatter_class=raw)
    parser.add_argument("path", type=Path, metavar="PATH", help="a checkout of models.dev")
    root: Path = parser.parse_args(argv).path
    folders = [root / "providers" / provider / "models" for provider in PROVIDERS]
    files = [file for folder in folders for file in deepseek_files(folder)]
    if not files or not all(folder.is_dir() for folder in folders):
        places = " and ".join(map(str, folders))
        print(f"no checkout of models.dev: no models of DeepSeek in {places}", file=sys.stderr)
        return 2
    found = [finding for where, path in files for finding in findings(where, path, root)]
    listed = {_name_here(where) for where, _ in files}
    if unlisted := [name for name in MODELS if name not in listed]:
        found.append((UNLISTED, ", ".join(unlisted)))
    for kind, text in found:
        print(f"{kind}: {text}")
    differs = any(kind not in REMARKS for kind, _ in found)
    if not differs:
        print("nothing differs")
    return 1 if differs else 0


def deepseek_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Find a provider's models of DeepSeek, each with the provider's name before its own."""
    for path in sorted(folder.rglob("*.toml")):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if "deepseek" in name.lower():
            yield f"{folder.parent.name}/{name}", path


def _name_here(where: str) -> str:
    name = where.partition("/")[2]
    return SPELLINGS.get(name, name)


def findings(where: str, path: Path, root: Path) -> Iterator[Finding]:
    """Compare one file with the row of its model."""
    row = find_capabilities(_name_here(where))
    if row is None:
        yield "no row here", where
        return
    try:
        toml, unresolved = read(path, root)
        listed = Listed.model_validate(toml)
    except (OSError, ValueError) as exc:
        yield "cannot be read", f"{where}: {exc}"
        return
    if unresolved is not None:
        yield "base not resolved", f"{where}: {unresolved}"
    for what, here, there in facts(row, listed):
        if there is None or here == there:
            continue
        if here is None:
            yield UNKNOWN, f"{where}: {what}: {_text(there)}"
        else:
            yield "differs", f"{where}: {what}: {_text(there)} there, {_text(here)} here"


def facts(row: ModelCapabilities, listed: Listed) -> Iterator[tuple[str, object, object]]:
    """Put side by side each fact's name, what the row has and what models.dev has, if it does."""
    yield "context", row.context_tokens, listed.limit.context
    yield "input", row.max_input_tokens, listed.limit.input
    yield "output", row.max_output_tokens, listed.limit.output
    if (options := listed.reasoning_options) is not None:
        efforts = {value for option in options for value in option.values}
        # An alias may be listed, and need not.
        aliases = {name for name, _ in row.reasoning_effort_aliases}
        known = {*row.reasoning_efforts, *(aliases & efforts)}
        says_nothing = row.settable is None and not row.reasoning_efforts
        yield "efforts", None if says_nothing else known, efforts
    if (inputs := listed.modalities.input) is not None:
        yield "images", row.images, "image" in inputs
        yield "further inputs", set(), set(inputs) - {"text", "image"}
    # Rows are retired where cn-beijing is, so only the contrary is news.
    yield "status", row.status, "retired" if listed.status == "deprecated" else None


def read(path: Path, root: Path, above: tuple[Path, ...] = ()) -> tuple[dict[str, Any], str | None]:
    """Read a file and what it inherits; along comes the name of a base that is not there."""
    own = load(path)
    old = own.get("extends", {})
    base = own.get("base_model", old.get("from"))
    if base is None:
        return own, None
    lab, _, model = base.partition("/")
    places = (f"models/{base}.toml", f"providers/{lab}/models/{model}.toml")
    above = (*above, path)
    files = (root / place for place in places if root / place not in above)
    base_file = next((file for file in files if file.is_file()), None)
    if base_file is None:
        return own, base
    toml, unresolved = read(base_file, root, above)
    for key, value in own.items():
        toml[key] = {**toml.get(key, {}), **value} if isinstance(value, dict) else value
    for omitted in (*own.get("base_model_omit", ()), *old.get("omit", ())):
        table, _, key = omitted.rpartition(".")
        holder = toml.get(table) if table else toml
        if isinstance(holder, dict):
            holder.pop(key, None)
    return toml, unresolved


def load(path: Path) -> dict[str, Any]:
    """Read what one file says itself; an error names the file."""
    try:
        toml = tomllib.loads(path.read_text(encoding="utf-8"))
        return Listed.model_validate(toml).model_dump(exclude_unset=True, by_alias=True)
    except ValidationError as exc:
        wrong = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in exc.errors())
        raise ValueError(f"{path}: {'; '.join(wrong)}") from exc
    except (ValueError, RecursionError) as exc:
        raise ValueError(f"{path}: {exc}") from exc


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, set):
        return ", ".join(sorted(value)) or "none"
    return f"{value:,}" if isinstance(value, int) else str(value)


if __name__ == "__main__":
    sys.exit(main())
