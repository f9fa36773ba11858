"""Revocation: a token that was given back is believed no longer (RFC 7009)."""

import pytest

from tests.rfc.test_7662 import INACTIVE, introspect, live
from tests.world import API_SECRET, SECRET


async def revoke(world, token, *, auth=("nightly", SECRET), path="/revoke", **form):
    return await world.http.post(path, data={"token": token, **form}, auth=auth)


async def test_2_a_revoked_token_is_inactive_from_then_on(world):
    token, other = await live(world), await live(world)
    answer = await revoke(world, token, token_type_hint="access_token")

    assert answer.status_code == 200
    assert (await introspect(world, token)).json() == INACTIVE
    assert (await introspect(world, other)).json()["active"] is True
    assert (await revoke(world, token)).status_code == 200


async def test_a_revocation_survives_a_restart(worlds, tmp_path):
    store = f"sqlite:{tmp_path}/tokenward.db"
    async with worlds(store=store) as world:
        token, other = await live(world), await live(world)
        await revoke(world, token)
        clock = world.clock
    async with worlds(store=store) as world:
        world.clock.at = clock.at
        assert (await introspect(world, token)).json() == INACTIVE
        assert (await introspect(world, other)).json()["active"] is True


@pytest.mark.parametrize("token", ["nonsense", "a.b.c", "x" * 5000])
async def test_2_2_a_token_nobody_knows_is_as_good_as_revoked(world, token):
    assert (await revoke(world, token)).status_code == 200
    assert (await revoke(world, world.user_token())).status_code == 200


async def test_2_1_a_token_of_another_client_is_not_revoked(world):
    token = await live(world)
    for auth in [("lazy", SECRET), ("reports-api", API_SECRET)]:
        answer = await revoke(world, token, auth=auth)
        assert (answer.status_code, answer.json()["error"]) == (400, "unauthorized_client")
    assert (await introspect(world, token)).json()["active"] is True


async def test_another_issuers_endpoint_does_not_know_it(world):
    token = await live(world)
    assert (await revoke(world, token, path="/ims/connect/revocation")).status_code == 200
    assert (await introspect(world, token)).json()["active"] is True


@pytest.mark.parametrize("auth", [None, ("nightly", "wrong"), ("stranger", SECRET)])
async def test_nobody_may_revoke_without_credentials(world, auth):
    token = await live(world)
    assert (await revoke(world, token, auth=auth)).status_code == 401
    assert (await introspect(world, token)).json()["active"] is True


async def test_the_token_is_required(world):
    assert (await revoke(world, "")).json()["error"] == "invalid_request"
