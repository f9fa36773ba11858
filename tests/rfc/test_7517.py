"""JSON Web Key, RFC 7517: the keys of appendices A and B, and which of them verify signatures."""

from base64 import b64decode

import pytest
from cryptography import x509

from tokenward.jose.jwk import members
from tokenward.jose.keys import KeySet, SigningKey, UnusableKey, VerifyingKey

N = (
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWK"
    "RXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMic"
    "AtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3"
    "XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
)
EC = {
    "kty": "EC",
    "crv": "P-256",
    "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
    "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
    "use": "enc",
    "kid": "1",
}
RSA = {"kty": "RSA", "n": N, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"}
D = (
    "X4cTteJY_gn4FYPsXB8rdXix5vwsg1FLN5E3EaG6RJoVH-HLLKD9M7dx5oo7GURknchnrRweUkC7hT5fJLM0WbFAKNLWY2vv"
    "7B6NqXSzUvxT0_YSfqijwp3RTzlBaCxWp4doFk5N2o8Gy_nHNKroADIkJ46pRUohsXywbReAdYaMwFs9tv8d_cPVY3i07a3t"
    "8MN6TNwm0dSawm9v47UiCl3Sk5ZiG7xojPLu4sbg1U2jx4IBTNBznbJSzFHK66jT8bgkuqsk0GjskDJk19Z4qwjwbsnn4j2W"
    "Bii3RL-Us2lGVkY8fkFzme1z0HbIkfz0Y6mqnOYtqc0X4jfcKoAC8Q"
)
SYMMETRIC = [
    {"kty": "oct", "alg": "A128KW", "k": "GawgguFyGrWKav7AX4VKUg"},
    {
        "kty": "oct",
        "k": (
            "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"
        ),
        "kid": "HMAC key used in JWS spec Appendix A.1 example",
    },
]
CERTIFIED_N = (
    "vrjOfz9Ccdgx5nQudyhdoR17V-IubWMeOZCwX_jj0hgAsz2J_pqYW08PLbK_PdiVGKPrqzmDIsLI7sA25VEnHU1uCLNwBuUi"
    "CO11_-7dYbsr4iJmG0Qu2j8DsVyT1azpJC_NG84Ty5KKthuCaPod7iI7w0LK9orSMhBEwwZDCxTWq4aYWAchc8t-emd9qOvW"
    "tVMDC2BXksRngh6X5bUYLy6AyHKvj-nUy1wgzjYQDwHMTplCoLtU-o-8SNnZ1tmRoGE9uJkBLdh5gFENabWnU5m1ZqZPdwS-"
    "qo-meMvVfJb6jJVWRpl2SUtCnYG2C32qvbWbjZ_jBPD5eunqsIo1vQ"
)


def test_a1_the_key_for_signatures_is_taken_and_the_one_for_encryption_is_not():
    keys = KeySet.parse({"keys": [EC, RSA]})
    assert [key.kid for key in keys.keys] == ["2011-04-29"]
    assert keys.keys[0].algorithm == "RS256"
    assert keys.skipped == ("keys[0]: a JWK that is not for signatures",)
    numbers = keys.keys[0].public.public_numbers()
    assert numbers.e == 65537
    assert numbers.n.bit_length() == 2048


def test_a1_the_point_is_read_right():
    key = VerifyingKey.from_jwk({**EC, "use": "sig"})
    assert key.algorithm == "ES256"
    numbers = key.public.public_numbers()
    assert numbers.x == 0x30A0424CD21C2944838A2D75C92B37E76EA20D9F00893A3B4EEE8A3C0AAFEC3E
    assert numbers.y == 0xE04B65E92456D9888B52B379BDFBD51EE869EF1F0FC65B6659695B6CCE081723
    assert members(key.public) == {name: EC[name] for name in ("kty", "crv", "x", "y")}


def test_a2_private_keys_are_not_for_publishing():
    private_ec = {**EC, "use": "sig", "d": "870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE"}
    keys = KeySet.parse({"keys": [private_ec, {**RSA, "d": D}]})
    assert keys.keys == ()
    assert keys.skipped == (
        "keys[0]: a JWK with secret members",
        "keys[1]: a JWK with secret members",
    )


@pytest.mark.parametrize("jwk", SYMMETRIC, ids=["for AES", "for HMAC"])
def test_a3_symmetric_keys_are_not_for_publishing(jwk):
    with pytest.raises(UnusableKey, match="secret"):
        VerifyingKey.from_jwk(jwk)


def test_b_a_certificate_beside_the_key_changes_nothing():
    jwk = {
        "kty": "RSA",
        "use": "sig",
        "kid": "1b94c",
        "n": CERTIFIED_N,
        "e": "AQAB",
        "x5c": ["junk"],
    }
    key = VerifyingKey.from_jwk(jwk)
    assert key.kid == "1b94c"
    assert members(key.public) == {"kty": "RSA", "n": CERTIFIED_N, "e": "AQAB"}


def test_4_7_our_certificate_is_base64_with_padding_and_of_the_same_key(rsa_jwk):
    (encoded,) = rsa_jwk["x5c"]
    certificate = x509.load_der_x509_certificate(b64decode(encoded, validate=True))
    assert members(certificate.public_key()) == {k: rsa_jwk[k] for k in ("kty", "n", "e")}


@pytest.fixture(scope="module")
def rsa_jwk():
    return SigningKey.generate("RS256").public_jwk()
