"""Who somebody is, where a key is all they are: one public key, whatever it was written as.

Law: a key has one name here, the string that libp2p gives it, however it came in.  A key that
fits any message, that is no point on its curve, or that is too short, is nobody's name.

A key signs in two ways: as all of libp2p does (`sign`, `verify`; ECDSA in DER), and as JWS does
(`write`, `fits`; ECDSA as two numbers of fixed length).  Ed25519 and RSA look alike in both.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tokenward.jose import algorithms, jwk, keystrings
from tokenward.jose.algorithms import Check, Sign, UnusableKey
from tokenward.jose.jws import dump_object, load_object, segment
from tokenward.jose.keys import head
from tokenward.jose.keystrings import ED25519, LONGEST, P256, RSA, SECP256K1

__all__ = ["ALGORITHMS", "KINDS", "LONGEST", "PrivateKey", "PublicKey", "UnusableKey"]

KINDS = frozenset({ED25519, P256, SECP256K1, RSA})

ALGORITHMS = {ED25519: "EdDSA", P256: "ES256", SECP256K1: "ES256K", RSA: "RS256"}
"""What each kind signs with, as JWS calls it (RFC 7518 §3.1, RFC 8037 §3.1, RFC 8812 §3.2)."""

LARGEST_RSA = 4096
"""Bits; a name that is longer is of no use to anybody."""

REMEMBER = 1_024
"""Public keys of which it is known that they are sound, by the text that they were read from."""

_REMEMBERED_UP_TO = 1_024
"""Characters: every name that a key can have here, so that few texts cannot fill memory."""

_RSA_BITS = 3072
_HALF = 32
_ECDSA = frozenset({P256, SECP256K1})
_FIELD = 2**255 - 19
_D = -121665 * pow(121666, -1, _FIELD) % _FIELD  # RFC 8032 §5.1
_REFUSALS = (ValueError, TypeError, KeyError, UnsupportedAlgorithm)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """Somebody's public key.  Two are equal if they are the same key."""

    text: str
    """Its one name: what libp2p writes, in base32."""

    kind: str
    """`ed25519`, `p256`, `secp256k1` or `rsa`."""

    _check: Check = field(repr=False, compare=False)

    @staticmethod
    def from_string(text: str) -> "PublicKey":
        """Read a key in any notation we know.  Raises UnusableKey, which quotes nothing of it.

        A libp2p key in multibase (`b…`, and other bases), `did:key:z…`, a JWK, a line as OpenSSH
        writes it (`ssh-ed25519 …`), or PEM. A text that was read before is not read again: who
        has a key is asked, and answers, with the same one.
        """
        return _remembered(text) if len(text) <= _REMEMBERED_UP_TO else _read(text)

    @classmethod
    def from_jwk(cls, document: Mapping[str, object]) -> Self:
        """Read a public JWK (RFC 7517, RFC 8037 §2, RFC 8812 §3.1).  Raises ValueError."""
        key = cls._of(jwk.public_key(document, curves=keystrings.CURVES))
        if str(document.get("alg", key.algorithm)) not in algorithms.names_of(key.algorithm):
            raise UnusableKey("a JWK for another algorithm")  # RFC 8725 §3.1
        return key

    @property
    def algorithm(self) -> str:
        """What it signs with, as JWS calls it."""
        return ALGORITHMS[self.kind]

    def to_string(self) -> str:
        """Give its one name."""
        return self.text

    def __str__(self) -> str:
        return self.text

    def verify(self, signed: bytes, signature: bytes) -> bool:
        """Say whether this is its signature of these bytes, as libp2p has it.  Never raises."""
        if self.kind not in _ECDSA:
            return self._check(signed, signature)
        try:
            r, s = decode_dss_signature(signature)
            fixed = r.to_bytes(_HALF, "big") + s.to_bytes(_HALF, "big")
            if encode_dss_signature(r, s) != signature:
                return False  # there is more than one way to write it, and one is enough
        except (ValueError, OverflowError):
            return False
        return self._check(signed, fixed)

    def fits(self, signed: bytes, signature: bytes) -> bool:
        """Say whether this is its signature of these bytes, as JWS has it.  Never raises."""
        return self._check(signed, signature)

    @classmethod
    def _of(cls, public: object, wanted: str = "") -> Self:
        """Give a key its name; raises UnusableKey if it can have none or is of another kind."""
        kind, data, check = _sound(public)
        if wanted not in ("", kind):
            raise UnusableKey("a key of another kind than it says")
        return cls(keystrings.written(kind, data), kind, check)


def _read(text: str) -> PublicKey:
    try:
        if text.lstrip().startswith("{") and len(text) <= LONGEST:
            return PublicKey.from_jwk(load_object(text.encode()))
        return PublicKey._of(*keystrings.read_public(text))  # noqa: SLF001 - its beginning
    except UnusableKey:
        raise
    except _REFUSALS:
        raise UnusableKey("not a public key in any notation we know") from None


