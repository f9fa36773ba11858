"""The ways in which people write keys: libp2p's strings, `did:key`, OpenSSH's lines, PEM.

Law: what is read here says of which kind it is, and nothing here says that it is any good: that
is for whoever gives the key a name.  No error quotes what was read.
"""

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tokenward.jose import algorithms, multibase
from tokenward.jose.algorithms import UnusableKey

ED25519, P256, SECP256K1, RSA = "ed25519", "p256", "secp256k1", "rsa"

LONGEST = 4096
"""Characters of a key in any notation."""

CURVES = {"P-256": ec.SECP256R1(), "secp256k1": ec.SECP256K1()}
"""The curves of keys that are names, as JWK calls them (RFC 7518 §6.2.1.1, RFC 8812 §3.1)."""

# libp2p's KeyType (https://github.com/libp2p/specs/blob/master/peer-ids/peer-ids.md)
_NUMBERS = {RSA: 0, ED25519: 1, SECP256K1: 2, P256: 3}
_KIND_OF = {number: kind for kind, number in _NUMBERS.items()}
# https://github.com/multiformats/multicodec/blob/master/table.csv
_CODECS = {0xED: ED25519, 0xE7: SECP256K1, 0x1200: P256, 0x1205: RSA}
_SEED, _POINT = 32, 33
_SSH = ("ssh-ed25519 ", "ssh-rsa ", "ecdsa-sha2-nistp256 ")
_PEM = "-----BEGIN"
_PRIVATE = "a private key, where a public one belongs: keep it to yourself"


def read_public(text: str) -> tuple[object, str]:
    """Read a public key: the key, and of which kind it says it is (`""` where it does not).

    Raises ValueError, KeyError, TypeError or UnsupportedAlgorithm; UnusableKey where there is more
    to be said than that it is no key.
    """
    if len(text) > LONGEST:
        raise UnusableKey("too long for a key")
    text = text.strip()
    if text.startswith("did:key:"):
        return _from_did(text.removeprefix("did:key:"))
    if text.startswith(_SSH):
        return serialization.load_ssh_public_key(text.encode()), ""
    if text.startswith(_PEM):
        if "PRIVATE KEY-----" in text:
            raise UnusableKey(_PRIVATE)
        return serialization.load_pem_public_key(text.encode()), ""
    kind, data = _message(multibase.decode(text))
    return _public(kind, data), kind


def read_private(text: str) -> tuple[object, str]:
    """Read a private key: a libp2p string in either form, or PEM without a password.

    Raises what `read_public` raises.
    """
    if len(text) > LONGEST:
        raise UnusableKey("too long for a key")
    text = text.strip()
    if text.startswith(_PEM):
        return serialization.load_pem_private_key(text.encode(), None), ""
    kind, data = _message(multibase.decode(text))
    return _private(kind, data), kind


def written(kind: str, data: bytes) -> str:
    """Write a key as libp2p does, in base32: its type and its bytes, as two fields of protobuf."""
    said = b"\x08%c\x12%b%b" % (_NUMBERS[kind], multibase.numbered(len(data)), data)
    return multibase.encode(said)


def written_private(kind: str, key: algorithms.PrivateKey) -> str:
    """Write a private key, the newer form of Ed25519's.  **This is the secret itself.**"""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        data = key.private_bytes_raw() + key.public_key().public_bytes_raw()
    elif isinstance(key, ec.EllipticCurvePrivateKey) and kind == SECP256K1:
        data = key.private_numbers().private_value.to_bytes(_SEED, "big")
    else:
        data = key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return written(kind, data)


def _message(data: bytes) -> tuple[str, bytes]:
    """Take libp2p's message apart: of which kind, and the bytes of the key."""
    if len(data) < 4 or data[0] != 0x08 or data[2] != 0x12:  # noqa: PLR2004
        raise UnusableKey("not a key: nothing that libp2p writes")
    length, begins = multibase.number(data, 3)
    if len(data) - begins != length or data[1] not in _KIND_OF:
        raise UnusableKey("not a key: cut off, too long, or of a kind we do not know")
    return _KIND_OF[data[1]], data[begins:]


def _public(kind: str, data: bytes) -> object:
    match kind:
        case "ed25519":
            if len(data) in (2 * _SEED, 3 * _SEED):
                raise UnusableKey(_PRIVATE)
            return ed25519.Ed25519PublicKey.from_public_bytes(data)
        case "secp256k1":
            if len(data) == _SEED:
                raise UnusableKey(_PRIVATE)
            return _compressed(ec.SECP256K1(), data)
    return serialization.load_der_public_key(data)


def _compressed(curve: ec.EllipticCurve, data: bytes) -> ec.EllipticCurvePublicKey:
    if len(data) != _POINT:
        raise UnusableKey(f"a point that has not {_POINT} bytes")
    return ec.EllipticCurvePublicKey.from_encoded_point(curve, data)


def _from_did(text: str) -> tuple[object, str]:
    """What did:key says (https://w3c-ccg.github.io/did-key-spec/)."""
    if not text.startswith("z"):
        raise UnusableKey("a did:key is written in base58btc, which begins with z")
    said = multibase.decode(text)
    codec, begins = multibase.number(said)
    kind, data = _CODECS.get(codec, ""), said[begins:]
    match kind:
        case "ed25519":
            return ed25519.Ed25519PublicKey.from_public_bytes(data), kind
        case "secp256k1":
            return _compressed(ec.SECP256K1(), data), kind
        case "p256":
            return _compressed(ec.SECP256R1(), data), kind
        case "rsa":
            return serialization.load_der_public_key(data), kind
    raise UnusableKey("a did:key of a kind we do not know")


def _private(kind: str, data: bytes) -> object:
    match kind:
        case "ed25519":
            key = ed25519.Ed25519PrivateKey.from_private_bytes(data[:_SEED])
            public = key.public_key().public_bytes_raw()
            # Once or, in the older form, twice.  Whoever signed for another one than the seed's
            # own would give the seed away with two signatures.
            if data[_SEED:] not in (public, 2 * public):
                raise UnusableKey("not a private key, or its public half is another key's")
            return key
        case "secp256k1":
            curve, value = ec.SECP256K1(), int.from_bytes(data, "big")
            if len(data) != _SEED or not 0 < value < curve.group_order:
                raise UnusableKey("not a private key")
            return ec.derive_private_key(value, curve)
    return serialization.load_der_private_key(data, None)
