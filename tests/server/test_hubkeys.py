"""How hub keys are spelled, and how they and their secrets get from commands to servers."""

import json

import pytest

from tests.hub import KEY, SAMPLE_SECRET, SECRET
from tests.server.stores.kinds import SetClock
from tokenward.jose import multibase
from tokenward.server import hubkeys
from tokenward.server.directory import publish_bytes
from tokenward.server.hubkeys import Entry
from tokenward.server.seal import Seal, SealBroken
from tokenward.server.stores import WrongStore
from tokenward.server.stores.memory import Memory

OLD, NEW = b"o" * 32, b"n" * 32
SIGNS = Entry(key=KEY, caller="notes", secret=b"s" * 24)
OPEN = Entry(key="bm" + "a" * 25, caller="trial", type="account")


@pytest.fixture
async def shelf():
    store = Memory(SetClock())
    await store.open()
    yield store.shelf
    await store.close()


def old():
    return Seal.of(OLD)


def test_a_key_and_its_secret_are_as_long_as_the_hub_made_them():
    made = [hubkeys.make() for _ in range(100)]
    assert len({one for pair in made for one in pair}) == 200
    for key, secret in made:
        assert (len(key), len(secret)) == (27, 40)
        assert (len(multibase.decode(key)), len(multibase.decode(secret))) == (16, 24)
        assert hubkeys.key_fault(key) == hubkeys.secret_fault(secret) == ""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is missing"),
        ("b", "must be base32"),
        (SAMPLE_SECRET, "must be base32"),
        (SECRET[1:], "must be base32"),
        (SECRET.upper(), "must be base32"),
        (f" {SECRET}", "must be base32"),
        (f"{SECRET}=", "must be base32"),
        ("b" + "a" * 128, "must be base32"),
        (SECRET[:-1] + "b", "the last characters cannot be right"),
        ("b" + "a" * 27, "cut off"),
    ],
)
def test_what_cannot_be_one_is_told_without_being_quoted(text, reason):
    for fault in hubkeys.key_fault(text), hubkeys.secret_fault(text):
        assert reason in fault
        assert len(text) < 2 or text not in fault


def test_a_secret_that_can_be_guessed_is_none():
    short = multibase.encode(b"x" * 15)
    assert "must have 16 bytes" in hubkeys.secret_fault(short)
    assert hubkeys.key_fault(short) == ""


@pytest.mark.parametrize("entries", [(), (SIGNS,), (SIGNS, OPEN)])
def test_what_is_written_is_what_is_read(entries):
    assert hubkeys.from_bytes(hubkeys.to_bytes(entries)) == entries


def test_a_list_of_a_later_version_is_not_guessed_at():
    with pytest.raises(WrongStore, match="hub keys is of version 2, and this tokenward knows 1"):
        hubkeys.from_bytes(json.dumps({"version": 2}).encode())


@pytest.mark.parametrize("secret", ["", "00", "00" * 15])
def test_a_secret_that_is_none_does_not_make_a_key_that_needs_none(secret):
    said = {"key": KEY, "caller": "notes", "type": "user", "secret": secret}
    with pytest.raises(WrongStore):
        hubkeys.from_bytes(json.dumps({"version": 1, "keys": [said]}).encode())


def test_nothing_that_is_shown_has_the_secret():
    assert "ssss" not in repr(SIGNS)


async def test_a_secret_is_kept_sealed_and_in_its_place_until_it_is_forgotten(shelf):
    await hubkeys.keep_secret(KEY, SIGNS.secret, shelf=shelf, seal=old)
    assert await hubkeys.secret_of(KEY, shelf=shelf, seal=old) == SIGNS.secret
    kept = await shelf.get(hubkeys.SECRET + KEY)
    assert SIGNS.secret not in kept
    with pytest.raises(SealBroken):
        await hubkeys.secret_of(KEY, shelf=shelf, seal=lambda: Seal.of(NEW))
    # Whoever can write the tables puts it in the place of another.
    await shelf.put(hubkeys.SECRET + OPEN.key, kept, until=None)
    with pytest.raises(SealBroken):
        await hubkeys.secret_of(OPEN.key, shelf=shelf, seal=old)
    await hubkeys.forget_secret(KEY, shelf=shelf)
    with pytest.raises(WrongStore, match="not where it was put"):
        await hubkeys.secret_of(KEY, shelf=shelf, seal=old)


async def test_a_new_encryption_key_takes_the_place_of_the_old_one(shelf):
    both, new = Seal.of(NEW, OLD), Seal.of(NEW)
    assert await hubkeys.reseal(shelf, both) == 0
    for one in (SIGNS, OPEN):
        await hubkeys.keep_secret(one.key, b"t" * 24, shelf=shelf, seal=old)
    listed = hubkeys.to_bytes((SIGNS, OPEN))
    await publish_bytes(lambda: listed, 1, place=hubkeys.SHELF, shelf=shelf, seal=old)
    assert await hubkeys.reseal(shelf, both) == 3
    assert await hubkeys.reseal(shelf, both) == 0
    assert await hubkeys.secret_of(KEY, shelf=shelf, seal=lambda: new) == b"t" * 24
    place = f"{hubkeys.SHELF}0000000001"
    assert hubkeys.from_bytes(new.open(await shelf.get(place), place)) == (SIGNS, OPEN)
