"""What is special about PostgreSQL: who waits for whom, and what may go wrong."""

import asyncio
import time
from contextlib import contextmanager
from secrets import token_hex
from urllib.parse import quote

import psycopg
import pytest

from tests.databases import PASSWORD
from tests.servers import until
from tokenward.server.stores import (
    First,
    StoreUnavailable,
    Theft,
    Unknown,
    WrongStore,
    open_store,
)
from tokenward.server.stores.postgres import PostgreSQL
from tokenward.server.stores.postgres import schema as tables

PATIENCE = 0.8
"""Seconds that the hasty wait."""


@pytest.fixture
def make(url, clock):
    """Makes stores of that schema."""

    def make(url=url, patience=PATIENCE):
        store = open_store(url, clock)
        assert isinstance(store, PostgreSQL)
        return PostgreSQL(store._given, clock, patience=patience)

    return make


@pytest.fixture
async def store(make):
    store = make(patience=10)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def hasty(make):
    store = make()
    await store.open()
    yield store
    await store.close()


@pytest.fixture
def other(url):
    """Somebody else's connection, in a transaction."""
    with psycopg.connect(url) as db:
        yield db


@contextmanager
def locked(url):
    """Somebody else has all the tables to himself for a while."""
    with psycopg.connect(url) as db:
        db.execute("LOCK TABLE tokenward_shelf, tokenward_chains, tokenward_leases")
        yield
        db.rollback()


def ours(url):
    """The processes at the other end of our connections."""
    with psycopg.connect(url) as db:
        rows = db.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'tokenward'"
            " AND datname = current_database()"
        )
        return [pid for (pid,) in rows]


def hang_up(url):
    """End our connections from the other side."""
    with psycopg.connect(url, autocommit=True) as db:
        for pid in ours(url):
            db.execute("SELECT pg_terminate_backend(%s, 1000)", [pid])


async def blocked(url):
    """Wait until somebody waits for somebody else."""
    asked = (
        "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        " AND datname = current_database()"
    )
    with psycopg.connect(url, autocommit=True) as db:
        for _ in range(1000):
            if db.execute(asked).fetchone():
                return
            await asyncio.sleep(0.005)
    raise AssertionError("nobody waits")


def told(heard):
    return [type(one) if isinstance(one, Exception) else one for one in heard]


# ── the tables ──


async def test_of_many_who_open_an_empty_database_at_once_one_makes_the_tables(make, url):
    stores = [make(patience=5) for _ in range(8)]
    await asyncio.gather(*(store.open() for store in stores))
    heard = await asyncio.gather(*(store.shelf.add("jti", b"", until=None) for store in stores))
    assert heard.count(True) == 1
    await asyncio.gather(*(store.close() for store in stores))


async def test_everything_is_there_after_a_restart(make, clock):
    store = make()
    await store.open()
    await store.shelf.put("key", b"value", until=None)
    await store.chains.begin("family", "one", b"1", until=None)
    await store.chains.rotate("one", "two", b"2", b"answer", until=None, grace=0)
    number = await store.leases.hold("lease", until=clock.now + 10)
    await store.close()

    store = make()
    await store.open()
    assert await store.shelf.keys("") == ["key"]
    assert [await store.chains.look(key) for key in ("one", "two")] == [None, b"2"]
    assert await store.leases.hold("lease", until=clock.now + 10) is None
    assert await store.leases.release("lease", number)
    await store.close()


async def test_tables_of_a_later_version_are_refused_and_left_as_they_are(make, other):
    other.execute("CREATE TABLE tokenward_store AS SELECT 99 AS version")
    other.commit()
    with pytest.raises(WrongStore, match=r"newer tokenward \(they are of version 99,"):
        await make().open()
    made = other.execute("SELECT to_regclass('tokenward_shelf')").fetchone()
    assert made == (None,)


async def test_a_database_that_was_changed_for_another_is_not_written_to(hasty, url, other):
    await hasty.shelf.put("key", b"value", until=None)
    other.execute("UPDATE tokenward_store SET version = 99")
    other.commit()
    hang_up(url)
    await asyncio.sleep(0.05)
    with pytest.raises(StoreUnavailable, match="newer tokenward"):
        await hasty.shelf.put("key", b"other", until=None)
    other.execute("UPDATE tokenward_store SET version = 1")
    other.commit()
    assert await eventually(hasty.shelf.get, "key") == b"value"


