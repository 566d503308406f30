"""Write the tables in the docs anew from the code: `make docs`.

Each stands between `<!-- NAME: made by ... -->` and `<!-- end of NAME -->`. Pages of examples show
a function each, between `<!-- code of FILE, FUNCTION: made by ... -->` and `<!-- end of code -->`.
`--check` writes nothing and fails where a table is not what the code says; the tests run that.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from types import FrameType

import httpx
from langchain_core.messages import HumanMessage

from docs.links import site
from langchain_dashscope_deepseek import (
    MODELS,
    ChatDashScopeDeepSeek,
    DashScopeError,
    DashScopeInputError,
)
from langchain_dashscope_deepseek._dashscope.protocol.aliases import ADVICE_BY_NAME
from langchain_dashscope_deepseek._dashscope.protocol.error_codes import (
    ADVICE,
    CODES,
    MESSAGES,
    CodeRule,
    error_from_service,
)
from langchain_dashscope_deepseek._dashscope.protocol.parameters import DROPPABLE
from langchain_dashscope_deepseek._dashscope.regions import REGIONS
from langchain_dashscope_deepseek.capabilities import COMMON_PARAMETERS, ModelCapabilities
from tests.integration_tests.faults import FAULTS, FIELDS, VALUES, Answers, Fails, Field, Outcome

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DOCS = Path(__file__).parent
PACKAGE = DOCS.parent / "langchain_dashscope_deepseek"
CHINESE: Mapping[str, str] = tomllib.loads((DOCS / "tables.zh-CN.toml").read_text("utf-8"))
"""The cells of the tables in Chinese pages, by the English ones."""

LONGEST_DAYS = 90
"""A model page is read again after so many days."""


def table(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Render a Markdown table."""
    header = list(header)
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def number(value: float | None) -> str:
    """Render a figure; a dash for none."""
    return "-" if value is None else f"{value:,}"


def yes(value: object) -> str:
    """Render a fact that holds or not; a dash where it is not documented."""
    return "-" if value is None else "yes" if value else "no"


def models() -> str:
    """Render what the current models can do that Alibaba hosts."""
    return _features("current", partners=False)


def partners() -> str:
    """Render what the current models can do that partners host."""
    return _features("current", partners=True)


def retired() -> str:
    """Render what the models could do that the service has switched off."""
    return _features("retired", partners=False)


def _features(status: str, *, partners: bool) -> str:
    rows = [
        {"model": f"`{name}`", **_status(can), **_abilities(can)}
        for name, can in MODELS.items()
        if can.status == status and ("/" in name) == partners
    ]
    header = [name for name in rows[0] if any(row[name] not in ("no", "-") for row in rows)]
    return table(header, ([row[name] for name in header] for row in rows))


def _status(can: ModelCapabilities) -> dict[str, str]:
    if can.status == "current":
        return {"status": "current"}
    since = f"off since {can.retired_on}" if can.retired_on else "off"
    return {"status": since, "use instead": f"`{can.replacement}`"}


def _abilities(can: ModelCapabilities) -> dict[str, str]:
    modes = {
        "always": "yes",
        "when_not_thinking": "not while thinking",
        "never": "no",
        "unknown": "-",
    }
    return {
        "thinking": can.thinking.replace("unknown", "-")
        + (", streams only" if can.thinking_needs_stream else ""),
        "tools": modes[can.tools],
        "images": yes(can.images),
        "JSON": yes(can.json_object),
        "JSON schema": yes(can.json_schema),
        "search": yes(can.search),
        "cache": yes(can.cache),
        "partial": modes[can.partial],
        "replay": yes(can.reasoning_replay == "with_tool_calls"),
    }


def limits() -> str:
    """Render the documented limits in tokens."""

    def cells(can: ModelCapabilities) -> list[str]:
        reasoning = number(can.max_reasoning_tokens)
        if can.max_output_tokens and can.thinking != "never" and not can.max_reasoning_tokens:
            reasoning = "part of the output"
        tokens = (can.context_tokens, can.max_input_tokens, can.max_output_tokens)
        return [*map(number, tokens), reasoning]

    return _grouped(["context", "input", "output", "reasoning"], cells)


