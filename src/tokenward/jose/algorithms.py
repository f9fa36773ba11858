"""What each signature algorithm demands of a key, and how it checks and signs (RFC 7518 §3).

Law: a key serves one algorithm, and a key that does not fit it is refused when it is loaded,
not when it is used.
"""

from collections.abc import Callable

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
Check = Callable[[bytes, bytes], bool]
"""(signed, signature) -> whether the one belongs to the other."""
Sign = Callable[[bytes], bytes]


class UnusableKey(ValueError):
    """It is no key, or none for this use; `str()` says why, without quoting anything from it."""


_SHA256, _SHA384, _SHA512 = hashes.SHA256(), hashes.SHA384(), hashes.SHA512()


def _pss(digest: hashes.HashAlgorithm) -> padding.PSS:
    return padding.PSS(padding.MGF1(digest), padding.PSS.DIGEST_LENGTH)  # RFC 7518 §3.5


_RSA: dict[str, tuple[padding.AsymmetricPadding, hashes.HashAlgorithm]] = {
    "RS256": (padding.PKCS1v15(), _SHA256),
    "RS384": (padding.PKCS1v15(), _SHA384),
    "RS512": (padding.PKCS1v15(), _SHA512),
    "PS256": (_pss(_SHA256), _SHA256),
    "PS384": (_pss(_SHA384), _SHA384),
    "PS512": (_pss(_SHA512), _SHA512),
}
_EC: dict[str, tuple[ec.EllipticCurve, hashes.HashAlgorithm]] = {
    "ES256": (ec.SECP256R1(), _SHA256),
    "ES384": (ec.SECP384R1(), _SHA384),
    "ES512": (ec.SECP521R1(), _SHA512),
}
EDWARDS = frozenset({"EdDSA", "Ed25519"})
"""Two names of one algorithm: RFC 8037's, and RFC 9864's, which says which curve."""

ALGORITHMS = frozenset({*_RSA, *_EC, *EDWARDS})
"""Every algorithm we know.  No HMAC, whose key would have to be shared, and no `none`."""

_RSA_BITS = range(2048, 8192 + 1)
_LARGEST_EXPONENT = 2**64
_ED25519_FIELD = 2**255 - 19
_ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493
# The y coordinates of the eight points whose order divides 8.  A signature by such a "key"
# says nothing, because it fits any message (RFC 8032 §5.1.7 leaves this to us).
_ED25519_SMALL = frozenset(
    {
        0,
        1,
        _ED25519_FIELD - 1,
        0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
        _ED25519_FIELD - 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
    }
)


def algorithm_of(public: PublicKey) -> str:
    """Name the one algorithm of a key that does not say it.  Raises UnusableKey for a strange key.

    For RSA this is RS256: whoever means another one has to say so.
    """
    if isinstance(public, rsa.RSAPublicKey):
        return "RS256"
    if isinstance(public, ed25519.Ed25519PublicKey):
        return "EdDSA"
    if isinstance(public, ec.EllipticCurvePublicKey):
        for name, (curve, _) in _EC.items():
            if isinstance(public.curve, type(curve)):
                return name
    raise UnusableKey("no algorithm we know for this key")


def names_of(algorithm: str) -> frozenset[str]:
    """Give every name by which a header may call this algorithm."""
    return EDWARDS if algorithm in EDWARDS else frozenset({algorithm})


def checker(algorithm: str, public: PublicKey) -> Check:
    """Make the function that checks signatures.  Raises UnusableKey if the key does not fit."""
    if isinstance(public, rsa.RSAPublicKey) and algorithm in _RSA:
        return _rsa_checker(public, *_RSA[algorithm])
    if isinstance(public, ec.EllipticCurvePublicKey) and algorithm in _EC:
        return ecdsa_checker(public, *_EC[algorithm])
    if isinstance(public, ed25519.Ed25519PublicKey) and algorithm in EDWARDS:
        return _ed25519_checker(public)
    raise UnusableKey("the key is not for this algorithm")


