"""What came of it, for people: a table, the goals, and the part that the README shows."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.contestants import OURS
from bench.goals import GOALS, Goal
from bench.machine import Machine
from bench.results import Results
from bench.rows import ASIDE, LESS_IS_BETTER, Row
from bench.rows.every import EVERY

README = Path(__file__).parent.parent / "README.md"
WHOLE, PROOFS = "bench", "bench: proofs"
PLACES = {
    WHOLE: [row for row in EVERY if row.beside is None],
    PROOFS: [row for row in EVERY if row.beside is not None],
}
"""What the README shows, by the mark of its place, and of which rows."""

ELSEWHERE = (
    "Not measured here: Django's OAuth toolkit (of goal 1), a cheap question while RS256 is signed "
    "(goal 9). Whether memory stays as it is (of goal 10), ./tokenward soak says."
)

Lines = list[list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One run."""

    rows: Sequence[Row]
    results: Results
    machine: Machine
    rounds: int
    quick: bool

    @property
    def head(self) -> list[str]:
        """On what, and how."""
        words = f"{self.rounds} rounds, all contestants in turn in each; medians"
        if self.quick:
            words = "a quick run, which shows that it works and nothing else"
        return [*self.machine.lines(), words]

    def table(self) -> Lines:
        """Row, contestant, figure, how it compares with the row's first, p99, spread."""
        lines = [["", "", "median", "", "tokenward is", "aside", "p99 ms", "±"]]
        for row in self.rows:
            for number, who in enumerate(row.measures):
                name = row.name if number == 0 else ""
                lines.append([name, who, *self._figures(row, who)])
        return lines

    def _figures(self, row: Row, who: str) -> list[str]:
        if (row.name, who) in self.results.void:
            return ["—", "not measured", "", "", "", ""]
        value = self.results.value(row.name, who)
        if value is None:
            return ["—", "", "", "", "", ""]
        p99 = self.results.value(row.name, who, "p99_ms")
        spread = self.results.spread(row.name, who)
        return [
            number(value),
            row.unit,
            self._compared(row, who),
            self._aside(row, who),
            f"{p99:.1f}" if p99 is not None else "",
            f"{spread / 2:.0%}" if self.rounds > 1 and not row.once else "",
        ]

    def _compared(self, row: Row, who: str) -> str:
        """How much better the row's first is than this one."""
        first = next(iter(row.measures))
        if who == first or row.beside is not None:
            return ""
        ratio = self.results.ratio((row.name, first), (row.name, who))
        if not ratio:
            return ""
        return f"{1 / ratio if row.unit in LESS_IS_BETTER else ratio:.2f} ×"

    def _aside(self, row: Row, who: str) -> str:
        """How often this is answered beside what it is held against, signatures aside."""
        if row.beside is None:
            return ""
        ratio = self.results.ratio((row.name, who), row.beside, ASIDE)
        return f"{ratio:.2f} ×" if ratio else ""

    def goals(self) -> Lines:
        """Each goal, what it wants, what was measured, and the verdict.

        In a run of some rows, only the goals that they are about.
        """
        whole = list(self.rows) == EVERY
        return [
            ["", "goal", "wanted", "measured", ""],
            *(
                [str(it.number), it.words, it.wanted, *self._verdict(it)]
                for it in GOALS
                if whole or it.figure(self.results) is not None
            ),
        ]

    def _verdict(self, goal: Goal) -> list[str]:
        figure = goal.figure(self.results)
        if figure is None:
            return ["—", "not measured"]
        said = f"{number(figure)}{goal.unit}"
        held = goal.held(figure)
        return [said, "held" if held else f"MISSED by {goal.short(figure):.0%}"]

    def missed(self) -> list[Goal]:
        """The goals that were measured and missed."""
        figures = ((it, it.figure(self.results)) for it in GOALS)
        return [it for it, figure in figures if figure is not None and not it.held(figure)]

    def notes(self) -> list[str]:
        """What is not in the table: why something was not measured, and how to read a row."""
        void = [f"{row}, {who}: {why}" for (row, who), why in self.results.void.items()]
        return [*(f"not measured: {it}" for it in void), *_notes(self.rows)]

    def text(self) -> str:
        """For a terminal."""
        parts = [self.head, aligned(self.table()), self.notes(), aligned(self.goals()), [ELSEWHERE]]
        return "\n\n".join("\n".join(part) for part in parts if part) + "\n"

    def markdown(self) -> str:
        """The same for documents."""
        parts = [
            [f"* {line}" for line in self.head],
            tabled(self.table()),
            [f"* {note}" for note in self.notes()],
            tabled(self.goals()),
            [ELSEWHERE],
        ]
        return "\n\n".join("\n".join(part) for part in parts if part) + "\n"

    def readme(self, mark: str) -> str:
        """The short table that the README shows there: what, how fast, beside whom."""
        lines = self._shortly() if mark == WHOLE else self._by_proof()
        head = "; ".join(self.machine.lines()[:2])
        return "\n".join([*tabled(lines), "", f"{head}.", ""])

    def _shortly(self) -> Lines:
        lines = [["", "tokenward", "", "beside"]]
        for row in self.rows:
            first, *others = row.measures
            if first != OURS or (value := self.results.value(row.name, first)) is None:
                continue
            beside = [f"{it} {said}" for it in others if (said := self._compared(row, it))]
            lines.append([row.name, number(value), row.unit, ", ".join(beside)])
        return lines

    def _by_proof(self) -> Lines:
        lines = [["", "", "answers per CPU-second", "beside getToken, signatures aside"]]
        for row in PLACES[PROOFS]:
            for at, who in enumerate(row.measures):
                if (value := self.results.value(row.name, who)) is not None:
                    name = "" if at else row.name
                    lines.append([name, who, number(value), self._aside(row, who)])
        return lines


def places(rows: Sequence[Row]) -> list[str]:
    """The marks of those places in the README of which all rows are among these."""
    return [mark for mark, wanted in PLACES.items() if all(it in rows for it in wanted)]


def write_readme(report: Report, path: Path = README) -> None:
    """Put the tables between their marks; raises ``ValueError`` where there are none."""
    page = path.read_text("utf-8")
    for mark in places(report.rows):
        marks = re.compile(rf"(<!-- {mark} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not marks.search(page):
            raise ValueError(f"{path.name} has no place for it")
        table = report.readme(mark)
        page = marks.sub(lambda found, table=table: f"{found[1]}{table}{found[2]}", page)  # type: ignore[misc]
    path.write_text(page, encoding="utf-8")


def number(value: float) -> str:
    """With as many digits as mean something."""
    if value >= 1_000:  # noqa: PLR2004
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004


def aligned(lines: Lines) -> list[str]:
    """Columns under one another; figures to the right."""
    widths = [max(len(line[at]) for line in lines) for at in range(len(lines[0]))]
    return [
        "  ".join(
            cell.rjust(width) if _figure(cell) else cell.ljust(width)
            for cell, width in zip(line, widths, strict=True)
        ).rstrip()
        for line in lines
    ]


def tabled(lines: Lines) -> list[str]:
    """A table in Markdown."""
    head, *rest = lines
    rule = ["---"] * len(head)
    return [
        f"| {' | '.join(it.replace('|', chr(92) + '|') for it in line)} |"
        for line in (head, rule, *rest)
    ]


def _figure(cell: str) -> bool:
    return bool(re.fullmatch(r"[\d.,]+( ×| µs| ms| MiB|%)?|—", cell))


def _notes(rows: Sequence[Row]) -> list[str]:
    return [f"{row.name}: {row.note}" for row in rows if row.note]
