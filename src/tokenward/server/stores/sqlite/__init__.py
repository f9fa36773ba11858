"""Keep it in one SQLite file, which several processes may share.

Here is what is kept and the SQL of it; ``file`` makes the file, ``commits`` does the waiting. Each
``work`` below is one step of a transaction: it may be done a second time after a rollback, so it
touches nothing but the database.
"""

from dataclasses import dataclass
from math import inf
from pathlib import Path
from sqlite3 import Connection

from tokenward.clock import Clock
from tokenward.server.stores import (
    Again,
    Counts,
    First,
    Rotation,
    Theft,
    Unknown,
    WrongStore,
)
from tokenward.server.stores.sqlite.commits import GroupCommit

# Expired when it is written, so nobody ever reads it: that it can be written is the answer.
_PING = (
    "INSERT INTO shelf (key, value, until) VALUES ('ping', x'00', 0)"
    " ON CONFLICT (key) DO UPDATE SET until = 0"
)
_WRITTEN_SO = "write sqlite:///absolute/path.db or sqlite:relative.db"


def from_url(rest: str, clock: Clock) -> "SQLite":
    """``sqlite:///absolute/path.db`` or ``sqlite:relative.db``, taken literally."""
    if rest.startswith("//") and not rest.startswith("///"):
        raise WrongStore(f"a SQLite file is on no host; {_WRITTEN_SO}")
    if rest == ":memory:":
        raise WrongStore("several connections share the file; for memory alone, write memory:")
    if any(character in rest for character in "?#\0"):
        raise WrongStore(f"a SQLite store has no settings and no ? or # in its path; {_WRITTEN_SO}")
    path = "/" + rest.lstrip("/") if rest.startswith("/") else rest
    if not path or path.endswith("/"):
        raise WrongStore(f"no file is named; {_WRITTEN_SO}")
    return SQLite(Path(path), clock)


class SQLite:
    """A store in one file. ``patience``: the seconds a write waits for other processes' writes."""

    def __init__(self, path: Path, clock: Clock, *, patience: float = 5.0) -> None:
        commits = GroupCommit(path, clock, purge, patience=patience)
        self._commits = commits
        self.path = path
        self.shelf = _Shelf(commits)
        self.chains = _Chains(commits)
        self.leases = _Leases(commits)

    @property
    def counts(self) -> Counts:
        return self._commits.counts

    async def open(self) -> None:
        await self._commits.open()

    async def close(self) -> None:
        await self._commits.close()

    async def ping(self) -> None:
        """Return if the file is there and can be written to."""
        await self._commits.ping(lambda db, _: db.execute(_PING))


def purge(db: Connection, now: float) -> None:
    """Clear away some of what has expired; more than was written since the last time."""
    for table in ("shelf", "chains", "leases"):
        db.execute(
            f"DELETE FROM {table} WHERE rowid IN"  # noqa: S608 (our own names)
            f" (SELECT rowid FROM {table} WHERE until <= :now LIMIT 1000)",
            {"now": now},
        )


@dataclass(frozen=True, slots=True)
class _Shelf:
    _commits: GroupCommit

    async def put(self, key: str, value: bytes, *, until: float | None) -> None:
        def work(db: Connection, _: float) -> None:
            db.execute(
                "INSERT INTO shelf (key, value, until) VALUES (:key, :value, :until)"
                " ON CONFLICT (key) DO UPDATE SET value = excluded.value, until = excluded.until",
                {"key": key, "value": value, "until": _time(until)},
            )

        await self._commits.write(work)

    async def get(self, key: str) -> bytes | None:
        def work(db: Connection, now: float) -> bytes | None:
            row = db.execute(
                "SELECT value FROM shelf WHERE key = :key AND until > :now",
                {"key": key, "now": now},
            ).fetchone()
            return None if row is None else row[0]

        return await self._commits.read(work)

    async def add(self, key: str, value: bytes, *, until: float | None) -> bool:
        def work(db: Connection, now: float) -> bool:
            added = db.execute(
                "INSERT INTO shelf (key, value, until) VALUES (:key, :value, :until)"
                " ON CONFLICT (key) DO UPDATE SET value = excluded.value, until = excluded.until"
                " WHERE shelf.until <= :now",
                {"key": key, "value": value, "until": _time(until), "now": now},
            )
            return added.rowcount == 1

        return await self._commits.write(work)

    async def swap(self, key: str, old: bytes, new: bytes, *, until: float | None) -> bool:
        def work(db: Connection, now: float) -> bool:
            swapped = db.execute(
                "UPDATE shelf SET value = :new, until = :until"
                " WHERE key = :key AND value = :old AND until > :now",
                {"key": key, "old": old, "new": new, "until": _time(until), "now": now},
            )
            return swapped.rowcount == 1

        return await self._commits.write(work)

    async def take(self, key: str) -> bytes | None:
        def work(db: Connection, now: float) -> bytes | None:
            row = db.execute(
                "DELETE FROM shelf WHERE key = :key AND until > :now RETURNING value",
                {"key": key, "now": now},
            ).fetchone()
            return None if row is None else row[0]

        return await self._commits.write(work)

    async def drop(self, key: str) -> None:
        def work(db: Connection, _: float) -> None:
            db.execute("DELETE FROM shelf WHERE key = :key", {"key": key})

        await self._commits.write(work)

    async def keys(self, prefix: str) -> list[str]:
        def work(db: Connection, now: float) -> list[str]:
            rows = db.execute(
                "SELECT key FROM shelf WHERE key >= :prefix AND key < :beyond AND until > :now"
                " ORDER BY key",
                {"prefix": prefix, "beyond": prefix + "\U0010ffff", "now": now},
            )
            return [key for (key,) in rows]

        return await self._commits.read(work)


