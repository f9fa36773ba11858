"""Tokens of our own, signed with our own key (RFC 9068)."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from os import urandom

from tokenward.clock import Clock
from tokenward.oauth.errors import InvalidGrant
from tokenward.oauth.messages import ACCESS_TOKEN, JWT, AccessToken
from tokenward.server.model import Authorization, Grant
from tokenward.server.profiles import Profile, Signer

MOST_ACTORS = 8
LONGEST_ACTOR = 200
OURS = frozenset({ACCESS_TOKEN, JWT})


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
        grant, now = authorization.grant, self.clock()
        proved = min(grant.caller.expires_at, grant.actor.expires_at) - now
        most = min(self.lifetime, authorization.lifetime, proved)
        if most < 1:
            raise InvalidGrant("the token has expired", detail="nothing is left of its lifetime")
        issued_at, life = int(now), int(most)
        claims: dict[str, object] = {
            "iss": self.issuer,
            "aud": self.audience,
            "exp": issued_at + life,
            "iat": issued_at,
            "jti": urandom(16).hex(),
            **self.profile.claims(authorization),
        }
        if (grant.actor or "act" in grant.caller.claims) and (act := _act(grant)):
            claims["act"] = act
        if grant.certificate:
            claims["cnf"] = {"x5t#S256": grant.certificate}
        signed = self.signer.sign(claims, typ=self.profile.typ)
        value = signed if isinstance(signed, str) else await signed
        ends = inf if claims["exp"] is None else now + life
        return AccessToken(value=value, expires_at=ends, scope=authorization.scope, types=OURS)


def _act(grant: Grant) -> dict[str, object]:
    """Who acts now, and inside, who acted before (RFC 8693 §4.1); empty if nobody ever did.

    Who acted before is somebody the subject's issuer knows, and named so that nobody can take
    them for one of ours.
    """
    caller, actor = grant.caller, grant.actor
    before: list[str] = []
    acted = caller.claims.get("act")
    while isinstance(acted, Mapping) and len(before) < MOST_ACTORS:
        before.append(f"{caller.name}|{str(acted.get('sub', ''))[:LONGEST_ACTOR]}")
        acted = acted.get("act")
    chain: dict[str, object] = {}
    for sub in [*reversed(before), *([actor.subject] if actor else [])]:
        chain = {"sub": sub, "act": chain} if chain else {"sub": sub}
    return chain
