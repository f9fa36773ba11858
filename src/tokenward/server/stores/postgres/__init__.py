"""Keep it in a PostgreSQL database, which many processes on many machines may share.

Here is what each contract asks for; ``lines`` says who waits for what, ``groups`` what is done for
those who go together, ``schema`` what it is in SQL, ``wire`` how it is asked. Law: text becomes
bytes before it stands in line, so that nobody's mistake holds up the others; and nobody hears the
password, which the URL contains.

Two connections: one for writes, whose every answer means that it is durable, and one for reads,
which wait for no commit. Whatever is cancelled before its turn never happens.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import Any, TypeAlias

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tokenward.clock import Clock
from tokenward.server.stores import Counts, Rotation, StoreUnavailable, WrongStore
from tokenward.server.stores.postgres import schema
from tokenward.server.stores.postgres.groups import Groups
from tokenward.server.stores.postgres.lines import Line, Serve
from tokenward.server.stores.postgres.wire import Wire

_WRITTEN_SO = "write postgresql://user:password@host/database; %-encode what is special in it"
_DEFAULTS = {
    "fallback_application_name": "tokenward",
    "connect_timeout": "3",
    "target_session_attrs": "read-write",
    "keepalives_idle": "30",
    "tcp_user_timeout": "10000",
}
"""What libpq is told unless the URL says otherwise."""

# What an operator set for other uses must not change what we promise: durable before it is spoken
# of; and every question here has its index, however few rows a table has when it is planned.
_OURS = """SELECT
    set_config('synchronous_commit', CASE current_setting('synchronous_commit')
        WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, false),
    set_config('default_transaction_isolation', 'read committed', false),
    set_config('enable_seqscan', 'off', false),
    set_config('jit', 'off', false),
    set_config('lock_timeout', %(lock)s, false),
    set_config('statement_timeout', %(statement)s, false)"""

_SECRET = ("password", "sslpassword")
_BETWEEN_TRIES = 0.1

Write: TypeAlias = Callable[..., "asyncio.Future[Any]"]
Read: TypeAlias = Callable[..., "asyncio.Future[Any]"]

_CHAINS, _LEASES, _SHELF = range(3)
"""The order in which a group goes through the tables."""


def from_url(rest: str, clock: Clock) -> "PostgreSQL":
    """``postgresql://user:password@host:port/database?sslmode=…``, as libpq has it."""
    if not rest.startswith("//"):
        raise WrongStore(f"postgresql: is a URL with a host; {_WRITTEN_SO}")
    try:
        given = conninfo_to_dict(f"postgresql:{rest}")
    except psycopg.Error:  # its text quotes what it did not understand
        raise WrongStore(f"postgresql: libpq cannot read this URL; {_WRITTEN_SO}") from None
    return PostgreSQL({name: str(it) for name, it in given.items()}, clock)


