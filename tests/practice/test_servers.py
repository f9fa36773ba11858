"""The practice servers: as strict as the real ones, as far as they go."""

import time
from contextlib import asynccontextmanager

import httpx2
import pytest

from tests.servers import Issuer
from tokenward.jose.jwt import Expected, verify
from tokenward.jose.keys import KeySet, SigningKey
from tokenward.practice.identity_provider import identity_provider, token_for
from tokenward.practice.itwin_platform import itwin_platform
from tokenward.practice.reports_api import reports_api

IDP, IMS = "http://127.0.0.1:1/", "http://127.0.0.1:2"
AUDIENCE = "http://tokenserver.sample.bentley.com"
SERVICE = ("service-practice", "s+e%c/r=e&t")
MODELS = "https://models.example.com"


@pytest.fixture(scope="module")
def key():
    return SigningKey.generate("RS256")


@asynccontextmanager
async def at(app):
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app), base_url="http://127.0.0.1"
    ) as http:
        yield http


def believed(token, key, issuer, audience):
    expected = Expected(issuer=issuer, audience=audience)
    return verify(token, KeySet((key.verifying_key(),)), expected, now=time.time())


# ── the identity provider ────────────────────────────────────────────────────────────────────────


async def test_it_publishes_what_auth0_publishes(key):
    async with at(identity_provider(IDP, AUDIENCE, key)) as http:
        about = (await http.get("/.well-known/openid-configuration")).json()
        (published,) = (await http.get("/.well-known/jwks.json")).json()["keys"]
        assert "sign-in" in (await http.get("/")).text
    assert about["issuer"] == IDP
    assert about["jwks_uri"] == f"{IDP}.well-known/jwks.json"
    assert published["alg"] == "RS256"
    assert published["x5c"]


@pytest.mark.parametrize(
    ("user", "permissions"), [("ann", ["models:read", "models:write"]), ("bob", [])]
)
async def test_whoever_signs_in_gets_a_token_like_those_of_auth0(key, user, permissions):
    async with at(identity_provider(IDP, AUDIENCE, key)) as http:
        answer = await http.post("/practice/sign-in", data={"user": user})
    assert answer.text.endswith("\n")
    claims = believed(answer.text.strip(), key, IDP, AUDIENCE)
    assert claims["sub"] == f"auth0|{user}"
    assert claims["aud"] == [AUDIENCE, f"{IDP}userinfo"]
    assert claims["permissions"] == permissions


def test_a_token_is_good_for_half_a_day(key):
    claims = believed(token_for(key, IDP, AUDIENCE, "ann", now=time.time()), key, IDP, AUDIENCE)
    assert claims["exp"] - claims["iat"] == 12 * 3600


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"user=eve", 404), (b"user=", 404), (b"user=%zz", 400), (b"user=\xff", 400)],
)
async def test_nobody_else_signs_in(key, body, status):
    async with at(identity_provider(IDP, AUDIENCE, key)) as http:
        answer = await http.post("/practice/sign-in", content=body)
    assert answer.status_code == status
    assert "eyJ" not in answer.text


# ── the iTwin Platform ───────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def ours():
    """An issuer of ours that speaks IMS's dialect."""
    with Issuer(SigningKey.generate("RS256")).serving() as issuer:
        yield issuer


@pytest.fixture
async def platform(key, ours):
    app = itwin_platform(IMS, *SERVICE, key, also=(ours.url, MODELS))
    async with at(app) as http:
        yield http


async def asked(platform, auth=None, **form):
    form = {"grant_type": "client_credentials", **form}
    return await platform.post("/connect/token", data=form, auth=auth)


async def test_its_service_gets_a_token_by_either_method(platform, key):
    basic = httpx2.BasicAuth("service-practice", "s%2Be%25c%2Fr%3De%26t")
    by_post = dict(zip(("client_id", "client_secret"), SERVICE, strict=True))
    for answer in (await asked(platform, basic), await asked(platform, **by_post)):
        assert answer.headers["cache-control"] == "no-store"
        said = answer.json()
        assert (said["token_type"], said["expires_in"]) == ("Bearer", 3600)
        claims = believed(said["access_token"], key, IMS, f"{IMS}/resources")
        assert claims["client_id"] == "service-practice"
        assert isinstance(claims["scope"], list)