def signer(algorithm: str, private: PrivateKey) -> Sign:
    """Make the function that signs.  The key must have passed `checker` with its public half."""
    if isinstance(private, rsa.RSAPrivateKey):
        rsa_sign, (pad, digest) = private.sign, _RSA[algorithm]
        return lambda data: rsa_sign(data, pad, digest)
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return private.sign
    ec_sign, (curve, digest) = private.sign, _EC[algorithm]
    scheme, size = ec.ECDSA(digest), (curve.key_size + 7) // 8
    return lambda data: _fixed(ec_sign(data, scheme), size)


def generate(algorithm: str) -> PrivateKey:
    """Make a new private key.  Raises UnusableKey for an algorithm we do not know."""
    if algorithm in _RSA:
        return rsa.generate_private_key(65537, 2048)
    if algorithm in _EC:
        return ec.generate_private_key(_EC[algorithm][0])
    if algorithm in EDWARDS:
        return ed25519.Ed25519PrivateKey.generate()
    raise UnusableKey("not an algorithm we know")


def private_key(pem: bytes | str) -> PrivateKey:
    """Read a private key in PEM, without a password.  Raises UnusableKey."""
    try:
        data = pem.encode() if isinstance(pem, str) else pem
        private = serialization.load_pem_private_key(data, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: it wants a password
        raise UnusableKey("not a private key in PEM, or one with a password") from None
    if not isinstance(private, PrivateKey):
        raise UnusableKey("not a kind of key we know")
    return private


def _rsa_checker(
    public: rsa.RSAPublicKey, pad: padding.AsymmetricPadding, digest: hashes.HashAlgorithm
) -> Check:
    numbers = public.public_numbers()
    if public.key_size not in _RSA_BITS:
        raise UnusableKey("an RSA key has 2048 to 8192 bits here")
    if not numbers.n & 1 or not numbers.e & 1 or not 3 <= numbers.e < _LARGEST_EXPONENT:  # noqa: PLR2004
        raise UnusableKey("not a sound RSA key")
    verify, size = public.verify, (public.key_size + 7) // 8

    def check(signed: bytes, signature: bytes) -> bool:
        if len(signature) != size:  # RFC 8017 §8.2.2 step 1
            return False
        try:
            verify(signature, signed, pad, digest)
        except InvalidSignature:
            return False
        return True

    return check


def ecdsa_checker(
    public: ec.EllipticCurvePublicKey, curve: ec.EllipticCurve, digest: hashes.HashAlgorithm
) -> Check:
    if not isinstance(public.curve, type(curve)):
        raise UnusableKey("the key is not on the curve of this algorithm")
    verify, scheme, order = public.verify, ec.ECDSA(digest), curve.group_order
    half = (curve.key_size + 7) // 8

    def check(signed: bytes, signature: bytes) -> bool:
        if len(signature) != 2 * half:  # RFC 7518 §3.4
            return False
        r, s = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
        if not (0 < r < order and 0 < s < order):
            return False
        try:
            verify(encode_dss_signature(r, s), signed, scheme)
        except InvalidSignature:
            return False
        return True

    return check


def _ed25519_checker(public: ed25519.Ed25519PublicKey) -> Check:
    # The top bit is the sign of x; RFC 8032 §5.1.3 wants y smaller than the field.
    y = int.from_bytes(public.public_bytes_raw(), "little") & (2**255 - 1)
    if y >= _ED25519_FIELD or y in _ED25519_SMALL:
        raise UnusableKey("not a sound Ed25519 key")
    verify = public.verify

    def check(signed: bytes, signature: bytes) -> bool:
        # S as it is, never S plus a multiple of the order (RFC 8032 §5.1.7 step 1).
        if (
            len(signature) != 64  # noqa: PLR2004
            or int.from_bytes(signature[32:], "little") >= _ED25519_ORDER
        ):
            return False
        try:
            verify(signature, signed)
        except InvalidSignature:
            return False
        return True

    return check


def _fixed(der: bytes, size: int) -> bytes:
    """Turn the DER of our own signature into R and S of fixed length (RFC 7518 §3.4)."""
    # SEQUENCE, length in one byte or (P-521) two, INTEGER, length, r, INTEGER, length, s
    at = 3 if der[1] < 128 else 4  # noqa: PLR2004
    end = at + 1 + der[at]
    r, s = der[at + 1 : end], der[end + 2 :]
    return r[-size:].rjust(size, b"\0") + s[-size:].rjust(size, b"\0")
