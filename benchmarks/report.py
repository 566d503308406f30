"""The figures as tables, and `docs/benchmarks.md` with its plot."""

from __future__ import annotations

import json
import os
import platform
from importlib.metadata import version
from pathlib import Path
from statistics import median

from benchmarks.bars import judged
from benchmarks.contenders import CONTENDERS
from benchmarks.instructions import KEPT
from benchmarks.results import Results
from benchmarks.scenarios import SCENARIOS, UNITS

DOCS = Path(__file__).parents[1] / "docs"
PLOTTED = ("stream", "async_50", "v3", "invoke")
VERSIONS = (
    "langchain-core",
    "httpx",
    "httpx-sse",
    "pydantic",
    "langchain-deepseek",
    "langchain-qwq",
    "langchain-community",
    "langchain-openai",
    "openai",
    "dashscope",
)

PAGE = """# Benchmarks

Made by `make bench`. What counts are the ratios within one run, not the figures of one machine.

{about}

A server in a process of its own replays answers that were rendered before: half of the events
think, half speak, and the last one is empty. It sends each event as an HTTP chunk of its own, as
the service does, but writes them all at once; so nobody waits, and everybody reads many events from
the socket at a time. DashScope's protocol and OpenAI's carry the same text, and what each contender
gives is compared with it. One event gives one chunk here: nothing is merged or held back.

Streams at once all begin together, on connections that are open, right after a garbage collection.
Where others come after them, as on a busy server, as many tasks ask for several streams one after
the other, and the first one of each is not counted.

Each figure is measured in a fresh process, and for each the contenders take turns. A round gives
the best of a process's samples, the table the least and the median of the rounds. CPU is that of
the whole process, its threads included. The floors are what nobody gets below: LangChain's base
class fed with chunks that are ready, and httpx, httpx-sse and `json` alone.

![CPU, as a multiple of ours](benchmarks.svg)

## The bars

Ratios are worked out round by round, and their median counts. The speed of the machine moves by
half within minutes, so that single rounds lie far apart.

{bars}

## The figures

Least / median of the rounds; one figure where one round was enough. A dash: it cannot do that, or
it was not asked. For `invoke` all are asked for the answer in one body; "ours by default" streams
underneath while the model thinks, since proxies cut connections that are silent for minutes.

{figures}

## Where the time of a long answer goes

{split}

## Counted in instructions

`make bench_instructions` counts with valgrind what an event of a stream from memory executes, ours
and LangChain's floor. It fails where the ratio is more than 5 % above what is kept here.

{instructions}
"""


def rows(lines: list[list[str]]) -> str:
    """Render a Markdown table."""
    header, *rest = lines
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(line)} |" for line in [header, rule, *rest])


def number(value: float) -> str:
    """Render a figure with the digits that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def figures(results: Results) -> str:
    """Render least and median of each figure."""
    shown = [name for name in CONTENDERS if any(results.has(s, name) for s in SCENARIOS)]
    lines = [["", *shown]]
    for name, scenario in SCENARIOS.items():
        if any(results.has(name, contender) for contender in shown):
            unit = f", {scenario.unit}" if scenario.unit else ""
            cells = (_cell(results, name, contender) for contender in shown)
            lines.append([scenario.title + unit, *cells])
    return rows(lines)


def _cell(results: Results, scenario: str, contender: str) -> str:
    if not results.has(scenario, contender):
        return "-"
    scale = UNITS[SCENARIOS[scenario].unit]
    least = number(results.least(scenario, contender) * scale)
    middle = number(results.middle(scenario, contender) * scale)
    return least if least == middle else f"{least} / {middle}"


def bars(results: Results) -> str:
    """Render each bar, its value and whether it is met."""
    lines = [
        [
            bar.rule,
            f"{median(values):.2f}",
            f"{min(values):.2f} to {max(values):.2f}",
            f"{len(values)}",
            f"{bar.kind} {bar.limit:g}",
            "yes" if bar.holds(values) else "no",
        ]
        for bar, values in judged(results)
    ]
    obstacles = "".join(
        f"\n\n{bar.rule}: {bar.obstacle}"
        for bar, values in judged(results)
        if bar.obstacle and not bar.holds(values)
    )
    header = ["bar", "measured", "in single rounds", "rounds", "must be", "met"]
    return rows([header, *lines]) + obstacles


def about(results: Results) -> str:
    """Say on what machine and with what versions it was measured."""
    versions = ", ".join(f"{name} {version(name)}" for name in VERSIONS)
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return (
        f"Rounds: {results.rounds}. Machine: {_processor()}, {os.cpu_count()} cores, "
        f"{platform.system()}, with a load of {os.getloadavg()[2]:.1f} at the end. "
        f"Versions: {python}, {versions}."
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def split(results: Results) -> str:
    """Say how the cost of an event of a long answer splits between core, httpx and us."""
    whole = results.middle("long_stream", "ours")
    direct = results.middle("long_direct_100000", "ours")
    reading = results.middle("long_stream", "wire floor")
    parts = {
        "reading and parsing: httpx, httpx-sse, json (the floor)": reading,
        "ours: `_stream` called directly, less the above": direct - reading,
        "core: `stream()` less `_stream`": whole - direct,
    }
    lines = [[part, number(value * 1e6), f"{value / whole:.0%}"] for part, value in parts.items()]
    return rows([["an event of 100,000", "µs", "of all"], *lines])


def instructions() -> str:
    """Render what `make bench_instructions` keeps."""
    kept = json.loads(KEPT.read_text(encoding="utf-8"))
    lines = [[f"{kept['ours']:,}", f"{kept['floor']:,}", f"{kept['ratio']}", kept["python"]]]
    return rows([["ours", "LangChain's floor", "ratio", "Python"], *lines])


def plot(results: Results, path: Path) -> None:
    """Draw what each contender costs, as a multiple of ours."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "benchmarks"  # the same picture gives the same file
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(PLOTTED), figsize=(13, 3.6), sharey=True)
    names = [name for name in CONTENDERS if name != "ours by default"][::-1]
    for axis, scenario in zip(axes, PLOTTED, strict=True):
        ours = results.middle(scenario, "ours")
        shown = [name for name in names if results.has(scenario, name)]
        ratios = [results.middle(scenario, name) / ours for name in shown]
        colours = [_colour(name) for name in shown]
        drawn = axis.barh(names, [0] * len(names))
        drawn = axis.barh(shown, ratios, color=colours)
        axis.bar_label(drawn, fmt="%.1f", padding=2, fontsize=8)
        axis.set_title(SCENARIOS[scenario].title.replace("`", ""), fontsize=9)
        axis.axvline(1, color="black", linewidth=0.8)
        axis.margins(x=0.2)
        axis.spines[["top", "right"]].set_visible(False)
    figure.supxlabel("multiple of ours; less is better", fontsize=9)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def _colour(name: str) -> str:
    return "tab:blue" if name == "ours" else "silver" if name.endswith("floor") else "tab:orange"


def write_docs(results: Results) -> None:
    """Write `docs/benchmarks.md` and its plot."""
    plot(results, DOCS / "benchmarks.svg")
    page = PAGE.format(
        about=about(results),
        bars=bars(results),
        figures=figures(results),
        split=split(results),
        instructions=instructions(),
    )
    (DOCS / "benchmarks.md").write_text(page, encoding="utf-8")
