"""A client that signs: a new assertion with every question, for one server and one minute."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.client.standin import Issuer, Reply, granted
from tokenward.client import Credentials, TokenAuth, TokenCache, TokenEndpoint, TokenError
from tokenward.client.environment import token_endpoint
from tokenward.jose.jwt import Expected, verify
from tokenward.jose.keys import KeySet, SigningKey

NOW = 1_800_000_000.5
KEYS = {name: SigningKey.generate(name) for name in ("ES256", "EdDSA", "RS256")}
KEY = KEYS["ES256"]
PEM = KEY.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
US = "https://tokens.example.com"


def signing(**more):
    return Credentials(client_id="nightly", method="private_key_jwt", **({"key": KEY} | more))


def claims_of(assertion, audience, key=KEY, now=NOW):
    expected = Expected(
        issuer="nightly",
        audience=(audience,),
        algorithms=frozenset({key.algorithm}),
        typ=frozenset({"jwt"}),
        required=("sub", "jti", "iat", "exp"),
    )
    return verify(assertion, KeySet((key.verifying_key(),)), expected, now=now)


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_an_assertion_says_who_for_whom_and_for_how_long(key):
    credentials = signing(key=key)
    fields = credentials.fields(US, now=NOW)
    claims = claims_of(fields.pop("client_assertion"), US, key)
    assert fields == {"client_assertion_type": TYPE}
    assert credentials.header() == {}
    assert len(str(claims["jti"])) >= 22
    assert claims == {
        "jti": claims["jti"],
        "iss": "nightly",
        "sub": "nightly",
        "aud": US,
        "iat": 1_800_000_000,
        "exp": 1_800_000_060,
    }


def test_it_is_for_whom_the_program_says_if_it_says_so():
    fields = signing(aud=f"{US}/token").fields(US, now=NOW)
    assert claims_of(fields["client_assertion"], f"{US}/token")["aud"] == f"{US}/token"


def test_no_two_are_the_same():
    credentials = signing()
    made = {
        claims_of(credentials.fields(US, now=NOW)["client_assertion"], US)["jti"]
        for _ in range(100)
    }
    assert len(made) == 100


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"client_id": ""}, "client_id is missing"),
        ({"key": None}, "key is missing"),
        ({"client_secret": "hush"}, "a client_secret, but"),
        ({"method": "client_secret_basic"}, "a key or an aud, but"),
        ({"method": "client_secret_post", "client_secret": "hush"}, "a key or an aud, but"),
        ({"method": "none"}, "a key or an aud, but"),
        ({"method": "none", "key": None, "aud": US}, "a key or an aud, but"),
    ],
)
def test_half_of_one_way_and_half_of_another_is_refused(changed, said):
    with pytest.raises(ValueError, match=said) as caught:
        replace(signing(), **changed)
    assert "hush" not in str(caught.value)


def test_no_key_is_in_a_repr():
    private = KEY.private.private_numbers().private_value
    assert str(private) not in repr(signing())
    assert "private" not in repr(signing()).replace("private_key_jwt", "")


@pytest.mark.parametrize("key", [KEY, PEM, PEM.decode()], ids=["key", "bytes", "text"])
def test_a_key_may_be_given_as_it_is_at_hand(key):
    environ = {"TOKENWARD_CLIENT_ID": "nightly", "TOKENWARD_CLIENT_SECRET": "hush"}
    endpoint = token_endpoint(US, "", "", key=key, environ=environ)
    assert endpoint.credentials == signing(key=SigningKey.from_pem(PEM))


@pytest.mark.parametrize(
    ("id", "secret", "key", "said"),
    [
        ("", "", KEY, "no client_id"),
        ("nightly", "hush", KEY, "a client_secret, but"),
        ("nightly", "", "hush", "not a private key in PEM"),
        ("nightly", "", "", "not a private key in PEM"),
    ],
)
def test_a_key_without_a_client_or_beside_a_secret_is_refused(id, secret, key, said):
    with pytest.raises(ValueError, match=said) as caught:
        token_endpoint(US, id, secret, key=key, environ={})
    assert "hush" not in str(caught.value)


def test_an_endpoint_that_has_its_own_credentials_takes_no_key():
    with pytest.raises(ValueError, match="give no others"):
        TokenAuth.client_credentials(TokenEndpoint(issuer=US, credentials=signing()), key=KEY)


@pytest.fixture
def issuer():
    with Issuer() as issuer:
        yield issuer


def assertions(issuer):
    return [asked.form["client_assertion"][0] for asked in issuer.questions]


def auth(address, **options):
    cache = options.pop("cache", None) or TokenCache(clock=lambda: NOW)
    return TokenAuth.client_credentials(address, "nightly", key=KEY, cache=cache, **options)


@pytest.mark.parametrize("attribute", ["url", "token_url"])
def test_an_assertion_is_for_the_issuer_or_where_none_is_known_for_the_endpoint(issuer, attribute):
    issuer.token = lambda _: Reply(body=granted())
    issuer.routes["/connect/token"] = issuer.token
    address = getattr(issuer, attribute)
    assert str(auth(address).token())
    [assertion] = assertions(issuer)
    assert claims_of(assertion, address)["aud"] == address
    assert "authorization" not in issuer.questions[0].headers


def test_who_asks_again_signs_again(issuer):
    """The first may have been used up by a server that then failed to answer."""
    answers = iter([Reply(503, {}), Reply(body=granted())])
    issuer.routes["/connect/token"] = lambda _: next(answers)
    assert str(auth(issuer.url).token())
    first, second = (claims_of(it, issuer.url)["jti"] for it in assertions(issuer))
    assert first != second


def test_an_assertion_repeated_by_the_server_is_in_no_error(issuer):
    issuer.routes["/connect/token"] = lambda asked: Reply(
        400, {"error": "invalid_client", "error_description": asked.form["client_assertion"][0]}
    )
    with pytest.raises(TokenError) as caught:
        auth(issuer.url).token()
    [assertion] = assertions(issuer)
    assert assertion not in str(caught.value)
    assert "invalid_client" in str(caught.value)


def test_the_token_of_one_key_is_not_for_the_holder_of_another(issuer):
    issuer.routes["/connect/token"] = lambda _: Reply(body=granted())
    cache = TokenCache(clock=lambda: NOW)
    for key in (KEY, KEY, KEYS["EdDSA"]):
        TokenAuth.client_credentials(issuer.url, "nightly", key=key, cache=cache).token()
    assert len(issuer.questions) == 2
