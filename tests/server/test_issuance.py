"""From a request to a token: what is given, what is refused, and what it cost."""

import asyncio

import pytest

from tests.upstream import says
from tests.world import (
    API_SECRET,
    AUDIENCE,
    SECRET,
    UPSTREAM_SECRET,
    US,
    claims_of,
    header_of,
)
from tokenward.jose.keys import SigningKey


async def test_a_client_gets_a_token_of_ours(world):
    response = await world.token(audience="reports")

    assert response.status_code == 200
    answer = response.json()
    assert {name: answer[name] for name in ("token_type", "expires_in", "scope")} == {
        "token_type": "Bearer",
        "expires_in": 300,
        "scope": "reports:read",
    }
    claims = claims_of(answer["access_token"])
    assert claims["sub"] == claims["client_id"] == "nightly"
    assert claims["iss"] == US
    assert claims["exp"] - claims["iat"] == 300


async def test_a_user_gets_a_token_from_upstream(world):
    response = await world.get_token(world.user_token())

    assert (response.status_code, response.text) == (200, "Bearer theirs-1")
    assert world.upstream.questions[0].form == {
        "grant_type": "client_credentials",
        "scope": "itwin-platform",
    }


async def test_get_token_is_token_exchange(world):
    token = world.user_token()
    short = await world.get_token(token)
    long = await world.exchange(token)

    assert short.text == "Bearer " + long.json()["access_token"]
    assert len(world.upstream.questions) == 1


async def test_a_crowd_asks_upstream_once(world):
    token = world.user_token()
    answers = await asyncio.gather(*(world.get_token(token) for _ in range(200)))

    assert {answer.text for answer in answers} == {"Bearer theirs-1"}
    assert len(world.upstream.questions) == 1


NEAR_MISSES = [
    ({"exp": 1}, 401),
    ({"exp": ...}, 401),
    ({"iss": "https://evil.example/"}, 401),
    ({"aud": "https://evil.example"}, 401),
    ({"aud": ["https://userinfo.example.com"]}, 401),
    ({"aud": AUDIENCE + "/"}, 401),
    ({"aud": []}, 401),
    ({"aud": ...}, 401),
    ({"sub": ...}, 401),
    ({"sub": ""}, 401),
    ({"sub": 7}, 401),
    ({"permissions": []}, 403),
    ({"permissions": ["models:write"]}, 403),
    ({"permissions": "models:read models:write"}, 403),
    ({"permissions": True}, 403),
    ({"permissions": ...}, 403),
]


@pytest.mark.parametrize(("claims", "status"), NEAR_MISSES)
async def test_near_misses_are_refused_recorded_and_reach_no_upstream(worlds, claims, status):
    async with worlds() as world:
        response = await world.get_token(world.user_token(**claims))
        assert response.status_code == status
        assert response.headers["www-authenticate"].startswith("Bearer ")
        assert " " in response.text
        assert "eyJ" not in response.text
        assert world.upstream.questions == []
    [event] = world.events()
    assert event["outcome"] == "refused"
    assert event["detail"]


async def test_a_token_signed_by_somebody_else_is_refused(world):
    forged = world.friend.token(key=SigningKey.generate("ES256"), typ="JWT", aud=AUDIENCE)
    assert (await world.get_token(forged)).status_code == 401


async def test_refusals_do_not_tell_which_check_failed(world):
    faults = [{"aud": "https://evil.example"}, {"iss": "https://evil.example/"}, {"sub": ...}]
    answers = {(await world.get_token(world.user_token(**fault))).text for fault in faults}
    assert len(answers) == 1


