"""Signing keys: made once, kept sealed, read back by whoever comes later."""

import asyncio
import json
import os
from base64 import b64encode

import pytest

from tokenward.clock import now
from tokenward.jose.jwt import Expected, verify
from tokenward.jose.keys import SigningKey
from tokenward.server import keyring as keyrings
from tokenward.server.keyring import KeyRing, from_bytes, to_bytes
from tokenward.server.rotation import Entry, Periods, replaced, revoked
from tokenward.server.seal import Seal, SealBroken
from tokenward.server.stores import StoreUnavailable, open_store

KEY = os.urandom(32)


@pytest.fixture
async def store(tmp_path):
    store = open_store(f"sqlite:{tmp_path}/keys.db", now)
    await store.open()
    yield store
    await store.close()


def MAKE():  # noqa: N802 - as it is called
    return SigningKey.generate("ES256")


def keyring(store, key=KEY, **more):
    return KeyRing(shelf=store.shelf, seal=Seal.of(key), **more)


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "PS256", "EdDSA"])
async def test_a_ring_signs_what_its_jwks_verifies_after_a_restart_too(store, algorithm):
    ring = await keyring(store).ring("main", algorithm)
    again = await keyring(store).ring("main", algorithm)

    token = ring.sign({"iss": "i", "aud": "a", "exp": now() + 60}, typ="at+jwt")
    expected = Expected(issuer="i", audience="a")
    assert verify(token, again.verifying(), expected, now=now())["iss"] == "i"
    assert again.jwks() == ring.jwks()
    [key] = ring.jwks()["keys"]
    assert (key["alg"], key["use"], "x5c" in key) == (
        algorithm,
        "sig",
        algorithm in ("RS256", "PS256"),
    )
    assert not {"d", "p", "q"} & key.keys()


async def test_a_crowd_makes_one_ring(store):
    rings = await asyncio.gather(*(keyring(store).ring("main", "ES256") for _ in range(20)))
    assert len({ring.keys[0].kid for ring in rings}) == 1


async def test_issuers_and_algorithms_never_share_a_ring(store):
    kept = keyring(store)
    rings = [
        await kept.ring("main", "ES256"),
        await kept.ring("ims", "ES256"),
        await kept.ring("main", "EdDSA"),
    ]
    assert len({ring.keys[0].kid for ring in rings}) == 3


async def test_nothing_of_a_private_key_is_in_the_database(store, tmp_path):
    ring = await keyring(store).ring("main", "ES256")
    scalar = ring.keys[0].to_bytes()
    for file in tmp_path.iterdir():
        assert scalar[-40:] not in file.read_bytes()
    assert "PRIVATE" not in repr(ring)


async def test_a_ring_sealed_with_another_key_is_not_replaced(store):
    before = await keyring(store).ring("main", "ES256")
    with pytest.raises(SealBroken):
        await keyring(store, os.urandom(32)).ring("main", "ES256")
    assert (await keyring(store).ring("main", "ES256")).jwks() == before.jwks()


async def test_a_ring_is_read_back_as_it_was(store):
    ring = await keyring(store).ring("main", "ES256")
    [before], [after] = ring.entries, from_bytes(to_bytes(ring.entries))
    assert (before.key.kid, before.made, before.since) == (after.key.kid, after.made, after.since)


async def test_a_ring_of_the_first_version_is_read_and_kept_as_one_of_this(store):
    key = SigningKey.generate("ES256")
    old = {"version": 1, "keys": [b64encode(key.to_bytes()).decode()]}
    place = "ring/main/ES256"
    sealed = Seal.of(KEY).close(json.dumps(old).encode(), place)
    await store.shelf.put(place, sealed, until=None)
    kept = keyring(store, periods={"main": PERIODS})
    ring = await kept.ring("main", "ES256")
    assert [one.kid for one in ring.keys] == [key.kid]
    await kept.refresh()  # it is old enough to be followed by another
    assert ring.keys[0].kid == key.kid
    assert len(ring.keys) == 2
    assert await store.shelf.keys("ring/") == ["ring/main/ES256/0000000001"]


# ── changes ──────────────────────────────────────────────────────────────────────────────────────

EXPECTED = Expected(issuer="i", audience="a")
PERIODS = Periods(every=1_000.0, lead=100.0, keep=300.0)


class Clock:
    at = 1_000_000.0

    def __call__(self):
        return self.at


async def test_keys_change_by_themselves_and_everybody_sees_the_same(store):
    clock = Clock()
    ours, theirs = (keyring(store, clock=clock, periods={"main": PERIODS}) for _ in range(2))
    mine, yours = await ours.ring("main", "ES256"), await theirs.ring("main", "ES256")
    seen = []
    for _ in range(60):
        clock.at += 50
        for one in (ours, theirs):
            await one.refresh()
        await ours.refresh()
        assert mine.jwks() == yours.jwks()
        assert 1 <= len(mine.keys) <= 3
        seen.append(mine.keys[0].kid)
    assert len(dict.fromkeys(seen)) == 4  # one for each thousand seconds


