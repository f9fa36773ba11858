"""How long something takes that is done many times: what most of them took, and what the slowest.

Spans are counted in steps, none more than half as long again as the one before it, so nothing that
is said of them is further off than that.
"""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

ENDS = (
    *(step * ten / 1_000 for ten in (1, 10, 100, 1_000) for step in (1, 1.5, 2, 3, 4, 6, 8)),
    10.0,
)
"""Upper ends of the steps, in seconds; whatever took longer is beyond the last one."""


@dataclass(slots=True)
class Latency:
    """How many took how long."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(ENDS) + 1))
    """For each step, and for what lies beyond."""

    total: float = 0.0
    """Seconds, of all together."""

    def took(self, seconds: float) -> None:
        """One more, which took so long."""
        self.counts[bisect_left(ENDS, seconds)] += 1
        self.total += seconds

    def add(self, other: "Latency") -> None:
        """Those of somebody else, too."""
        self.counts = [one + more for one, more in zip(self.counts, other.counts, strict=True)]
        self.total += other.total

    def quantile(self, share: float) -> float | None:
        """Seconds within which this share of them (0 to 1) ended; ``None`` if there was none.

        What took longer than all steps is said to have taken as long as the last one.
        """
        left = share * sum(self.counts)
        for (low, high), count in zip(pairwise((0.0, *ENDS)), self.counts, strict=False):
            if count and left <= count:
                return low + (high - low) * left / count
            left -= count
        return ENDS[-1] if any(self.counts) else None

    def spans(self) -> list[float]:
        """All of it as a list of numbers: the counts, then the total."""
        return [*self.counts, self.total]

    def to_json(self) -> dict[str, object]:
        """All of it, by the ends of the steps: another version may have others."""
        found = zip((*ENDS, None), self.counts, strict=True)
        return {"counts": [[end, count] for end, count in found if count], "total": self.total}

    @classmethod
    def from_json(cls, counts: Iterable[tuple[float | None, int]], total: float) -> "Latency":
        """What ``to_json`` made."""
        made = cls(total=total)
        for end, count in counts:
            made.counts[len(ENDS) if end is None else bisect_left(ENDS, end)] += count
        return made
