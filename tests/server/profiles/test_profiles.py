"""The dialects of our issuers: the claims they write and the words they use."""

import pytest

from tests.world import SECRET, claims_of

EVERYWHERE = {"iss", "aud", "exp", "iat", "jti"}


async def token(world, path, **form):
    return claims_of((await world.token(path, **form)).json()["access_token"])


async def test_rfc9068_has_all_that_the_standard_wants(world):
    claims = await token(world, "/token", audience="reports")
    assert claims.keys() == EVERYWHERE | {"sub", "client_id", "scope"}
    assert claims["scope"] == "reports:read"


async def test_ims_has_an_array_of_scopes_and_no_sub_for_services(world):
    claims = await token(world, "/ims/connect/token")
    assert claims.keys() == EVERYWHERE | {"client_id", "scope"}
    assert claims["scope"] == ["itwin-platform"]


async def test_okta_has_scp_cid_ver_and_a_jti_that_says_what_it_is(world):
    claims = await token(world, "/oauth2/orders/v1/token")
    assert claims.keys() == EVERYWHERE | {"sub", "cid", "scp", "ver"}
    assert (claims["ver"], claims["cid"], claims["scp"]) == (1, "nightly", ["such_scope"])
    assert claims["sub"] == "nightly"
    assert claims["aud"] == "api://orders"
    assert claims["jti"].startswith("AT.")


async def test_no_token_has_the_id_of_another(world):
    ids = {(await token(world, "/token", audience="reports"))["jti"] for _ in range(20)}
    assert len(ids) == 20


@pytest.mark.parametrize(
    ("form", "auth", "status", "error", "words"),
    [
        ({"scope": "nope"}, ("nightly", SECRET), 400, "invalid_scope", "not configured for"),
        ({"scope": "other_scope"}, ("nightly", SECRET), 400, "access_denied", "Policy evaluation"),
        ({}, ("lazy", SECRET), 400, "access_denied", "Policy evaluation failed"),
        ({}, ("nightly", "wrong"), 401, "invalid_client", "client secret supplied"),
    ],
)
async def test_okta_says_no_in_its_own_words(world, form, auth, status, error, words):
    answer = await world.token("/oauth2/orders/v1/token", auth=auth, **form)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert words in answer.json()["error_description"]
