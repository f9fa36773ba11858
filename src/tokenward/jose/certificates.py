"""Certificates, as envelopes for RSA keys and for nothing else (RFC 7517 §4.7, RFC 5280).

Law: nobody here believes what a certificate says.  The same key gives the same bytes every time,
on every machine, so nothing in it comes from a clock or from chance.
"""

from datetime import UTC, datetime
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

_BEGIN = datetime(2000, 1, 1, tzinfo=UTC)
_NEVER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)  # RFC 5280 §4.1.2.5


def self_signed(private: rsa.RSAPrivateKey, name: str) -> bytes:
    """Wrap the public half into a certificate, in DER.  `name` has at most 64 characters."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private.public_key())
        .serial_number(int.from_bytes(sha256(name.encode()).digest()[:16], "big") | 1)
        .not_valid_before(_BEGIN)
        .not_valid_after(_NEVER)
        # PKCS #1 v1.5 has no salt, so the signature is always the same one.
        .sign(private, hashes.SHA256())
        .public_bytes(Encoding.DER)
    )


def public_key(pem: bytes) -> CertificatePublicKeyTypes:
    """Take the key out of the first certificate in PEM.  Raises ValueError."""
    return x509.load_pem_x509_certificate(pem).public_key()