async def test_a_database_in_another_encoding_is_refused(make, postgresql):
    name = f"latin_{token_hex(4)}"  # others may be at the same test
    with psycopg.connect(postgresql.url("postgres"), autocommit=True) as db:
        db.execute(
            f"CREATE DATABASE {name}"
            " TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'".encode()
        )
    try:
        with pytest.raises(WrongStore, match="is in LATIN1; make one in UTF8"):
            await make(postgresql.url(name)).open()
    finally:
        with psycopg.connect(postgresql.url("postgres"), autocommit=True) as db:
            db.execute(f"DROP DATABASE {name}".encode())


async def test_whoever_may_not_make_tables_is_told_so_and_may_use_those_that_are_there(
    make, url, other
):
    role = f"modest_{token_hex(4)}"
    other.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'modest'".encode())
    other.execute(f"GRANT ALL ON SCHEMA public TO {role}".encode())
    name = url.rpartition("%3D")[2]
    other.execute(f"GRANT USAGE ON SCHEMA {name} TO {role}".encode())
    other.commit()
    modest = url.replace(f"tokenward:{quote(PASSWORD, safe='')}@", f"{role}:modest@")
    try:
        with pytest.raises(WrongStore, match="we may not make our tables: permission denied"):
            await make(modest).open()
        store = make()
        await store.open()
        await store.close()
        for kind in ("TABLES", "SEQUENCES"):
            other.execute(f"GRANT ALL ON ALL {kind} IN SCHEMA {name} TO {role}".encode())
        other.commit()
        store = make(modest)
        await store.open()
        assert await store.shelf.add("key", b"", until=None)
        assert await store.leases.hold("lease", until=2e9) is not None
        await store.close()
    finally:
        other.rollback()
        other.execute(f"DROP OWNED BY {role}".encode())
        other.execute(f"DROP ROLE {role}".encode())
        other.commit()


async def test_what_the_operator_set_for_others_does_not_change_what_we_promise(make, url):
    async def setting(name):
        row = await (await connection.execute(f"SHOW {name}".encode())).fetchone()
        return row[0]

    careless = "-csynchronous_commit=off -cdefault_transaction_isolation=serializable"
    store = make(f"{url}%20{quote(careless, safe='')}")
    async with await store._connection() as connection:
        assert await setting("synchronous_commit") == "on"
        assert await setting("default_transaction_isolation") == "read committed"
        assert await setting("statement_timeout") == "640ms"
    strict = make(f"{url}%20-csynchronous_commit%3Dremote_apply")
    async with await strict._connection() as connection:
        assert await setting("synchronous_commit") == "remote_apply"


@pytest.mark.parametrize("question", [tables.GET, tables.LOOK, tables.KEYS])
async def test_a_read_is_one_look_into_an_index_even_in_a_table_without_rows(store, question):
    async with await store._connection() as connection:
        await connection.execute(f"PREPARE q (text[], float8) AS {question}".encode())
        await connection.execute("SET plan_cache_mode = force_generic_plan")
        rows = await connection.execute("EXPLAIN EXECUTE q ('{a,b}', 1)")
        plan = " ".join([line async for (line,) in rows])
    assert "Index" in plan
    assert "Seq Scan" not in plan


# ── opening and closing ──


async def test_a_store_that_is_not_open_is_unavailable(make):
    store = make()

    async def refuses():
        for attempt in (store.ping, lambda: store.shelf.get("k"), lambda: store.shelf.take("k")):
            with pytest.raises(StoreUnavailable, match="not open"):
                await attempt()

    await refuses()
    await store.open()
    await store.ping()
    await store.close()
    await refuses()


async def test_a_store_may_be_closed_twice_and_opened_again_but_not_opened_twice(store):
    with pytest.raises(RuntimeError, match="is open"):
        await store.open()
    await store.shelf.put("key", b"value", until=None)
    await store.close()
    await store.close()
    await store.open()
    assert await store.shelf.get("key") == b"value"


async def test_closing_finishes_what_was_asked_for_and_hangs_up(store, url):
    asked = [
        asyncio.ensure_future(store.shelf.put(f"key {n}", b"", until=None)) for n in range(1200)
    ]
    await asyncio.sleep(0)
    await store.close()
    await asyncio.gather(*asked)
    await until(lambda: ours(url) == [])  # a process of the database's takes a moment to go
    await store.open()
    assert len(await store.shelf.keys("")) == 1200


