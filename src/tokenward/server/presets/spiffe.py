"""SPIFFE: a JWT-SVID, whose ``sub`` is the SPIFFE ID of a workload in a trust domain.

The specification needs no ``iss``; we do, because we believe issuers. SPIRE writes what its
server's ``jwt_issuer`` says.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from tokenward.server.presets import Whose, untold

# SPIFFE-ID §2.1 and §2.2: lower case; no empty, "." or ".." segments.
_TRUST_DOMAIN = re.compile(r"[a-z0-9._-]{1,255}")
_PATH = re.compile(r"(/(?!\.{1,2}(/|\Z))[A-Za-z0-9._-]+)+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spiffe:
    """``preset = "spiffe"``."""

    trust_domain: str
    """The trust domain whose workloads are believed, such as `example.org`."""

    issuer: str
    """What the `iss` of its JWT-SVIDs is: `jwt_issuer` of the SPIRE server. Its keys come from
    there (SPIRE's OIDC discovery provider), from `jwks_uri` or from `keys`."""

    jwks_uri: ClassVar[str] = ""
    algorithms: ClassVar[frozenset[str]] = frozenset(
        {f"{family}{bits}" for family in ("RS", "ES", "PS") for bits in (256, 384, 512)}
    )
    typ: ClassVar[frozenset[str]] = frozenset({"", "jwt", "jose"})

    def __post_init__(self) -> None:
        if not _TRUST_DOMAIN.fullmatch(self.trust_domain):
            raise ValueError("trust_domain: is a name such as example.org, without spiffe://")

    @property
    def whose(self) -> Whose:
        """A SPIFFE ID of this trust domain, with a path."""
        return Whose(
            missing="must say which workload: the trust domain vouches for all that are in it",
            example=f'claims = {{ sub = "spiffe://{self.trust_domain}/ns/shop/sa/orders" }}',
            said_by={"sub": rf"spiffe://{re.escape(self.trust_domain)}/[^*/]+(/.*)?"},
        )

    def fault(self, claims: Mapping[str, object]) -> str:
        """No SPIFFE ID, or one of another trust domain."""
        if fault := untold(claims, "sub"):
            return fault
        before, sub = f"spiffe://{self.trust_domain}", str(claims["sub"])
        if not sub.startswith(f"{before}/"):
            return "sub: no SPIFFE ID of the trust domain"
        return "" if _PATH.fullmatch(sub, len(before)) else "sub: no path that a SPIFFE ID can have"
