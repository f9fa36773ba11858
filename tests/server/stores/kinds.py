"""The kinds of store there are. Whoever adds one adds a line to ``KINDS``, and all suites run."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tokenward.clock import Clock
from tokenward.server.stores import Store
from tokenward.server.stores.memory import Memory
from tokenward.server.stores.sqlite import SQLite


class SetClock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Kind:
    make: Callable[[Path, Clock], Store]
    """A store for tests, in this folder if it needs one; of one folder, always the same."""
    held: Callable[[Path, Store], int]
    """How many things it really keeps, whatever has become of them."""


def _sqlite_held(folder: Path, _: Store) -> int:
    with closing(sqlite3.connect(folder / "store.db")) as db:
        total: int = db.execute(
            "SELECT (SELECT count(*) FROM shelf) + (SELECT count(*) FROM chains)"
            " + (SELECT count(*) FROM leases)"
        ).fetchone()[0]
        return total


def _memory_held(_: Path, store: Store) -> int:
    assert isinstance(store, Memory)
    return sum(len(part._kept) for part in (store.shelf, store.chains, store.leases))


KINDS = {
    "memory": Kind(lambda _, clock: Memory(clock), _memory_held),
    "sqlite": Kind(lambda folder, clock: SQLite(folder / "store.db", clock), _sqlite_held),
}
