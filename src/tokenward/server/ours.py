"""Is this a token of ours? Asked by those who want to know about it or to revoke it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tokenward.clock import Clock
from tokenward.jose.jws import InvalidToken
from tokenward.jose.jwt import Claims, Expected, verify
from tokenward.server.denylist import DenyList
from tokenward.server.keyring import Ring
from tokenward.server.model import Client


@dataclass(frozen=True, slots=True, kw_only=True)
class Minted:
    """What introspection has to know about one token there is to ask for."""

    name: str
    audience: str
    introspectors: frozenset[str]
    """The ids of the clients that may introspect it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """The access tokens of one issuer."""

    issuer: str
    """The ``iss``."""

    typ: str
    ring: Ring
    minted: Mapping[str, Minted]
    """By audience."""

    denylist: DenyList
    clock: Clock
    expected: Expected | None = field(init=False)
    """``None`` where nothing is minted, so that no token can be one of ours."""

    def __post_init__(self) -> None:
        if not self.minted:
            object.__setattr__(self, "expected", None)
            return
        expected = Expected(
            issuer=self.issuer,
            audience=tuple(self.minted),
            algorithms=frozenset(key.algorithm for key in self.ring.keys),
            typ=frozenset({self.typ}),
            leeway=0.0,
        )
        object.__setattr__(self, "expected", expected)

    def read(self, token: str) -> Claims | None:
        """The claims of a live token of this issuer; ``None`` for anything else."""
        if self.expected is None:
            return None
        try:
            return verify(token, self.ring.verifying(), self.expected, now=self.clock())
        except InvalidToken:
            return None

    async def seen_by(self, client: Client, token: str) -> Claims | None:
        """The claims, if the token is live, not revoked, and this client may know (RFC 7662 §4)."""
        claims = self.read(token)
        if claims is None or client.id not in self.minted[str(claims["aud"])].introspectors:
            return None
        revoked = await self.denylist.revoked(self.issuer, str(claims["jti"]))
        return None if revoked else claims

    async def revoke(self, claims: Claims) -> None:
        """Believe this token no longer."""
        until = float(str(claims["exp"]))
        await self.denylist.revoke(self.issuer, str(claims["jti"]), until=until)


def client_of(claims: Claims) -> object:
    """The client a token was given to, in whichever dialect it is."""
    return claims.get("client_id", claims.get("cid"))


def scope_of(claims: Claims) -> str:
    """The scope of a token as one string, in whichever dialect it is."""
    said = claims.get("scope", claims.get("scp", ""))
    return " ".join(map(str, said)) if isinstance(said, list | tuple) else str(said)
