"""Figures as a table, and `docs/benchmarks.md` with its plot."""

from __future__ import annotations

from benchmarks.contenders import CONTENDERS
from benchmarks.results import Results
from benchmarks.scenarios import SCENARIOS, UNITS


def table(results: Results) -> str:
    """Render minimum and median of each figure, as Markdown."""
    shown = [name for name in CONTENDERS if any(results.has(s, name) for s in SCENARIOS)]
    lines = [["", *shown], ["---"] + ["---:"] * len(shown)]
    for name, scenario in SCENARIOS.items():
        if any(results.has(name, contender) for contender in shown):
            cells = (_cell(results, name, contender) for contender in shown)
            unit = f", {scenario.unit}" if scenario.unit else ""
            lines.append([scenario.title + unit, *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(results: Results, scenario: str, contender: str) -> str:
    if not results.has(scenario, contender):
        return "-"
    scale = UNITS[SCENARIOS[scenario].unit]
    least, middle = results.least(scenario, contender), results.middle(scenario, contender)
    if len(results.figures[scenario][contender]) == 1:
        return number(least * scale)
    return f"{number(least * scale)} / {number(middle * scale)}"


def number(value: float) -> str:
    """Render three digits that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def write_docs(results: Results) -> None:
    """Write `docs/benchmarks.md` and its plot."""
