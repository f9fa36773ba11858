"""Signing and verifying with Python libraries, so many at a time, in processor time.

    python -m bench.verifying ISSUER AUDIENCE TOKENS.json KEYS

On standard input: a line of JSON {"who", "alg", "many"}. On standard output: {"us", "many"},
microseconds of processor time for each; {"error"} if something was refused.

Law: every contestant believes the same tokens for the same reasons: signature, algorithm, issuer,
audience and date. Only "cryptography" looks at the signature alone: it is what the rest costs.
"""

import base64
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import jwt as pyjwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import KeySet as JoserfcKeys

from tokenward import Verifier
from tokenward.jose.keys import KeySet, SigningKey

SHA256 = hashes.SHA256()
ECDSA, PKCS1 = ec.ECDSA(SHA256), padding.PKCS1v15()
DATA = b"x" * 300
"""As much as there is to sign in a token."""

Verify = Callable[[str], object]


def contestants(
    issuer: str, audience: str, alg: str, signing: Mapping[str, SigningKey]
) -> dict[str, Callable[[], Verify]]:
    """Who verifies; each is made anew for a measurement, with nothing remembered."""
    key = signing[alg]
    public: Any = key.private.public_key()
    jwks: Any = {"keys": [it.public_jwk() for it in signing.values()]}

    def ours() -> Verify:
        return Verifier(issuer, audience, keys=KeySet.parse(jwks), typ=None).verify

    def pyjwt_with_a_key() -> Verify:
        return lambda token: pyjwt.decode(
            token, public, algorithms=[alg], audience=audience, issuer=issuer
        )

    def pyjwt_with_jwks() -> Verify:
        client = pyjwt.PyJWKClient(f"{issuer}.well-known/jwks.json")
        return lambda token: pyjwt.decode(
            token,
            client.get_signing_key_from_jwt(token),
            algorithms=[alg],
            audience=audience,
            issuer=issuer,
        )

    def joserfc() -> Verify:
        keys = JoserfcKeys.import_key_set(jwks)
        demands = joserfc_jwt.JWTClaimsRegistry(
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
        )

        def verify(token: str) -> object:
            read = joserfc_jwt.decode(token, keys, algorithms=[alg])
            demands.validate(read.claims)
            return read.claims

        return verify

    return {
        "tokenward": ours,
        "cryptography": lambda: _signature_alone(public, alg),
        "PyJWT": pyjwt_with_a_key,
        "PyJWT + PyJWKClient": pyjwt_with_jwks,
        "joserfc": joserfc,
    }


def _signature_alone(public: Any, alg: str) -> Verify:
    def rsa(token: str) -> object:
        signed, _, signature = token.rpartition(".")
        return public.verify(_decoded(signature), signed.encode(), PKCS1, SHA256)

    def ecdsa(token: str) -> object:
        signed, _, signature = token.rpartition(".")
        raw = _decoded(signature)
        r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
        return public.verify(encode_dss_signature(r, s), signed.encode(), ECDSA)

    return rsa if alg == "RS256" else ecdsa


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "==")


def signer(private: Any, alg: str) -> Callable[[], object]:
    """The signature alone: what the machine can do."""
    match alg:
        case "RS256":
            return lambda: private.sign(DATA, PKCS1, SHA256)
        case "ES256":
            return lambda: private.sign(DATA, ECDSA)
        case _:
            return lambda: private.sign(DATA)


def cost(asked: Mapping[str, Any], everybody: Any, signing: Mapping[str, SigningKey]) -> float:
    """Microseconds for each, of so many as were asked for."""
    who, alg, many = asked["who"], asked["alg"], int(asked["many"])
    if who == "sign":
        sign = signer(signing[alg].private, alg)
        began = time.process_time()
        for _ in range(many):
            sign()
        return (time.process_time() - began) / many * 1e6
    tokens: Sequence[str] = everybody["tokens"][alg]
    warm = who == "tokenward, remembered"
    make = contestants(everybody["issuer"], everybody["audience"], alg, signing)
    verify = make[who.partition(",")[0]]()
    verify(tokens[-1])  # it fetches keys first, who does
    shown = list(islice(cycle(tokens[-1:] if warm else tokens), many))
    began = time.process_time()
    for token in shown:
        verify(token)
    return (time.process_time() - began) / many * 1e6


def main(issuer: str, audience: str, file: str, keys: str) -> None:
    """Answer until nobody asks any more."""
    tokens = json.loads(Path(file).read_text())
    everybody = {"issuer": issuer, "audience": audience, "tokens": tokens}
    read = [SigningKey.from_bytes(path.read_bytes()) for path in sorted(Path(keys).iterdir())]
    signing = {key.algorithm: key for key in read}
    signing["EdDSA"] = SigningKey.generate("EdDSA")
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            said: dict[str, object] = {
                "us": cost(asked, everybody, signing),
                "many": asked["many"],
            }
        except Exception as problem:  # noqa: BLE001 - whatever a library raises
            said = {"error": f"{type(problem).__name__}: {problem}"}
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
