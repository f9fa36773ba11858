"""Handles stand for a grant, are spent once, and are worth nothing to who reads the store."""

import asyncio
import json
import math
import os
from base64 import urlsafe_b64decode
from dataclasses import fields, replace

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
    caller=Caller(
        name="mobile",
        subject="mobile|ann",
        claims={"email": "ann@example.com"},
        expires_at=456.5,
        default="itwin",
    ),
    client=Client(
        id="app-1",
        name="app",
        grant_types=frozenset({"authorization_code", "refresh_token"}),
        scope=Scope.parse("a c"),
        default="reports",
    ),
    grant_type="authorization_code",
    issuer="main",
    targets=("reports", "models"),
    scope=Scope.parse("a b"),
    actor=Caller(name="worker", subject="worker|1"),
    login=Login(at=1.5, how=("pwd", "otp"), session="s", nonce="n"),
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
    assert redeemed == replace(GRANT, handle=handle)
    assert redeemed.caller.claims == GRANT.caller.claims
    assert (await handles.redeem(handle)) == redeemed


@pytest.mark.parametrize("spoil", [str.upper, str.lower, lambda it: it[:-1], lambda it: it + "="])
async def test_near_misses_stand_for_nothing(handles, spoil):
    handle = await handles.give(GRANT)
    assert await handles.redeem(spoil(handle)) is None
    assert await handles.redeem("") is None


async def test_a_handle_has_256_bits_and_no_two_are_alike(handles):
    given = [await handles.give(GRANT) for _ in range(20)]
    assert len(set(given)) == 20
    assert {len(urlsafe_b64decode(handle + "=")) for handle in given} == {32}


async def test_handles_of_another_kind_stand_for_nothing(handles):
    handle = await handles.give(GRANT)
    others = replace(handles, kind="refresh")
    assert await others.redeem(handle) is None
    with pytest.raises(InvalidGrant):
        await others.spend(handle)
    assert await handles.redeem(handle) is not None
    assert [key.partition("/")[0] for key in await handles.shelf.keys("")] == ["code"]


async def test_who_comes_second_hears_nothing_of_the_first(handles):
    handle = await handles.give(GRANT)
    await handles.spend(handle)
    with pytest.raises(InvalidGrant) as refused:
        await handles.spend(handle)
    assert refused.value.detail == "spent by somebody else in the meantime"
    assert "somebody" not in refused.value.description


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


@pytest.mark.parametrize("version", [0, 2, 99, "1", None])
def test_a_grant_of_a_version_to_come_is_refused(version):
    with pytest.raises(InvalidGrant) as refused:
        from_bytes(json.dumps({"version": version}).encode())
    assert refused.value.detail == f"a grant of version {version}"


KEPT = b"""
{"version": 1,
 "caller": {"name": "mobile", "subject": "mobile|ann", "claims": {"email": "ann@example.com"},
            "expires_at": 456.5, "default": "itwin"},
 "actor": {"name": "worker", "subject": "worker|1", "claims": {}, "expires_at": null,
           "default": ""},
 "client": {"id": "app-1", "name": "app", "grant_types": ["authorization_code", "refresh_token"],
            "scope": "a c", "default": "reports"},
 "grant_type": "authorization_code", "issuer": "main", "targets": ["reports", "models"],
 "scope": "a b", "login": [1.5, ["pwd", "otp"], "s", "n"], "offline": true}
"""
"""What version 1 wrote: whoever changes how grants are kept has to be able to read this."""


def test_what_was_kept_before_an_upgrade_is_read_after_it():
    assert from_bytes(KEPT) == GRANT
    assert from_bytes(KEPT).caller.claims == GRANT.caller.claims
    assert json.loads(to_bytes(GRANT)) == json.loads(KEPT)


LITTLE = Grant(
    caller=Caller(name="m", subject="m|1"),
    client=Client(id="c", grant_types=frozenset()),
    grant_type="x",
)


def test_of_a_grant_that_says_little_nothing_is_made_up():
    kept = json.loads(to_bytes(LITTLE))
    assert (kept["actor"], kept["client"]["scope"], kept["scope"]) == (None, None, "")
    assert kept["caller"]["expires_at"] is None  # JSON has no infinity
    again = from_bytes(to_bytes(LITTLE))
    assert again == LITTLE
    assert not again.actor
    assert again.caller.expires_at == math.inf
    assert again.client.scope is None


@pytest.mark.parametrize(
    ("wrong", "read"),
    [
        ({"claims": None}, {"claims": {}}),
        ({"claims": ["a"]}, {"claims": {}}),
        ({"expires_at": "soon"}, {"expires_at": math.inf}),
        ({"expires_at": 7}, {"expires_at": 7}),
    ],
)
def test_a_caller_is_read_as_far_as_it_can_be(wrong, read):
    kept = json.loads(KEPT)
    kept["caller"] |= wrong
    caller = from_bytes(json.dumps(kept).encode()).caller
    for name, value in read.items():
        assert getattr(caller, name) == value


def test_every_part_of_a_grant_is_kept_or_belongs_to_one_request_alone():
    """A new field is to be kept too, or to be named here with its reason."""
    of_one_request = {"handle", "certificate", "shown", "answered"}
    assert {field.name for field in fields(Grant)} - of_one_request <= {
        *json.loads(to_bytes(GRANT))
    }


@given(st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text()))
def test_any_claims_survive(claims):
    grant = Grant(
        caller=Caller(name="m", subject="m|1", claims=claims),
        client=Client(id="", grant_types=frozenset()),
        grant_type="x",
    )
    assert from_bytes(to_bytes(grant)).caller.claims == claims
