"""Write the tables in the docs anew from the code: `make docs`.

Each stands between `<!-- NAME: made by ... -->` and `<!-- end of NAME -->`. `--check` writes
nothing and fails where a table is not what the code says; the tests run that.
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

from docs.code_meanings import MEANINGS
from docs.links import site
from langchain_dashscope_deepseek import (
    MODELS,
    ChatDashScopeDeepSeek,
    DashScopeError,
    DashScopeInputError,
)
from langchain_dashscope_deepseek._dashscope.protocol.error_codes import ADVICE, CODES, MESSAGES
from langchain_dashscope_deepseek._dashscope.regions import REGIONS
from langchain_dashscope_deepseek.capabilities import ModelCapabilities
from tests.integration_tests.faults import FAULTS, FIELDS, VALUES, Answers, Fails, Field, Outcome

DOCS = Path(__file__).parent
PACKAGE = DOCS.parent / "langchain_dashscope_deepseek"
if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

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
    """Render a fact that holds or not, or that no page tells."""
    return "?" if value is None else "yes" if value else "no"


def models() -> str:
    """Render what each model can do."""
    modes = {
        "always": "yes",
        "when_not_thinking": "not while thinking",
        "never": "no",
        "unknown": "?",
    }

    def row(name: str, can: ModelCapabilities) -> list[str]:
        thinking = str("?" if can.thinking == "unknown" else can.thinking)
        thinking += ", in streams only" if can.thinking_needs_stream else ""
        tokens = (can.context_tokens, can.max_input_tokens, can.max_output_tokens)
        reasoning = number(can.max_reasoning_tokens)
        if can.max_output_tokens and can.thinking != "never" and not can.max_reasoning_tokens:
            reasoning = "shares the answer's"
        status = "current"
        if can.status == "retired":
            since = f" since {can.retired_on}" if can.retired_on else ""
            status = f"off{since}: use {can.replacement}"
        facts = (can.images, can.json_object, can.json_schema, can.search, can.cache)
        return [
            f"`{name}`",
            status,
            thinking,
            modes[can.tools],
            *map(yes, facts),
            modes[can.partial],
            *map(number, tokens),
            reasoning,
        ]

    header = ["model", "status", "thinking", "tools", "images", "JSON", "JSON schema", "search"]
    header += ["cache", "partial", "context", "input", "answer", "reasoning"]
    return table(header, (row(*item) for item in MODELS.items()))


def current() -> str:
    """List the models that Alibaba hosts and has not retired; those of partners have a prefix."""
    names = [n for n, row in MODELS.items() if row.status == "current" and "/" not in n]
    return ", ".join(f"`{name}`" for name in names)


def sources() -> str:
    """Render the route of each model, and where its facts come from."""

    def row(name: str, can: ModelCapabilities) -> list[str]:
        native = "" if can.documented_natively else " (documented over the compatible one only)"
        missing = [
            *(f"search in {region}" for region in sorted(can.search_missing_in)),
            *(f"structured output in {region}" for region in sorted(can.json_missing_in)),
        ]
        route = f"{can.routes[0]}{native}"
        return [f"`{name}`", route, ", ".join(missing) or "-", can.source, str(can.checked_on)]

    header = ["model", "asked first on", "not documented", "source", "read on"]
    return table(header, (row(*item) for item in MODELS.items()))


def parameters() -> str:
    """Render what can be set on each model, and the service's defaults."""
    names = ["temperature", "top_p", "repetition_penalty", "presence_penalty"]
    names += ["max_tokens", "thinking_budget"]

    def cell(can: ModelCapabilities, name: str) -> str:
        default = number(getattr(can.defaults, name))
        if can.can_set(name):
            return default if default != "-" else "yes" if can.settable else "?"
        return "-" if default == "-" else f"{default}, fixed"

    rows = (
        [f"`{model}`", *(cell(can, name) for name in names), _efforts(can)]
        for model, can in MODELS.items()
    )
    return table(["model", *(f"`{name}`" for name in names), "`reasoning_effort`"], rows)


def _efforts(can: ModelCapabilities) -> str:
    if can.settable is None:
        return "?"
    texts = [*can.reasoning_efforts, *map(" as ".join, can.reasoning_effort_aliases)]
    if can.reasoning_effort_range is not None:
        texts.append("{} to {}".format(*can.reasoning_effort_range))
    return ", ".join(texts) or "-"


def regions() -> str:
    """Render the regions and their hosts."""
    hosts = ((f"`{r}`", f"`{h}`" if h else "through a workspace only") for r, h in REGIONS.items())
    return table(["region", "host without a workspace"], hosts)


def errors() -> str:
    """Render the tree of errors, with hints."""

    def below(error: type[DashScopeError], depth: int) -> Iterable[list[str]]:
        local = issubclass(error, DashScopeInputError)
        parents = (*error.__bases__, *error.__mro__)
        cores = [b.__name__ for b in parents if b.__module__ == "langchain_core.exceptions"]
        pythons = [b for b in (ValueError, LookupError, RuntimeError) if issubclass(error, b)]
        summary = (error.__doc__ or "").partition("\n")[0].rstrip(".")
        yield [
            f"{'&nbsp;&nbsp;' * depth}`{error.__name__}`",
            ", ".join(f"`{name}`" for name in (cores[0], *(b.__name__ for b in pythons))),
            summary,
            yes(error.is_retryable),
            "the text says it, case by case" if local else error.hint,
        ]
        for sub in error.__subclasses__():
            yield from below(sub, depth + 1)

    header = ["error", "also", "when", "retried", "what to do"]
    return table(header, below(DashScopeError, 0))


