"""POST /introspect: a resource server asks about a token it was shown (RFC 7662)."""

from dataclasses import dataclass, field
from typing import ClassVar

import orjson

from tokenward.jose.jwt import Claims
from tokenward.oauth.errors import OAuthError
from tokenward.server.audit import Audit
from tokenward.server.endpoints import NEVER
from tokenward.server.endpoints.about import asked_about
from tokenward.server.endpoints.token import HEADERS
from tokenward.server.http import Answer, Received
from tokenward.server.ours import Ours, client_of, scope_of
from tokenward.server.profiles import Profile
from tokenward.server.registry import Registry
from tokenward.verifier.verifier import REMEMBER

INACTIVE = Answer(200, HEADERS, b'{"active":false}')


@dataclass(frozen=True, slots=True, kw_only=True)
class IntrospectionEndpoint:
    """The introspection endpoint of one issuer."""

    issuer: str
    """Its name."""

    ours: Ours
    profile: Profile
    registry: Registry
    audit: Audit
    _told: dict[int, tuple[Claims, Answer]] = field(default_factory=dict, init=False, repr=False)
    """The answers about live tokens, by the id of their claims, which are held here."""

    methods: ClassVar[frozenset[str]] = frozenset({"POST"})
    cors: ClassVar[str] = NEVER

    async def answer(self, received: Received) -> Answer:
        """What the token says, to those who may know; to all others it is inactive (§2.2)."""
        try:
            async with self.audit.event("introspection", received) as event:
                client, token, digest = await asked_about(
                    received, self.registry, event, issuer=self.issuer, public=False
                )
                claims = await self.ours.seen_by(client, token, digest)
        except OAuthError as exc:
            raise self.profile.spoken(exc) from None
        return INACTIVE if claims is None else self._active(claims)

    def _active(self, claims: Claims) -> Answer:
        """What the claims say; the same token has the same claims for as long as it is known."""
        known = self._told.get(id(claims))
        if known is not None and known[0] is claims:
            return known[1]
        said = {
            **claims,
            "active": True,
            "token_type": "Bearer",
            "client_id": client_of(claims),
            "scope": scope_of(claims),
        }
        answer = Answer(200, HEADERS, orjson.dumps(said))
        if len(self._told) >= REMEMBER:
            self._told.clear()
        self._told[id(claims)] = claims, answer
        return answer
