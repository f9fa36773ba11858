"""A certificate that a client showed: what it says, and what it is called (RFC 8705)."""

from base64 import urlsafe_b64encode
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING

from tokenward.oauth.errors import InvalidClient

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

REMEMBER = 512


@lru_cache(maxsize=REMEMBER)
def read(pem: str) -> "Certificate":
    """The certificate in a PEM text; raises ``InvalidClient`` if there is none."""
    from cryptography.x509 import load_pem_x509_certificate  # noqa: PLC0415 - few clients have one

    try:
        return load_pem_x509_certificate(pem.encode("ascii"))
    except ValueError:
        raise InvalidClient(detail="the certificate cannot be read") from None


@lru_cache(maxsize=REMEMBER)
def thumbprint(pem: str) -> str:
    """The SHA-256 of the certificate in base64url: ``x5t#S256`` (RFC 8705 §3.1)."""
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

    digest = sha256(read(pem).public_bytes(Encoding.DER)).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


def in_time(certificate: "Certificate", now: float) -> bool:
    """Whether its time has come and is not over; a connection may last longer than it does."""
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return begins.timestamp() <= now <= ends.timestamp()


def may_vouch(pem: str) -> bool:
    """Whether whoever has the key of this certificate could sign others that count like it.

    Only what says that it is no authority is taken for none (RFC 5280 §4.2.1.9); raises
    ``InvalidClient`` if there is no certificate.
    """
    from cryptography.x509 import BasicConstraints, ExtensionNotFound  # noqa: PLC0415

    try:
        return read(pem).extensions.get_extension_for_class(BasicConstraints).value.ca
    except (ExtensionNotFound, ValueError):
        return True
