"""What a key looks like, and how the list of them gets from commands to servers."""

import json
import math
import re
from hashlib import sha256

import pytest

from tests.server.stores.kinds import SetClock
from tokenward.server import apikeys
from tokenward.server.apikeys import CHECK, PREFIX, RANDOM, Entry, KeyList
from tokenward.server.directory import publish_bytes
from tokenward.server.seal import Seal, SealBroken
from tokenward.server.stores import WrongStore
from tokenward.server.stores.memory import Memory

OLD, NEW = b"o" * 32, b"n" * 32
ENTRY = Entry(
    id="3f9a1c07",
    caller="scripts",
    name="nightly",
    owner="ann@example.com",
    claims={"groups": ["exporters"], "team": "ops"},
    digest="0f" * 32,
    expires=1.5,
)
KEY = apikeys.make()


@pytest.fixture
async def shelf():
    store = Memory(SetClock())
    await store.open()
    yield store.shelf
    await store.close()


def old():
    return Seal.of(OLD)


def test_a_key_is_256_bits_behind_what_scanners_look_for():
    assert math.log2(62**RANDOM) >= 256
    made = {apikeys.make() for _ in range(200)}
    assert len(made) == 200
    for key in made:
        assert re.fullmatch(r"twk_[0-9A-Za-z]{49}", key)
        assert apikeys.is_whole(key)
        assert re.fullmatch(r"[A-Za-z0-9\-._~+/]+=*", key), "no b64token (RFC 6750 §2.1)"


@pytest.mark.parametrize(
    "text",
    [
        "",
        PREFIX,
        KEY[:-1],
        KEY[1:],
        KEY + "0",
        KEY + "\n",
        KEY.upper(),
        KEY.replace("twk_", "twk-"),
        PREFIX + "0" * (RANDOM + CHECK),
        KEY[:4] + ("a" if KEY[4] != "a" else "b") + KEY[5:],
        KEY[:-1] + ("a" if KEY[-1] != "a" else "b"),
        KEY[:4] + KEY[5] + KEY[4] + KEY[6:] if KEY[4] != KEY[5] else KEY[::-1],
        KEY.replace(KEY[10], "é"),
    ],
    ids=[
        "nothing",
        "prefix",
        "short",
        "beheaded",
        "long",
        "line",
        "capitals",
        "hyphen",
        "zeros",
        "another first",
        "another last",
        "swapped",
        "not ascii",
    ],
)
def test_what_is_no_whole_key_is_told_from_one(text):
    assert apikeys.is_whole(KEY)
    assert not apikeys.is_whole(text)


def test_a_key_is_recognised_with_a_secret_and_not_without():
    assert apikeys.digest_of(KEY, OLD) == apikeys.digest_of(KEY, OLD)
    assert apikeys.digest_of(KEY, OLD) != apikeys.digest_of(KEY, NEW)
    assert apikeys.digest_of(KEY, OLD) != sha256(KEY.encode()).hexdigest()


@pytest.mark.parametrize(
    "entries",
    [(), (ENTRY,), (Entry(**dict.fromkeys(("id", "caller", "name", "digest"), "x")), ENTRY)],
)
def test_what_is_written_is_what_is_read(entries):
    known = KeyList(pepper=OLD, entries=entries)
    assert apikeys.from_bytes(apikeys.to_bytes(known)) == known


def test_a_list_of_a_later_version_is_not_guessed_at():
    with pytest.raises(WrongStore, match="API keys is of version 2, and this tokenward knows 1"):
        apikeys.from_bytes(json.dumps({"version": 2}).encode())


def test_nothing_that_is_shown_has_what_keys_are_recognised_by():
    shown = repr(KeyList(pepper=OLD, entries=(ENTRY,)))
    assert ENTRY.digest not in shown
    assert "oooo" not in shown


async def test_the_secret_is_made_once_and_kept_sealed(shelf):
    first = await apikeys.pepper_of(shelf, old)
    assert len(first) == 32
    assert await apikeys.pepper_of(shelf, old) == first
    assert first not in await shelf.get(apikeys.PEPPER)
    with pytest.raises(SealBroken):
        await apikeys.pepper_of(shelf, lambda: Seal.of(NEW))


async def test_a_new_encryption_key_takes_the_place_of_the_old_one(shelf):
    both, new = Seal.of(NEW, OLD), Seal.of(NEW)
    assert await apikeys.reseal(shelf, both) == 0
    pepper = await apikeys.pepper_of(shelf, old)
    known = apikeys.to_bytes(KeyList(pepper=pepper, entries=(ENTRY,)))
    await publish_bytes(lambda: known, 1, place=apikeys.SHELF, shelf=shelf, seal=old)
    assert await apikeys.reseal(shelf, both) == 2
    assert await apikeys.reseal(shelf, both) == 0
    assert await apikeys.pepper_of(shelf, lambda: new) == pepper
    place = f"{apikeys.SHELF}0000000001"
    assert apikeys.from_bytes(new.open(await shelf.get(place), place)).entries == (ENTRY,)


async def test_when_a_key_was_used_is_read_where_it_was_written(shelf):
    await shelf.put(f"{apikeys.USED}a", b"12", until=None)
    assert await apikeys.last_used(shelf, ["a", "b"]) == {"a": 12.0}