_remembered = lru_cache(maxsize=REMEMBER)(_read)


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A private key, and the name of its public half."""

    public: PublicKey
    _private: algorithms.PrivateKey = field(repr=False, compare=False)
    _sign: Sign = field(repr=False, compare=False)

    @classmethod
    def generate(cls, kind: str = ED25519) -> Self:
        """Make a new key: `ed25519`, `p256`, `secp256k1` or `rsa` (3072 bits).

        Raises UnusableKey for another kind.
        """
        match kind:
            case "ed25519":
                return cls._of(ed25519.Ed25519PrivateKey.generate())
            case "p256":
                return cls._of(ec.generate_private_key(ec.SECP256R1()))
            case "secp256k1":
                return cls._of(ec.generate_private_key(ec.SECP256K1()))
            case "rsa":
                return cls._of(rsa.generate_private_key(65537, _RSA_BITS))
        raise UnusableKey("no kind of key we know")

    @classmethod
    def from_string(cls, text: str) -> Self:
        """Read a private key: a libp2p string in either of its forms, or PEM without a password.

        Raises UnusableKey, which quotes nothing of it.
        """
        try:
            return cls._of(*keystrings.read_private(text))
        except UnusableKey:
            raise
        except _REFUSALS:
            raise UnusableKey("not a private key in any notation we know") from None

    def to_string(self) -> str:
        """Write it as libp2p does, in the newer form.  **This is the secret itself.**"""
        return keystrings.written_private(self.public.kind, self._private)

    def sign(self, data: bytes) -> bytes:
        """Sign as libp2p does."""
        signature = self._sign(data)
        if self.public.kind not in _ECDSA:
            return signature
        r, s = (int.from_bytes(half, "big") for half in (signature[:_HALF], signature[_HALF:]))
        return encode_dss_signature(r, s)

    def write(self, claims: Mapping[str, object], *, typ: str) -> str:
        """Write a compact JWS of these claims (RFC 7515 §5.1).

        Raises TypeError or ValueError for claims that JSON cannot say.
        """
        signed = head(self.public.algorithm, typ, "") + segment(dump_object(claims))
        return b".".join((signed, segment(self._sign(signed)))).decode()

    @classmethod
    def _of(cls, private: object, wanted: str = "") -> Self:
        if not isinstance(private, algorithms.PrivateKey):
            raise UnusableKey("not a kind of key we know")
        public = PublicKey._of(private.public_key(), wanted)  # noqa: SLF001 - two halves of one
        if isinstance(private, ec.EllipticCurvePrivateKey):
            return cls(public, private, _ecdsa_signer(private))
        return cls(public, private, algorithms.signer(public.algorithm, private))


def _sound(public: object) -> tuple[str, bytes, Check]:
    """The kind of a key, what libp2p writes of it, and its check; raises UnusableKey."""
    match public:
        case ed25519.Ed25519PublicKey():
            check, data = algorithms.checker("EdDSA", public), public.public_bytes_raw()
            if not _is_point(data):
                raise UnusableKey("no point on the curve")
            return ED25519, data, check
        case rsa.RSAPublicKey():
            if public.key_size > LARGEST_RSA:
                raise UnusableKey(f"an RSA key has 2048 to {LARGEST_RSA} bits here")
            return RSA, _spki(public), algorithms.checker("RS256", public)
        case ec.EllipticCurvePublicKey() if isinstance(public.curve, ec.SECP256R1):
            return P256, _spki(public), algorithms.checker("ES256", public)
        case ec.EllipticCurvePublicKey() if isinstance(public.curve, ec.SECP256K1):
            point = public.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
            check = algorithms.ecdsa_checker(public, public.curve, hashes.SHA256())
            return SECP256K1, point, check
    raise UnusableKey("a key must be Ed25519, P-256, secp256k1 or RSA")


def _spki(public: rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> bytes:
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _is_point(data: bytes) -> bool:
    """Whether there is an x for this y (RFC 8032 §5.1.3); the crypto library does not look."""
    y = int.from_bytes(data, "little") & (2**255 - 1)
    # x² = (y² - 1) / (d y² + 1) has a root if and only if Euler's criterion holds.
    square = (y * y - 1) * (_D * y * y + 1)
    return pow(square, (_FIELD - 1) // 2, _FIELD) == 1


def _ecdsa_signer(private: ec.EllipticCurvePrivateKey) -> Sign:
    """Sign with two numbers of fixed length, the second one small: some insist on that."""
    sign, scheme, order = private.sign, ec.ECDSA(hashes.SHA256()), private.curve.group_order

    def signed(data: bytes) -> bytes:
        r, s = decode_dss_signature(sign(data, scheme))
        return r.to_bytes(_HALF, "big") + min(s, order - s).to_bytes(_HALF, "big")

    return signed
