"""Handles stand for a grant, are spent once, and are worth nothing to who reads the store."""

import asyncio
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.world import Clock
from tokenward.oauth.errors import InvalidGrant
from tokenward.oauth.scope import Scope
from tokenward.server.handles import Handles, from_bytes, to_bytes
from tokenward.server.model import Caller, Client, Grant, Login
from tokenward.server.seal import Seal
from tokenward.server.stores import open_store

GRANT = Grant(
    caller=Caller(name="mobile", subject="mobile|ann", claims={"email": "ann@example.com"}),
    client=Client(id="app", grant_types=frozenset({"authorization_code"}), scope=Scope.parse("a")),
    grant_type="authorization_code",
    issuer="main",
    targets=("reports",),
    scope=Scope.parse("a b"),
    actor=Caller(name="worker", subject="worker|1", expires_at=123.0),
    login=Login(at=1.5, how=("pwd",), session="s", nonce="n"),
    offline=True,
)


@pytest.fixture
async def handles(tmp_path):
    clock = Clock()
    store = open_store(f"sqlite:{tmp_path}/handles.db", clock)
    await store.open()
    yield Handles(
        shelf=store.shelf, seal=Seal.of(os.urandom(32)), kind="code", lifetime=60.0, clock=clock
    )
    await store.close()


async def test_a_handle_gives_back_the_grant_it_was_made_from(handles):
    handle = await handles.give(GRANT)
    redeemed = await handles.redeem(handle)
    assert redeemed is not None
    assert redeemed.handle == handle
    assert to_bytes(redeemed) == to_bytes(GRANT)
    assert (await handles.redeem(handle)) == redeemed


@pytest.mark.parametrize("spoil", [str.upper, str.lower, lambda it: it[:-1], lambda it: it + "="])
async def test_near_misses_stand_for_nothing(handles, spoil):
    handle = await handles.give(GRANT)
    assert await handles.redeem(spoil(handle)) is None
    assert await handles.redeem("") is None


async def test_of_a_hundred_who_spend_it_one_succeeds(handles):
    handle = await handles.give(GRANT)
    results = await asyncio.gather(
        *(handles.spend(handle) for _ in range(100)), return_exceptions=True
    )
    assert results.count(None) == 1
    assert all(isinstance(it, InvalidGrant) for it in results if it is not None)
    assert await handles.redeem(handle) is None


async def test_it_ends_exactly_at_its_time(handles):
    handle = await handles.give(GRANT)
    handles.clock.at += 59.9
    assert await handles.redeem(handle) is not None
    handles.clock.at += 0.1
    assert await handles.redeem(handle) is None


async def test_the_store_knows_neither_the_handle_nor_the_grant(handles, tmp_path):
    handle = await handles.give(GRANT)
    kept = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert handle.encode() not in kept
    assert b"ann@example.com" not in kept
    assert handle not in repr(await handles.redeem(handle))


def test_a_grant_of_a_version_to_come_is_refused():
    with pytest.raises(InvalidGrant):
        from_bytes(b'{"version": 99}')


@given(st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text()))
def test_any_claims_survive(claims):
    grant = Grant(
        caller=Caller(name="m", subject="m|1", claims=claims),
        client=Client(id="", grant_types=frozenset()),
        grant_type="x",
    )
    assert from_bytes(to_bytes(grant)).caller.claims == claims
