"""What `./tokenward bench` runs: how fast it is, beside what others would use instead.

    ./tokenward bench                     all rows, five rounds: about twenty minutes
    ./tokenward bench --quick             two minutes: shows that it works, and nothing else
    ./tokenward bench --rows 'verify*'    some rows
    ./tokenward bench --write-readme      and put the tables into the README

All servers are started first, on one core; those who ask have another. The rounds alternate over
all contestants. A figure is what a server did per second of its own processor time, all of its
processes together; a ratio is the median of the ratios of each round. An error makes a row void.
"""

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from bench.asking import Wrong  # noqa: E402 - found only now
from bench.field import Field  # noqa: E402
from bench.goals import GOALS, Goal  # noqa: E402
from bench.machine import machine  # noqa: E402
from bench.processes import Cores, DidNotStart  # noqa: E402
from bench.report import Report, places, write_readme  # noqa: E402
from bench.results import Results  # noqa: E402
from bench.rows import Row  # noqa: E402
from bench.rows.every import EVERY, like  # noqa: E402
from bench.wrk import Void  # noqa: E402

ROUNDS, SECONDS = 5, 4
CANNOT, INTERRUPTED = 2, 130


def say(words: str) -> None:
    """To whoever is waiting; standard output is for the results."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')}  {words}\n")
    sys.stderr.flush()


def measure(field: Field, rows: list[Row], rounds: int, results: Results) -> None:
    """All rounds, the first of which only warms up, then what is measured once."""
    often = [row for row in rows if not row.once]
    for number in range(0 if not field.quick else 1, rounds + 1):
        say(f"round {number} of {rounds}" if number else "warming up")
        for row in often:
            for who in _turned(list(row.measures), number):
                if (row.name, who) not in results.void:
                    _one(field, row, who, number, results)
    for row in rows:
        if row.once:
            for who in row.measures:
                say(f"{row.name}: {who}")
                _one(field, row, who, 1, results)


def _turned(names: list[str], number: int) -> list[str]:
    """Another one first in each round."""
    at = number % len(names)
    return names[at:] + names[:at]


def _one(field: Field, row: Row, who: str, number: int, results: Results) -> None:
    try:
        figures = row.measures[who](field)
    except (Void, DidNotStart, Wrong, OSError, ValueError) as problem:
        say(f"{row.name}, {who}: {problem}")
        results.fail(row.name, who, str(problem))
    else:
        if number:
            results.add(row.name, who, number, figures)
    field.tidy()


def options(arguments: list[str]) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(
        prog="./tokenward bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--rows", metavar="PATTERN", default="*", help="only rows named so")
    parser.add_argument("--rounds", type=int, help=f"how many rounds ({ROUNDS}; 1 when quick)")
    parser.add_argument("--seconds", type=int, help=f"of each measurement ({SECONDS})")
    parser.add_argument("--quick", action="store_true", help="one round of a second each")
    parser.add_argument("--list", action="store_true", help="name the rows and who is in them")
    parser.add_argument("--markdown", action="store_true", help="the result as Markdown")
    parser.add_argument("--json", action="store_true", help="the result as JSON, every round")
    parser.add_argument("--write-readme", action="store_true", help="the tables into the README")
    said = parser.parse_args(arguments)
    said.rounds = said.rounds or (1 if said.quick else ROUNDS)
    said.seconds = said.seconds or (1 if said.quick else SECONDS)
    return said


def main(arguments: list[str]) -> int:
    """0 if every goal that was measured is held, 1 if not, 2 if nothing could be measured."""
    asked = options(arguments)
    rows = like(asked.rows)
    if asked.write_readme and (asked.quick or not places(rows)):
        sys.stderr.write(
            "the README shows all rows of a whole run: leave --quick and --rows out, "
            "or say --rows 'proofs*'\n"
        )
        return CANNOT
    if asked.list or not rows:
        for row in EVERY:
            sys.stdout.write(f"{row.name} ({row.unit}): {', '.join(row.measures)}\n")
        return 0 if asked.list else CANNOT
    results, ended, on = Results(), False, machine(None)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        Path(folder).chmod(0o711)  # a database that must not be root's passes through
        field = Field(
            folder=Path(folder),
            cores=Cores.ours(),
            say=say,
            quick=asked.quick,
            seconds=asked.seconds,
        )
        try:
            field.start(frozenset().union(*(row.wants for row in rows)))
            on = replace(machine(field.node), load=on.load)
            measure(field, rows, asked.rounds, results)
        except Void as problem:
            sys.stderr.write(f"{problem}\n")
            return CANNOT
        except KeyboardInterrupt:
            say("ended early; what follows is what there was by then")
            ended = True
        finally:
            field.stop()
    report = Report(rows=rows, results=results, machine=on, rounds=asked.rounds, quick=asked.quick)
    sys.stdout.write(_told(report, asked))
    if ended:
        return INTERRUPTED
    if asked.write_readme:
        write_readme(report)
    return 1 if report.missed() or results.void else 0


def _told(report: Report, asked: argparse.Namespace) -> str:
    if asked.markdown:
        return report.markdown()
    if not asked.json:
        return report.text()
    said = {
        "machine": asdict(report.machine),
        "rounds": report.rounds,
        "quick": report.quick,
        "rows": [
            {
                "row": row.name,
                "who": who,
                "unit": row.unit,
                "median": report.results.value(row.name, who),
                "rounds": report.results.rounds.get((row.name, who), {}),
                "void": report.results.void.get((row.name, who)),
            }
            for row in report.rows
            for who in row.measures
        ],
        "goals": [_goal(goal, report) for goal in GOALS],
    }
    return json.dumps(said, indent=2) + "\n"


def _goal(goal: Goal, report: Report) -> dict[str, object]:
    figure = goal.figure(report.results)
    return {
        "number": goal.number,
        "words": goal.words,
        "least": goal.least,
        "most": goal.most,
        "unit": goal.unit.strip(),
        "measured": figure,
        "held": None if figure is None else goal.held(figure),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
