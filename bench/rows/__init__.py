"""What is measured? One question per file, one function per measurement.

A row is a question with a contestant for each way to answer it. Those of a round are asked in turn,
in another order each round; those that take long are asked once, at the end.

To add one, write a file with ``ROWS`` and name it in ``every``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.contestants import Contestant
from bench.field import Field
from bench.results import Cell, Figures
from bench.wrk import Void

Measure = Callable[[Field], Figures]

ASIDE = "aside"
"""A figure: answers per CPU-second of what is left without the bare signatures."""

PER_CPU, MICROSECONDS, MILLISECONDS, MIB = "per CPU-second", "µs CPU", "ms", "MiB"
LESS_IS_BETTER = frozenset({MICROSECONDS, MILLISECONDS, MIB})


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One question."""

    name: str
    unit: str
    measures: Mapping[str, Measure]
    """By contestant, the one that is compared with the others first."""

    needs: frozenset[str] = frozenset()
    """Who has to be started for it; those who are compared unless said."""

    once: bool = False
    """Whether it is asked once, after all rounds, because it takes long."""

    beside: Cell | None = None
    """What each is held against, signatures aside; nothing unless said."""

    note: str = ""
    """What one has to know to read it."""

    @property
    def wants(self) -> frozenset[str]:
        """Who has to be started."""
        return self.needs or frozenset(self.measures)


def load(what: str, *, server: str, good: Callable[[bytes], bool]) -> Measure:
    """Ask a server for this as fast as it answers."""
    turn = {"at": 0}

    def measure(field: Field) -> Figures:
        contestant = field.server(server)
        file = field.requests(contestant, what)
        look_at_one(contestant, file.read_bytes(), good)
        said = field.load.ask(
            contestant.program, contestant.port, file, seconds=field.seconds, first=turn["at"]
        )
        turn["at"] = int(said.pop("next"))
        return said

    return measure


def look_at_one(contestant: Contestant, requests: bytes, good: Callable[[bytes], bool]) -> None:
    """An answer that is no error may still be the wrong one; raises ``Void`` then."""
    from bench.asking import Wrong, gathered  # noqa: PLC0415 - only here

    length, _, rest = requests.partition(b"\n")
    try:
        (answer,) = gathered(contestant.port, rest[: int(length)], 1)
    except Wrong as problem:
        raise Void(f"{contestant.name}: {problem}") from problem
    if not good(answer):
        raise Void(f"{contestant.name} answers {answer[:100]!r}")
