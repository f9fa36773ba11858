"""Rows of days gone by become one, and whoever is killed in between: nothing is lost or doubled."""

import asyncio
from collections import Counter

import pytest

from tests.server.usage.asked import event
from tokenward.server import meter as metering
from tokenward.server.figures import Figures, Handed, to_bytes
from tokenward.server.meter import Meter
from tokenward.server.rows import ALL, ROWS, day_of, ends, row_of
from tokenward.server.stores import StoreUnavailable
from tokenward.server.tidying import LEASE, tidy
from tokenward.server.usage import read

NIGHTLY = ("reports", "nightly", "nightly")
DAY = 86_400


async def someone(store, clock, times=1):
    """A process that has counted so often today, and is gone."""
    meter = Meter(store=store, clock=clock)
    for _ in range(times):
        meter.event(event())
        meter.upstream("itwin")("fetched", 0.1)
    assert await meter.keep()


async def counted(store, day):
    """How often, as people are told."""
    figures = (await read(store.shelf, day, day)).days.get(day, Figures())
    handed = figures.handed.get(NIGHTLY, Handed()).served
    assert handed == (figures.fetched["itwin"].fetched if handed else 0)
    return handed


async def rows(store):
    return Counter(place.split("/")[1] for place in await store.shelf.keys(ROWS))


async def test_the_rows_of_a_day_gone_by_become_one(store, clock):
    first = day_of(clock())
    for times in (1, 2, 3):
        await someone(store, clock, times)
    clock.now += DAY
    await someone(store, clock)
    await someone(store, clock)
    await tidy(store.shelf, store.leases, clock)
    assert sorted((await rows(store)).values()) == [2, 3], "yesterday may not be over for all"
    clock.now += DAY
    await tidy(store.shelf, store.leases, clock)
    assert row_of(first, ALL) in await store.shelf.keys(ROWS)
    assert sorted((await rows(store)).values()) == [1, 2]
    assert await counted(store, first) == 6
    assert await counted(store, first + 1) == 2


async def test_what_is_tidy_costs_one_read(store, clock):
    await someone(store, clock)
    clock.now += 3 * DAY
    await tidy(store.shelf, store.leases, clock)
    before = store.counts
    await tidy(store.shelf, store.leases, clock)
    assert (store.counts.reads, store.counts.writes) == (before.reads + 1, before.writes)


async def test_who_comes_late_is_added(store, clock):
    day = day_of(clock())
    await someone(store, clock, 2)
    late = Meter(store=store, clock=clock)
    late.event(event())
    late.upstream("itwin")("fetched", 0.1)
    clock.now += 3 * DAY
    await tidy(store.shelf, store.leases, clock)
    assert await counted(store, day) == 2
    assert await late.keep()
    assert await counted(store, day) == 3
    await tidy(store.shelf, store.leases, clock)
    assert await counted(store, day) == 3
    assert sorted((await rows(store)).values()) == [1]


class Dying:
    """A shelf whose process is killed after so many of its writes."""

    def __init__(self, shelf, writes):
        self.shelf, self.left = shelf, writes

    def __getattr__(self, name):
        does = getattr(self.shelf, name)

        async def done(*args, **named):
            if name in ("put", "drop"):
                if not self.left:
                    raise asyncio.CancelledError
                self.left -= 1
            return await does(*args, **named)

        return done


@pytest.mark.parametrize("writes", range(6))
async def test_whoever_is_killed_in_between_nothing_is_lost_or_doubled(store, clock, writes):
    day = day_of(clock())
    for times in (1, 2, 4):
        await someone(store, clock, times)
    clock.now += 2 * DAY
    try:
        await tidy(Dying(store.shelf, writes), store.leases, clock)
    except asyncio.CancelledError:
        assert writes < 4
    assert await counted(store, day) == 7
    await tidy(store.shelf, store.leases, clock)
    assert await counted(store, day) == 7
    assert sum((await rows(store)).values()) == 1


async def test_one_at_a_time(store, clock):
    day = day_of(clock())
    await someone(store, clock)
    await someone(store, clock)
    clock.now += 2 * DAY
    number = await store.leases.hold(LEASE, until=clock() + 60)
    await tidy(store.shelf, store.leases, clock)
    assert sum((await rows(store)).values()) == 2
    await store.leases.release(LEASE, number)
    await asyncio.gather(*(tidy(store.shelf, store.leases, clock) for _ in range(8)))
    assert sum((await rows(store)).values()) == 1
    assert await counted(store, day) == 2


async def test_rows_of_another_version_are_left_alone_and_said(store, clock):
    day = day_of(clock())
    await someone(store, clock)
    newer = row_of(day, "0123456789abcdef")
    await store.shelf.put(newer, b'{"version":2}', until=ends(day))
    clock.now += 2 * DAY
    await tidy(store.shelf, store.leases, clock)
    assert await store.shelf.get(newer) == b'{"version":2}'
    found = await read(store.shelf, day, day)
    assert (found.unread, found.days[day].handed[NIGHTLY].served) == (1, 1)
    await store.shelf.put(row_of(day, ALL), b'{"version":2}', until=ends(day))
    await someone_late(store, day)
    await tidy(store.shelf, store.leases, clock)
    assert await store.shelf.get(row_of(day, ALL)) == b'{"version":2}'
    assert (await read(store.shelf, day, day)).unread == 2


async def someone_late(store, day):
    figures = Figures()
    figures.event(event())
    await store.shelf.put(row_of(day, "fedcba9876543210"), to_bytes(figures), until=ends(day))


async def test_a_store_that_is_away_is_left_for_another_time(clock):
    asked = []

    class Away:
        async def keys(self, prefix):
            asked.append(prefix)
            raise StoreUnavailable("gone")

    await tidy(Away(), None, clock)
    assert asked == [ROWS]


async def test_a_server_tidies_when_it_has_started_and_when_a_day_has_gone_by(
    store, clock, monkeypatch
):
    monkeypatch.setattr(metering, "EVERY", 0.01)
    for _ in range(2):
        await someone(store, clock)
        await someone(store, clock)
        clock.now += 2 * DAY
    meter = Meter(store=store, clock=clock)
    await meter.open()
    async with asyncio.timeout(10):
        while sum((await rows(store)).values()) > 2:  # noqa: ASYNC110 - the store tells nobody
            await asyncio.sleep(0.01)
        await someone(store, clock)
        await someone(store, clock)
        clock.now += 2 * DAY
        while sum((await rows(store)).values()) > 3:  # noqa: ASYNC110 - the store tells nobody
            await asyncio.sleep(0.01)
    await meter.close()


async def test_who_looks_while_rows_are_put_together_sees_all_of_them(store, clock):
    day = day_of(clock())
    for _ in range(5):
        await someone(store, clock)
    clock.now += 2 * DAY
    looks = [counted(store, day) for _ in range(10)]
    found = await asyncio.gather(*looks, tidy(store.shelf, store.leases, clock))
    assert set(found[:-1]) == {5}
