"""The figures of a run: round by round, contestant by contestant, row by row.

Law: a ratio is the median of the ratios of each round, for a round's two figures were taken one
after the other under the same conditions; the median of all rounds of one was not.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median

Figures = dict[str, float]
"""Of one contestant in one round; ``value`` is the one that counts."""

Cell = tuple[str, str]
"""A row and a contestant."""


@dataclass(slots=True)
class Results:
    """All there is so far."""

    rounds: dict[Cell, dict[int, Figures]] = field(default_factory=dict)
    void: dict[Cell, str] = field(default_factory=dict)
    """What could not be measured, and why: the last reason of each."""

    def add(self, row: str, who: str, number: int, figures: Figures) -> None:
        """One measurement."""
        self.rounds.setdefault((row, who), {})[number] = figures

    def fail(self, row: str, who: str, why: str) -> None:
        """No measurement. One void round makes the contestant's whole row void."""
        self.void[row, who] = why
        self.rounds.pop((row, who), None)

    def value(self, row: str, who: str, key: str = "value") -> float | None:
        """The median over the rounds; ``None`` if there is none."""
        return _median(it[key] for it in self._of((row, who)).values() if key in it)

    def ratio(self, one: Cell, other: Cell, key: str = "value") -> float | None:
        """How many times ``one`` is ``other``: the median over the rounds both have."""
        first, second = self._of(one), self._of(other)
        both = first.keys() & second.keys()
        return _median(
            first[it][key] / second[it][key]
            for it in both
            if key in first[it] and second[it].get(key)
        )

    def spread(self, row: str, who: str) -> float:
        """How far apart the rounds were: (most - least) / median."""
        values = [it["value"] for it in self._of((row, who)).values()]
        return (max(values) - min(values)) / median(values) if values and median(values) else 0.0

    def _of(self, cell: Cell) -> dict[int, Figures]:
        return {} if cell in self.void else self.rounds.get(cell, {})


def _median(values: Iterable[float]) -> float | None:
    found = list(values)
    return median(found) if found else None
