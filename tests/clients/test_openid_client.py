"""npm's openid-client, which finds everything by our metadata."""

import pytest

from tests.clients.served import (
    HMAC,
    JWT,
    NIGHTLY,
    REPORTS_API,
    SERVICE,
    TEST_CLIENT,
    TOKEN_EXCHANGE,
    claims_of,
    private_jwk,
)

BASIC, POST = "client_secret_basic", "client_secret_post"
ISSUERS = ["", "rs256", "ims", "other", "oauth2/orders"]


def client(credentials, method=BASIC):
    id, secret = credentials
    return {"id": id, "secret": secret, "method": method}


@pytest.fixture
def steps(node, tokenward):
    """Goes through steps; what came of each."""

    def go(*steps, issuer="", algorithm="oidc"):
        said = node.ask(
            "openid-client.mjs",
            issuer=tokenward.issuer(issuer),
            algorithm=algorithm,
            steps=steps,
        )
        tokenward.server.ledger.tokens("a token of openid-client's", said)
        return said

    return go


@pytest.mark.parametrize("algorithm", ["oidc", "oauth2"])
@pytest.mark.parametrize("issuer", ISSUERS)
def test_discovery(steps, tokenward, issuer, algorithm):
    (said,) = steps(["metadata", client(NIGHTLY)], issuer=issuer, algorithm=algorithm)
    metadata = said["value"]
    assert metadata["issuer"] == tokenward.issuer(issuer)
    methods = {BASIC, POST, "none", "private_key_jwt"}
    if not issuer:
        methods.add("client_secret_jwt")
    assert set(metadata["token_endpoint_auth_methods_supported"]) == methods
    assert TOKEN_EXCHANGE in metadata["grant_types_supported"]


@pytest.mark.parametrize("method", [BASIC, POST])
@pytest.mark.parametrize(
    ("issuer", "credentials", "form", "scope"),
    [
        ("", NIGHTLY, {"audience": "reports"}, "reports:read"),
        ("ims", SERVICE, {"scope": "itwin-platform"}, "itwin-platform"),
        ("oauth2/orders", TEST_CLIENT, {"resource": "api://orders"}, "such_scope"),
    ],
)
def test_client_credentials(steps, tokenward, method, issuer, credentials, form, scope):
    (said,) = steps(["credentials", client(credentials, method), form], issuer=issuer)
    answer = said["value"]
    assert (answer["token_type"].lower(), answer["scope"]) == ("bearer", scope)
    assert 0 < answer["expires_in"] <= 900
    assert claims_of(answer["access_token"])["iss"] == tokenward.issuer(issuer)


@pytest.mark.parametrize("method", [BASIC, POST])
def test_a_refusal_is_told_by_its_name(steps, method):
    wrong_secret, wrong_scope, wrong_target, wrong_grant = steps(
        ["credentials", client((NIGHTLY[0], "wrong"), method), {"audience": "reports"}],
        ["credentials", client(NIGHTLY, method), {"scope": "reports:delete"}],
        ["credentials", client(NIGHTLY, method), {"resource": "https://elsewhere.example.com"}],
        ["grant", client(NIGHTLY, method), {"grant_type": "password", "username": "ann"}],
    )
    assert wrong_secret["code"] == "OAUTH_WWW_AUTHENTICATE_CHALLENGE"
    assert wrong_scope["oauth"] == "invalid_scope"
    assert wrong_target["oauth"] == "invalid_target"
    assert wrong_grant["oauth"] == "unsupported_grant_type"


def test_token_exchange(steps, tokenward):
    exchange = {"grant_type": TOKEN_EXCHANGE, "subject_token_type": JWT}
    good, dead = steps(
        ["grant", client(NIGHTLY), {**exchange, "subject_token": tokenward.caller_token()}],
        ["grant", client(NIGHTLY), {**exchange, "subject_token": tokenward.caller_token(exp=1)}],
    )
    assert claims_of(good["value"]["access_token"])["sub"] == "people|ann"
    assert good["value"]["issued_token_type"] == "urn:ietf:params:oauth:token-type:access_token"
    assert "refresh_token" not in good["value"]
    assert dead["oauth"] == "invalid_grant"


@pytest.mark.parametrize("method", [BASIC, POST])
def test_introspection_until_the_token_is_revoked(steps, method):
    us, api, token = client(NIGHTLY, method), client(REPORTS_API, method), {"token": "@0"}
    _, live, unseen, revoked, gone, again = steps(
        ["credentials", us, {"audience": "reports"}],
        ["introspection", api, token],
        ["introspection", us, token],
        ["revocation", us, token],
        ["introspection", api, token],
        ["revocation", us, token],
    )
    assert live["value"]["active"] is True
    assert (live["value"]["client_id"], live["value"]["scope"]) == ("nightly", "reports:read")
    assert unseen["value"] == {"active": False}
    assert "error" not in revoked
    assert gone["value"] == {"active": False}
    assert "error" not in again


@pytest.mark.parametrize(
    ("id", "secret", "method"),
    [
        ("strict", private_jwk(), "private_key_jwt"),
        ("signer", private_jwk(), "private_key_jwt"),
        ("hmac", HMAC[1], "client_secret_jwt"),
    ],
)
def test_clients_that_sign(steps, id, secret, method):
    who = {"id": id, "secret": secret, "method": method}
    said = steps(*[["credentials", who, {"audience": "reports"}]] * 2)
    assert [step["value"]["scope"] for step in said] == ["reports:read"] * 2


def test_a_client_that_signs_for_another_is_refused(steps):
    who = {"id": "hmac", "secret": private_jwk(), "method": "private_key_jwt"}
    (said,) = steps(["credentials", who, {"audience": "reports"}])
    assert "value" not in said
