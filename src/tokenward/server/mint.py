"""Tokens of our own, signed with our own key (RFC 9068)."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from tokenward.clock import Clock
from tokenward.oauth.errors import InvalidGrant
from tokenward.oauth.messages import ACCESS_TOKEN, JWT, AccessToken
from tokenward.server.model import Authorization, Caller
from tokenward.server.profiles import Profile

OURS = frozenset({ACCESS_TOKEN, JWT})


class Signer(Protocol):
    """The current key of one issuer."""

    def sign(self, claims: Mapping[str, object], *, typ: str) -> str:
        """The claims as a compact JWS (RFC 7515 §3.1)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Mint:
    """One token of ours: one issuer, one audience."""

    issuer: str
    audience: str
    profile: Profile
    signer: Signer
    lifetime: float
    """Seconds; less if the rule or the caller's own proof says less."""

    clock: Clock

    async def issue(self, authorization: Authorization) -> AccessToken:
        """A signed token; raises ``InvalidGrant`` if the caller's proof has less than a second."""
        grant, now = authorization.grant, int(self.clock())
        life = min(self.lifetime, authorization.lifetime, grant.caller.expires_at - now)
        if grant.actor:
            life = min(life, grant.actor.expires_at - now)
        if life < 1:
            raise InvalidGrant("the token has expired", detail="nothing is left of its lifetime")
        expires_at = now + int(life)
        claims: dict[str, object] = {
            "iss": self.issuer,
            "aud": self.audience,
            "exp": expires_at,
            "iat": now,
            "jti": secrets.token_urlsafe(16),
            **self.profile.claims(authorization),
        }
        if grant.actor:
            claims["act"] = _act(grant.actor, grant.caller)
        value = self.signer.sign(claims, typ=self.profile.typ)
        return AccessToken(
            value=value, expires_at=expires_at, scope=authorization.scope, types=OURS
        )


def _act(actor: Caller, caller: Caller) -> dict[str, object]:
    """Who acts now, and inside, who acted before (RFC 8693 §4.1)."""
    act: dict[str, object] = {"sub": actor.subject}
    if isinstance(before := caller.claims.get("act"), Mapping):
        act["act"] = dict(before)
    return act