@pytest.mark.parametrize(
    ("form", "auth", "status", "error"),
    [
        ({}, None, 401, "invalid_client"),
        ({}, ("nightly", "wrong"), 401, "invalid_client"),
        ({}, ("nightly", SECRET + "\x00"), 401, "invalid_client"),
        ({}, ("nightly", SECRET[:-1]), 401, "invalid_client"),
        ({}, ("nightly", ""), 401, "invalid_client"),
        ({}, ("Nightly", SECRET), 401, "invalid_client"),
        ({}, ("stranger", SECRET), 401, "invalid_client"),
        ({}, ("nightly", API_SECRET), 401, "invalid_client"),
        ({"client_id": "browser"}, None, 400, "unauthorized_client"),
        ({"client_id": "nightly"}, None, 401, "invalid_client"),
        ({"client_id": "lazy"}, ("nightly", SECRET), 400, "invalid_request"),
        ({"client_secret": SECRET}, ("nightly", SECRET), 400, "invalid_request"),
        ({"grant_type": "password"}, ("nightly", SECRET), 400, "unsupported_grant_type"),
        (
            {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer"},
            ("lazy", SECRET),
            400,
            "unauthorized_client",
        ),
        ({}, ("reports-api", API_SECRET), 400, "unauthorized_client"),
        ({"scope": "admin"}, ("nightly", SECRET), 400, "invalid_scope"),
        ({"scope": "reports:write"}, ("lazy", SECRET), 400, "invalid_scope"),
        ({"scope": 'a"b'}, ("nightly", SECRET), 400, "invalid_scope"),
        ({"audience": "itwin"}, ("nightly", SECRET), 400, "invalid_target"),
        ({"audience": "nowhere"}, ("nightly", SECRET), 400, "invalid_target"),
        ({"audience": ["reports", "itwin"]}, ("nightly", SECRET), 400, "invalid_target"),
        ({"resource": "relative"}, ("nightly", SECRET), 400, "invalid_target"),
        ({"grant_type": ""}, ("nightly", SECRET), 400, "invalid_request"),
        ({"scope": ["reports:read", "reports:read"]}, ("nightly", SECRET), 400, "invalid_request"),
    ],
)
async def test_every_refusal_is_the_rfcs_and_is_recorded(worlds, form, auth, status, error):
    async with worlds() as world:
        response = await world.token(auth=auth, **{"audience": "reports"} | form)
        assert (response.status_code, response.json()["error"]) == (status, error)
        assert response.json()["error_description"]
        assert ("www-authenticate" in response.headers) == (status == 401)
        assert response.headers["cache-control"] == "no-store"
    [event] = world.events()
    assert (event["outcome"], event["error"]) == ("refused", error)


async def test_an_unknown_client_and_a_wrong_secret_get_the_same_answer(world):
    unknown = await world.token(auth=("stranger", SECRET))
    wrong = await world.token(auth=("nightly", "x" * 43))
    other = await world.token(auth=("browser", SECRET))
    assert unknown.content == wrong.content == other.content


async def test_the_secret_may_be_in_the_body(world):
    answer = await world.token(
        auth=None, client_id="nightly", client_secret=SECRET, audience="reports"
    )
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b'{"grant_type": "client_credentials"}', {"content-type": "application/json"}),
        (b"grant_type=client_credentials", {"content-type": "text/plain"}),
        (b"grant_type=client_credentials", {}),
        (b"grant_type=client%zz", {"content-type": "application/x-www-form-urlencoded"}),
        (b"", {"content-type": "application/x-www-form-urlencoded"}),
    ],
)
async def test_a_body_that_is_no_form_is_an_invalid_request(world, body, headers):
    answer = await world.http.post(
        "/token", content=body, headers=headers, auth=("nightly", SECRET)
    )
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


async def test_parameters_in_the_url_are_refused(world):
    answer = await world.token("/token?client_id=nightly", audience="reports")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert (await world.http.get("/token")).status_code == 405


async def test_a_token_endpoint_gives_its_own_issuers_tokens(world):
    for path, name in (("/ims/connect/token", "models"), ("/oauth2/orders/v1/token", "orders")):
        assert (await world.token(path, audience=name)).status_code == 200
        other = await world.token(path, audience="reports")
        assert other.json()["error"] in ("invalid_target", "access_denied")


async def test_without_an_audience_it_is_the_only_token_of_that_issuer(world):
    claims = claims_of((await world.token("/ims/connect/token")).json()["access_token"])
    assert claims["aud"] == "https://models.example.com"


async def test_no_token_outlives_what_its_subject_showed(world):
    token = world.user_token(permissions=["reports"], exp=int(world.clock()) + 60)
    answer = await world.exchange(token, auth=("nightly", SECRET), audience="reports")
    claims = claims_of(answer.json()["access_token"])
    assert answer.json()["expires_in"] <= 60
    assert claims["exp"] <= world.clock() + 60


async def test_people_of_a_foreign_issuer_never_have_the_name_of_a_client(world):
    token = world.user_token(permissions=["reports"], sub="nightly")
    answer = await world.exchange(token, auth=("nightly", SECRET), audience="reports")
    assert claims_of(answer.json()["access_token"])["sub"] == "mobile|nightly"


async def test_an_upstream_that_fails_is_503_and_the_next_success_is_served(world):
    world.upstream.answers.extend([says(500, "UPSTREAMS-OWN-WORDS")] * 5)
    broken = await world.get_token(world.user_token())
    world.upstream.answers.clear()
    mended = await world.get_token(world.user_token())

    assert broken.status_code == 503
    assert int(broken.headers["retry-after"]) >= 1
    assert "OWN-WORDS" not in broken.text
    assert " " in broken.text
    assert mended.status_code == 200


