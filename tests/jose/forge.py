"""Tokens made by hand, the right ones and all the others, with nothing of ours but the keys.

Law: nothing here goes through the code under test, so that it can write what ours never would.
"""

import json
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tokenward.jose.jwt import Expected
from tokenward.jose.keys import KeySet, SigningKey

NOW = 1_700_000_000
ISSUER = "https://issuer.example/"
AUDIENCE = "https://api.example/reports"
EXPECTED = Expected(issuer=ISSUER, audience=AUDIENCE)
CLAIMS = {
    "iss": ISSUER,
    "aud": AUDIENCE,
    "sub": "auth0|5f7c8ec7c33c6c004bbafe82",
    "client_id": "nightly",
    "scope": "reports:read",
    "iat": NOW - 30,
    "nbf": NOW - 30,
    "exp": NOW + 600,
    "jti": "f3b1c9d2a7e04c55",
}
HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
HALF = {"ES256": 32, "ES384": 48, "ES512": 66}
ORDER = {
    "ES256": ec.SECP256R1().group_order,
    "ES384": ec.SECP384R1().group_order,
    "ES512": ec.SECP521R1().group_order,
}


def b64(data):
    """Write base64url without padding."""
    data = data.encode() if isinstance(data, str) else data
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def dump(value):
    """Write JSON, or leave alone what is bytes already."""
    return value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()


def signature(private, alg, signed):
    """Sign as `alg` says; a key that does not fit fails here."""
    kind, digest = alg[:2], HASHES.get(alg[2:])
    if kind == "RS":
        return private.sign(signed, padding.PKCS1v15(), digest)
    if kind == "PS":
        pss = padding.PSS(padding.MGF1(digest), padding.PSS.DIGEST_LENGTH)
        return private.sign(signed, pss, digest)
    if kind == "ES":
        r, s = decode_dss_signature(private.sign(signed, ec.ECDSA(digest)))
        return raw(alg, r, s)
    return private.sign(signed)


def raw(alg, r, s):
    """Write r and s as a JWS wants them (RFC 7518 §3.4)."""
    return r.to_bytes(HALF[alg], "big") + s.to_bytes(HALF[alg], "big")


def mac(secret, signed, bits="256"):
    """Sign with a secret, as HS256 and its like do."""
    hashed = hmac.HMAC(secret, HASHES[bits])
    hashed.update(signed)
    return hashed.finalize()


def spki(key):
    """Give the public half in the usual DER."""
    return key.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def pem(key):
    """Give the public half in the usual PEM."""
    return key.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@dataclass
class Forge:
    """An issuer's keys, an attacker's keys, and what can be made with them."""

    rs: SigningKey
    es: SigningKey
    ed: SigningKey
    ps: SigningKey
    p521: SigningKey
    evil_rs: SigningKey
    evil_es: SigningKey
    evil_ed: SigningKey
    keys: KeySet = field(init=False)

    def __post_init__(self):
        ours = (self.rs, self.es, self.ed, self.ps, self.p521)
        self.keys = KeySet(tuple(key.verifying_key() for key in ours))

    def header(self, key, **more):
        """Give the header that `key` would write; None takes a member away."""
        header = {"alg": key.algorithm, "typ": "at+jwt", "kid": key.kid, **more}
        return {name: value for name, value in header.items() if value is not None}

    def claims(self, **more):
        """Give good claims with these changed; `...` takes a claim away."""
        claims = {**CLAIMS, **more}
        return {name: value for name, value in claims.items() if value is not ...}

    def token(self, key=None, *, header=None, payload=None, signer=None, alg=None):
        """Make a token that is right but for what is given."""
        key = key or self.es
        header = self.header(key) if header is None else header
        payload = self.claims() if payload is None else payload
        signed = f"{b64(dump(header))}.{b64(dump(payload))}"
        signed_by = (signer or key).private
        return f"{signed}.{b64(signature(signed_by, alg or key.algorithm, signed.encode()))}"

    def signed_by_secret(self, key, secret, *, alg="HS256", **header):
        """Make a token with HMAC in the place of a signature."""
        header = self.header(key, alg=alg, **header)
        signed = f"{b64(dump(header))}.{b64(dump(self.claims()))}"
        return f"{signed}.{b64(mac(secret, signed.encode(), alg[2:]))}"