async def test_where_nobody_listens_opening_waits_for_a_while_and_then_says_so(make):
    started = time.monotonic()
    with pytest.raises(StoreUnavailable, match="Connection refused"):
        await make("postgresql://me:secret@127.0.0.1:1/db").open()
    assert PATIENCE <= time.monotonic() - started < PATIENCE + 2


# ── the URL, and the secret in it ──


async def test_the_password_is_in_nothing_that_anybody_reads(make, url, clock, caplog):
    wrong = url.replace(quote(PASSWORD, safe=""), "an%20other%20password")
    for bad in (wrong, url.replace("127.0.0.1", "no-such-host.invalid")):
        store = make(bad)
        with pytest.raises(StoreUnavailable) as refusal:
            await store.open()
        for secret in (PASSWORD, quote(PASSWORD, safe=""), "an other password", "an%20other"):
            for text in (
                *(str(refusal.value), repr(refusal.value), refusal.value.detail or ""),
                *(repr(store), repr(store.shelf), repr(store.chains), repr(store.leases)),
                *(caplog.text, refusal.value.description),
            ):
                assert secret not in text
    assert store._told(f"it is {PASSWORD}").detail == "postgresql: it is ..."


async def test_what_libpq_understands_may_stand_in_the_url(make, url):
    with pytest.raises(StoreUnavailable, match="does not support SSL"):
        await make(f"{url}&sslmode=require").open()
    store = make(f"{url}&application_name=mine&connect_timeout=2")
    await store.open()
    with psycopg.connect(url) as db:
        asked = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'mine'"
        assert db.execute(asked).fetchone() == (2,)
    await store.close()


# ── committed together ──


async def test_whoever_waits_is_committed_together(store, url):
    before = store.counts
    waiting = []
    with locked(url):
        for n in range(100):
            waiting.append(asyncio.ensure_future(store.shelf.put(f"key {n}", b"", until=None)))
            await asyncio.sleep(0.0005)
        assert not any(put.done() for put in waiting)
    await asyncio.gather(*waiting)
    assert store.counts.commits == before.commits + 2  # the first went alone
    assert store.counts.writes == before.writes + 100


async def test_a_commit_in_which_nothing_changed_is_none(store):
    await store.chains.begin("family", "one", b"1", until=None)
    before = store.counts
    assert await store.shelf.take("nothing") is None
    assert await store.chains.rotate("no", "two", b"", b"", until=None, grace=0) == Unknown()
    assert await store.leases.hold("late", until=0) is not None
    assert store.counts.commits == before.commits + 1


async def test_reads_that_wait_are_one_question(store, url):
    for n in range(50):
        await store.shelf.put(f"key {n}", str(n).encode(), until=None)
    got = await asyncio.gather(*(store.shelf.get(f"key {n % 60}") for n in range(120)))
    expected = [str(n).encode() if n < 50 else None for n in range(60)]
    assert got == expected * 2


async def test_whoever_spoils_a_group_spoils_it_for_himself_only(store, url):
    await store.shelf.put("code", b"grant", until=None)
    await store.chains.begin("family", "one", b"1", until=None)
    await store.chains.begin("family", "uno", b"1", until=None)
    with locked(url):
        asyncio.ensure_future(store.shelf.drop("first"))  # noqa: RUF006 - it makes the others wait
        await blocked(url)
        waiting = [
            asyncio.ensure_future(work)
            for work in (
                store.shelf.put("before", b"", until=None),
                store.shelf.put("no text \udc80", b"", until=None),
                store.shelf.put("no \0 text", b"", until=None),
                store.shelf.take("code"),
                store.chains.begin("family", "one", b"again", until=None),
                store.chains.rotate("uno", "one", b"2", b"", until=None, grace=0),
                store.chains.rotate("one", "two", b"2", b"", until=None, grace=0),
                store.shelf.put("no time", b"", until=float("nan")),
                store.shelf.put("no bytes", [], until=None),
                store.shelf.add("after", b"", until=None),
            )
        ]
        await asyncio.sleep(0.05)
    heard = await asyncio.gather(*waiting, return_exceptions=True)
    assert told(heard) == [
        *(None, UnicodeEncodeError, ValueError, b"grant", ValueError, ValueError, First()),
        *(ValueError, TypeError, True),
    ]
    assert await store.shelf.keys("") == ["after", "before"]
    assert [await store.chains.look(key) for key in ("one", "two", "uno")] == [None, b"2", b"1"]


