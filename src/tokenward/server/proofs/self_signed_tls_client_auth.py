"""A certificate of one's own making: self_signed_tls_client_auth (RFC 8705 §2.2).

No authority vouches for it; it is good because it is exactly one of those that were registered.
"""

from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from tokenward.oauth.errors import InvalidClient
from tokenward.oauth.presented import CERTIFICATE, Presented
from tokenward.server import certificates
from tokenward.server.assertions import Surroundings
from tokenward.server.model import Client


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfSignedTlsClientAuth:
    """Settings of a client that made its certificate itself."""

    methods: ClassVar[frozenset[str]] = frozenset({CERTIFICATE})
    name: ClassVar[str] = "self_signed_tls_client_auth"

    certificates: tuple[str, ...]
    """Its certificates as PEM texts; all of them are valid, until they expire."""

    _surroundings: Surroundings | None = field(default=None, init=False, repr=False, compare=False)
    _known: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.certificates:
            raise ValueError("certificates: at least one is needed")
        try:
            known = frozenset(map(certificates.thumbprint, self.certificates))
        except (InvalidClient, UnicodeError):
            raise ValueError("certificates: one of them is no certificate in PEM") from None
        object.__setattr__(self, "_known", known)

    def within(self, surroundings: Surroundings) -> Self:
        """The same, ready to work."""
        ready = replace(self)
        object.__setattr__(ready, "_surroundings", surroundings)
        return ready

    async def authenticate(self, presented: Presented, client: Client) -> str:
        """See that it is one of the known ones, and that its time has come and is not over."""
        surroundings = self._surroundings
        if surroundings is None:
            raise RuntimeError("this proof does not work yet")
        shown = certificates.read(presented.certificate)
        thumbprint = certificates.thumbprint(presented.certificate)
        if thumbprint not in self._known:
            raise InvalidClient(detail=f"client {client.id!r}: another certificate")
        if not certificates.in_time(shown, surroundings.clock()):
            raise InvalidClient(detail=f"client {client.id!r}: the certificate has expired")
        return thumbprint
