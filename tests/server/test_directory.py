"""The list of registered clients, from whoever changes it to those who authenticate by it."""

import asyncio
import json
import logging
import time
from math import inf

import pytest

from tests.server.stores.kinds import SetClock
from tokenward.oauth.scope import Scope
from tokenward.server import directory
from tokenward.server.directory import SHELF, Directory, Entry, from_bytes, publish, to_bytes
from tokenward.server.hashes import Known
from tokenward.server.seal import Seal, SealBroken
from tokenward.server.stores import StoreUnavailable, WrongStore
from tokenward.server.stores.memory import Memory

HASH = "sha256:" + "0f" * 32
PARTNER = Entry(
    id="partner",
    grant_types=frozenset({"client_credentials"}),
    scope=Scope.parse("reports:read"),
    default="reports",
    secrets=(Known(hash=HASH, name="first"), Known(hash=HASH, name="second", expires=1.5)),
)
OTHER = Entry(id="other", grant_types=frozenset(), disabled=True)
OLD, NEW = b"o" * 32, b"n" * 32


@pytest.fixture
async def store():
    store = Memory(SetClock())
    await store.open()
    yield store
    await store.close()


@pytest.fixture
def shelf(store):
    return store.shelf


def seal():
    return Seal.of(OLD)


class Reader:
    """What one process knows."""

    def __init__(self, shelf, seal=seal):
        self.seen = []
        self.directory = Directory(shelf=shelf, seal=seal, show=self.seen.append)

    async def look(self):
        await self.directory.look()
        return self.seen[-1] if self.seen else None


@pytest.mark.parametrize("entries", [(), (PARTNER,), (OTHER, PARTNER)])
def test_what_is_written_is_what_is_read(entries):
    assert from_bytes(to_bytes(entries)) == entries
    assert [one.expires for it in entries for one in it.secrets] in ([], [inf, 1.5])


def test_a_list_of_a_later_version_is_not_guessed_at():
    with pytest.raises(WrongStore, match="of version 2, and this tokenward knows 1"):
        from_bytes(json.dumps({"version": 2, "clients": []}).encode())


async def test_everybody_sees_the_newest_edition_and_older_ones_are_gone(shelf):
    reader = Reader(shelf)
    assert await reader.look() is None
    assert await publish((PARTNER,), 1, shelf=shelf, seal=seal) is True
    assert await reader.look() == (PARTNER,)
    await publish((OTHER,), 2, shelf=shelf, seal=seal)
    await publish((OTHER, PARTNER), 12, shelf=shelf, seal=seal)
    assert await reader.look() == await Reader(shelf).look() == (OTHER, PARTNER)
    assert await shelf.keys(SHELF) == [f"{SHELF}0000000012"]


async def test_an_edition_that_comes_late_changes_nothing(shelf):
    await publish((OTHER,), 7, shelf=shelf, seal=seal)
    await publish((PARTNER,), 6, shelf=shelf, seal=seal)
    assert await Reader(shelf).look() == (OTHER,)


async def test_what_is_known_is_not_read_again(store, shelf):
    await publish((PARTNER,), 1, shelf=shelf, seal=seal)
    assert await publish((PARTNER,), 1, shelf=shelf, seal=seal) is False
    reader = Reader(shelf)
    await reader.look()
    before = store.counts.reads
    await reader.look()
    assert store.counts.reads == before + 1
    assert reader.seen == [(PARTNER,)]


async def test_while_nobody_was_ever_registered_there_is_no_list_and_no_key_is_made(shelf):
    assert await publish((), 0, shelf=shelf, seal=pytest.fail) is False
    assert await Reader(shelf, pytest.fail).look() is None


async def test_what_is_kept_is_sealed_and_bound_to_its_place(shelf):
    await publish((PARTNER,), 1, shelf=shelf, seal=seal)
    kept = await shelf.get(f"{SHELF}0000000001")
    assert b"partner" not in kept
    assert HASH.encode() not in kept
    await shelf.put(f"{SHELF}0000000002", kept, until=None)
    with pytest.raises(SealBroken):
        await Reader(shelf).look()


async def test_a_new_encryption_key_takes_the_place_of_the_old_one(shelf):
    def both():
        return Seal.of(NEW, OLD)

    await publish((PARTNER,), 1, shelf=shelf, seal=seal)
    assert await Reader(shelf, both).look() == (PARTNER,)
    assert await directory.reseal(shelf, both()) is True
    assert await directory.reseal(shelf, both()) is False
    assert await Reader(shelf, lambda: Seal.of(NEW)).look() == (PARTNER,)


async def test_whoever_publishes_next_seals_what_nobody_could_open(shelf):
    await publish((PARTNER,), 1, shelf=shelf, seal=seal)
    assert await publish((PARTNER,), 1, shelf=shelf, seal=lambda: Seal.of(NEW)) is True
    assert await Reader(shelf, lambda: Seal.of(NEW)).look() == (PARTNER,)


class Failing:
    """A shelf that fails as it is told to, and otherwise is the one beneath."""

    def __init__(self, shelf):
        self.shelf = shelf
        self.problem = None

    async def keys(self, prefix):
        if self.problem is not None:
            raise self.problem
        return await self.shelf.keys(prefix)

    async def get(self, key):
        return await self.shelf.get(key)


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (StoreUnavailable("gone"), []),
        (TimeoutError(), []),
        (SealBroken("sealed with another key"), [logging.WARNING]),
        (WrongStore("of version 2"), [logging.WARNING]),
        (ZeroDivisionError(), [logging.ERROR]),
    ],
)
async def test_whatever_happens_to_the_store_the_list_stays_and_is_looked_at_again(
    shelf, problem, said, monkeypatch, caplog
):
    monkeypatch.setattr(directory, "POLL", 0.001)
    await publish((PARTNER,), 1, shelf=shelf, seal=seal)
    failing = Failing(shelf)
    reader = Reader(failing)
    await reader.directory.open()
    assert reader.seen == [(PARTNER,)]
    failing.problem = problem
    await publish((OTHER,), 2, shelf=shelf, seal=seal)
    await asyncio.sleep(0.05)
    assert reader.seen == [(PARTNER,)]
    assert sorted({record.levelno for record in caplog.records}) == said
    failing.problem = None
    until = time.monotonic() + 10
    while len(reader.seen) < 2 and time.monotonic() < until:  # noqa: ASYNC110 - POLL is short
        await asyncio.sleep(0.001)
    assert reader.seen == [(PARTNER,), (OTHER,)]
    await reader.directory.close()


async def test_a_server_does_not_start_with_a_list_that_it_cannot_open(shelf):
    await publish((PARTNER,), 1, shelf=shelf, seal=seal)
    with pytest.raises(SealBroken):
        await Reader(shelf, lambda: Seal.of(NEW)).directory.open()
