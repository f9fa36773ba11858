"""A compact JWS: nothing but three parts in their one spelling gets through (RFC 7515 §7.1)."""

import json
from base64 import urlsafe_b64encode

from tests.jose.forge import AUDIENCE, CLAIMS, EXPECTED, ISSUER, NOW
from tokenward.jose import jws, jwt
from tokenward.jose.keys import KeySet, SigningKey

# A key of this run: nothing it signed is in the corpus, so nothing may ever be believed.
KEY = SigningKey.generate("ES256", kid="k1")
KEYS = KeySet((KEY.verifying_key(),))


def part(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


def token(header: object, claims: object, signature: bytes) -> bytes:
    parts = (json.dumps(header).encode(), json.dumps(claims).encode(), signature)
    return b".".join(map(part, parts))


SEEDS = (
    token({"alg": "ES256", "kid": "k1", "typ": "at+jwt"}, CLAIMS, b"\x01" * 64),
    token({"alg": "ES256"}, CLAIMS, b"\0" * 64),
    token({"alg": "none"}, CLAIMS, b""),
    token({"alg": "HS256", "kid": "k1"}, CLAIMS, b"\x02" * 32),
    token({"alg": "ES256", "kid": "k1", "crit": ["b64"], "b64": False}, CLAIMS, b"\x03" * 64),
    b"..",
    b"a.b.c",
)
WORDS = (
    *(part(json.dumps({"alg": alg, "kid": "k1"}).encode()) for alg in ("none", "ES256", "HS256")),
    *(b".", b"..", b"=", b"==", b"-", b"_", b"+", b"/", b"\n", b"\0"),
    part(ISSUER.encode()),
    part(AUDIENCE.encode()),
)


def attempt(data: bytes) -> None:
    text = data.decode("latin-1")
    try:
        found = jws.parse(text)
    except jws.InvalidToken as refused:
        assert len(str(refused)) < 200
        found = None
    if found is not None:
        header, payload, signature = text.split(".")
        assert jws.encode(found.payload) == payload
        assert jws.encode(found.signature) == signature
        assert found.signed == f"{header}.{payload}".encode()
        assert isinstance(found.header["alg"], str)
        assert not {"crit", "b64", "zip", "enc"} & set(found.header)
    try:
        jwt.verify(text, KEYS, EXPECTED, now=NOW)
    except jws.InvalidToken:
        return
    raise AssertionError("a token that nobody signed is believed")
