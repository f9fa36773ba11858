"""POST /revoke: a client gives a token back before its time (RFC 7009)."""

from dataclasses import dataclass
from typing import ClassVar

from tokenward.oauth.errors import OAuthError, UnauthorizedClient
from tokenward.server.audit import Audit
from tokenward.server.endpoints import REGISTERED
from tokenward.server.endpoints.about import asked_about
from tokenward.server.endpoints.token import HEADERS
from tokenward.server.http import Answer, Received
from tokenward.server.ours import Ours, client_of
from tokenward.server.profiles import Profile
from tokenward.server.registry import Registry

DONE = Answer(200, HEADERS, b"{}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationEndpoint:
    """The revocation endpoint of one issuer."""

    issuer: str
    """Its name."""

    ours: Ours
    profile: Profile
    registry: Registry
    audit: Audit
    methods: ClassVar[frozenset[str]] = frozenset({"POST"})
    cors: ClassVar[str] = REGISTERED

    async def answer(self, received: Received) -> Answer:
        """Done, also for a token that nobody knows: it is of no use now either (§2.2).

        The token is not believed any more by the time the answer leaves. A token that was given
        to another client is refused (§2.1).
        """
        try:
            async with self.audit.event("revocation", received) as event:
                client, token, digest = await asked_about(
                    received, self.registry, event, issuer=self.issuer, public=True
                )
                if (claims := self.ours.read(token, digest)) is not None:
                    if client_of(claims) != client.id:
                        raise UnauthorizedClient("the token was issued to another client")
                    await self.ours.revoke(claims)
        except OAuthError as exc:
            raise self.profile.spoken(exc) from None
        return DONE
