"""Renders the figures as tables, and writes `docs/benchmarks.md` with its plot."""

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

CPU time, memory and start-up time of this package, of similar packages, and of two baselines that
do only part of the work. `make bench` runs the benchmarks. Compare the ratios; absolute figures
depend on the machine.

{about}

A separate process serves prepared answers: half of the events contain reasoning, half contain
text, and the last one is empty. Each event is an HTTP chunk of its own, as from the service, but
all are written without delays, so clients read many events from the socket at a time. The same text
is served over DashScope's and OpenAI's protocol. Each client's result is compared with that text.

| term | meaning |
| --- | --- |
| LangChain baseline | LangChain's base class with prepared chunks; for imports, also httpx |
| httpx baseline | only httpx, httpx-sse and `json` |
| sum of baselines | the sum of these two |
| 50 or 500 at once | streams that start together, on open connections, after `gc.collect()` |
| several streams each | 50 or 500 concurrent tasks; the first stream of each is not counted |
| CPU | CPU time of the whole process, including its threads |
| additional distributions | packages beyond langchain-core, httpx and their dependencies |

Each figure is measured in a new process, and the packages take turns. The result of a round is the
best sample of its process. The tables show the minimum and the median of the rounds.

![CPU, as a multiple of this package](benchmarks.svg)

## Limits

Each ratio is computed for each round, and the median must meet the limit. The speed of the machine
varies by half within minutes, so single rounds differ widely. A ratio to the baselines can be below
1: the httpx baseline sends all requests through one client, whose connection pool does more work
for each of them than that of this package, and each figure is measured in a process of its own.

{bars}

## Figures

Minimum / median of the rounds, or one figure if there was one round. A dash means not supported or
not measured. `invoke` requests the answer as one JSON body, except in "this package by default",
which [streams internally](thinking.md#why-invoke-streams) while the model thinks.

{figures}

## Time of a long answer

{split}

## Instructions

`make bench_instructions` uses valgrind to count the CPU instructions for one event of a stream that
is read from memory. It fails if the ratio is more than 5 % above the one in this table:

{instructions}
"""


def rows(lines: list[list[str]]) -> str:
    """Render a Markdown table."""
    header, *rest = lines
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(line)} |" for line in [header, rule, *rest])


def number(value: float) -> str:
    """Render a figure with its significant digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def figures(results: Results) -> str:
    """Render the minimum and median of each figure."""
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
    """Render each limit, its value and whether it is met."""
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
    header = ["ratio", "median", "range of rounds", "rounds", "limit", "met"]
    return rows([header, *lines]) + obstacles


def about(results: Results) -> str:
    """Describe the machine and the versions."""
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
    """Split the CPU of an event of a long answer between langchain-core, httpx and this package."""
    whole = results.middle("long_stream", "this package")
    direct = results.middle("long_direct_100000", "this package")
    reading = results.middle("long_stream", "httpx baseline")
    parts = {
        "reading and parsing: httpx, httpx-sse, json (the httpx baseline)": reading,
        "this package: `_stream`, called directly, minus the above": direct - reading,
        "langchain-core: `stream()` minus `_stream`": whole - direct,
    }
    lines = [[part, number(value * 1e6), f"{value / whole:.0%}"] for part, value in parts.items()]
    return rows([["CPU per event, of 100,000 events", "µs", "share"], *lines])


def instructions() -> str:
    """Render the result of `make bench_instructions`."""
    kept = json.loads(KEPT.read_text(encoding="utf-8"))
    lines = [[f"{kept['ours']:,}", f"{kept['floor']:,}", f"{kept['ratio']}", kept["python"]]]
    return rows([["this package", "LangChain baseline", "ratio", "Python"], *lines])


def plot(results: Results, path: Path) -> None:
    """Plot the CPU of each contender, as a multiple of this package."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "benchmarks"  # the same picture gives the same file
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(PLOTTED), figsize=(13, 3.6), sharey=True)
    names = [name for name in CONTENDERS if name != "this package by default"][::-1]
    for axis, scenario in zip(axes, PLOTTED, strict=True):
        own = results.middle(scenario, "this package")
        shown = [name for name in names if results.has(scenario, name)]
        ratios = [results.middle(scenario, name) / own for name in shown]
        colours = [_colour(name) for name in shown]
        drawn = axis.barh(names, [0] * len(names))
        drawn = axis.barh(shown, ratios, color=colours)
        axis.bar_label(drawn, fmt="%.1f", padding=2, fontsize=8)
        axis.set_title(SCENARIOS[scenario].title.replace("`", ""), fontsize=9)
        axis.axvline(1, color="black", linewidth=0.8)
        axis.margins(x=0.2)
        axis.spines[["top", "right"]].set_visible(False)
    figure.supxlabel("multiple of this package; less is better", fontsize=9)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def _colour(name: str) -> str:
    if name == "this package":
        return "tab:blue"
    return "silver" if name.endswith("baseline") else "tab:orange"


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
