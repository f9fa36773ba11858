"""Several processes on one store, and processes that are killed at the worst moment."""

import asyncio
import time

import psycopg
import pytest

from tests.server.stores import kinds
from tests.server.stores.kinds import in_schema, schema
from tests.server.stores.races import check_races, start
from tokenward.server.stores import Again, First, open_store

KILLED_AFTER = [0.02, 0.09, 0.17, 0.28]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """The URL of a store that several processes may use."""
    if request.param == "sqlite":
        return f"sqlite://{tmp_path}/store.db"
    database = request.getfixturevalue("database")
    kinds.postgresql(database).make(tmp_path, time.time)
    return in_schema(database, schema(tmp_path))


@pytest.fixture
async def store(url):
    store = open_store(url, time.time)
    await store.open()
    yield store
    await store.close()


async def test_of_sixteen_in_four_processes_one_gets_it(store, url):
    await check_races(store, url, processes=4, rounds=25, at_once=5)


async def test_what_was_acknowledged_survives_a_kill_and_nothing_is_spent_twice(url):
    for round, seconds in enumerate(KILLED_AFTER):
        with start("write", url, round) as process:
            first = process.stdout.readline()
            await asyncio.sleep(seconds)
            process.kill()
            heard = [first, *process.stdout]
        acknowledged = [line.split() for line in heard if line.endswith("\n")]
        assert len(acknowledged) > 10

        await alone(url)
        store = open_store(url, time.time)
        await store.open()
        jtis = [of[0] for what, *of in acknowledged if what == "jti"]
        codes = [of[0] for what, *of in acknowledged if what == "code"]
        added = (store.shelf.add(f"jti {jti}", b"", until=None) for jti in jtis)
        assert not any(await asyncio.gather(*added))
        taken = (store.shelf.take(f"code {code}") for code in codes)
        assert set(await asyncio.gather(*taken)) <= {None}
        links = {of[0]: int(of[1]) for what, *of in acknowledged if what == "chain"}
        assert len(links) > 0
        for family, n in links.items():
            await check_chain(store, family, n)
        await store.close()


async def alone(url):
    """Wait until a database has done what somebody who is dead asked it for."""
    if not url.startswith("postgresql:"):
        return
    others = (
        "SELECT 1 FROM pg_stat_activity WHERE application_name = 'tokenward'"
        " AND datname = current_database()"
    )
    with psycopg.connect(url, autocommit=True) as db:
        for _ in range(1000):
            if db.execute(others).fetchone() is None:
                return
            await asyncio.sleep(0.01)
    raise AssertionError("somebody is there")


async def check_chain(store, family, n):
    """Its last acknowledged key is live, or the next is and its answer can be had again."""
    if await store.chains.look(f"{family}.{n}") is None:
        lost = await store.chains.rotate(f"{family}.{n}", "x", b"", b"", until=None, grace=60)
        assert lost == Again(replay=str(n + 1).encode())
        n += 1
    assert await store.chains.look(f"{family}.{n}") == str(n).encode()
    spent = (store.chains.look(f"{family}.{before}") for before in range(n))
    assert set(await asyncio.gather(*spent)) <= {None}
    after = await store.chains.rotate(
        f"{family}.{n}", f"{family} after", b"after", b"", until=None, grace=60
    )
    assert after == First()
    assert await store.chains.look(f"{family} after") == b"after"
    if n > 0:
        again = await store.chains.rotate(f"{family}.0", "x", b"", b"", until=None, grace=0)
        assert again != First()
        assert await store.chains.look("x") is None
