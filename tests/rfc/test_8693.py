"""Token exchange, section by section (RFC 8693)."""

import pytest

from tests.world import JWT, SECRET, claims_of

ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
NIGHTLY = ("nightly", SECRET)
WORKERS = "https://workers.example.com"


def reader(world, **claims):
    return world.user_token(permissions=["reports", "models:read"], **claims)


def worker(world, **claims):
    return world.user_token(aud=WORKERS, sub="worker-7", **claims)


async def test_2_2_1_the_answer_says_what_was_issued_and_never_holds_a_refresh_token(world):
    answer = await world.exchange(world.user_token(), audience="itwin")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    said = answer.json()
    assert said["issued_token_type"] == ACCESS_TOKEN
    assert said["token_type"] == "Bearer"
    assert "refresh_token" not in said


@pytest.mark.parametrize("kind", ["jwt", "access_token", "id_token"])
async def test_3_these_subject_tokens_are_read(world, kind):
    kind = f"urn:ietf:params:oauth:token-type:{kind}"
    assert (await world.exchange(world.user_token(), subject_token_type=kind)).status_code == 200


@pytest.mark.parametrize(
    "form",
    [
        {"subject_token": ""},
        {"subject_token_type": ""},
        {"subject_token_type": "jwt"},
        {"subject_token_type": "urn:ietf:params:oauth:token-type:saml2"},
        {"subject_token_type": "urn:ietf:params:oauth:token-type:refresh_token"},
        {"requested_token_type": "urn:ietf:params:oauth:token-type:refresh_token"},
        {"requested_token_type": "urn:ietf:params:oauth:token-type:saml2"},
        {"actor_token": "x"},
        {"actor_token_type": JWT},
        {"actor_token": "x", "actor_token_type": "nonsense"},
    ],
)
async def test_2_1_what_is_missing_or_unknown_is_an_invalid_request(world, form):
    answer = await world.exchange(world.user_token(), **form)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert world.upstream.questions == []


@pytest.mark.parametrize("token", ["x", "a.b.c", "eyJhbGciOiJub25lIn0.e30."])
async def test_2_2_2_a_subject_token_that_is_none_is_an_invalid_grant(world, token):
    answer = await world.exchange(token)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


async def test_2_1_several_targets_must_lead_to_one_token(world):
    both = ["reports", "https://api.example.com/reports"]
    one = await world.exchange(reader(world), auth=NIGHTLY, audience=both)
    assert one.status_code == 200
    two = await world.exchange(reader(world), auth=NIGHTLY, audience=["reports", "itwin"])
    assert two.json()["error"] == "invalid_target"
    resource = await world.exchange(
        reader(world), auth=NIGHTLY, resource="https://api.example.com/reports"
    )
    assert resource.status_code == 200


async def test_2_1_a_token_of_ours_may_be_asked_for_as_a_jwt_and_a_fetched_one_may_not(world):
    ours = await world.exchange(
        reader(world), auth=NIGHTLY, audience="reports", requested_token_type=JWT
    )
    assert ours.json()["issued_token_type"] == JWT
    theirs = await world.exchange(world.user_token(), requested_token_type=JWT)
    assert theirs.json()["error"] == "invalid_request"


async def test_4_1_who_acts_is_in_the_token_and_who_acted_before_is_inside(world):
    acted = reader(world, act={"sub": "first"})
    answer = await world.exchange(
        acted,
        auth=NIGHTLY,
        audience="reports",
        actor_token=worker(world),
        actor_token_type=JWT,
    )
    claims = claims_of(answer.json()["access_token"])
    assert claims["sub"] == "mobile|auth0|ann"
    assert claims["act"] == {"sub": "worker|worker-7", "act": {"sub": "mobile|first"}}


async def test_4_1_who_acted_before_is_not_forgotten_nor_taken_for_one_of_ours(world):
    acted = reader(world, act={"sub": "nightly", "act": {"sub": "lazy", "x": 1}})
    answer = await world.exchange(acted, auth=NIGHTLY, audience="reports")
    claims = claims_of(answer.json()["access_token"])
    assert claims["act"] == {"sub": "mobile|nightly", "act": {"sub": "mobile|lazy"}}


@pytest.mark.parametrize("iss", ["https://evil.example", ""])
async def test_4_4_an_actor_of_another_issuer_is_somebody_else(world, iss):
    answer = await world.exchange(
        reader(world, may_act={"sub": "worker-7", "iss": iss}),
        auth=NIGHTLY,
        audience="reports",
        actor_token=worker(world),
        actor_token_type=JWT,
    )
    assert answer.json()["error"] == "invalid_grant"


@pytest.mark.parametrize("cnf", [{"jkt": "x"}, {"x5t#S256": "x"}, {}, "x"])
async def test_a_token_bound_to_a_key_is_no_bearer_token(world, cnf):
    for bound in (world.user_token(cnf=cnf), world.user_token(cnf=cnf)):
        assert (await world.exchange(bound)).json()["error"] == "invalid_grant"
        assert (await world.get_token(bound)).status_code == 401


async def test_4_1_without_an_actor_there_is_no_act(world):
    answer = await world.exchange(reader(world), auth=NIGHTLY, audience="reports")
    assert "act" not in claims_of(answer.json()["access_token"])


async def test_the_token_lives_no_longer_than_the_actors(world):
    answer = await world.exchange(
        reader(world),
        auth=NIGHTLY,
        audience="reports",
        actor_token=worker(world, exp=int(world.clock()) + 30),
        actor_token_type=JWT,
    )
    assert answer.json()["expires_in"] <= 30


@pytest.mark.parametrize(
    ("may_act", "error"),
    [
        ({"sub": "worker-7"}, None),
        ({"sub": "worker-8"}, "invalid_grant"),
        ({"sub": "worker-7", "iss": "https://evil.example"}, "invalid_grant"),
        ({}, "invalid_grant"),
        ("worker-7", "invalid_grant"),
    ],
)
async def test_4_4_the_subject_token_may_say_who_may_act(world, may_act, error):
    answer = await world.exchange(
        reader(world, may_act=may_act),
        auth=NIGHTLY,
        audience="reports",
        actor_token=worker(world),
        actor_token_type=JWT,
    )
    assert answer.json().get("error") == error


async def test_5_never_more_scope_than_the_rule_allows(world):
    answer = await world.exchange(
        reader(world), auth=NIGHTLY, audience="reports", scope="reports:read reports:write"
    )
    assert answer.json()["error"] == "invalid_scope"


async def test_5_a_client_that_is_not_registered_for_it_may_not_exchange(world):
    answer = await world.exchange(world.user_token(), auth=("lazy", SECRET))
    assert answer.json()["error"] == "unauthorized_client"


async def test_a_client_with_wrong_credentials_is_not_taken_for_nobody(world):
    answer = await world.exchange(world.user_token(), auth=("nightly", "wrong"))
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


async def test_a_public_client_may_exchange(world):
    answer = await world.exchange(world.user_token(), client_id="browser")
    assert answer.status_code == 200