def codes() -> str:
    """Render the code table."""

    def row(codes: Iterable[str], status: int, means: str) -> Iterable[object]:
        (rule,) = {CODES[code] for code in codes}
        return [
            ", ".join(f"`{code}`" for code in codes),
            status,
            means,
            rule.advice or rule.error.hint,
            "yes, slowly" if rule.waits else yes(rule.error.is_retryable),
            f"`{rule.error.__name__}`",
        ]

    header = ["code", "HTTP", "what it means", "what to do", "retried", "error"]
    return table(header, (row(codes, *told) for codes, told in MEANINGS.items()))


def messages() -> str:
    """Render the texts that decide."""
    rows = ((f"`{text}`", f"`{narrow.__name__}`") for text, _, narrow in MESSAGES)
    return table(["the message holds", "error"], rows)


def advice() -> str:
    """Render what helps where a text does not."""
    return table(["the message holds", "what to do"], ((f"`{t}`", a) for t, a in ADVICE.items()))


def faults() -> str:
    """Render what the tests provoke, and the one right outcome of each."""
    header = ["what the client meets", "outcome", "asked again", "partial answer"]
    parts = []
    for group, members in FAULTS.items():
        rows = ([fault.what, *_outcome(fault.outcome)] for fault in members)
        parts.append(f"### {group}\n\n{table(header, rows)}")
    return "\n\n".join(parts)


def _outcome(outcome: Outcome) -> list[str]:
    if isinstance(outcome, Answers):
        calls = ", its call among the invalid ones" if outcome.invalid_calls else ""
        return [f"the answer{calls}", "-", "-"]
    again = "unless shown" if outcome.again and outcome.partial else yes(outcome.again)
    return [f"`{outcome.error.__name__}`", again, "what had arrived" if outcome.partial else "-"]


def fields() -> str:
    """Render what comes of values of a wrong type."""

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
    return "an invalid call" if outcome.invalid_calls else "the answer"


def rooms() -> str:
    """Render a streamed call, room by room: a call is made, and who calls whom is written down."""
    prefix = "langchain_dashscope_deepseek."
    called: dict[tuple[str, str], list[str]] = {}

    def room(frame: FrameType | None) -> str:
        while frame is not None:
            module = str(frame.f_globals.get("__name__", ""))
            if module.startswith(prefix):
                return module.removeprefix(prefix)
            frame = frame.f_back
        return "your code"

    def note(frame: FrameType, event: str, _: object) -> None:
        name = frame.f_code.co_name
        if event != "call" or not str(frame.f_globals.get("__name__")).startswith(prefix):
            return
        pair = (room(frame.f_back), room(frame))
        if pair[0] != pair[1] and not name.startswith("<"):
            names = called.setdefault(pair, [])
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
    rows = (
        (f"`{caller}`", f"`{other}`", ", ".join(f"`{name}`" for name in names))
        for (caller, other), names in called.items()
    )
    return table(["who", "calls", "there"], rows)


def settings() -> str:
    """Render the settings with their types, as they are written, and their texts."""
    lines = []
    for field, name, text in _fields():
        kind = ast.unparse(field.annotation).replace(" | ", "` or `")  # a line may end there
        others = _other_names(field)
        shown = f"`{name}`" + "".join(f"<br>or `{other}`" for other in others)
        lines.append([shown, f"`{kind}`", text])
    return table(["setting", "takes", ""], lines)


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


TABLES: Mapping[str, Callable[[], str]] = {
    "models": models,
    "current": current,
    "sources": sources,
    "parameters": parameters,
    "regions": regions,
    "errors": errors,
    "codes": codes,
    "messages": messages,
    "advice": advice,
    "faults": faults,
    "fields": fields,
    "rooms": rooms,
    "settings": settings,
}


def filled(page: str) -> str:
    """Fill the tables of a page."""
    for name, render in TABLES.items():
        begin, end = f"<!-- {name}: made by docs/make_tables.py -->", f"<!-- end of {name} -->"
        if begin not in page:
            continue
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        body = f"{begin}\n{render()}\n{end}"
        page = pattern.sub(lambda _, body=body: body, page)  # type: ignore[misc]
    return page


def repository() -> str:
    """Read the address of the repository; `""` while there is none."""
    text = (DOCS.parent / "pyproject.toml").read_text(encoding="utf-8")
    return str(tomllib.loads(text)["tool"]["hatch"]["metadata"]["hooks"]["custom"]["repository"])


def old_rows(today: date) -> list[str]:
    """Name the current models whose facts were read too long ago."""
    longest = timedelta(days=LONGEST_DAYS)
    return [
        f"{name}, read on {row.checked_on}"
        for name, row in MODELS.items()
        if row.status == "current" and today - (row.checked_on or date.min) > longest
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
        *sorted(DOCS.parent.glob("*.md")),
    ]
    stale = [page.name for page in pages if write(page, filled(page.read_text(encoding="utf-8")))]
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
