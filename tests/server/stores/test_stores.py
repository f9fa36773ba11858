"""What every store does, and how one is named."""

import asyncio
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from redis.asyncio.connection import SSLConnection

from tokenward.server import stores
from tokenward.server.stores import Counts, StoreUnavailable, WrongStore, open_cache, open_store
from tokenward.server.stores.memory import Memory
from tokenward.server.stores.sqlite import SQLite


async def test_a_store_that_answers_says_so_and_is_not_counted_for_it(store):
    before = store.counts
    await store.ping()
    after = store.counts
    assert (after.reads, after.writes) == (before.reads, before.writes)


async def test_looking_is_counted_as_reading(store):
    before = store.counts
    await store.shelf.get("key")
    await store.shelf.keys("")
    await store.chains.look("key")
    assert store.counts == replace(before, reads=before.reads + 3)


async def test_everything_else_is_counted_as_writing(store, clock):
    before = store.counts
    await store.shelf.put("key", b"", until=None)
    await store.shelf.add("key", b"", until=None)
    await store.shelf.take("key")
    await store.shelf.drop("key")
    await store.chains.begin("family", "key", b"", until=None)
    await store.chains.rotate("key", "next", b"", b"", until=None, grace=0)
    await store.chains.revoke("family")
    number = await store.leases.hold("name", until=clock.now + 1)
    await store.leases.renew("name", number, until=clock.now + 2)
    await store.leases.release("name", number)
    after = store.counts
    assert (after.reads, after.writes) == (before.reads, before.writes + 10)
    assert before.commits < after.commits <= before.commits + 10


async def test_counts_are_as_they_were_when_asked_for(store):
    before = store.counts
    await store.shelf.put("key", b"", until=None)
    assert before == Counts()
    assert store.counts == Counts(reads=0, writes=1, commits=1)


async def test_counts_add_up(store):
    for n in range(3):
        await store.shelf.put(f"key {n}", b"", until=None)
        await store.shelf.get(f"key {n}")
        await store.shelf.keys("")
        await store.chains.begin("family", f"key {n}", b"", until=None)
        await store.chains.look(f"key {n}")
    assert store.counts == Counts(reads=9, writes=6, commits=6)


async def test_a_key_in_use_is_said_to_be_that_and_is_not_named(store):
    await store.chains.begin("family", "one", b"1", until=None)
    await store.chains.begin("family", "two", b"2", until=None)
    for attempt in (
        store.chains.begin("family", "one", b"x", until=None),
        store.chains.rotate("one", "two", b"x", b"", until=None, grace=0),
    ):
        with pytest.raises(ValueError, match=r"^this key is in use$"):
            await attempt
    assert [await store.chains.look(key) for key in ("one", "two")] == [b"1", b"2"]


def test_callers_hear_that_it_cannot_be_reached_and_no_more():
    told = StoreUnavailable("sqlite: disk full at /var/lib")
    assert told.description == "the server cannot reach what it keeps just now"
    assert told.detail == "sqlite: disk full at /var/lib"
    assert (told.status, told.error) == (503, "temporarily_unavailable")


async def test_a_named_store_goes_by_the_clock_it_was_given(clock, tmp_path):
    for url in ("memory:", f"sqlite:{tmp_path}/store.db"):
        store = open_store(url, clock)
        await store.open()
        await store.shelf.put("key", b"", until=clock.now + 1)
        await store.chains.begin("family", "key", b"", until=clock.now + 1)
        assert await store.leases.hold("name", until=clock.now + 1) == 1
        assert (await store.shelf.get("key"), await store.chains.look("key")) == (b"", b"")
        clock.now += 1
        assert (await store.shelf.get("key"), await store.chains.look("key")) == (None, None)
        assert await store.leases.hold("name", until=clock.now + 1) == 2
        await store.close()


async def test_memory_is_swept_when_it_is_full_and_again_when_it_has_doubled(clock):
    store, sizes = Memory(clock), []
    for n in range(255):
        await store.shelf.put(f"dead {n}", b"", until=clock.now + 1)
    clock.now += 1
    sizes.append(len(store.shelf._kept))
    for n in range(600):
        await store.shelf.put(f"alive {n}", b"", until=None)
        sizes.append(len(store.shelf._kept))
    assert sizes[:3] == [255, 1, 2]  # the 256th clears the dead away
    assert sizes[-1] == 600
    assert store.path is None


