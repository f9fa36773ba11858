"""POST /introspect: a resource server asks about a token it was shown (RFC 7662)."""

from dataclasses import dataclass
from typing import ClassVar

import orjson

from tokenward.oauth.errors import OAuthError
from tokenward.server.audit import Audit
from tokenward.server.endpoints import NEVER
from tokenward.server.endpoints.about import asked_about
from tokenward.server.endpoints.token import HEADERS
from tokenward.server.http import Answer, Received
from tokenward.server.ours import Ours, client_of, scope_of
from tokenward.server.profiles import Profile
from tokenward.server.registry import Registry

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
    methods: ClassVar[frozenset[str]] = frozenset({"POST"})
    cors: ClassVar[str] = NEVER

    async def answer(self, received: Received) -> Answer:
        """What the token says, to those who may know; to all others it is inactive (§2.2)."""
        try:
            async with self.audit.event("introspection", received) as event:
                client, token = await asked_about(
                    received, self.registry, event, issuer=self.issuer, public=False
                )
                claims = await self.ours.seen_by(client, token)
        except OAuthError as exc:
            raise self.profile.spoken(exc) from None
        if claims is None:
            return INACTIVE
        said = {
            **claims,
            "active": True,
            "token_type": "Bearer",
            "client_id": client_of(claims),
            "scope": scope_of(claims),
        }
        return Answer(200, HEADERS, orjson.dumps(said))
