"""Signing keys: made once, kept sealed, read back by whoever comes later."""

import asyncio
import os

import pytest

from tokenward.clock import now
from tokenward.jose.jwt import Expected, verify
from tokenward.server.keyring import KeyRing, Ring
from tokenward.server.seal import Seal, SealBroken
from tokenward.server.stores import open_store

KEY = os.urandom(32)


@pytest.fixture
async def store(tmp_path):
    store = open_store(f"sqlite:{tmp_path}/keys.db", now)
    await store.open()
    yield store
    await store.close()


def keyring(store, key=KEY):
    return KeyRing(shelf=store.shelf, seal=Seal.of(key))


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
    assert Ring.from_bytes(ring.to_bytes()).jwks() == ring.jwks()