@dataclass(frozen=True, slots=True)
class _Chains:
    _commits: GroupCommit

    async def begin(self, family: str, key: str, value: bytes, *, until: float | None) -> None:
        await self._commits.write(
            lambda db, now: _keep_link(
                db, now, key=key, family=family, value=value, replay=None, until=_time(until)
            )
        )

    async def look(self, key: str) -> bytes | None:
        def work(db: Connection, now: float) -> bytes | None:
            row = db.execute(
                "SELECT value FROM chains WHERE key = :key AND spent IS NULL AND until > :now",
                {"key": key, "now": now},
            ).fetchone()
            return None if row is None else row[0]

        return await self._commits.read(work)

    async def rotate(
        self,
        old: str,
        new: str,
        value: bytes,
        replay: bytes,
        *,
        until: float | None,
        grace: float,
    ) -> Rotation:
        def work(db: Connection, now: float) -> Rotation:
            # A spent key keeps no secret: its value and the answer that handed it out go with it.
            spent = db.execute(
                "UPDATE chains SET spent = :now, successor = :new, value = NULL, replay = NULL"
                " WHERE key = :old AND spent IS NULL AND until > :now RETURNING family",
                {"old": old, "new": new, "now": now},
            ).fetchone()
            if spent is not None:
                _keep_link(
                    db,
                    now,
                    key=new,
                    family=spent[0],
                    value=value,
                    replay=replay,
                    until=_time(until),
                )
                return First()
            seen = db.execute(
                "SELECT old.family, old.spent, new.replay FROM chains AS old"
                " LEFT JOIN chains AS new"
                " ON new.key = old.successor AND new.spent IS NULL AND new.until > :now"
                " WHERE old.key = :old AND old.until > :now",
                {"old": old, "now": now},
            ).fetchone()
            if seen is None:
                return Unknown()
            family, when, kept = seen
            if kept is not None and grace > 0 and now < when + grace:
                return Again(replay=kept)
            db.execute("DELETE FROM chains WHERE family = :family", {"family": family})
            return Theft(family=family)

        return await self._commits.write(work)

    async def revoke(self, family: str) -> None:
        def work(db: Connection, _: float) -> None:
            db.execute("DELETE FROM chains WHERE family = :family", {"family": family})

        await self._commits.write(work)


def _keep_link(db: Connection, now: float, **link: str | bytes | float | None) -> None:
    kept = db.execute(
        "INSERT INTO chains (key, family, value, replay, until)"
        " VALUES (:key, :family, :value, :replay, :until)"
        " ON CONFLICT (key) DO UPDATE SET family = excluded.family, value = excluded.value,"
        " replay = excluded.replay, until = excluded.until, spent = NULL, successor = NULL"
        " WHERE chains.until <= :now",
        {"now": now, **link},
    )
    if kept.rowcount != 1:
        raise ValueError("this key is in use")


@dataclass(frozen=True, slots=True)
class _Leases:
    _commits: GroupCommit

    async def hold(self, name: str, *, until: float) -> int | None:
        def work(db: Connection, now: float) -> int | None:
            db.execute(
                "DELETE FROM leases WHERE name = :name AND until <= :now",
                {"name": name, "now": now},
            )
            row = db.execute(
                "INSERT INTO leases (name, until) VALUES (:name, :until)"
                " ON CONFLICT (name) DO NOTHING RETURNING number",
                {"name": name, "until": until},
            ).fetchone()
            return None if row is None else row[0]

        return await self._commits.write(work)

    async def renew(self, name: str, number: int, *, until: float) -> bool:
        def work(db: Connection, now: float) -> bool:
            renewed = db.execute(
                "UPDATE leases SET until = :until"
                " WHERE name = :name AND number = :number AND until > :now",
                {"name": name, "number": number, "until": until, "now": now},
            )
            return renewed.rowcount == 1

        return await self._commits.write(work)

    async def release(self, name: str, number: int) -> bool:
        def work(db: Connection, now: float) -> bool:
            released = db.execute(
                "DELETE FROM leases WHERE name = :name AND number = :number AND until > :now",
                {"name": name, "number": number, "now": now},
            )
            return released.rowcount == 1

        return await self._commits.write(work)


def _time(until: float | None) -> float:
    return inf if until is None else until
