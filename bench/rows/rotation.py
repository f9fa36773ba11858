"""How often is a refresh token exchanged for its successor, durably?"""

from pathlib import Path

from bench.asking import Wrong
from bench.contestants import OIDC, OURS, REFRESH, Contestant
from bench.field import Field
from bench.results import Figures
from bench.rows import MICROSECONDS, PER_CPU, Measure, Row
from bench.wrk import Void

REFRESHING = "refresh with rotation"
GROUPED = {"SQLite": "rotations in SQLite (FULL)", "PostgreSQL": "rotations in PostgreSQL"}
TOGETHER, ALONE = "grouped", "a commit each"
SPARE = 64
"""Chains for 32 connections: wrk takes one to see what a request looks like."""

SHORT = 0.5
"""Seconds of a quick measurement of a store."""


def refresh(server: str) -> Measure:
    """Ask with a token of a chain, again and again with what the answer brings."""

    def measure(field: Field) -> Figures:
        contestant = field.server(server)
        file = field.requests(contestant, REFRESH)
        begin_chains(contestant, file)
        said = field.load.ask(
            contestant.program, contestant.port, file, seconds=field.seconds, first="chain"
        )
        said.pop("next")
        return said

    return measure


def begin_chains(contestant: Contestant, file: Path) -> None:
    """Put the first tokens where wrk looks for them."""
    if contestant.chain is None:
        raise Void(f"{contestant.name} has no refresh tokens")
    try:
        firsts = [contestant.chain() for _ in range(SPARE)]
    except (OSError, KeyError, ValueError, Wrong) as problem:
        raise Void(f"{contestant.name} begins no chain: {problem}") from problem
    Path(f"{file}.tokens").write_text("\n".join(firsts) + "\n")


def rotate(store: str, way: str) -> Measure:
    """Rotate in a store, with no HTTP before it: our own processor time for each."""

    def measure(field: Field) -> Figures:
        seconds = SHORT if field.quick else field.seconds
        said = field.library(store).ask(who=way, seconds=seconds)
        return {"value": said["us"], "per_second": said["per_second"]}

    return measure


ROWS = [
    Row(
        name=REFRESHING,
        unit=PER_CPU,
        measures={OURS: refresh(REFRESH), OIDC: refresh(OIDC)},
        needs=frozenset({REFRESH, OIDC}),
        note="an access token and an ID token (ES256); ours in SQLite, synced to disk before the "
        "answer leaves, theirs in memory",
    ),
    Row(
        name=GROUPED["SQLite"],
        unit=MICROSECONDS,
        measures={TOGETHER: rotate("SQLite", "grouped")},
        needs=frozenset({"SQLite"}),
        note="32 at a time, in process",
    ),
    Row(
        name=GROUPED["PostgreSQL"],
        unit=MICROSECONDS,
        measures={
            TOGETHER: rotate("PostgreSQL", "grouped"),
            ALONE: rotate("PostgreSQL", "one by one"),
        },
        needs=frozenset({"PostgreSQL"}),
        note="32 at a time, in process, synchronous_commit on; of our own processor time",
    ),
]
