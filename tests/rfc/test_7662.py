"""Introspection: those who may know hear everything, all others one word (RFC 7662)."""

import pytest

from tests.world import API_SECRET, SECRET

API = ("reports-api", API_SECRET)
INACTIVE = {"active": False}


async def introspect(world, token, *, path="/introspect", auth=API, **form):
    return await world.http.post(path, data={"token": token, **form}, auth=auth)


async def live(world, path="/token", audience="reports"):
    return (await world.token(path, audience=audience)).json()["access_token"]


async def test_2_2_a_live_token_is_told_to_whom_it_concerns(world):
    answer = await introspect(world, await live(world), token_type_hint="access_token")
    assert answer.headers["cache-control"] == "no-store"
    said = answer.json()
    assert said["active"] is True
    assert said["client_id"] == said["sub"] == "nightly"
    assert said["scope"] == "reports:read"
    assert said["iss"] == "https://tokens.example.com"
    assert said["exp"] > world.clock()


async def test_asked_again_the_same_is_said_of_each_token_until_it_ends(world):
    tokens = [await live(world) for _ in range(3)]
    before = [(await introspect(world, token)).json() for token in tokens]
    assert len({said["jti"] for said in before}) == len(tokens)
    assert [(await introspect(world, token)).json() for token in tokens] == before
    assert (await introspect(world, tokens[0], auth=("nightly", SECRET))).json() == INACTIVE
    world.clock.at = before[0]["exp"] + 1
    assert (await introspect(world, tokens[0])).json() == INACTIVE


@pytest.mark.parametrize(
    ("prefix", "token_path", "path", "audience", "scope"),
    [
        ("/ims", "/connect/token", "/connect/introspect", "models", "itwin-platform"),
        ("/oauth2/orders", "/v1/token", "/v1/introspect", "orders", "such_scope"),
    ],
)
async def test_every_dialect_answers_the_same_members(
    world, prefix, token_path, path, audience, scope
):
    token = await live(world, prefix + token_path, audience)
    said = (await introspect(world, token, path=prefix + path)).json()
    assert (said["active"], said["client_id"], said["scope"]) == (True, "nightly", scope)


async def test_4_everybody_else_hears_that_it_is_inactive(world):
    token = await live(world)
    assert (await introspect(world, token, auth=("nightly", SECRET))).json() == INACTIVE
    assert (await introspect(world, token, path="/ims/connect/introspect")).json() == INACTIVE


@pytest.mark.parametrize(
    "spoil",
    [
        lambda token: "",
        lambda token: token + "x",
        lambda token: token[:-1],
        lambda token: token + ".",
        lambda token: " " + token,
        lambda token: "Bearer " + token,
        lambda token: token.upper(),
        lambda token: "opaque",
    ],
)
async def test_2_2_whatever_is_no_live_token_of_ours_is_inactive_or_missing(world, spoil):
    token = spoil(await live(world))
    answer = await introspect(world, token)
    assert answer.json() == INACTIVE or (not token and answer.status_code == 400)


async def test_an_expired_token_is_inactive_and_so_is_a_friends(world):
    token = await live(world)
    assert (await introspect(world, world.user_token())).json() == INACTIVE
    world.clock.at += 299
    assert (await introspect(world, token)).json()["active"] is True
    world.clock.at += 1
    assert (await introspect(world, token)).json() == INACTIVE


@pytest.mark.parametrize(
    ("auth", "form"),
    [
        (None, {}),
        (("reports-api", "wrong"), {}),
        (("stranger", API_SECRET), {}),
        (None, {"client_id": "browser"}),
        (None, {"client_id": "reports-api"}),
    ],
)
async def test_2_1_nobody_may_ask_without_credentials(world, auth, form):
    answer = await introspect(world, await live(world), auth=auth, **form)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


async def test_a_repeated_token_is_refused(world):
    answer = await world.http.post("/introspect", data={"token": ["a", "b"]}, auth=API)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
