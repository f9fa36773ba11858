"""What PostgreSQL's store says, to whom, and what it writes on the wire, to the byte."""

import asyncio
import math
import struct

import psycopg
import pytest

from tests.server.stores.test_postgresql import blocked, eventually, hang_up, locked
from tests.servers import until
from tokenward.server.stores import StoreUnavailable, WrongStore, open_store
from tokenward.server.stores.postgres import PostgreSQL
from tokenward.server.stores.postgres.wire import blobs, floats, number, texts

PATIENCE = 2.0


@pytest.fixture
async def store(url, clock):
    store = PostgreSQL(open_store(url, clock)._given, clock, patience=PATIENCE)
    await store.open()
    yield store
    await store.close()


HOW = "write postgresql://user:password@host/database; %-encode what is special in it"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql:db", f"postgresql: is a URL with a host; {HOW}"),
        ("postgres:/db", f"postgresql: is a URL with a host; {HOW}"),
        ("postgresql://me:%zz@db/x", f"postgresql: libpq cannot read this URL; {HOW}"),
        ("postgresql://me@db/x?no=1", f"postgresql: libpq cannot read this URL; {HOW}"),
    ],
)
def test_urls_are_refused_in_these_words(clock, url, said):
    with pytest.raises(WrongStore) as refusal:
        open_store(url, clock)
    assert str(refusal.value) == said


def test_what_a_url_says_is_what_libpq_is_told(clock):
    store = open_store("postgresql://me:a%20b@db:5433/x?sslmode=verify-full", clock)
    assert store._given == {
        "user": "me",
        "password": "a b",
        "host": "db",
        "port": "5433",
        "dbname": "x",
        "sslmode": "verify-full",
    }
    assert (store._patience, store.path) == (5.0, None)


@pytest.mark.parametrize(
    ("given", "problem", "told"),
    [
        ({}, "refused\nIs it running?", "refused"),
        ({}, "  refused  \n", "refused"),
        ({"password": "p1"}, "no p1 and p1", "no ... and ..."),
        ({"password": "p1", "sslpassword": "p2"}, "p1 p2 p3", "... ... p3"),
        ({"password": ""}, "nothing to hide", "nothing to hide"),
        ({}, WrongStore("postgresql: other tables"), "other tables"),
    ],
)
def test_the_operator_reads_the_first_line_without_secrets(clock, given, problem, told):
    heard = PostgreSQL(given, clock)._told(problem)
    assert isinstance(heard, StoreUnavailable)
    assert heard.detail == f"postgresql: {told}"


async def test_a_store_says_whether_it_is_open(store):
    with pytest.raises(RuntimeError, match=r"^this store is open$"):
        await store.open()
    await store.close()
    for attempt in (store.ping, lambda: store.shelf.get("key"), lambda: store.shelf.drop("key")):
        with pytest.raises(StoreUnavailable) as told:
            await attempt()
        assert told.value.detail == "postgresql: it is not open"


NEWER = (
    "postgresql: the tables were written by a newer tokenward (they are of version 2,"
    " this one knows 1): use that one, or another database"
)


@pytest.mark.parametrize(
    ("change", "back", "said"),
    [
        (
            "UPDATE tokenward_store SET version = 2",
            "UPDATE tokenward_store SET version = 1",
            NEWER,
        ),
        (
            "ALTER TABLE tokenward_store RENAME TO away",
            "ALTER TABLE away RENAME TO tokenward_store",
            "postgresql: this database has no tables of this version of tokenward",
        ),
    ],
)
async def test_tables_of_another_version_are_told_of_in_these_words(store, url, change, back, said):
    with psycopg.connect(url, autocommit=True) as db:
        db.execute(change.encode())
        hang_up(url)
        await until(lambda: store._writes._wire.broken)
        with pytest.raises(StoreUnavailable) as told:
            await store.shelf.put("key", b"", until=None)
        assert told.value.detail == said
        db.execute(back.encode())
    assert await eventually(store.shelf.get, "key") is None


async def test_tables_of_a_later_version_are_refused_in_these_words(store, url, clock):
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("UPDATE tokenward_store SET version = 2")
    with pytest.raises(WrongStore) as refusal:
        await PostgreSQL(store._given, clock).open()
    assert str(refusal.value) == NEWER


async def test_we_hear_of_a_limit_before_we_would_have_stopped_waiting(store):
    async with await store._connection() as connection:
        found = []
        for name in ("lock_timeout", "statement_timeout", "enable_seqscan", "jit"):
            row = await (await connection.execute(f"SHOW {name}".encode())).fetchone()
            found += row
        assert found == ["1200ms", "1600ms", "off", "off"]
        assert connection.autocommit
        assert connection.info.parameter_status("client_encoding") == "UTF8"
        assert connection.info.parameter_status("application_name") == "tokenward"


async def test_a_refusal_is_told_with_its_code(store, url):
    with locked(url):
        waiting = asyncio.ensure_future(store.shelf.take("key"))
        await blocked(url)
        with pytest.raises(StoreUnavailable) as told:
            await waiting
    assert told.value.detail == ("postgresql: canceling statement due to lock timeout (55P03)")


async def test_what_is_wrong_with_a_question_is_its_askers_to_hear(store):
    for attempt in (
        store.shelf.put("no \0 text", b"", until=None),
        store.shelf.get("no \0 text"),
        store.shelf.keys("no \0 text"),
    ):
        with pytest.raises(ValueError, match="invalid byte sequence"):
            await attempt
    with pytest.raises(ValueError, match="violates check constraint"):
        await store.shelf.put("no time", b"", until=math.nan)
    await store.ping()


async def test_numbers_of_leases_are_whole_however_large(store, url, clock):
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("SELECT setval('tokenward_lease_numbers', 4294967296)")
    number = await store.leases.hold("name", until=clock.now + 1)
    assert number == 4_294_967_297
    assert not await store.leases.renew("name", number - 1, until=clock.now + 2)
    assert await store.leases.renew("name", number, until=clock.now + 2)
    assert await store.leases.release("name", number)


def test_arrays_are_written_as_postgresql_reads_them():
    head = struct.Struct("!iiiii")
    assert texts([]) == head.pack(1, 0, 25, 0, 1)
    assert texts([b"ab", b""]) == head.pack(1, 0, 25, 2, 1) + b"\0\0\0\2ab" + b"\0\0\0\0"
    assert blobs([b"\0"]) == head.pack(1, 0, 17, 1, 1) + b"\0\0\0\1\0"
    assert floats([1.0]) == head.pack(1, 0, 701, 1, 1) + b"\0\0\0\x08" + struct.pack("!d", 1.0)
    assert number(math.inf) == bytes.fromhex("7ff0000000000000")
