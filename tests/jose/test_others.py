"""What we sign, other libraries believe; what they sign, we believe; and the same for keys."""

import warnings

import jwt as pyjwt
import pytest
from cryptography.hazmat.primitives import serialization
from joserfc import jwk as joserfc_jwk
from joserfc import jws as joserfc_jws
from joserfc import jwt as joserfc_jwt

from tests.jose.forge import AUDIENCE, CLAIMS, EXPECTED, ISSUER, NOW
from tokenward.jose.jwt import verify
from tokenward.jose.keys import ALGORITHMS, KeySet, VerifyingKey, thumbprint

# PyJWT knows Ed25519 only by its older name.
FOR_PYJWT = sorted(ALGORITHMS - {"Ed25519"})


def imported(key):
    """Give joserfc the private key behind one of ours."""
    kind = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}[key.algorithm[:2]]
    pem = key.private.private_bytes(
        encoding=serialization.Encoding.PEM,
        format=serialization.PrivateFormat.PKCS8,
        encryption_algorithm=serialization.NoEncryption(),
    )
    return joserfc_jwk.import_key(pem, kind)


@pytest.fixture
def keys(signing_keys):
    return KeySet(tuple(key.verifying_key() for key in signing_keys.values()))


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_joserfc_believes_what_we_sign(signing_keys, name):
    key = signing_keys[name]
    public = joserfc_jwk.KeySet.import_key_set({"keys": [key.public_jwk()]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some names are deprecated in favour of others
        token = joserfc_jwt.decode(key.sign(CLAIMS), public, algorithms=[name])
    assert token.claims == CLAIMS
    assert token.header == {"alg": name, "kid": key.kid, "typ": "JWT"}


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_we_believe_what_joserfc_signs(signing_keys, keys, name):
    header = {"alg": name, "kid": signing_keys[name].kid, "typ": "at+jwt"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some names are deprecated in favour of others
        token = joserfc_jwt.encode(header, CLAIMS, imported(signing_keys[name]), algorithms=[name])
    assert verify(token, keys, EXPECTED, now=NOW) == CLAIMS


@pytest.mark.parametrize("name", FOR_PYJWT)
def test_pyjwt_believes_what_we_sign(signing_keys, name):
    key = signing_keys[name]
    claims = pyjwt.decode(
        key.sign(CLAIMS, typ="at+jwt"),
        pyjwt.PyJWK(key.public_jwk()),
        algorithms=[name],
        audience=AUDIENCE,
        issuer=ISSUER,
        options={"verify_exp": False},
    )
    assert claims == CLAIMS


@pytest.mark.parametrize("name", FOR_PYJWT)
def test_we_believe_what_pyjwt_signs(signing_keys, keys, name):
    key = signing_keys[name]
    token = pyjwt.encode(CLAIMS, key.private, algorithm=name, headers={"kid": key.kid})
    assert verify(token, keys, EXPECTED, now=NOW) == CLAIMS


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_we_agree_with_joserfc_about_keys(signing_keys, name):
    theirs, ours = imported(signing_keys[name]), signing_keys[name].public_jwk()
    published = theirs.as_dict(private=False)
    assert {member: ours[member] for member in published if member != "kid"} == {
        member: value for member, value in published.items() if member != "kid"
    }
    assert theirs.thumbprint() == thumbprint(ours) == signing_keys[name].verifying_key().thumbprint
    again = VerifyingKey.from_jwk({**published, "alg": name, "kid": signing_keys[name].kid})
    assert again == signing_keys[name].verifying_key()


def test_we_take_the_same_things_apart(signing_keys):
    token = signing_keys["ES256"].sign(CLAIMS)
    theirs = joserfc_jws.extract_compact(token.encode())
    assert theirs.headers() == {"alg": "ES256", "typ": "JWT", "kid": "es256"}