async def test_memory_is_not_swept_at_every_step(clock):
    """Else a thousand keys would be looked at a thousand times."""
    store, seen = Memory(clock), []
    for n in range(1100):
        await store.shelf.put(f"key {n}", b"", until=clock.now + 1)
        if n == 300:
            clock.now += 1
        seen.append(len(store.shelf._kept))
    drops = [n for n, size in enumerate(seen) if n and size <= seen[n - 1]]
    assert drops == [511]  # 256, all alive; 512, of which 301 were dead; the next is at 422
    assert seen[511] == 211


async def test_what_has_expired_is_cleared_away(store, kind, clock, tmp_path):
    async def short(n):
        await store.shelf.put(f"put {n}", b"", until=clock.now + 1)
        await store.shelf.add(f"added {n}", b"", until=clock.now + 1)
        await store.chains.begin("family", f"key {n}", b"", until=clock.now + 1)
        await store.chains.rotate(f"key {n}", f"next {n}", b"", b"", until=clock.now + 1, grace=0)
        await store.leases.hold(f"lease {n}", until=clock.now + 1)

    await store.shelf.put("for good", b"", until=None)
    for start in range(0, 2000, 100):
        await asyncio.gather(*(short(n) for n in range(start, start + 100)))
        clock.now += 1
    assert kind.held(tmp_path, store) < 2000  # of 10,001; 500 at a time were alive
    assert await store.shelf.get("for good") == b""


async def test_what_is_alive_is_not_cleared_away(store, clock):
    async def of_each(n):
        await store.shelf.put(f"key {n}", b"", until=clock.now + 1)
        await store.chains.begin("family", f"key {n}", b"", until=None)
        await store.leases.hold(f"key {n}", until=clock.now + 1)

    await asyncio.gather(*(of_each(n) for n in range(400)))
    clock.now += 0.999
    dead = (store.shelf.put(f"dead {n}", b"", until=clock.now) for n in range(1000))
    await asyncio.gather(*dead)
    assert len(await store.shelf.keys("key ")) == 400
    for n in range(400):
        assert await store.chains.look(f"key {n}") == b""
        assert await store.leases.hold(f"key {n}", until=clock.now + 1) is None


def test_memory_is_named_by_its_scheme(clock):
    assert isinstance(open_store("memory:", clock), Memory)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///var/lib/tokenward.db", "/var/lib/tokenward.db"),
        ("sqlite:////var/lib/tokenward.db", "/var/lib/tokenward.db"),
        ("sqlite:/var/lib/tokenward.db", "/var/lib/tokenward.db"),
        ("SQLite:///var/lib/tokenward.db", "/var/lib/tokenward.db"),
        ("sqlite:tokenward.db", "tokenward.db"),
        ("sqlite:data/tokenward.db", "data/tokenward.db"),
        ("sqlite:///a b/100%20/ü.db", "/a b/100%20/ü.db"),
        ("sqlite:///X/XX.db", "/X/XX.db"),
        ("sqlite:XX/X.db", "XX/X.db"),
    ],
)
def test_a_sqlite_store_is_named_by_its_path(clock, url, path):
    store = open_store(url, clock)
    assert isinstance(store, SQLite)
    assert str(store.path) == path
    assert store.path == Path(path)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "PostgreSQL"])
def test_a_database_is_named_by_its_url(clock, scheme):
    store = open_store(f"{scheme}://me:secret@db.example.com:5433/x?sslmode=verify-full", clock)
    assert type(store).__name__ == "PostgreSQL"
    assert store.path is None
    assert "secret" not in repr(store)


@pytest.mark.parametrize(
    ("opens", "scheme", "driver", "extra"),
    [(open_store, "postgres", "psycopg", "postgres"), (open_cache, "rediss", "redis", "redis")],
)
def test_whatever_lacks_its_driver_is_refused_with_what_to_install(
    clock, monkeypatch, opens, scheme, driver, extra
):
    ours = f"{stores.__name__}.{extra}"
    for name in [name for name in sys.modules if name.startswith((ours, f"{driver}."))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, driver, None)
    with pytest.raises(WrongStore, match=rf"{scheme}: comes with tokenward\[{extra}\]") as no:
        opens(f"{scheme}://me:secret@db/x", clock)
    assert "secret" not in str(no.value)


