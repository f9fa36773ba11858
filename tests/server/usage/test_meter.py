"""Figures last: over restarts, in several processes, over midnight, whoever is killed."""

import asyncio
import time

import pytest

from tests.server.usage.asked import REFUSED, event
from tokenward.server import meter as metering
from tokenward.server.figures import MOST, Figures, Handed, from_bytes
from tokenward.server.meter import Meter
from tokenward.server.rows import ROWS, day_of
from tokenward.server.stores import StoreUnavailable
from tokenward.server.usage import read

NIGHTLY = ("reports", "nightly", "nightly")


@pytest.fixture
def meter(store, clock):
    return Meter(store=store, clock=clock)


async def figures(store, clock):
    """All that was kept of today."""
    today = day_of(clock())
    return (await read(store.shelf, today, today)).days.get(today, Figures())


async def test_what_happened_is_kept(store, clock, meter):
    for _ in range(3):
        meter.event(event())
    meter.event(event("itwin", "mobile", "", REFUSED))
    heard = meter.upstream("itwin")
    heard("fetched", 0.12)
    heard("refused", None)
    assert await meter.keep()
    kept = await figures(store, clock)
    assert kept.handed == {
        NIGHTLY: Handed(served=3),
        ("itwin", "mobile", ""): Handed(refused=1),
    }
    assert (kept.fetched["itwin"].fetched, kept.fetched["itwin"].refused) == (1, 1)
    assert 0.1 < kept.fetched["itwin"].latency.quantile(0.5) <= 0.15


async def test_what_was_no_question_for_a_token_is_no_figure(store, meter):
    looked = event()
    looked.request = None
    meter.event(looked)
    assert await meter.keep()
    assert await store.shelf.keys(ROWS) == []


async def test_counting_asks_the_store_nothing_and_keeping_is_one_write(store, meter):
    before = store.counts
    for _ in range(1_000):
        meter.event(event())
    meter.upstream("itwin")("fetched", 0.1)
    assert store.counts == before
    assert await meter.keep()
    assert (store.counts.reads, store.counts.writes) == (before.reads, before.writes + 1)
    assert await meter.keep()
    assert store.counts.writes == before.writes + 1, "nothing was new"


async def test_what_is_kept_again_and_again_is_counted_once(store, clock, meter):
    for _ in range(5):
        meter.event(event())
        assert await meter.keep()
        assert await meter.keep()
    assert (await figures(store, clock)).handed == {NIGHTLY: Handed(served=5)}
    assert len(await store.shelf.keys(ROWS)) == 1


async def test_several_processes_and_those_after_a_restart_are_counted_together(store, clock):
    for _ in range(3):
        one, other = Meter(store=store, clock=clock), Meter(store=store, clock=clock)
        for each in (one, other):
            await each.open()
            each.event(event())
        for each in (one, other):
            await each.close()
    assert (await figures(store, clock)).handed == {NIGHTLY: Handed(served=6)}


async def test_who_is_killed_loses_what_was_not_kept_yet_and_nothing_else(store, clock, meter):
    meter.event(event())
    assert await meter.keep()
    meter.event(event())
    del meter
    heir = Meter(store=store, clock=clock)
    heir.event(event())
    await heir.close()
    assert (await figures(store, clock)).handed == {NIGHTLY: Handed(served=2)}


async def test_each_day_has_its_own(store, clock, meter):
    clock.now = (day_of(clock()) + 1) * 86_400 - 0.001
    heard = meter.upstream("itwin")
    meter.event(event())
    heard("fetched", 0.1)
    clock.now += 0.001
    assert await figures(store, clock) == Figures()
    meter.event(event())
    meter.event(event())
    heard("errors", 0.1)
    assert await meter.keep()
    today = day_of(clock())
    days = (await read(store.shelf, today - 1, today)).days
    assert days[today - 1].handed == {NIGHTLY: Handed(served=1)}
    assert days[today].handed == {NIGHTLY: Handed(served=2)}
    assert days[today - 1].fetched["itwin"].fetched == 1
    assert days[today].fetched["itwin"].errors == 1


async def test_a_day_that_is_over_is_forgotten_when_it_is_kept(clock, store, meter):
    meter.event(event())
    assert await meter.keep()
    clock.now += 86_400
    assert await meter.keep()
    assert meter._days == {}