class PostgreSQL:
    """A store in a database. ``patience``: the seconds a caller waits in line, and then again for
    an answer."""

    def __init__(self, given: dict[str, str], clock: Clock, *, patience: float = 5.0) -> None:
        self.path = None
        self._given = given
        self._patience = patience
        groups = self._groups = Groups(clock)
        self._writes = self._line(groups.write, again=False)
        self._reads = self._line(groups.read, again=True)
        self.shelf = _Shelf(self._write, self._read)
        self.chains = _Chains(self._write, self._read)
        self.leases = _Leases(self._write)

    @property
    def counts(self) -> Counts:
        return self._groups.counts

    async def open(self) -> None:
        """Make or find the tables and begin to serve. Raises ``WrongStore``."""
        if self._writes.is_open:
            raise RuntimeError("this store is open")
        await self._prepared()
        await self._writes.open()
        try:
            await self._reads.open()
        except BaseException:
            await self._writes.close()
            raise

    async def close(self) -> None:
        await asyncio.gather(self._writes.close(), self._reads.close())

    async def ping(self) -> None:
        """Return if the database can be read and written to."""
        await self._reads.wait((_SHELF, b"ping"), schema.GET, b"ping")
        await self._writes.wait((_SHELF, b"ping"), "put", b"ping", b"", b"", b"", 0.0, 0.0)

    def _line(self, serve: Serve, *, again: bool) -> Line:
        return Line(self._wire, serve, self._told, patience=self._patience, again=again)

    def _write(
        self,
        table: int,
        work: str,
        key: str,
        name: str = "",
        thing: bytes = b"",
        replay: bytes = b"",
        until: float | None = None,
        grace: float = 0.0,
    ) -> "asyncio.Future[Any]":
        self._groups.writes += 1
        written = key.encode()
        end = inf if until is None else until
        what = (written, name.encode(), thing, replay, end, grace)
        return self._writes.wait((table, written), work, *what)

    def _read(self, question: str, *keys: str) -> "asyncio.Future[Any]":
        self._groups.reads += 1
        written = [key.encode() for key in keys]
        return self._reads.wait((_SHELF, written[0]), question, *written)

    async def _prepared(self) -> None:
        """The tables are there; while nobody answers, try again for as long as anybody waits."""
        give_up = time.monotonic() + self._patience
        connection = None
        while connection is None:
            try:
                connection = await self._connection()
            except psycopg.Error as problem:
                if time.monotonic() > give_up:
                    raise self._told(problem) from None
                await asyncio.sleep(_BETWEEN_TRIES)
        async with connection:
            try:
                await schema.prepare(connection)
            except (psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidSchemaName) as no:
                raise WrongStore(f"postgresql: we may not make our tables: {_first(no)}") from None
            except psycopg.Error as problem:
                raise self._told(problem) from None

    async def _connection(self) -> "AsyncConnection[Any]":
        asked = _DEFAULTS | self._given | {"client_encoding": "utf8"}
        connection = await AsyncConnection.connect(make_conninfo("", **asked), autocommit=True)
        thousandths = self._patience * 1000
        # Shorter than we wait ourselves: then we hear of it, and know that nothing was done.
        limits = {"lock": f"{thousandths * 0.6:.0f}", "statement": f"{thousandths * 0.8:.0f}"}
        try:
            await connection.execute(_OURS, limits)
        except BaseException:
            await connection.close()
            raise
        return connection

    async def _wire(self, lost: Callable[[], None]) -> Wire:
        connection = await self._connection()
        try:
            await schema.check(connection)
        except BaseException:
            await connection.close()
            raise
        return Wire(connection, lost)

    def _told(self, problem: object) -> StoreUnavailable:
        """What callers are told; the operator hears more, but never a secret."""
        said = _first(problem).removeprefix("postgresql: ")
        for name in _SECRET:
            said = said.replace(self._given.get(name) or "\n", "...")
        return StoreUnavailable(f"postgresql: {said}")


def _first(problem: object) -> str:
    """The first line of what libpq says: the others are advice."""
    return str(problem).strip().partition("\n")[0]


@dataclass(frozen=True, slots=True)
class _Shelf:
    _write: Write = field(repr=False)
    _read: Read = field(repr=False)

    async def put(self, key: str, value: bytes, *, until: float | None) -> None:
        await self._write(_SHELF, "put", key, thing=value, until=until)

    async def get(self, key: str) -> bytes | None:
        kept: bytes | None = await self._read(schema.GET, key)
        return kept

    async def add(self, key: str, value: bytes, *, until: float | None) -> bool:
        added: bool = await self._write(_SHELF, "add", key, thing=value, until=until)
        return added

    async def swap(self, key: str, old: bytes, new: bytes, *, until: float | None) -> bool:
        # What was there goes where a rotation has its answer.
        swapped: bool = await self._write(_SHELF, "swap", key, thing=new, replay=old, until=until)
        return swapped

    async def take(self, key: str) -> bytes | None:
        taken: bytes | None = await self._write(_SHELF, "take", key)
        return taken

    async def drop(self, key: str) -> None:
        await self._write(_SHELF, "drop", key)

    async def keys(self, prefix: str) -> list[str]:
        found: list[str] = await self._read(schema.KEYS, prefix, prefix + "\U0010ffff")
        return found


@dataclass(frozen=True, slots=True)
class _Chains:
    _write: Write = field(repr=False)
    _read: Read = field(repr=False)

    async def begin(self, family: str, key: str, value: bytes, *, until: float | None) -> None:
        await self._write(_CHAINS, "begin", key, name=family, thing=value, until=until)

    async def look(self, key: str) -> bytes | None:
        kept: bytes | None = await self._read(schema.LOOK, key)
        return kept

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
        rotation: Rotation = await self._write(
            _CHAINS, "rotate", old, new, value, replay, until, grace
        )
        return rotation

    async def revoke(self, family: str) -> None:
        await self._write(_CHAINS, "revoke", family)


@dataclass(frozen=True, slots=True)
class _Leases:
    _write: Write = field(repr=False)

    async def hold(self, name: str, *, until: float) -> int | None:
        number: int | None = await self._write(_LEASES, "hold", name, until=until)
        return number

    # The number goes where a rotation has its grace.

    async def renew(self, name: str, number: int, *, until: float) -> bool:
        renewed: bool = await self._write(_LEASES, "renew", name, until=until, grace=number)
        return renewed

    async def release(self, name: str, number: int) -> bool:
        released: bool = await self._write(_LEASES, "release", name, grace=number)
        return released
