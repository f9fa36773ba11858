"""A certificate from an authority: tls_client_auth (RFC 8705 §2.1).

Whoever ends the TLS connection, our own listener or a proxy in front of us, has verified that the
certificate comes from an authority it trusts. Here is looked at whose it is. One that its client
signed itself comes from none, although our own listener has to let those pass that are registered
for ``self_signed_tls_client_auth``: whoever made them wrote into them what they liked.
"""

from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, ClassVar, Self

from tokenward.oauth.errors import InvalidClient
from tokenward.oauth.presented import CERTIFICATE, Presented
from tokenward.server import certificates
from tokenward.server.assertions import Surroundings
from tokenward.server.model import Client

if TYPE_CHECKING:
    from cryptography.x509 import Certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsClientAuth:
    """Settings of a client with a certificate; exactly one of them says whose it must be."""

    methods: ClassVar[frozenset[str]] = frozenset({CERTIFICATE})
    name: ClassVar[str] = "tls_client_auth"

    tls_client_auth_subject_dn: str = ""
    """The subject, as RFC 4514 writes it: `CN=nightly,O=Example`."""

    tls_client_auth_san_dns: str = ""
    """A DNS name among its alternative names."""

    tls_client_auth_san_uri: str = ""
    """A URI among its alternative names, such as a SPIFFE id."""

    tls_client_auth_san_ip: str = ""
    """An IP address among its alternative names."""

    tls_client_auth_san_email: str = ""
    """An email address among its alternative names."""

    _surroundings: Surroundings | None = field(default=None, init=False, repr=False, compare=False)
    _wanted: tuple[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        said = {
            "dn": self.tls_client_auth_subject_dn,
            "dns": self.tls_client_auth_san_dns,
            "uri": self.tls_client_auth_san_uri,
            "ip": self.tls_client_auth_san_ip,
            "email": self.tls_client_auth_san_email,
        }
        wanted = [(kind, value) for kind, value in said.items() if value]
        if len(wanted) != 1:
            raise ValueError(
                "exactly one of tls_client_auth_subject_dn, _san_dns, _san_uri, _san_ip and "
                "_san_email is needed (RFC 8705 §2.1.2)"
            )
        [(kind, value)] = wanted
        if kind == "dn":
            from cryptography.x509 import Name  # noqa: PLC0415 - few clients have one

            try:
                Name.from_rfc4514_string(value)
            except ValueError:
                raise ValueError("tls_client_auth_subject_dn: not a name like CN=a,O=b") from None
        elif kind == "ip":
            try:
                value = str(ip_address(value))
            except ValueError:
                raise ValueError("tls_client_auth_san_ip: not an IP address") from None
        object.__setattr__(self, "_wanted", (kind, value))

    def within(self, surroundings: Surroundings) -> Self:
        """The same, ready to work."""
        ready = replace(self)
        object.__setattr__(ready, "_surroundings", surroundings)
        return ready

    async def authenticate(self, presented: Presented, client: Client) -> str:
        """See whose certificate it is."""
        surroundings = self._surroundings
        if surroundings is None:
            raise RuntimeError("this proof does not work yet")
        shown = certificates.read(presented.certificate)
        if not certificates.in_time(shown, surroundings.clock()):
            raise InvalidClient(detail=f"client {client.id!r}: the certificate has expired")
        if shown.issuer == shown.subject:
            raise InvalidClient(detail=f"client {client.id!r}: nobody vouches for the certificate")
        if not _is(shown, *self._wanted):
            raise InvalidClient(detail=f"client {client.id!r}: the certificate is somebody else's")
        return certificates.thumbprint(presented.certificate)


def _is(certificate: "Certificate", kind: str, wanted: str) -> bool:
    from cryptography import x509  # noqa: PLC0415 - few clients have one

    if kind == "dn":
        return certificate.subject == x509.Name.from_rfc4514_string(wanted)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return False
    match kind:
        case "dns":
            known = [name.lower() for name in names.get_values_for_type(x509.DNSName)]
            return wanted.lower() in known
        case "uri":
            return wanted in names.get_values_for_type(x509.UniformResourceIdentifier)
        case "ip":
            return wanted in [str(one) for one in names.get_values_for_type(x509.IPAddress)]
    return wanted in names.get_values_for_type(x509.RFC822Name)