def current() -> str:
    """List the models that Alibaba hosts and has not retired; those of partners have a prefix."""
    names = [n for n, row in MODELS.items() if row.status == "current" and "/" not in n]
    return ", ".join(f"`{name}`" for name in names)


def sources() -> str:
    """Render the route that is tried first, and where the facts come from."""

    def cells(can: ModelCapabilities) -> list[str]:
        missing = [
            *(f"search in {region}" for region in sorted(can.search_missing_in)),
            *(f"structured output in {region}" for region in sorted(can.json_missing_in)),
        ]
        if not can.documented_natively:
            missing.insert(0, "the native protocol")
        source = re.sub(r"https://([\w.-]*\w)(?:/[\w/-]*)?", r"[\1](\g<0>)", can.source)
        return [
            can.routes[0].removesuffix("-generation"),
            ", ".join(missing) or "-",
            source,
            str(can.source_date),
        ]

    return _grouped(["first route", "not documented", "source", "date of the source"], cells)


def parameters() -> str:
    """Render what can be set on each model, and the service's defaults."""
    names = [n for n in DROPPABLE if n not in COMMON_PARAMETERS]

    def cell(can: ModelCapabilities, name: str) -> str:
        default = number(getattr(can.defaults, name, None))
        if not can.can_set(name):
            return "no" if default == "-" else f"fixed: {default}"
        return "yes" if default == "-" and can.settable is not None else default

    return _grouped(
        [f"`{name}`" for name in names], lambda can: [cell(can, name) for name in names]
    )


def efforts() -> str:
    """Render the values of `reasoning_effort`."""

    def cells(can: ModelCapabilities) -> list[str]:
        values = [f"`{value}`" for value in can.reasoning_efforts]
        if can.reasoning_effort_range is not None:
            values.append("{} to {}".format(*can.reasoning_effort_range))
        aliases = (f"`{name}` = `{value}`" for name, value in can.reasoning_effort_aliases)
        return [", ".join(values) or "-", ", ".join(aliases) or "-"]

    return _grouped(["`reasoning_effort`", "aliases"], cells)


