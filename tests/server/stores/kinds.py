"""The kinds of store there are. Whoever adds one adds it here, and all suites run."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import psycopg
import pytest

from tokenward.clock import Clock
from tokenward.server.stores import Store, open_store
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


def of(request: pytest.FixtureRequest, name: str) -> Kind:
    """A kind by its name, and whatever it takes to have one."""
    if name == "postgresql":
        return postgresql(request.getfixturevalue("database"))
    return KINDS[name]


def postgresql(database: str) -> Kind:
    """Tables of their own for each folder, in this database."""

    def make(folder: Path, clock: Clock) -> Store:
        with psycopg.connect(database, autocommit=True) as db:
            db.execute(f"CREATE SCHEMA IF NOT EXISTS {schema(folder)}".encode())
        return open_store(in_schema(database, schema(folder)), clock)

    def held(folder: Path, _: Store) -> int:
        with psycopg.connect(in_schema(database, schema(folder))) as db:
            row = db.execute(
                "SELECT (SELECT count(*) FROM tokenward_shelf)"
                " + (SELECT count(*) FROM tokenward_chains)"
                " + (SELECT count(*) FROM tokenward_leases)"
            ).fetchone()
            assert row is not None
            return int(row[0])

    return Kind(make, held)


def schema(folder: Path) -> str:
    """The name of the schema that stands for this folder."""
    return "s" + sha256(str(folder).encode()).hexdigest()[:20]


def in_schema(database: str, name: str) -> str:
    """The URL of one schema in this database."""
    return f"{database}?options=-csearch_path%3D{name}"
