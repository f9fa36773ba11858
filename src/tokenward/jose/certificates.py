"""Certificates, as envelopes for RSA keys and for nothing else (RFC 7517 §4.7, RFC 5280).

Law: nobody here believes what a certificate says.  The same key gives the same bytes every time,
on every machine, so nothing in it comes from a clock or from chance.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tokenward.jose.jws import encode

_BEGIN = datetime(2000, 1, 1, tzinfo=UTC)
_NEVER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)  # RFC 5280 §4.1.2.5


def self_signed(private: rsa.RSAPrivateKey, name: str) -> bytes:
    """Wrap the public half into a certificate, in DER.  `name` has at most 64 characters."""
    return _certificate(private.public_key(), private, name).public_bytes(Encoding.DER)


def signed_elsewhere(public: rsa.RSAPublicKey, name: str, sign: Callable[[bytes], bytes]) -> bytes:
    """Do the same for a key whose private half is not here; `sign` is RS256 with that key."""
    stranger = rsa.generate_private_key(65537, public.key_size)
    draft = _certificate(public, stranger, name)
    # The signature is what a certificate ends with (RFC 5280 §4.1), and both are of one length.
    signature = sign(draft.tbs_certificate_bytes)
    return draft.public_bytes(Encoding.DER)[: -len(draft.signature)] + signature


def _certificate(
    public: rsa.RSAPublicKey, private: rsa.RSAPrivateKey, name: str
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public)
        .serial_number(int.from_bytes(sha256(name.encode()).digest()[:16], "big") | 1)
        .not_valid_before(_BEGIN)
        .not_valid_after(_NEVER)
        # PKCS #1 v1.5 has no salt, so the signature is always the same one.
        .sign(private, hashes.SHA256())
    )


def public_key(pem: bytes) -> CertificatePublicKeyTypes:
    """Take the key out of the first certificate in PEM.  Raises ValueError."""
    return x509.load_pem_x509_certificate(pem).public_key()


def thumbprints(pem: bytes) -> dict[str, str]:
    """Name the first certificate in PEM as headers do (RFC 7515 §4.1.7, §4.1.8); or ValueError."""
    certificate = x509.load_pem_x509_certificate(pem)
    return {
        "x5t": encode(certificate.fingerprint(hashes.SHA1())),  # noqa: S303 - a name, no proof
        "x5t#S256": encode(certificate.fingerprint(hashes.SHA256())),
    }
