"""What every store does, and how one is named."""

import asyncio
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tokenward.server import stores
from tokenward.server.stores import Counts, WrongStore, open_cache, open_store
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
    ],
)
def test_a_sqlite_store_is_named_by_its_path(clock, url, path):
    store = open_store(url, clock)
    assert isinstance(store, SQLite)
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
