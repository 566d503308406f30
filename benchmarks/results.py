"""The figures of a run: one for each scenario, contender and round."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median


@dataclass
class Results:
    """What was measured.

    Attributes:
        figures: By scenario and contender, a figure for each round: the best sample of a process,
            which the other work of the machine disturbed least.
    """

    figures: dict[str, dict[str, list[float]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )

    def add(self, scenario: str, contender: str, samples: list[float]) -> None:
        """Take the samples of a process."""
        self.figures[scenario][contender].append(min(samples))

    def save(self, path: Path) -> None:
        """Keep them, so that a run that is broken off is not lost."""
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(self.figures), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Results:
        """Take what was kept."""
        results = cls()
        for scenario, by_name in json.loads(path.read_text(encoding="utf-8")).items():
            results.figures[scenario].update(by_name)
        return results

    def least(self, scenario: str, contender: str) -> float:
        """Give the best round."""
        return min(self.figures[scenario][contender])

    def middle(self, scenario: str, contender: str) -> float:
        """Give the median of the rounds."""
        return median(self.figures[scenario][contender])

    def count(self, scenario: str, contender: str) -> int:
        """Tell how often it was measured."""
        return len(self.figures.get(scenario, {}).get(contender, ()))

    def has(self, scenario: str, contender: str) -> bool:
        """Tell whether it was measured."""
        return self.count(scenario, contender) > 0

    def of_rounds(self, value: Callable[[Figure], float]) -> Iterator[float]:
        """Yield a value for each round in which all that it is worked out of was measured.

        Raises:
            KeyError: Something that the value needs was not measured at all.
        """
        with suppress(IndexError):
            for number in range(self.rounds):
                yield value(self._of(number))

    @property
    def rounds(self) -> int:
        """How many rounds there were."""
        return max(len(rounds) for names in self.figures.values() for rounds in names.values())

    def _of(self, number: int) -> Figure:
        def figure(scenario: str, contender: str = "this package") -> float:
            if not self.has(scenario, contender):
                raise KeyError(scenario)
            return self.figures[scenario][contender][number]

        return figure


Figure = Callable[..., float]
"""Gives a figure of one round."""
