"""A certificate of an authority we list, shown when the connection began: its holder is who asks.

Whoever ends the TLS connection, our own listener or a proxy in front of us, has seen that the
client holds the key (as for ``tls_client_auth``). Here is looked at who signed it, and whose it is.

Law of this module: an authority that is not listed vouches for nobody, whatever was believed on the
way here; nor does a certificate without a name that is wanted, or with two of them.
"""

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, cast

from tokenward.oauth.errors import InvalidClient
from tokenward.server import certificates
from tokenward.server.model import Caller
from tokenward.server.patterns import fits
from tokenward.server.proofs import TooOld, Trusting

if TYPE_CHECKING:
    from cryptography import x509

REMEMBER = 512
"""Certificates that were good."""

# In this order: the first that is wanted is what its holder is called. What * does not cover.
_KINDS = {"san_uri": ":/", "san_dns": ":/.", "san_email": ":/@", "san_ip": "", "dn": ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """Settings of a caller whose people have certificates."""

    listed: ClassVar[bool] = True
    """Somebody said by what name each of them is let in."""

    authorities: tuple[str, ...]
    """Who must have signed their certificates, as PEM texts: the authority itself, not one above
    it. It must be among those that the TLS listener or the proxy believes, too."""

    san_uri: tuple[str, ...] = ()
    """A URI among the alternative names must be one of these: `spiffe://example.org/jobs/*`."""

    san_dns: tuple[str, ...] = ()
    """A DNS name among them: `*.jobs.example.com`, where `*` is without dots."""

    san_email: tuple[str, ...] = ()
    """An email address among them: `*@example.com`."""

    san_ip: tuple[str, ...] = ()
    """An IP address among them, exactly."""

    subject_dn: tuple[str, ...] = ()
    """The subject, exactly, as RFC 4514 writes it: `CN=nightly,O=Example`."""

    _authorities: tuple[Any, ...] = field(init=False, repr=False, compare=False)
    _wanted: dict[str, tuple[str, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.authorities:
            raise ValueError("authorities: at least one is needed")
        try:
            found = [it for pem in self.authorities for it in certificates.authorities(pem)]
        except (ValueError, UnicodeError) as exc:
            known = "may sign" in str(exc)
            said = str(exc) if known else "one of them is no certificate in PEM"
            raise ValueError(f"authorities: {said}") from None
        said_names = {
            "san_uri": self.san_uri,
            "san_dns": tuple(it.lower() for it in self.san_dns),
            "san_email": self.san_email,
            "san_ip": tuple(map(certificates.address, self.san_ip)),
            "dn": tuple(map(certificates.dn, self.subject_dn)),
        }
        wanted = {kind: patterns for kind, patterns in said_names.items() if patterns}
        if not wanted:
            raise ValueError(
                "san_uri: or san_dns, san_email, san_ip or subject_dn is needed; without them "
                "whomever that authority knows would be let in"
            )
        if any("" in patterns for patterns in wanted.values()):
            raise ValueError(f"{next(iter(wanted))}: a name is empty")
        object.__setattr__(self, "_authorities", tuple(found))
        object.__setattr__(self, "_wanted", wanted)

    def trusted(self, trusting: Trusting) -> "CertificateHolders":
        """The proof itself."""
        return CertificateHolders(settings=self, trusting=trusting)

    def authority(self, certificate: "x509.Certificate", now: float) -> "x509.Certificate | None":
        """Which of the authorities signed it, and may still do so."""
        for it in self._authorities:
            if certificates.in_time(it, now) and certificates.signed_by(certificate, it):
                return cast("x509.Certificate", it)
        return None

    def identity(self, names: dict[str, list[str]]) -> list[str] | None:
        """What the holder may be called, of the first kind that is wanted.

        ``None`` unless of each kind that is wanted some name is as wanted.
        """
        found = {
            kind: [name for name in names[kind] if _is_one_of(name, patterns, kind)]
            for kind, patterns in self._wanted.items()
        }
        if not all(found.values()):
            return None
        return sorted(set(found[next(kind for kind in _KINDS if kind in found)]))


def _is_one_of(name: str, patterns: tuple[str, ...], kind: str) -> bool:
    if not (parts := _KINDS[kind]):
        return name in patterns
    return any(name == it or ("*" in it and fits(it, name, parts)) for it in patterns)


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateHolders:
    """Knows whom the certificates of some authorities are for."""

    settings: Certificate
    trusting: Trusting
    _known: "dict[str, tuple[x509.Certificate, x509.Certificate, Caller]]" = field(
        default_factory=dict, init=False, repr=False
    )

    def recall(self, digest: bytes) -> Caller | None:  # noqa: ARG002
        """No token is from here."""
        return None

    async def prove(self, token: str, digest: bytes) -> Caller | None:  # noqa: ARG002
        """No token is from here."""
        return None

    def holder(self, pem: str) -> Caller | None:
        """Whose certificate this is, which was shown when the connection began.

        ``None`` if it is nobody's from here; raises ``InvalidGrant`` if it is not good.
        """
        now = self.trusting.clock()
        known = self._known.get(pem)
        if known is None or not certificates.in_time(known[1], now):
            self._known.pop(pem, None)  # another authority may have the same key for longer
            found = self._found(pem)
            if found is None:
                return None
            if len(self._known) >= REMEMBER:
                self._known.clear()
            known = self._known[pem] = found
        certificate, _, caller = known
        if not certificates.in_time(certificate, now):
            raise TooOld("the certificate is not valid now", detail=self.trusting.told("its time"))
        return caller

    def _found(self, pem: str) -> "tuple[x509.Certificate, x509.Certificate, Caller] | None":
        try:
            certificate = certificates.read(pem)
        except InvalidClient as exc:
            raise self.trusting.refused(exc.detail) from None
        authority = self.settings.authority(certificate, self.trusting.clock())
        if authority is None:
            return None
        names = certificates.names(certificate)
        identity = self.settings.identity(names)
        if identity is None:
            return None
        if len(identity) > 1:
            raise self.trusting.refused(f"several names are wanted: {', '.join(identity)[:200]}")
        thumbprint = certificates.thumbprint(pem)
        claims = {
            **names,
            "dn": names["dn"][0],
            "issuer_dn": certificate.issuer.rfc4514_string(),
            "serial": f"{certificate.serial_number:x}",
            "x5t#S256": thumbprint,
            "sub": identity[0],
        }
        ends = min(certificate.not_valid_after_utc, authority.not_valid_after_utc)
        caller = self.trusting.caller(
            MappingProxyType(claims),
            identity[0],
            expires_at=ends.timestamp(),
            credential=thumbprint,
        )
        return certificate, authority, caller
