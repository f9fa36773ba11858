"""A certificate that a client showed: what it says, and what it is called (RFC 8705)."""

import json
from base64 import urlsafe_b64encode
from binascii import a2b_base64
from functools import lru_cache
from hashlib import sha256
from ipaddress import ip_address
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


def authorities(pem: str) -> list["Certificate"]:
    """The authorities in a PEM text; raises ``ValueError`` for who may not sign certificates."""
    from cryptography import x509  # noqa: PLC0415 - few callers have one

    found = x509.load_pem_x509_certificates(pem.encode("ascii"))
    for one in found:
        try:
            may = one.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        except x509.ExtensionNotFound:
            may = False
        if not may:
            raise ValueError("does not say that it may sign certificates (basicConstraints CA)")
    return found


def signed_by(certificate: "Certificate", authority: "Certificate") -> bool:
    """Whether the authority's key signed it, for somebody who shows it to a server.

    One that may sign others is no client's, nor one that is for something else (RFC 5280 §4.2.1.9
    and §4.2.1.12).
    """
    from cryptography import x509  # noqa: PLC0415 - few callers have one
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.x509.oid import ExtendedKeyUsageOID as Usage  # noqa: PLC0415

    try:
        hashed = certificate.signature_hash_algorithm  # none with Ed25519
        if hashed is not None and hashed.name in _BROKEN:
            return False
        certificate.verify_directly_issued_by(authority)
        said = certificate.extensions
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError, x509.DuplicateExtension):
        return False
    try:
        if said.get_extension_for_class(x509.BasicConstraints).value.ca:
            return False
    except x509.ExtensionNotFound:
        pass  # then it may not
    try:
        usages = set(said.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        return True
    return bool(usages & {Usage.CLIENT_AUTH, Usage.ANY_EXTENDED_KEY_USAGE})


_BROKEN = frozenset({"md5", "sha1"})


def names(certificate: "Certificate") -> dict[str, list[str]]:
    """What it calls its holder: ``dn``, its parts, and the alternative names, by kind."""
    from cryptography import x509  # noqa: PLC0415 - few callers have one
    from cryptography.x509.oid import NameOID  # noqa: PLC0415

    subject = certificate.subject
    found = {"dn": [subject.rfc4514_string()]}
    for kind, oid in (
        ("cn", NameOID.COMMON_NAME),
        ("o", NameOID.ORGANIZATION_NAME),
        ("ou", NameOID.ORGANIZATIONAL_UNIT_NAME),
    ):
        found[kind] = [str(it.value) for it in subject.get_attributes_for_oid(oid)]
    try:
        said = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        said = x509.SubjectAlternativeName([])
    found["san_dns"] = [it.lower() for it in said.get_values_for_type(x509.DNSName)]
    found["san_uri"] = list(said.get_values_for_type(x509.UniformResourceIdentifier))
    found["san_email"] = list(said.get_values_for_type(x509.RFC822Name))
    found["san_ip"] = [str(it) for it in said.get_values_for_type(x509.IPAddress)]
    return found


def dn(written: str) -> str:
    """A subject as certificates have it; raises ``ValueError`` for what is none."""
    from cryptography.x509 import Name  # noqa: PLC0415 - few callers have one

    try:
        return Name.from_rfc4514_string(written).rfc4514_string()
    except ValueError:
        raise ValueError("subject_dn: not a name like CN=a,O=b") from None


def address(written: str) -> str:
    """An IP address as certificates have it; raises ``ValueError`` for what is none."""
    try:
        return str(ip_address(written))
    except ValueError:
        raise ValueError("san_ip: not an IP address") from None


def is_named(said: str, pem: str) -> bool:
    """Whether a ``subject_token`` names this certificate.

    It is its SHA-256 in base64url (``x5t#S256``), or a JSON list that begins with the certificate
    itself in base64 of DER, as clients of Google's token service write it.
    """
    if said == thumbprint(pem):
        return True
    try:
        first = json.loads(said)[0]
        der = a2b_base64(first, strict_mode=True)
    except (ValueError, TypeError, LookupError, RecursionError):
        return False
    return urlsafe_b64encode(sha256(der).digest()).rstrip(b"=").decode() == thumbprint(pem)