def _grouped(header: list[str], cells: Callable[[ModelCapabilities], list[str]]) -> str:
    """Render one row for all models with the same cells; none where nothing is documented."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for name, can in sorted(MODELS.items(), key=lambda item: ("/" in item[0], item[1].status)):
        groups.setdefault(tuple(cells(can)), []).append(f"`{name}`")
    rows = ([", ".join(names), *row] for row, names in groups.items() if {*row} - {"-", "no"})
    return table(["models", *header], rows)


def regions() -> str:
    """Render the regions and their hosts."""
    hosts = ((f"`{r}`", f"`{h}`" if h else "through a workspace only") for r, h in REGIONS.items())
    return table(["region", "host without a workspace"], hosts)


def errors() -> str:
    """Render the tree of errors, with the advice that no code has."""
    with_codes = {rule.error for rule in CODES.values()} | {error for *_, error in MESSAGES}

    def advice(error: type[DashScopeError]) -> str:
        if error in with_codes:
            return "[by its code](#error-codes)"
        return "see its message" if issubclass(error, DashScopeInputError) else error.hint

    def below(error: type[DashScopeError], depth: int) -> Iterable[list[str]]:
        parents = (*error.__bases__, *error.__mro__)
        core = next(b.__name__ for b in parents if b.__module__ == "langchain_core.exceptions")
        name = f"{'&nbsp;&nbsp;' * depth}`{error.__name__}`"
        summary = (error.__doc__ or "").partition("\n")[0].rstrip(".")
        yield [name, f"`{core}`", summary, yes(error.is_retryable), advice(error)]
        for sub in error.__subclasses__():
            yield from below(sub, depth + 1)

    header = ["error", "LangChain's class", "when", "retried", "what to do"]
    return table(header, (row for cls in DashScopeError.__subclasses__() for row in below(cls, 0)))


def codes() -> str:
    """Render the code table: one row for all codes with the same error and advice."""
    groups: dict[CodeRule, list[str]] = {}
    for code, rule in sorted(CODES.items(), key=lambda item: item[1].error.__name__):
        groups.setdefault(rule, []).append(f"`{code}`")
    rows = (
        [
            f"`{rule.error.__name__}`",
            ", ".join(names),
            error_from_service("", code=names[0].strip("`")).hint,
            "yes, slowly" if rule.per_minute else yes(rule.error.is_retryable),
        ]
        for rule, names in groups.items()
    )
    return table(["error", "codes", "what to do", "retried"], rows)


def messages() -> str:
    """Render the messages that decide more than their code does."""
    groups: dict[tuple[str, str], list[str]] = {}
    for text, _, error in MESSAGES:
        groups.setdefault((f"`{error.__name__}`", error.hint), []).append(f"`{text}`")
    for text, advice in ADVICE.items():
        groups.setdefault(("by its code", advice), []).append(f"`{text}`")
    rows = ([", ".join(texts), *cells] for cells, texts in groups.items())
    return table(["the message contains", "error", "what to do"], rows)


def aliases() -> str:
    """Render what the settings of other classes are called here, grouped by their texts."""
    groups: dict[str, list[str]] = {}
    for name, text in ADVICE_BY_NAME.items():
        groups.setdefault(text, []).append(f"`{name}`")
    fields = "|".join(ChatDashScopeDeepSeek.model_fields.keys() - {"name"})  # a word, too
    code = re.compile(
        rf"\w+\.\w+\([^)]*\)|\w+_\w+\([^)]*\)|\w+={{[^}}]*}}|\w+_\w+(?:=\w+|=\"\w+\")?"
        rf"|\bssl\.\w+|/api/v1|\b(?:{fields})\b"
    )

    def here(text: str) -> str:
        text = code.sub(r"`\g<0>`", text)
        return text[0].upper() + text[1:]

    rows = ([", ".join(names), here(text)] for text, names in groups.items())
    return table(["elsewhere", "here"], rows)


def faults() -> str:
    """Render the faults that the tests provoke, and the outcome of each."""
    header = ["fault", "outcome", "retried", "partial answer"]
    parts = []
    for group, members in FAULTS.items():
        rows = ([fault.what, *_outcome(fault.outcome)] for fault in members)
        parts.append(f"### {group}\n\n{table(header, rows)}")
    return "\n\n".join(parts)


def _outcome(outcome: Outcome) -> list[str]:
    if isinstance(outcome, Answers):
        calls = ", with the call in `invalid_tool_calls`" if outcome.invalid_calls else ""
        return [f"the answer{calls}", "-", "-"]
    again = "before the first chunk" if outcome.again and outcome.partial else yes(outcome.again)
    return [f"`{outcome.error.__name__}`", again, yes(outcome.partial)]


def fields() -> str:
    """Render the outcomes of values of a wrong type."""

    def row(place: Field) -> list[str]:
        path = ".".join(map(str, place.path)).replace(".0", "[0]")
        body, stream = (
            {_outcome_of_field(place.outcome(value, streamed=s)): None for value in VALUES}
            for s in (False, True)
        )
        return [f"`{path}`", "; ".join(body), "the same" if body == stream else "; ".join(stream)]

    return table(["field", "in a body", "in a stream"], map(row, FIELDS))


def _outcome_of_field(outcome: Outcome) -> str:
    if isinstance(outcome, Fails):
        return f"`{outcome.error.__name__}`"
    return "an invalid tool call" if outcome.invalid_calls else "the answer"


def rooms() -> str:
    """Render the modules that a streamed call enters, in their order, with their callers."""
    prefix = "langchain_dashscope_deepseek."
    entered: dict[str, tuple[list[str], list[str]]] = {}

    def room(frame: FrameType | None) -> str:
        while frame is not None:
            module = str(frame.f_globals.get("__name__", ""))
            if module.startswith(prefix):
                return module.removeprefix(prefix)
            frame = frame.f_back
        return "langchain_core"

    def note(frame: FrameType, event: str, _: object) -> None:
        name = frame.f_code.co_name
        if name.startswith("__"):  # a class is more telling than its `__init__`
            owner = type(frame.f_locals.get("self")).__name__
            name = owner if name == "__init__" else f"{owner}.{name}"
        if event != "call" or not str(frame.f_globals.get("__name__")).startswith(prefix):
            return
        caller, module = room(frame.f_back), room(frame)
        if caller != module and not name.startswith("<"):
            callers, names = entered.setdefault(module, ([], []))
            callers += [caller] if caller not in callers else []
            names += [name] if name not in names else []

    answer = Path(__file__).parents[1] / "tests/unit_tests/transcripts/thinking_then_text.sse"
    head = {"content-type": "text/event-stream"}
    transport = httpx.MockTransport(
        lambda _: httpx.Response(200, content=answer.read_bytes(), headers=head)
    )
    model = ChatDashScopeDeepSeek(
        model="deepseek-v4-pro", api_key="sk-x", http_client=httpx.Client(transport=transport)
    )
    sys.setprofile(note)
    try:
        list(model._stream([HumanMessage("Why is the sky blue?")]))  # noqa: SLF001 - without core
    finally:
        sys.setprofile(None)

    def shown(names: Iterable[str]) -> str:
        return ", ".join(f"`{name}`" for name in names)

    rows = (
        (step, f"`{module}`", shown(callers), shown(names))
        for step, (module, (callers, names)) in enumerate(entered.items(), 1)
    )
    return table(["step", "module", "called from", "functions"], rows)


def settings() -> str:
    """Render the settings with their types, as they are written, and their texts."""
    lines = []
    for field, name, text in _fields():
        kind = ast.unparse(field.annotation).replace(" | ", "` or `")  # a line may end there
        others = _other_names(field)
        shown = f"`{name}`" + "".join(f"<br>or `{other}`" for other in others)
        lines.append([shown, f"`{kind}`", text])
    return table(["setting", "value", ""], lines)


def _other_names(field: ast.AnnAssign) -> list[str]:
    """Find the names beside its own under which a field can be given."""
    found = [node for node in ast.walk(field) if isinstance(node, ast.Call)]
    aliases = [node for node in found if ast.unparse(node.func) == "AliasChoices"]
    return [str(ast.literal_eval(name)) for node in aliases for name in node.args[1:]]


def _fields() -> Iterator[tuple[ast.AnnAssign, str, str]]:
    """Yield the fields of the model, with their names and what stands below them."""
    tree = ast.parse((PACKAGE / "_model_fields.py").read_text(encoding="utf-8"))
    (model,) = (
        node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "ModelFields"
    )
    for field, below in pairwise(model.body):
        match field, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                yield field, name, " ".join(text.split())


def metadata() -> str:
    """Render the keys of `response_metadata`, with the comments behind them in the code."""
    code = (PACKAGE / "_langchain" / "answer.py").read_text(encoding="utf-8")
    texts: dict[str, str] = {}
    for name in ("first_metadata", "finish", "last_metadata"):
        body = code.partition(f"    def {name}(")[2].partition("\n    @property")[0]
        for key, text in re.findall(r'^            "(\w+)": .*?(?:  # (.*))?$', body, re.MULTILINE):
            if not text:
                raise ValueError(f"{key} has no comment in answer.py, which the docs show")
            texts.setdefault(key, text)
    return table(["key", "value"], ([f"`{key}`", text] for key, text in texts.items()))


TABLES: Mapping[str, Callable[[], str]] = {
    "models": models,
    "current": current,
    "partners": partners,
    "retired": retired,
    "limits": limits,
    "sources": sources,
    "parameters": parameters,
    "efforts": efforts,
    "aliases": aliases,
    "regions": regions,
    "errors": errors,
    "codes": codes,
    "messages": messages,
    "faults": faults,
    "fields": fields,
    "rooms": rooms,
    "settings": settings,
    "metadata": metadata,
}


_CODE = re.compile(
    r"(<!-- code of (\w+\.py), (\w+): made by docs/make_tables.py -->\n).*?(<!-- end of code -->)",
    re.DOTALL,
)


def code(path: Path, name: str) -> str:
    """Copy a function of an example, in a block that the tests do not run by itself."""
    source = path.read_text(encoding="utf-8")
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    (found,) = (n for n in ast.parse(source).body if isinstance(n, functions) and n.name == name)
    first = min(node.lineno for node in (found, *found.decorator_list))
    lines = source.splitlines()[first - 1 : found.end_lineno]
    return "\n".join(["```py", *lines, "```"])


def with_code(page: str, folder: Path) -> str:
    """Fill the code of a page of an example, from the files in its folder."""
    return _CODE.sub(
        lambda match: f"{match[1]}{code(folder / match[2], match[3])}\n{match[4]}", page
    )


def filled(page: str, translations: Mapping[str, str]) -> str:
    """Fill the tables of a page; cells without a translation stay as they are."""
    for name, render in TABLES.items():
        begin, end = f"<!-- {name}: made by docs/make_tables.py -->", f"<!-- end of {name} -->"
        if begin not in page:
            continue
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        content = re.sub(
            r"(?<=\| )[^|]+(?= \|)", lambda cell: translations.get(cell[0], cell[0]), render()
        )
        body = f"{begin}\n{content}\n{end}"
        page = pattern.sub(lambda _, body=body: body, page)  # type: ignore[misc]
    return page


def repository() -> str:
    """Read the address of the repository; `""` while there is none."""
    text = (DOCS.parent / "pyproject.toml").read_text(encoding="utf-8")
    return str(tomllib.loads(text)["tool"]["hatch"]["metadata"]["hooks"]["custom"]["repository"])


def old_rows(today: date) -> list[str]:
    """Name the current models whose source is too old."""
    longest = timedelta(days=LONGEST_DAYS)
    return [
        f"{name}, by a source of {row.source_date}"
        for name, row in MODELS.items()
        if row.status == "current" and today - (row.source_date or date.min) > longest
    ]


def write(path: Path, text: str) -> bool:
    """Write a file anew, unless it is only to be checked; tell whether it was stale."""
    is_stale = not path.exists() or path.read_text(encoding="utf-8") != text
    if is_stale and "--check" not in sys.argv:
        path.write_text(text, encoding="utf-8")
    return is_stale


def main() -> int:
    """Write the tables, or check them."""
    pages = [
        *sorted(DOCS.glob("*.md")),
        *sorted(DOCS.glob("reference/*.md")),
        *sorted(DOCS.glob("examples/*/*.md")),
        *sorted(DOCS.parent.glob("*.md")),
    ]
    stale = []
    for page in pages:
        translations = CHINESE if page.name.endswith(".zh-CN.md") else {}
        text = with_code(page.read_text(encoding="utf-8"), page.parent)
        if write(page, filled(text, translations)):
            stale.append(str(page.relative_to(DOCS.parent)))
    settings = DOCS.parent / "mkdocs.yml"
    if write(settings, site(settings.read_text(encoding="utf-8"), repository())):
        stale.append(settings.name)
    for name in old_rows(datetime.now(tz=timezone.utc).date()):
        print(f"older than {LONGEST_DAYS} days: {name} (docs/models.md says what to read again)")
    if stale:
        print("not what the code says:" if "--check" in sys.argv else "written:", *stale)
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
