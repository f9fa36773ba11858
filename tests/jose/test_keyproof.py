"""What shows that a key is somebody's, and everything that does not."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tokenward.jose import keyproof
from tokenward.jose.identity import KINDS, PrivateKey
from tokenward.jose.jws import Expired, InvalidToken, dump_object, encode, parse
from tokenward.jose.keyproof import TYP

US = "https://tokens.example.com"
NOW = 1_700_000_000.0


@pytest.fixture(scope="module")
def key():
    return PrivateKey.generate()


def claims(key, **other):
    name = key.public.text
    said = {"iss": name, "sub": name, "aud": US, "nonce": "n"} | other
    return {claim: value for claim, value in said.items() if value is not None}


@pytest.mark.parametrize("kind", sorted(KINDS - {"rsa"}))
def test_a_proof_is_believed(kind):
    key = PrivateKey.generate(kind)
    token = keyproof.write(key, audience=US, nonce="n")
    assert keyproof.is_one(token)
    shown = keyproof.read(token)
    assert (shown.name, shown.audience, shown.nonce) == (key.public.text, US, "n")
    assert shown.verified(now=NOW) == key.public


def test_a_proof_names_its_purpose_its_server_its_key_and_the_question(key):
    token = parse(keyproof.write(key, audience=US, nonce="n"))
    assert dict(token.header) == {"alg": "EdDSA", "typ": "tokenward-key-proof+jwt"}
    assert token.payload == dump_object(claims(key))


def test_both_names_of_the_algorithm_are_good(key):
    head = encode(dump_object({"alg": "Ed25519", "typ": TYP}))
    signed = f"{head}.{encode(dump_object(claims(key)))}"
    token = f"{signed}.{encode(key.sign(signed.encode()))}"
    assert keyproof.read(token).verified(now=NOW) == key.public


@pytest.mark.parametrize(
    "dates", [{"exp": NOW + 1}, {"exp": NOW - 9}, {"nbf": NOW + 9.5}, {"iat": 0}]
)
def test_a_proof_may_have_dates(key, dates):
    token = key.write(claims(key, **dates), typ=TYP)
    assert keyproof.read(token).verified(now=NOW) == key.public


def test_what_is_over_says_so(key):
    with pytest.raises(Expired):
        keyproof.read(key.write(claims(key, exp=NOW - 10), typ=TYP)).verified(now=NOW)


OTHERWISE = {
    "no iss": {"iss": None},
    "no sub": {"sub": None},
    "no aud": {"aud": None},
    "no nonce": {"nonce": None},
    "an empty nonce": {"nonce": ""},
    "a nonce that is a number": {"nonce": 1},
    "a long nonce": {"nonce": "n" * 513},
    "several audiences": {"aud": [US]},
    "an empty audience": {"aud": ""},
    "another subject": {"sub": "ann"},
    "an issuer that is no key": {"iss": US, "sub": US},
    "a list of issuers": {"iss": [], "sub": []},
    "a date that is text": {"exp": str(NOW + 60)},
    "a date that is true": {"exp": True},
    "a date that is null": {"exp": None, "nbf": [NOW]},
    "not yet": {"nbf": NOW + 11},
}


@pytest.mark.parametrize("why", OTHERWISE)
def test_a_proof_that_says_otherwise_is_none(key, why):
    token = key.write(claims(key, **OTHERWISE[why]), typ=TYP)
    with pytest.raises(InvalidToken):
        keyproof.read(token).verified(now=NOW)


@pytest.mark.parametrize("typ", ["JWT", "at+jwt", "dpop+jwt", "client-authentication+jwt", ""])
def test_what_was_signed_for_another_purpose_is_none(key, typ):
    token = key.write(claims(key), typ=typ)
    assert not keyproof.is_one(token)
    with pytest.raises(InvalidToken):
        keyproof.read(token)


@pytest.mark.parametrize(
    "more", [{"kid": "x"}, {"jwk": {}}, {"jku": US}, {"x5c": []}, {"cty": "JWT"}, {"crit": ["b64"]}]
)
def test_no_key_comes_along_in_the_header(key, more):
    head = encode(dump_object({"alg": "EdDSA", "typ": TYP, **more}))
    signed = f"{head}.{encode(dump_object(claims(key)))}"
    with pytest.raises(InvalidToken):
        keyproof.read(f"{signed}.{encode(key.sign(signed.encode()))}")


def test_another_keys_signature_is_none(key):
    other = PrivateKey.generate()
    with pytest.raises(InvalidToken):
        keyproof.read(other.write(claims(key), typ=TYP)).verified(now=NOW)


@pytest.mark.parametrize("kind", ["p256", "secp256k1"])
def test_another_algorithm_than_the_keys_is_none(kind):
    key = PrivateKey.generate(kind)
    for alg in {"ES256", "ES256K", "EdDSA", "RS256", "HS256", "none"} - {key.public.algorithm}:
        head = encode(dump_object({"alg": alg, "typ": TYP}))
        signed = f"{head}.{encode(dump_object(claims(key)))}"
        signature = key._sign(signed.encode())
        with pytest.raises(InvalidToken):
            keyproof.read(f"{signed}.{encode(signature)}").verified(now=NOW)


def test_the_key_must_be_called_by_its_one_name(key):
    upper = "B" + key.public.text[1:].upper()
    token = key.write(claims(key, iss=upper, sub=upper), typ=TYP)
    with pytest.raises(InvalidToken):
        keyproof.read(token).verified(now=NOW)


def test_a_signature_written_otherwise_is_none():
    key = PrivateKey.generate("secp256k1")
    signed, _, signature = keyproof.write(key, audience=US, nonce="n").rpartition(".")
    raw = parse(f"{signed}.{signature}").signature
    order = ec.SECP256K1().group_order
    r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
    for other in (
        key.sign(signed.encode()),  # DER
        raw[:-1],
        raw + b"\0",
        bytes(64),
        bytes(32) + raw[32:],
        raw[:32] + order.to_bytes(32, "big"),
        raw[32:] + raw[:32],
    ):
        with pytest.raises(InvalidToken):
            keyproof.read(f"{signed}.{encode(other)}").verified(now=NOW)
    # The other s of the same signature fits, as everywhere: a question is answered once only.
    twin = r.to_bytes(32, "big") + (order - s).to_bytes(32, "big")
    assert keyproof.read(f"{signed}.{encode(twin)}").verified(now=NOW) == key.public


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "..", "é", "a" * 20_000, "e30.e30.e30"])
def test_what_is_no_token_is_no_proof(token):
    assert not keyproof.is_one(token)
    with pytest.raises(InvalidToken):
        keyproof.read(token)


def test_a_proof_cut_off_anywhere_is_none(key):
    token = keyproof.write(key, audience=US, nonce="n")
    for length in range(0, len(token), 7):
        with pytest.raises(InvalidToken):
            keyproof.read(token[:length]).verified(now=NOW)


def test_a_bare_signature_of_the_question_is_no_proof(key):
    """As a Hub's clients sign: whoever gets somebody to sign bytes must not get a token for it."""
    bare = encode(key.sign(b"n"))
    assert not keyproof.is_one(bare)
    token = keyproof.write(key, audience=US, nonce="n")
    with pytest.raises(InvalidToken):
        keyproof.read(f"{token.rpartition('.')[0]}.{bare}").verified(now=NOW)