async def test_it_gives_the_scope_that_was_asked_for(platform):
    answer = await asked(platform, SERVICE, scope="itwin-platform")
    assert answer.json()["scope"] == "itwin-platform"


@pytest.mark.parametrize(
    ("auth", "form", "status", "error"),
    [
        (("service-practice", "wrong"), {}, 401, "invalid_client"),
        (("other", SERVICE[1]), {}, 401, "invalid_client"),
        (None, {}, 401, "invalid_client"),
        (None, {"client_id": "service-practice"}, 401, "invalid_client"),
        (SERVICE, {"client_secret": "x"}, 400, "invalid_request"),
        (SERVICE, {"grant_type": "password"}, 400, "unsupported_grant_type"),
        (SERVICE, {"grant_type": ""}, 400, "unsupported_grant_type"),
        (SERVICE, {"scope": "openid"}, 400, "invalid_scope"),
        (SERVICE, {"scope": 'a"b'}, 400, "invalid_scope"),
    ],
)
async def test_it_refuses_everybody_else_as_the_real_one_does(platform, auth, form, status, error):
    answer = await asked(platform, auth, **form)
    assert (answer.status_code, answer.json()["error"]) == (status, error)


async def test_users_me_says_who_the_service_is(platform):
    token = (await asked(platform, SERVICE)).json()["access_token"]
    answer = await platform.get("/users/me", headers={"Authorization": f"Bearer {token}"})
    user = answer.json()["user"]
    assert user["displayName"] == "service-practice"
    assert user["email"] == "service-practice@apps.imsoidc.bentley.com"
    assert len(user["id"]) == 36


async def test_users_me_believes_our_own_ims_too(platform, ours):
    now = int(time.time())
    token = ours.token(
        aud=MODELS, client_id="demo", scope=["itwin-platform"], iat=now, exp=now + 60
    )
    answer = await platform.get("/users/me", headers={"Authorization": f"Bearer {token}"})
    assert answer.json()["user"]["email"] == "demo@apps.imsoidc.bentley.com"


@pytest.mark.parametrize("scheme", ["", "Basic ", "bearer  "])
async def test_users_me_refuses_what_is_no_bearer_token(platform, scheme):
    token = (await asked(platform, SERVICE)).json()["access_token"]
    answer = await platform.get("/users/me", headers={"Authorization": f"{scheme}{token}"})
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "HeaderNotFound"


async def test_users_me_refuses_the_tokens_of_others(platform, key, ours):
    now = int(time.time())
    good = {"client_id": "demo", "iat": now, "exp": now + 60}
    others = [
        ours.token(aud="https://other.example.com", **good),
        ours.token(aud=MODELS, **{**good, "iat": now - 120, "exp": now - 60}),
        token_for(key, IDP, AUDIENCE, "ann", now=now),
        SigningKey.generate("RS256").sign(
            {"iss": IMS, "aud": f"{IMS}/resources", **good}, typ="JWT"
        ),
        "",
    ]
    for token in others:
        answer = await platform.get("/users/me", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401


# ── the protected API ────────────────────────────────────────────────────────────────────────────


async def test_the_api_wants_a_token_with_the_scope(ours):
    now = int(time.time())
    good = {"aud": "https://reports.example.com", "sub": "x", "iat": now, "exp": now + 60}
    async with at(reports_api(ours.url, "https://reports.example.com")) as http:

        async def status(**claims):
            bearer = {"Authorization": f"Bearer {ours.token(**{**good, **claims})}"}
            return (await http.get("/reports", headers=bearer)).status_code

        assert await status(scope="reports:read") == 200
        assert await status(scope="reports:write") == 403
        assert await status(scope="") == 403
        assert await status(scope="reports:read", aud="https://other.example.com") == 401
        assert (await http.get("/reports")).status_code == 401
