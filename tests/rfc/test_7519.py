"""JSON Web Token, RFC 7519: the examples, and what each registered claim demands."""

import pytest

from tokenward.jose.jws import Expired, InvalidToken, encode, parse
from tokenward.jose.jwt import Expected, issuer_of, verify
from tokenward.jose.keys import KeySet, SigningKey

PAYLOAD = (
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
)
SIGNED_WITH_A_SECRET = (
    f"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{PAYLOAD}"
    ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
)
UNSECURED = f"eyJhbGciOiJub25lIn0.{PAYLOAD}."
ENCRYPTED = (
    "eyJhbGciOiJSU0ExXzUiLCJlbmMiOiJBMTI4Q0JDLUhTMjU2In0."
    "QR1Owv2ug2WyPBnbQrRARTeEk9kDO2w8qDcjiHnSJflSdv1iNqhWXaKH4MqAkQtM"
    "oNfABIPJaZm0HaA415sv3aeuBWnD8J-Ui7Ah6cWafs3ZwwFKDFUUsWHSK-IPKxLG"
    "TkND09XyjORj_CHAgOPJ-Sd8ONQRnJvWn_hXV1BNMHzUjPyYwEsRhDhzjAD26ima"
    "sOTsgruobpYGoQcXUwFDn7moXPRfDE8-NoQX7N7ZYMmpUDkR-Cx9obNGwJQ3nM52"
    "YCitxoQVPzjbl7WBuB7AohdBoZOdZ24WlN1lVIeh8v1K4krB8xgKvRU8kgFrEn_a"
    "1rZgN5TiysnmzTROF869lQ."
    "AxY8DCtDaGlsbGljb3RoZQ."
    "MKOle7UQrG6nSxTLX6Mqwt0orbHvAKeWnDYvpIAeZ72deHxz3roJDXQyhxx0wKaM"
    "HDjUEOKIwrtkHthpqEanSBNYHZgmNOV7sln1Eu9g3J8."
    "fiK51VwhsxJ-siBMR-YFiA"
)
NOW = 1300819300
CLAIMS = {"iss": "joe", "exp": 1300819380, "http://example.com/is_root": True}
JOE = Expected(issuer="joe", audience=None, leeway=0, future_iat=0)
OURS = Expected(issuer="joe", audience="us", leeway=0, future_iat=0)


@pytest.fixture(scope="module")
def key():
    return SigningKey.generate("ES256")


@pytest.fixture(scope="module")
def keys(key):
    return KeySet((key.verifying_key(),))


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (SIGNED_WITH_A_SECRET, "header: alg is not allowed"),
        (UNSECURED, "header: alg is not allowed"),
        (ENCRYPTED, "header: enc is not understood"),
    ],
    ids=["3.1", "6.1", "A.1"],
)
def test_the_examples_are_none_of_the_tokens_we_believe(keys, token, reason):
    with pytest.raises(InvalidToken, match=f"^{reason}$"):
        verify(token, keys, JOE, now=NOW)


def test_3_1_the_example_is_read_as_it_is_meant(key, keys):
    assert issuer_of(SIGNED_WITH_A_SECRET) == issuer_of(UNSECURED) == "joe"
    assert issuer_of(ENCRYPTED) is None
    assert parse(SIGNED_WITH_A_SECRET).header == {"typ": "JWT", "alg": "HS256"}
    assert verify(key.sign(CLAIMS), keys, JOE, now=NOW) == CLAIMS


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": ...}, "exp: missing"),
        ({"iss": "Joe"}, "iss: "),
        ({"iss": ["joe"]}, "iss: "),
        ({"sub": 7}, "sub: "),
        ({"aud": "them"}, "aud: not for us"),
        ({"aud": ["them", "US"]}, "aud: not for us"),
        ({"aud": []}, "aud: "),
        ({"aud": {"us": 1}}, "aud: "),
        ({"exp": NOW}, "exp: expired"),
        ({"exp": NOW - 1}, "exp: expired"),
        ({"exp": str(NOW + 9)}, "exp: not a date"),
        ({"nbf": NOW + 1}, "nbf: not yet valid"),
        ({"nbf": "now"}, "nbf: not a date"),
        ({"iat": "now"}, "iat: not a date"),
        ({"jti": 1}, "jti: "),
    ],
    ids=str,
)
def test_a_registered_claim_that_is_wrong(key, keys, claims, reason):
    good = {"iss": "joe", "aud": "us", "exp": NOW + 60}
    assert verify(key.sign(good), keys, OURS, now=NOW) == good
    changed = {name: value for name, value in {**good, **claims}.items() if value is not ...}
    with pytest.raises(InvalidToken, match=f"^{reason}"):
        verify(key.sign(changed), keys, OURS, now=NOW)


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "us"},
        {"aud": ["them", "us"]},
        {"exp": NOW + 1},
        {"exp": NOW + 0.5},
        {"nbf": NOW},
        {"iat": NOW},
        {"iat": NOW - 0.25},
        {"sub": "somebody", "jti": "1"},
    ],
    ids=str,
)
def test_a_registered_claim_that_is_right(key, keys, claims):
    good = {"iss": "joe", "aud": "us", "exp": NOW + 60, **claims}
    assert verify(key.sign(good), keys, OURS, now=NOW) == good


def test_4_1_4_a_small_leeway_is_allowed(key, keys):
    token = key.sign({"iss": "joe", "exp": NOW})
    assert verify(token, keys, Expected(issuer="joe", audience=None), now=NOW + 9)
    with pytest.raises(Expired):
        verify(token, keys, Expected(issuer="joe", audience=None), now=NOW + 10)


def test_4_members_are_unique(key, keys):
    payload = b'{"iss":"joe","exp":1300819380,"exp":9999999999}'
    token = key.sign(CLAIMS)
    header, _, signature = token.split(".")
    twice = f"{header}.{encode(payload)}.{signature}"
    assert issuer_of(token) == "joe"
    assert issuer_of(twice) is None
