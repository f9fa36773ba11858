"""PyPI's Authlib as a client, and PyJWT as whoever is shown our tokens."""

import jwt
import pytest
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oauth2.rfc7523 import ClientSecretJWT, PrivateKeyJWT
from joserfc.jwk import ECKey

from tests.clients.served import (
    ARCHIVE,
    HMAC,
    JWT,
    MODELS,
    NIGHTLY,
    ORDERS,
    RAW,
    REPORTS,
    REPORTS_API,
    SERVICE,
    TEST_CLIENT,
    TOKEN_EXCHANGE,
    claims_of,
    private_jwk,
    tampered,
)

BOTH = ["client_secret_basic", "client_secret_post"]


@pytest.fixture
def authlib(tokenward):
    """Makes Authlib's clients; what they get is entered."""
    made = []

    def client(credentials, method="client_secret_basic"):
        id, secret = credentials
        made.append(
            OAuth2Client(
                id,
                secret,
                token_endpoint_auth_method=method,
                revocation_endpoint_auth_method=method,
                trust_env=False,
            )
        )
        return made[-1]

    yield client
    for one in made:
        tokenward.server.ledger.tokens("a token of Authlib's", one.token)
        one.close()


@pytest.mark.parametrize("method", BOTH)
def test_client_credentials(tokenward, authlib, method):
    token = authlib(NIGHTLY, method).fetch_token(f"{tokenward.issuer()}/token", audience="reports")
    assert (token["token_type"], token["scope"]) == ("Bearer", "reports:read")
    assert 0 < token["expires_in"] <= 900


@pytest.mark.parametrize("method", BOTH)
def test_an_id_and_a_secret_that_it_ought_to_encode(tokenward, authlib, method):
    """Authlib sends them in Basic as they are, against RFC 6749 §2.3.1."""
    token = authlib(RAW, method).fetch_token(f"{tokenward.issuer('ims')}/connect/token")
    assert token["scope"] == "itwin-platform itwins:read"


@pytest.mark.parametrize("method", BOTH)
@pytest.mark.parametrize(
    ("credentials", "form", "error"),
    [
        ((NIGHTLY[0], "wrong"), {}, "invalid_client"),
        (("nobody", NIGHTLY[1]), {}, "invalid_client"),
        (NIGHTLY[::-1], {}, "invalid_client"),
        (NIGHTLY, {"scope": "reports:delete"}, "invalid_scope"),
        (NIGHTLY, {"audience": "https://elsewhere.example.com"}, "invalid_target"),
        (REPORTS_API, {}, "unauthorized_client"),
    ],
)
def test_a_refusal_is_told_by_its_name(tokenward, authlib, method, credentials, form, error):
    form = {"audience": "reports", **form}
    with pytest.raises(OAuthError) as refused:
        authlib(credentials, method).fetch_token(f"{tokenward.issuer()}/token", **form)
    assert refused.value.error == error
    assert refused.value.description


def test_token_exchange(tokenward, authlib):
    asked = {"subject_token_type": JWT, "subject_token": tokenward.caller_token()}
    token = authlib(NIGHTLY).fetch_token(
        f"{tokenward.issuer()}/token", grant_type=TOKEN_EXCHANGE, **asked
    )
    assert token["issued_token_type"] == "urn:ietf:params:oauth:token-type:access_token"
    assert "refresh_token" not in token
    assert claims_of(token["access_token"])["sub"] == "people|ann"


@pytest.mark.parametrize(
    ("claims", "error"),
    [
        ({"exp": 1}, "invalid_grant"),
        ({"aud": "https://elsewhere.example.com"}, "invalid_grant"),
        ({"iss": "https://elsewhere.example.com"}, "invalid_grant"),
        ({"permissions": []}, "invalid_target"),
    ],
)
def test_a_token_that_is_not_exchanged(tokenward, authlib, claims, error):
    asked = {"subject_token_type": JWT, "subject_token": tokenward.caller_token(**claims)}
    with pytest.raises(OAuthError, match=error):
        authlib(NIGHTLY).fetch_token(
            f"{tokenward.issuer()}/token", grant_type=TOKEN_EXCHANGE, **asked
        )


@pytest.mark.parametrize("method", BOTH)
def test_introspection_until_the_token_is_revoked(tokenward, authlib, method):
    issuer = tokenward.issuer()
    client, api = authlib(NIGHTLY, method), authlib(REPORTS_API, method)
    token = client.fetch_token(f"{issuer}/token", audience="reports")["access_token"]

    def said():
        return api.introspect_token(
            f"{issuer}/introspect", token, token_type_hint="access_token"
        ).json()

    before = said()
    assert (before["active"], before["client_id"]) == (True, "nightly")
    assert before["scope"] == "reports:read"
    assert client.introspect_token(f"{issuer}/introspect", token).json() == {"active": False}

    done = client.revoke_token(f"{issuer}/revoke", token, token_type_hint="access_token")
    assert done.status_code == 200
    assert said() == {"active": False}