def test_a_driver_is_loaded_only_for_the_store_that_needs_it():
    code = (
        "import sys, time; from tokenward.server.stores import open_store;"
        "open_store('memory:', time.time); open_store('sqlite:t.db', time.time);"
        "print(sorted({'psycopg', 'redis', 'sqlalchemy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("sqlite:", "no file is named"),
        ("sqlite:///", "no file is named"),
        ("sqlite:///var/lib/", "no file is named"),
        ("sqlite:data/", "no file is named"),
        ("sqlite://host/secret.db", "on no host"),
        ("sqlite://secret.db", "on no host"),
        ("sqlite::memory:", "write memory:"),
        ("sqlite:///x.db?secret=1", "no settings"),
        ("sqlite:///x.db#secret", "no settings"),
        ("sqlite:x\0.db", "no settings"),
        ("memory:secret", "memory: has no path"),
        ("memory://", "memory: has no path"),
        ("postgresql:", "is a URL with a host"),
        ("postgresql:me:secret@db/x", "is a URL with a host"),
        ("postgres://me:%secret@db/x", "cannot read this URL; write postgresql://user:password@"),
        ("postgresql://me:my secret@db/x", "cannot read this URL"),
        ("postgresql://me@db/x?secret=1", "cannot read this URL"),
        ("mysql://me:secret@db/x", "mysql: is no store we know; use memory:, sqlite:"),
        ("me:secret@db/x", "me: is no store we know"),
        ("my secret:x", "a store is a URL"),
        ("/var/lib/secret.db", "a store is a URL; use memory:, sqlite:"),
        ("memory", "a store is a URL"),
        ("sqlite", "a store is a URL"),
        ("", "a store is a URL"),
        (":", "a store is a URL"),
        ("tokenward.server.stores.sqlite:secret", "a store is a URL"),
        ("../memory:", "a store is a URL"),
    ],
)
def test_other_urls_are_refused_with_a_hint_and_without_repeating_them(clock, url, hint):
    with pytest.raises(WrongStore, match=hint) as refusal:
        open_store(url, clock)
    assert "secret" not in str(refusal.value)


STORES = (
    "use memory:, sqlite:///absolute/path.db, sqlite:relative.db"
    " or postgresql://user:password@host/database"
)
SQLITE = "write sqlite:///absolute/path.db or sqlite:relative.db"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("memory:x", "memory: has no path; nothing is kept when the process ends"),
        ("sqlite://host/x.db", f"a SQLite file is on no host; {SQLITE}"),
        (
            "sqlite::memory:",
            "several connections share the file; for memory alone, write memory:",
        ),
        (
            "sqlite:x.db?mode=ro",
            f"a SQLite store has no settings and no ? or # in its path; {SQLITE}",
        ),
        ("sqlite:", f"no file is named; {SQLITE}"),
        ("Redis://host", f"Redis: may forget, so it can only be the cache; {STORES}"),
        ("rediss:", f"rediss: may forget, so it can only be the cache; {STORES}"),
        ("mysql://db/x", f"mysql: is no store we know; {STORES}"),
        ("my sql://db/x", f"a store is a URL; {STORES}"),
        ("redis", f"a store is a URL; {STORES}"),
        ("memory", f"a store is a URL; {STORES}"),
    ],
)
def test_what_is_no_store_is_refused_in_these_words(clock, url, said):
    with pytest.raises(WrongStore) as refusal:
        open_store(url, clock)
    assert str(refusal.value) == said


@pytest.mark.parametrize("url", ["redis", "memory:", "", ":", "http://host", "redis2://host"])
def test_what_is_no_cache_is_refused_in_these_words(clock, url):
    with pytest.raises(WrongStore) as refusal:
        open_cache(url, clock)
    assert str(refusal.value) == ("this is no cache we know; use redis://:password@host:6379/0")


@pytest.mark.parametrize("scheme", ["rediss", "REDISS", "redis"])
def test_a_cache_is_spoken_to_over_tls_where_its_url_says_so(clock, scheme):
    cache = open_cache(f"{scheme}://:secret@host:6379/0", clock)
    pool = cache._client.connection_pool
    assert issubclass(pool.connection_class, SSLConnection) is (scheme != "redis")


def test_a_store_whose_own_module_is_missing_is_no_matter_of_drivers(clock, monkeypatch):
    monkeypatch.setitem(sys.modules, f"{stores.__name__}.sqlite", None)
    with pytest.raises(ImportError):
        open_store("sqlite:x.db", clock)


@pytest.mark.parametrize(
    ("opens", "url", "said"),
    [
        (open_store, "Postgres://db/x", "Postgres: comes with tokenward[postgres]"),
        (open_cache, "redis://host", "redis: comes with tokenward[redis]"),
    ],
)
def test_what_is_to_be_installed_is_said_in_these_words(clock, monkeypatch, opens, url, said):
    kind = said.partition("[")[2].removesuffix("]")
    for name in [name for name in sys.modules if name.startswith(f"{stores.__name__}.{kind}")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, f"{stores.__name__}.{kind}", None)
    with pytest.raises(WrongStore) as refusal:
        opens(url, clock)
    assert str(refusal.value) == f"{said}, which is not installed here"
