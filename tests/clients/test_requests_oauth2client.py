"""PyPI's requests-oauth2client, which knows every way to authenticate."""

import pytest
from requests_oauth2client import (
    ClientSecretBasic,
    ClientSecretJwt,
    ClientSecretPost,
    InvalidClient,
    OAuth2Client,
    PrivateKeyJwt,
)

from tests.clients.served import HMAC, NIGHTLY, private_jwk


def ways(tokenward):
    issuer = tokenward.issuer()
    return {
        "client_secret_basic": ClientSecretBasic(*NIGHTLY),
        "client_secret_post": ClientSecretPost(*NIGHTLY),
        "private_key_jwt": PrivateKeyJwt(
            "strict", private_jwk() | {"kid": "a"}, alg="ES256", aud=issuer
        ),
        "private_key_jwt for the endpoint": PrivateKeyJwt(
            "signer", private_jwk() | {"kid": "a"}, alg="ES256"
        ),
        "client_secret_jwt": ClientSecretJwt(*HMAC, aud=issuer),
    }


@pytest.fixture
def client(tokenward):
    def made(auth):
        return OAuth2Client(
            token_endpoint=f"{tokenward.issuer()}/token",
            revocation_endpoint=f"{tokenward.issuer()}/revoke",
            auth=auth,
            testing=True,
        )

    return made


@pytest.mark.parametrize(
    "way",
    [
        "client_secret_basic",
        "client_secret_post",
        "private_key_jwt",
        "private_key_jwt for the endpoint",
        "client_secret_jwt",
    ],
)
def test_every_way_leads_to_a_token_and_back(tokenward, client, way):
    us = client(ways(tokenward)[way])
    for _ in range(2):
        token = us.client_credentials(audience="reports", scope="reports:read")
        tokenward.server.ledger.token("a token of requests-oauth2client's", token.access_token)
        assert token.scope == "reports:read"
        # It signs for whichever endpoint it speaks to, unless it is told whom to sign for.
        assert way.endswith("endpoint") or us.revoke_access_token(token)


@pytest.mark.parametrize(
    "auth",
    [
        PrivateKeyJwt("strict", private_jwk() | {"kid": "a"}, alg="ES256"),
        PrivateKeyJwt("hmac", private_jwk() | {"kid": "a"}, alg="ES256"),
        PrivateKeyJwt("nobody", private_jwk() | {"kid": "a"}, alg="ES256"),
        ClientSecretJwt(HMAC[0], "another-secret-that-is-long-enough-for-it"),
        ClientSecretJwt("strict", HMAC[1]),
        ClientSecretJwt(*HMAC, alg="HS512"),
    ],
    ids=["for the endpoint", "of another", "of nobody", "another secret", "no secret", "HS512"],
)
def test_near_misses_are_refused(client, auth):
    with pytest.raises(InvalidClient):
        client(auth).client_credentials(audience="reports")


def test_an_assertion_is_good_once(tokenward, client):
    us = client(
        PrivateKeyJwt(
            "signer", private_jwk() | {"kid": "a"}, alg="ES256", jti_gen=lambda: "always-this"
        )
    )
    token = us.client_credentials(audience="reports")
    tokenward.server.ledger.token("a token of requests-oauth2client's", token.access_token)
    with pytest.raises(InvalidClient):
        us.client_credentials(audience="reports")