async def test_a_token_is_believed_by_whoever_fetched_the_keys_before(store):
    """As long as a key set may be kept, what is signed now is signed with a key that is in it."""
    clock = Clock()
    kept = keyring(store, clock=clock, periods={"main": PERIODS})
    ring = await kept.ring("main", "ES256")
    sets, tokens = [], []
    for _ in range(130):
        clock.at += 20
        await kept.refresh()
        known = ring.verifying()
        sets.append((clock.at, known))
        claims = {"iss": "i", "aud": "a", "exp": clock.at + 290, "iat": clock.at}
        tokens.append((clock.at, ring.sign(claims, typ="at+jwt")))
        for when, token in tokens[-14:]:
            for fetched, keys in sets[-5:]:  # up to 80 seconds ago, of the 100 of the lead
                if fetched <= when or clock.at - fetched <= 80:
                    believed = verify(token, keys, EXPECTED, now=clock.at)
                    assert believed["iss"] == "i"


async def test_of_two_who_change_a_ring_both_changes_are_kept(store):
    rings = [keyring(store) for _ in range(2)]
    for one in rings:
        await one.ring("main", "ES256")

    def another(entries):
        key = SigningKey.generate("ES256")
        return (*entries, Entry(key=key, made=now(), since=now() + len(entries)))

    await asyncio.gather(*(one.change("main", "ES256", another) for one in rings * 5))
    fresh = await keyring(store).ring("main", "ES256")
    assert len(fresh.entries) == 11
    assert len(await store.shelf.keys("ring/main/ES256/")) == 1


async def test_one_who_was_away_for_long_changes_nothing_by_mistake(store):
    """It read an edition that is gone, and adds the one after that, which is older than ours."""
    slow = keyring(store)
    await slow.ring("main", "ES256")
    place, entries = await slow._read("main", "ES256")
    quick = keyring(store)
    await quick.ring("main", "ES256")
    for _ in range(3):
        await quick.change("main", "ES256", lambda kept: replaced(kept, now(), PERIODS, MAKE))
    before = (await keyring(store).ring("main", "ES256")).jwks()
    await slow._keep("main", "ES256", place, entries)
    assert (await keyring(store).ring("main", "ES256")).jwks() == before


async def test_keys_in_memory_go_on_while_the_store_is_away(store):
    clock = Clock()
    kept = keyring(store, clock=clock, periods={"main": PERIODS})
    ring = await kept.ring("main", "ES256")
    clock.at += 950
    await kept.refresh()
    first, second = ring.keys
    await store.close()
    clock.at += 100
    with pytest.raises(StoreUnavailable):
        await kept.refresh()
    kept._turn()
    assert [key.kid for key in ring.keys] == [second.kid, first.kid]
    assert ring.sign({"exp": 1}, typ="at+jwt")
    await store.open()


async def test_whoever_lacks_the_encryption_key_says_so_in_a_line_and_goes_on(
    store, monkeypatch, caplog
):
    monkeypatch.setattr(keyrings, "POLL", 0.01)
    old, new = KEY, os.urandom(32)
    behind = keyring(store, old)
    ring = await behind.ring("main", "ES256")
    ahead = KeyRing(shelf=store.shelf, seal=Seal.of(new, old))
    assert await ahead.reseal("main", "ES256")
    watching = asyncio.create_task(behind.watch())
    async with asyncio.timeout(5):
        while not caplog.records:  # noqa: ASYNC110 - nobody could set an event
            await asyncio.sleep(0.01)
    watching.cancel()
    record = caplog.records[0]
    assert "looked at: ring/main/ES256/0000000002: sealed with another" in record.getMessage()
    assert record.exc_info is None
    assert ring.sign({"exp": 1}, typ="at+jwt")


async def test_a_revoked_key_is_gone_for_everybody(store):
    ours, theirs = keyring(store), keyring(store)
    mine, yours = await ours.ring("main", "ES256"), await theirs.ring("main", "ES256")
    lost = mine.keys[0].kid
    generation = yours.generation
    await ours.change("main", "ES256", lambda kept: revoked(kept, lost, now(), MAKE))
    await theirs.refresh()
    assert mine.jwks() == yours.jwks()
    assert lost not in str(yours.jwks())
    assert yours.generation > generation
    with pytest.raises(LookupError):
        await ours.change("main", "ES256", lambda kept: revoked(kept, lost, now(), MAKE))