async def test_a_clock_that_is_put_back_over_midnight_loses_nothing(clock, store, meter):
    meter.event(event())
    assert await meter.keep()
    clock.now += 86_400
    assert await meter.keep()
    clock.now -= 86_400
    meter.event(event())
    assert await meter.keep()
    assert (await figures(store, clock)).handed == {NIGHTLY: Handed(served=2)}


class Shelf:
    """One that can be away, slow, or broken."""

    def __init__(self, shelf):
        self.shelf, self.problem, self.wait, self.after = shelf, None, 0.0, False

    async def put(self, key, value, *, until):
        if self.after:
            await self.shelf.put(key, value, until=until)
        if self.problem is not None:
            raise self.problem
        await asyncio.sleep(self.wait)
        if not self.after:
            await self.shelf.put(key, value, until=until)


class Store:
    def __init__(self, store):
        self.shelf, self.leases = Shelf(store.shelf), store.leases


@pytest.mark.parametrize("problem", [StoreUnavailable("gone"), RuntimeError("a mistake")])
@pytest.mark.parametrize("after", [False, True], ids=["nothing-done", "done-and-not-told"])
async def test_while_the_store_is_away_figures_wait_and_are_counted_once(
    store, clock, problem, after
):
    shaky = Store(store)
    meter = Meter(store=shaky, clock=clock)
    meter.event(event())
    shaky.shelf.problem, shaky.shelf.after = problem, after
    assert not await meter.keep()
    meter.event(event())
    assert not await meter.keep()
    shaky.shelf.problem = None
    assert await meter.keep()
    assert (await figures(store, clock)).handed == {NIGHTLY: Handed(served=2)}


async def test_a_store_that_hangs_is_given_up_and_asked_again(store, clock, monkeypatch):
    monkeypatch.setattr(metering, "TO_KEEP", 0.02)
    shaky = Store(store)
    meter = Meter(store=shaky, clock=clock)
    meter.event(event())
    shaky.shelf.wait = 60.0
    assert not await meter.keep()
    monkeypatch.undo()
    shaky.shelf.wait = 0.0
    assert await meter.keep()
    assert (await figures(store, clock)).handed == {NIGHTLY: Handed(served=1)}


async def test_what_happens_while_a_row_is_written_is_in_the_next_one(store, clock):
    shaky = Store(store)
    meter = Meter(store=shaky, clock=clock)
    meter.event(event())
    shaky.shelf.wait = 0.02
    keeping = asyncio.create_task(meter.keep())
    await asyncio.sleep(0.005)
    meter.event(event())
    await keeping
    assert await meter.keep()
    assert (await figures(store, clock)).handed == {NIGHTLY: Handed(served=2)}


async def test_a_server_that_stops_waits_no_longer_than_it_must(store, clock, monkeypatch, caplog):
    monkeypatch.setattr(metering, "LAST_WORDS", 0.05)
    shaky = Store(store)
    meter = Meter(store=shaky, clock=clock)
    await meter.open()
    meter.event(event())
    shaky.shelf.wait = 60.0
    began = time.monotonic()
    await meter.close()
    assert time.monotonic() - began < 5
    assert "the last figures of tokenward usage are lost" in caplog.text


async def test_it_is_kept_while_the_server_runs(store, clock, monkeypatch):
    monkeypatch.setattr(metering, "EVERY", 0.01)
    meter = Meter(store=store, clock=clock)
    await meter.open()
    meter.event(event())
    async with asyncio.timeout(10):
        while not (await figures(store, clock)).handed:  # noqa: ASYNC110 - the store tells nobody
            await asyncio.sleep(0.01)
    assert (await figures(store, clock)).handed == {NIGHTLY: Handed(served=1)}
    await meter.close()


async def test_only_so_many_days_wait_in_memory(store, clock, meter):
    for _ in range(10):
        meter.event(event())
        clock.now += 86_400
    assert len(meter._days) == metering.WAITING


async def test_whoever_asks_for_odd_things_makes_one_row_that_is_not_large(store, clock, meter):
    for number in range(3 * MOST):
        meter.event(event("reports", f"caller-{number}", f"client-{number}"))
    assert await meter.keep()
    (place,) = await store.shelf.keys(ROWS)
    row = await store.shelf.get(place)
    assert len(row) < 100_000
    assert sum(it.served for it in from_bytes(row).handed.values()) == 3 * MOST


async def test_rows_end(store, clock, meter):
    meter.event(event())
    assert await meter.keep()
    clock.now += 399 * 86_400
    assert len(await store.shelf.keys(ROWS)) == 1
    clock.now += 2 * 86_400
    assert await store.shelf.keys(ROWS) == []
