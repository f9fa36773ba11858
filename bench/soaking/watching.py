"""Looking at the server now and then: what it holds, how long answers took, what went wrong."""

import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

import orjson

from bench.asking import Latencies
from bench.ours import Ours

EXAMPLES = 20
"""Errors that are told in full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One look. Times in seconds since the load began, sizes in bytes."""

    at: float
    asked: int
    """Since the look before, like the following."""

    rate: float
    p50_ms: float
    p99_ms: float
    worst_ms: float
    errors: int
    busy: float
    """Share of one core that the server used."""

    under_way: int
    """Questions that have no answer yet."""

    rss: int
    pss: int
    descriptors: int
    threads: int
    database: int
    trail: int


@dataclass(slots=True, kw_only=True)
class Watch:
    """The looks so far, and what happens between two of them."""

    ours: Ours
    samples: list[Sample] = field(default_factory=list)
    problems: Counter[str] = field(default_factory=Counter)
    """What went wrong, and how often."""

    asked: int = 0
    answered: int = 0
    errors: int = 0
    began: float = field(default_factory=time.monotonic)
    _latencies: Latencies = field(default_factory=Latencies)
    _last: tuple[float, float, int, int] = (0.0, 0.0, 0, 0)

    def begin(self) -> None:
        """From now on it counts."""
        self.began = time.monotonic()
        self._latencies = Latencies()
        self._last = (self.began, self.ours.program.seconds(), self.asked, self.errors)

    def answer(self, took: float | None) -> None:
        """A question was answered well; ``took`` is ``None`` where that says nothing."""
        self.answered += 1
        if took is not None:
            self._latencies.seconds.append(took)

    def problem(self, kind: str, what: str) -> None:
        """A question was not answered as it should be."""
        self.answered += 1
        self.errors += 1
        if len(self.problems) < EXAMPLES or f"{kind}: {what}" in self.problems:
            self.problems[f"{kind}: {what}"] += 1

    def look(self) -> Sample:
        """Look once, and begin to count anew."""
        now, seconds = time.monotonic(), self.ours.program.seconds()
        before, used, asked, errors = self._last
        self._last = (now, seconds, self.asked, self.errors)
        latencies, self._latencies = self._latencies, Latencies()
        holding = self.ours.program.holding()
        sample = Sample(
            at=round(now - self.began, 1),
            asked=self.asked - asked,
            rate=round((self.asked - asked) / (now - before), 1),
            p50_ms=round(latencies.at(0.5), 3),
            p99_ms=round(latencies.at(0.99), 3),
            worst_ms=round(latencies.at(1.0), 3),
            errors=self.errors - errors,
            busy=round((seconds - used) / (now - before), 3),
            under_way=self.asked - self.answered,
            rss=holding.rss,
            pss=holding.pss,
            descriptors=holding.descriptors,
            threads=holding.threads,
            database=self.ours.database,
            trail=self.ours.trail,
        )
        self.samples.append(sample)
        return sample


def write(sample: Sample, path: Path) -> None:
    """One more line of JSON, at once: a run that is killed leaves what it saw."""
    with path.open("ab") as file:
        file.write(orjson.dumps(asdict(sample), option=orjson.OPT_APPEND_NEWLINE))


def read(path: Path) -> list[Sample]:
    """The samples of an earlier run."""
    return [Sample(**orjson.loads(line)) for line in path.read_bytes().splitlines()]