async def test_whoever_asks_for_what_cannot_be_spoils_no_other_read(store):
    await store.shelf.put("key", b"value", until=None)
    heard = await asyncio.gather(
        *(store.shelf.get(key) for key in ("key", "no \0 text", "other", "key")),
        return_exceptions=True,
    )
    assert told(heard) == [b"value", ValueError, None, b"value"]


async def test_a_group_of_many_megabytes_is_sent_piece_by_piece(make):
    store = make(patience=20)
    await store.open()
    big = [bytes([n]) * 3_000_000 for n in range(10)]
    await asyncio.gather(*(store.shelf.put(f"key {n}", big[n], until=None) for n in range(10)))
    assert await asyncio.gather(*(store.shelf.get(f"key {n}") for n in range(10))) == big
    await store.close()


# ── several processes ──


async def test_revoking_catches_the_link_that_is_being_made(store, url, other):
    await store.chains.begin("family", "one", b"1", until=None)
    other.execute(ROTATE, {"old": "one", "new": "two", "now": store._groups._clock()})
    revoking = asyncio.ensure_future(store.chains.revoke("family"))
    await blocked(url)
    other.commit()
    await revoking
    assert [await store.chains.look(key) for key in ("one", "two")] == [None, None]


async def test_theft_catches_the_link_that_is_being_made(store, url, other):
    await store.chains.begin("family", "one", b"1", until=None)
    await store.chains.rotate("one", "two", b"2", b"", until=None, grace=0)
    other.execute(ROTATE, {"old": "two", "new": "three", "now": store._groups._clock()})
    stealing = asyncio.ensure_future(
        store.chains.rotate("one", "other", b"", b"", until=None, grace=0)
    )
    await blocked(url)
    other.commit()
    assert await stealing == Theft(family="family")
    keys = ("one", "two", "three", "other")
    assert [await store.chains.look(key) for key in keys] == [None] * 4


async def test_two_who_are_in_each_others_way_both_get_what_they_want(make, url, other):
    store = make(f"{url}%20-cdeadlock_timeout%3D20ms", patience=5)
    await store.open()
    put = "INSERT INTO tokenward_shelf VALUES (%s, 'other', 2e9)"
    other.execute("SET deadlock_timeout = '60s'")
    other.execute(put, ["b"])
    waiting = [asyncio.ensure_future(store.shelf.add(key, b"", until=None)) for key in "ab"]
    await blocked(url)
    await asyncio.to_thread(other.execute, put, ["a"])
    other.commit()
    assert await asyncio.gather(*waiting) == [False, False]
    await store.close()


async def test_clearing_away_waits_for_nobody(store, other, clock):
    await store.shelf.put("expired", b"", until=clock.now)
    other.execute("SELECT 1 FROM tokenward_shelf WHERE key = 'expired' FOR UPDATE")
    await asyncio.gather(*(store.shelf.put(f"key {n}", b"", until=clock.now) for n in range(300)))
    await store.ping()
    left = other.execute("SELECT count(*) FROM tokenward_shelf").fetchone()
    assert left[0] <= 2
    other.rollback()


ROTATE = """SELECT tokenward_write_1('{rotate}', ARRAY[%(old)s]::text[], ARRAY[%(new)s]::text[],
    '{new}', '{replay}', '{2e9}', '{0}', %(now)s)"""


# ── callers who leave ──


async def test_what_is_cancelled_before_its_turn_never_happens(store, url):
    with locked(url):
        first = asyncio.ensure_future(store.shelf.put("first", b"", until=None))
        await blocked(url)
        leaving = asyncio.ensure_future(store.shelf.put("left", b"", until=None))
        staying = asyncio.ensure_future(store.shelf.put("stayed", b"", until=None))
        await asyncio.sleep(0.01)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
    await asyncio.gather(first, staying)
    assert await store.shelf.keys("") == ["first", "stayed"]


async def test_what_is_cancelled_at_any_moment_has_happened_wholly_or_not_at_all(store):
    for n in range(60):
        await store.chains.begin("family", f"old {n}", b"old", until=None)
        leaving = asyncio.ensure_future(
            store.chains.rotate(f"old {n}", f"new {n}", b"new", b"", until=None, grace=0)
        )
        await asyncio.sleep(n * 0.00002)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        await store.ping()  # whatever was under way is over
        old, new = [await store.chains.look(f"{key} {n}") for key in ("old", "new")]
        assert (old, new) in {(b"old", None), (None, b"new")}
        assert leaving.cancelled() or new == b"new"


