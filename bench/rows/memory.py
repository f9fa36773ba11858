"""How much memory does one worker have after a minute of tokens, and after a million?"""

import time

from bench.contestants import OIDC, OURS, Contestant
from bench.field import Field
from bench.results import Figures
from bench.rows import MIB as UNIT
from bench.rows import Measure, Row

NAME = "memory of one worker after a million tokens"
MIB = 2**20
TOKENS, FEW = 1_000_000, 10_000
MINUTE = 60.0


def grown(who: str) -> Measure:
    """Start one that has done nothing yet, and ask until it has given as many."""

    def measure(field: Field) -> Figures:
        contestant = field.fresh(who, f"memory-{who}")
        try:
            contestant.start()
            return _asked(field, contestant)
        finally:
            contestant.stop()

    return measure


def _asked(field: Field, contestant: Contestant) -> Figures:
    goal = FEW if field.quick else TOKENS
    at_start = contestant.program.holding().rss / MIB
    file = field.load.written(f"memory-{contestant.name}", contestant.asked["ES256"]())
    began, given, after_a_minute = time.monotonic(), 0.0, 0.0
    while given < goal:
        said = field.load.ask(
            contestant.program, contestant.port, file, seconds=1 if field.quick else 5
        )
        given += said["requests"]
        if not after_a_minute and (time.monotonic() - began >= MINUTE or given >= goal):
            after_a_minute = contestant.program.holding().rss / MIB
    return {
        "value": contestant.program.holding().rss / MIB,
        "at_start": at_start,
        "after_a_minute": after_a_minute,
        "tokens": given,
    }


ROWS = [
    Row(
        name=NAME,
        unit=UNIT,
        measures={who: grown(who) for who in (OURS, OIDC)},
        once=True,
        note="resident, started anew; with --quick after ten thousand",
    )
]
