"""Keys as JSON: the members of a public JWK, and back again (RFC 7517, RFC 7518 §6, RFC 8037 §2).

Law: only public keys pass here.  A JWK with anything secret in it is refused, not trimmed: who
publishes a private key has no key any more.
"""

import json
from collections.abc import Mapping
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tokenward.jose.algorithms import PublicKey, UnusableKey
from tokenward.jose.jws import decode, encode

_SECRET = ("d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv")
_CURVES: dict[str, ec.EllipticCurve] = {
    "P-256": ec.SECP256R1(),
    "P-384": ec.SECP384R1(),
    "P-521": ec.SECP521R1(),
}
_CURVE_NAMES = {curve.name: name for name, curve in _CURVES.items()}
_REQUIRED = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x")}
_LONGEST_MEMBER = 2048
_SIGNING = ("sig", "jwt-svid")
"""Uses of a key that signs; the second is SPIFFE's, in trust bundles (JWT-SVID §6.1)."""


def public_key(
    jwk: Mapping[str, object], curves: Mapping[str, ec.EllipticCurve] = _CURVES
) -> PublicKey:
    """Read the public key in a JWK that is meant for checking signatures.

    `curves` are those that a key may be on.  Raises ValueError, mostly UnusableKey.
    """
    if any(name in jwk for name in _SECRET):
        raise UnusableKey("a JWK with secret members")
    if jwk.get("use", "sig") not in _SIGNING:  # RFC 7517 §4.2
        raise UnusableKey("a JWK that is not for signatures")
    operations = jwk.get("key_ops", ["verify"])  # RFC 7517 §4.3
    if not isinstance(operations, list) or "verify" not in operations:
        raise UnusableKey("a JWK that is not for verifying")
    match jwk.get("kty"), jwk.get("crv"):
        case "RSA", _:
            # Some write a zero byte before n, although they should not (RFC 7518 §6.3.1.1).
            n, e = (int.from_bytes(_member(jwk, name), "big") for name in ("n", "e"))
            return rsa.RSAPublicNumbers(e, n).public_key()
        case "EC", str(name) if name in curves:
            curve = curves[name]
            x, y = (_member(jwk, name, (curve.key_size + 7) // 8) for name in ("x", "y"))
            numbers = (int.from_bytes(x, "big"), int.from_bytes(y, "big"))
            return ec.EllipticCurvePublicNumbers(*numbers, curve).public_key()
        case "OKP", "Ed25519":
            return ed25519.Ed25519PublicKey.from_public_bytes(_member(jwk, "x", 32))
    raise UnusableKey("a JWK of a kind we do not know")


def members(public: PublicKey) -> dict[str, object]:
    """Write a public key as a JWK: the members that make the key, and nothing else."""
    if isinstance(public, rsa.RSAPublicKey):
        rsa_numbers = public.public_numbers()
        return {"kty": "RSA", "n": _integer(rsa_numbers.n), "e": _integer(rsa_numbers.e)}
    if isinstance(public, ed25519.Ed25519PublicKey):
        return {"kty": "OKP", "crv": "Ed25519", "x": encode(public.public_bytes_raw())}
    numbers, size = public.public_numbers(), (public.curve.key_size + 7) // 8
    return {
        "kty": "EC",
        "crv": _CURVE_NAMES[public.curve.name],
        "x": encode(numbers.x.to_bytes(size, "big")),
        "y": encode(numbers.y.to_bytes(size, "big")),
    }


def thumbprint(jwk: Mapping[str, object]) -> str:
    """Hash the members that make the key: base64url of their SHA-256 (RFC 7638 §3).

    Raises UnusableKey if one of them is missing or no ASCII string.  It does not check the key.
    """
    kty = jwk.get("kty")
    if not isinstance(kty, str) or kty not in _REQUIRED:
        raise UnusableKey("a JWK of a kind we do not know")
    required = {name: jwk.get(name) for name in _REQUIRED[kty]}
    if not all(isinstance(value, str) and value.isascii() for value in required.values()):
        raise UnusableKey("a JWK without its members")
    return encode(sha256(json.dumps(required, separators=(",", ":")).encode()).digest())


def _member(jwk: Mapping[str, object], name: str, size: int | None = None) -> bytes:
    value = jwk.get(name)
    if not isinstance(value, str) or len(value) > _LONGEST_MEMBER:
        raise UnusableKey(f"a JWK whose {name} is no key")
    data = decode(value)
    if size is not None and len(data) != size:
        raise UnusableKey(f"a JWK whose {name} has not {size} bytes")
    return data


def _integer(number: int) -> str:
    return encode(number.to_bytes((number.bit_length() + 7) // 8, "big"))
