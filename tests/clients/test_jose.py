"""npm's jose, with nothing but our JWKS, against every dialect and algorithm."""

import time

import pytest

from tests.clients.served import (
    ARCHIVE,
    MODELS,
    NIGHTLY,
    ORDERS,
    REPORTS,
    SERVICE,
    TEST_CLIENT,
    tampered,
)
from tokenward.jose.keys import SigningKey


@pytest.fixture(
    params=[
        ("main", "", "/token", NIGHTLY, REPORTS, "ES256"),
        ("rs256", "rs256", "/token", NIGHTLY, ARCHIVE, "RS256"),
        ("ims", "ims", "/connect/token", SERVICE, MODELS, "RS256"),
        ("orders", "oauth2/orders", "/v1/token", TEST_CLIENT, ORDERS, "RS256"),
    ],
    ids=lambda row: row[0],
)
def minted(request, tokenward):
    """The issuer's name, a token of its own, and how to look at it."""
    name, path, endpoint, client, audience, algorithm = request.param
    issuer = tokenward.issuer(path)
    with tokenward.server.http() as http:
        metadata = http.get(f"{issuer}/.well-known/openid-configuration").json()
    assert metadata["token_endpoint"] == issuer + endpoint
    token = tokenward.token(client, metadata["token_endpoint"], audience=audience)
    expected = {
        "issuer": issuer,
        "audience": audience,
        "algorithms": [algorithm],
        "typ": "at+jwt",
        "requiredClaims": ["exp", "iat", "jti"],
    }
    return name, {"token": token, "jwks": metadata["jwks_uri"], "expected": expected}


def test_our_tokens_are_believed_where_they_should_be_and_nowhere_else(node, tokenward, minted):
    name, right = minted
    token, expected, now = right["token"], right["expected"], int(time.time())
    stranger = SigningKey.generate(expected["algorithms"][0])
    cases = {
        "right": {},
        "audience": {"expected": expected | {"audience": "https://elsewhere.example.com"}},
        "issuer": {"expected": expected | {"issuer": f"{expected['issuer']}/"}},
        "algorithm": {"expected": expected | {"algorithms": ["PS256"]}},
        "expired": {"token": tokenward.signed(name, token, iat=now - 3600, exp=now - 60)},
        "tampered": {"token": tampered(token, sub="somebody else")},
        "forged": {"token": tokenward.forged(name, token)},
        "unknown key": {"token": tokenward.signed(name, token, by=stranger)},
    }
    said = node.ask("jose.mjs", **{case: right | how for case, how in cases.items()})

    claims = said.pop("right")["value"]
    assert claims["header"]["alg"] == expected["algorithms"][0]
    assert {case: it["code"] for case, it in said.items()} == {
        "audience": "ERR_JWT_CLAIM_VALIDATION_FAILED",
        "issuer": "ERR_JWT_CLAIM_VALIDATION_FAILED",
        "algorithm": "ERR_JOSE_ALG_NOT_ALLOWED",
        "expired": "ERR_JWT_EXPIRED",
        "tampered": "ERR_JWS_SIGNATURE_VERIFICATION_FAILED",
        "forged": "ERR_JWS_SIGNATURE_VERIFICATION_FAILED",
        "unknown key": "ERR_JWKS_NO_MATCHING_KEY",
    }
