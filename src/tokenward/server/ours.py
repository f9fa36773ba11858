"""Is this a token of ours? Asked by those who want to know about it or to revoke it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tokenward.clock import Clock
from tokenward.jose.jws import InvalidToken
from tokenward.jose.jwt import Claims
from tokenward.server.denylist import DenyList
from tokenward.server.keyring import Ring
from tokenward.server.model import Client
from tokenward.verifier.verifier import Verifier


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
    _verifiers: list[tuple[int, Verifier]] = field(default_factory=list, init=False, repr=False)

    def read(self, token: str, digest: bytes) -> Claims | None:
        """The claims of a live token of this issuer, ``None`` for anything else.

        ``digest`` is the token's SHA-256.
        """
        if not self.minted:
            return None
        verifier = self.verifier()
        try:
            return verifier.recall(digest) or verifier.verify(token)
        except InvalidToken:
            return None

    def verifier(self) -> Verifier:
        """Knows our keys as they are now, and remembers the tokens that it believes by them."""
        generation = self.ring.generation
        if not self._verifiers or self._verifiers[0][0] != generation:
            verifier = Verifier(
                self.issuer,
                tuple(self.minted),
                keys=self.ring.verifying(),
                algorithms={key.algorithm for key in self.ring.keys},
                typ={self.typ},
                leeway=0.0,
                clock=self.clock,
            )
            self._verifiers[:] = [(generation, verifier)]
        return self._verifiers[0][1]

    async def seen_by(self, client: Client, token: str, digest: bytes) -> Claims | None:
        """The claims, if the token is live, not revoked, and this client may know (RFC 7662 §4)."""
        claims = self.read(token, digest)
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