@pytest.fixture(params=["rfc9068", "rfc9068 with RS256", "ims", "okta"])
def minted(request, tokenward):
    """A token, the JWKS of its issuer, and what whoever is shown it expects."""
    client, issuer, path, keys, algorithm, audience = {
        "rfc9068": (NIGHTLY, "", "/token", "/.well-known/jwks.json", "ES256", REPORTS),
        "rfc9068 with RS256": (
            NIGHTLY,
            "rs256",
            "/token",
            "/.well-known/jwks.json",
            "RS256",
            ARCHIVE,
        ),
        "ims": (
            SERVICE,
            "ims",
            "/connect/token",
            "/.well-known/openid-configuration/jwks",
            "RS256",
            MODELS,
        ),
        "okta": (TEST_CLIENT, "oauth2/orders", "/v1/token", "/v1/keys", "RS256", ORDERS),
    }[request.param]
    url = tokenward.issuer(issuer)
    token = tokenward.token(client, url + path, audience=audience)
    expected = {"algorithms": [algorithm], "audience": audience, "issuer": url}
    return token, jwt.PyJWKClient(url + keys), expected


def test_pyjwt_believes_our_tokens(minted):
    token, keys, expected = minted
    wanted = {"require": ["exp", "iat", "iss", "aud", "jti"]}
    key = keys.get_signing_key_from_jwt(token)
    claims = jwt.decode(token, key, **expected, options=wanted)
    assert claims["exp"] - claims["iat"] == 900


@pytest.mark.parametrize(
    ("changed", "because"),
    [
        ({"audience": "https://elsewhere.example.com"}, jwt.InvalidAudienceError),
        ({"issuer": "https://elsewhere.example.com"}, jwt.InvalidIssuerError),
        ({"algorithms": ["PS256", "HS256"]}, jwt.InvalidAlgorithmError),
    ],
)
def test_pyjwt_does_not_believe_them_elsewhere(minted, changed, because):
    token, keys, expected = minted
    key = keys.get_signing_key_from_jwt(token)
    with pytest.raises(because):
        jwt.decode(token, key, **expected | changed)


def test_pyjwt_does_not_believe_a_token_that_was_changed(minted):
    token, keys, expected = minted
    key = keys.get_signing_key_from_jwt(token)
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(tampered(token, sub="somebody else"), key, **expected)


# ── clients that sign ────────────────────────────────────────────────────────────────────────────


def signing(client, audience=None):
    if client == "hmac":
        made = OAuth2Client(*HMAC, token_endpoint_auth_method="client_secret_jwt", trust_env=False)
        made.register_client_auth_method(ClientSecretJWT(audience))
    else:
        key = ECKey.import_key(private_jwk())
        made = OAuth2Client(
            client, key, token_endpoint_auth_method="private_key_jwt", trust_env=False
        )
        made.register_client_auth_method(PrivateKeyJWT(audience, alg="ES256"))
    return made


@pytest.mark.parametrize("client", ["signer", "hmac"])
def test_it_signs_for_the_token_endpoint_unless_told_otherwise(tokenward, client):
    with signing(client) as authlib:
        for _ in range(2):  # with an assertion of its own each time
            token = authlib.fetch_token(
                f"{tokenward.issuer()}/token", grant_type="client_credentials", audience="reports"
            )
            assert claims_of(token["access_token"])["client_id"] == client
            tokenward.server.ledger.tokens("a token of Authlib's", token)


def test_it_signs_for_the_issuer_if_told_so(tokenward):
    with signing("strict", tokenward.issuer()) as authlib:
        token = authlib.fetch_token(
            f"{tokenward.issuer()}/token", grant_type="client_credentials", audience="reports"
        )
        tokenward.server.ledger.tokens("a token of Authlib's", token)
    assert claims_of(token["access_token"])["client_id"] == "strict"


@pytest.mark.parametrize("audience", [None, "https://other.example"])
def test_what_it_signs_for_others_is_refused(tokenward, audience):
    with signing("strict", audience) as authlib, pytest.raises(OAuthError, match="invalid_client"):
        authlib.fetch_token(
            f"{tokenward.issuer()}/token", grant_type="client_credentials", audience="reports"
        )