# ── no answer ──


async def eventually(ask, *what):
    """What it hears once it is heard at all."""
    for _ in range(200):
        try:
            return await ask(*what)
        except StoreUnavailable:
            await asyncio.sleep(0.02)
    return await ask(*what)


async def test_a_connection_lost_while_nobody_used_it_is_nobodys_trouble(store, url):
    await store.shelf.put("key", b"value", until=None)
    before = ours(url)
    hang_up(url)
    await asyncio.sleep(0.01)
    assert await store.shelf.get("key") == b"value"
    assert await store.shelf.take("key") == b"value"
    assert set(ours(url)).isdisjoint(before)


async def test_who_was_not_answered_hears_so_is_not_repeated_and_the_next_are_served(store, url):
    await store.shelf.put("code", b"grant", until=None)
    with locked(url):
        unsure = asyncio.ensure_future(store.shelf.take("code"))
        await blocked(url)
        next_ = asyncio.ensure_future(store.shelf.put("key", b"value", until=None))
        reading = asyncio.ensure_future(store.shelf.get("code"))
        await asyncio.sleep(0.01)
        hang_up(url)
        with pytest.raises(StoreUnavailable, match=r"terminating connection|closed"):
            await unsure
    await next_
    assert await reading == b"grant"
    assert await store.shelf.take("code") == b"grant"


async def test_a_mistake_of_ours_is_no_trouble_of_the_database_and_the_next_are_served(
    store, monkeypatch
):
    async def mistaken(wire, group):
        raise AssertionError("we are mistaken")

    with monkeypatch.context() as patch:
        patch.setattr(store._writes, "_serve", mistaken)
        with pytest.raises(AssertionError, match="we are mistaken"):
            await store.shelf.put("key", b"value", until=None)
    await store.shelf.put("key", b"value", until=None)
    assert await store.shelf.get("key") == b"value"


async def test_a_table_locked_for_a_moment_is_waited_for(store, url):
    with locked(url):
        put = asyncio.ensure_future(store.shelf.put("key", b"value", until=None))
        got = asyncio.ensure_future(store.shelf.get("key"))
        await blocked(url)
        await asyncio.sleep(0.1)
        assert not put.done()
        assert not got.done()
    await asyncio.gather(put, got)
    assert await store.shelf.get("key") == b"value"


async def test_who_waits_too_long_hears_so_nothing_has_happened_and_the_store_recovers(hasty, url):
    await hasty.shelf.put("code", b"grant", until=None)
    with locked(url):
        started = time.monotonic()
        attempts = (hasty.shelf.take("code"), hasty.ping(), hasty.shelf.get("code"))
        heard = await asyncio.gather(*attempts, return_exceptions=True)
        assert told(heard) == [StoreUnavailable] * 3
        assert "lock timeout" in heard[0].detail
        assert time.monotonic() - started < 2 * PATIENCE + 0.5
    assert await hasty.shelf.get("code") == b"grant"
    assert await hasty.shelf.take("code") == b"grant"


async def test_each_waits_for_its_own_time(hasty, url):
    with locked(url):
        first = asyncio.ensure_future(hasty.shelf.put("first", b"", until=None))
        await asyncio.sleep(PATIENCE * 0.4)
        late = asyncio.ensure_future(hasty.shelf.put("late", b"", until=None))
        with pytest.raises(StoreUnavailable):
            await first
        assert not late.done()
    await late
    assert await hasty.shelf.keys("") == ["late"]


@pytest.mark.parametrize("what", ["TABLE tokenward_shelf", "SCHEMA {} CASCADE"])
async def test_tables_that_are_gone_are_trouble_and_nothing_is_made_in_their_place(
    hasty, url, other, what
):
    other.execute(f"DROP {what}".format(url.rpartition("%3D")[2]).encode())
    other.commit()
    for attempt in (hasty.shelf.put, hasty.shelf.add):
        with pytest.raises(StoreUnavailable):
            await attempt("key", b"", until=None)
    with pytest.raises(StoreUnavailable):
        await hasty.shelf.get("key")
