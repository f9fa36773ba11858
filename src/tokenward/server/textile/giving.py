"""From whoever has shown who they are to what the rules allow them: a token, a signature, or both.

Law of this module: the spine decides, about each of the two for itself, and the trail hears of
each.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ClassVar

from tokenward.jose.identity import PublicKey
from tokenward.jose.jws import load_object
from tokenward.oauth.errors import AccessDenied, InvalidGrant, InvalidRequest
from tokenward.oauth.messages import JWT, TOKEN_EXCHANGE, TokenRequest
from tokenward.server.audit import Audit, Event
from tokenward.server.grants import granted
from tokenward.server.http import Received
from tokenward.server.issuance import Issuance
from tokenward.server.model import Caller, Client, Grant

TOKEN_EVENT, USERAUTH_EVENT = "textile.token", "textile.userauth"
"""What the audit trail calls them."""


@dataclass(frozen=True, slots=True)
class Known:
    """The right of somebody who has just shown who they are (a grant type for one request)."""

    caller: Caller
    name: ClassVar[str] = TOKEN_EXCHANGE

    async def redeem(self, request: TokenRequest, client: Client) -> Grant:
        """As an exchange, of a proof that no other request can hold."""
        return granted(request, client, self.caller)


@dataclass(frozen=True, slots=True, kw_only=True)
class Giving:
    """What is given at these routes, and to whom."""

    issuance: Issuance
    audit: Audit
    owner: Callable[[PublicKey], Caller | None] = field(repr=False)
    """Whose key this is; ``None`` if nobody's who may come."""

    token: str
    """The name of what people get."""

    userauth: str = ""
    """The name of what is signed for them; ``""`` if nothing is."""

    origins: frozenset[str] = frozenset()
    """The pages that may ask in the name of people with keys."""

    visitor: Caller | None = None
    """Who they are who show nothing; ``None`` if they may have nothing."""

    visiting: frozenset[str] = frozenset()
    """The pages that these may come from."""

    async def to_owner(self, key: PublicKey, event: Event) -> str:
        """The token for the owner of this key, who has just shown to be; raises ``OAuthError``."""
        return await self._known(self._person(key), self.token, event)

    async def user_auth(self, key: PublicKey, event: Event) -> dict[str, object]:
        """The same, and what is signed for them: UserAuth, as Textile's clients have it."""
        async with self.audit.event(USERAUTH_EVENT, event.received) as signing:
            person = self._person(key)
            said = load_object((await self._known(person, self.userauth, signing)).encode())
        return {**said, "token": await self.to_owner(key, event)}

    async def signed(self, bearer: str, event: Event) -> str:
        """What is signed for whom this token speaks of, as JSON; raises ``OAuthError``."""
        meant = {
            "grant_type": TOKEN_EXCHANGE,
            "subject_token": bearer,
            "subject_token_type": JWT,
        }
        request = TokenRequest(TOKEN_EXCHANGE, meant, (self.userauth,))
        return (await self.issuance.issue(request, event)).access_token.value

    async def signed_for_visitor(self, event: Event) -> str:
        """What is signed for who shows nothing, as JSON; raises ``OAuthError``."""
        if self.visitor is None:
            raise InvalidRequest("a bearer token is required")
        mind_origin(event.received, self.visiting)
        return await self._known(self.visitor, self.userauth, event)

    def _person(self, key: PublicKey) -> Caller:
        if (person := self.owner(key)) is None:
            raise InvalidGrant("nobody we trust has this key", detail=f"key: nobody's here: {key}")
        return person

    async def _known(self, caller: Caller, token: str, event: Event) -> str:
        spine = replace(self.issuance, grant_types={TOKEN_EXCHANGE: Known(caller)})
        request = TokenRequest(TOKEN_EXCHANGE, {}, (token,))
        return (await spine.issue(request, event)).access_token.value


def mind_origin(received: Received, origins: frozenset[str]) -> None:
    """See that this is no page, or one of these origins; raises ``AccessDenied``."""
    said = [value for name, value in received.headers if name == b"origin"]
    if said and (len(said) > 1 or said[0].decode("latin-1") not in origins):
        raise Elsewhere


class Elsewhere(AccessDenied):
    """Pages of this origin may not ask here."""

    status = 403