async def test_the_ledger_of_the_hot_paths(world, monkeypatch):
    """What an answer costs, once everything is warm (decisions: the ledger)."""
    signatures, sign = [], SigningKey.sign

    def counted(key, *args, **kwargs):
        signatures.append(key.kid)
        return sign(key, *args, **kwargs)

    user, worker = world.user_token(), world.user_token(permissions=["reports"])
    mine = {"auth": ("nightly", SECRET), "audience": "reports"}
    live = (await world.exchange(worker, **mine)).json()["access_token"]
    await world.get_token(user)
    monkeypatch.setattr(SigningKey, "sign", counted)
    store, asked = world.server.store, list(world.friend.asked)

    async def cost(answering):
        """Store reads, writes and commits, and signatures, of an answer."""
        before = store.counts
        signatures.clear()
        answer = await answering
        assert answer.status_code == 200
        now = store.counts
        read, written = now.reads - before.reads, now.writes - before.writes
        return read, written, now.commits - before.commits, len(signatures)

    assert await cost(world.token(audience="reports")) == (0, 0, 0, 1)
    assert await cost(world.get_token(user)) == (0, 0, 0, 0)
    assert await cost(world.exchange(user)) == (0, 0, 0, 0)
    assert await cost(world.exchange(worker, **mine)) == (0, 0, 0, 1)
    introspecting = {"data": {"token": live}, "auth": ("reports-api", API_SECRET)}
    for _ in range(2):
        assert await cost(world.http.post("/introspect", **introspecting)) == (1, 0, 0, 0)
    for path in ("/.well-known/jwks.json", "/.well-known/openid-configuration", "/healthz"):
        assert await cost(world.http.get(path)) == (0, 0, 0, 0)
    assert (world.friend.asked, len(world.upstream.questions)) == (asked, 1)


async def test_what_is_refused_costs_no_signature_no_write_and_no_question(world, monkeypatch):
    user = world.user_token(permissions=[])
    await world.get_token(user)
    asked, before = list(world.friend.asked), world.server.store.counts
    monkeypatch.delattr(SigningKey, "sign")

    refusals = [
        await world.get_token(user),
        await world.exchange(user),
        await world.token(auth=("nightly", "wrong"), audience="reports"),
        await world.token(audience="nowhere"),
        await world.token(scope="admin", audience="reports"),
    ]
    assert [answer.status_code for answer in refusals] == [403, 400, 401, 400, 400]
    assert world.server.store.counts == before
    assert (world.friend.asked, world.upstream.questions) == (asked, [])


async def test_the_trail_says_who_got_what_by_which_rule_and_no_token(worlds):
    async with worlds() as world:
        user = world.user_token()
        ours = (await world.token(audience="reports")).json()["access_token"]
        theirs = (await world.get_token(user)).text.removeprefix("Bearer ")
    first, second = world.events()
    assert {
        "client": "nightly",
        "rule": "nightly reports",
        "token": "reports",
    }.items() <= first.items()
    assert {
        "caller": "mobile",
        "subject": "mobile|auth0|ann",
        "token": "itwin",
    }.items() <= second.items()
    assert first["outcome"] == second["outcome"] == "ok"
    written = world.trail.read_text()
    for secret in (ours, theirs, user, SECRET, UPSTREAM_SECRET):
        assert secret not in written
        assert secret.rpartition(".")[2] not in written


@pytest.mark.parametrize(
    ("path", "audience", "typ", "alg"),
    [
        ("/token", "reports", "at+jwt", "ES256"),
        ("/ims/connect/token", "models", "at+jwt", "RS256"),
        ("/oauth2/orders/v1/token", "orders", "at+jwt", "RS256"),
    ],
)
async def test_every_issuer_has_its_own_keys_and_algorithm(world, path, audience, typ, alg):
    token = (await world.token(path, audience=audience)).json()["access_token"]
    header = header_of(token)
    assert (header["typ"], header["alg"]) == (typ, alg)
    prefix = path.partition("/connect")[0].partition("/v1")[0].removesuffix("/token")
    metadata = (await world.http.get(f"{prefix}/.well-known/openid-configuration")).json()
    keys = (await world.http.get(metadata["jwks_uri"])).json()["keys"]
    assert header["kid"] == keys[0]["kid"]
    assert all("d" not in key for key in keys)
