"""Token exchange: somebody else's token for one of ours to give (RFC 8693)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from tokenward.oauth.errors import InvalidGrant, InvalidRequest
from tokenward.oauth.messages import (
    ACCESS_TOKEN,
    ID_TOKEN,
    JWT,
    MTLS,
    TOKEN_EXCHANGE,
    TokenRequest,
)
from tokenward.server.certificates import is_named
from tokenward.server.grants import granted
from tokenward.server.model import NOBODY_ELSE, NOTHING_SHOWN, Caller, Client, Grant, Shown
from tokenward.server.subjects import Subjects

READABLE = frozenset({ACCESS_TOKEN, ID_TOKEN, JWT})
GIVEN = frozenset({ACCESS_TOKEN, JWT, ""})


@dataclass(frozen=True, slots=True)
class TokenExchange:
    """For whoever holds a token of an issuer we trust; never earns a refresh token (§2.2.1)."""

    subjects: Subjects
    forwards: bool = False
    """Whether some upstream wants to see what was shown."""

    name: ClassVar[str] = TOKEN_EXCHANGE

    async def redeem(self, request: TokenRequest, client: Client) -> Grant:
        """The right of whom the subject token speaks of, and of who acts for them (§2.1)."""
        token, kind = request.require("subject_token"), request.require("subject_token_type")
        if kind not in READABLE and kind != MTLS:
            raise InvalidRequest("subject_token_type: must be jwt, access_token, id_token or mtls")
        if request.get("requested_token_type") not in GIVEN:
            raise InvalidRequest("requested_token_type: must be access_token or jwt")
        if kind == MTLS:
            caller = self._holder(token, request.presented.certificate)
        else:
            caller = await self._prove(request, client, token)
        actor = NOBODY_ELSE
        if "actor_token" in request.parameters or "actor_token_type" in request.parameters:
            actor = await self._actor(request, client, caller)
        shown = NOTHING_SHOWN
        if self.forwards and caller.onward:
            # A key of ours, an answer to our question: nobody else is shown those.
            shown = Shown(token, request.get("actor_token") if actor.onward else "")
        return granted(request, client, caller, actor, shown)

    def _holder(self, token: str, certificate: str) -> Caller:
        """Who showed a certificate when the connection began; the token says that it is meant.

        A client may have shown one for other reasons: what it did not name counts for nothing.
        """
        if not certificate:
            raise InvalidRequest("no certificate was shown when the connection began")
        if not is_named(token, certificate):
            raise InvalidRequest("subject_token: must be the x5t#S256 of the certificate shown")
        return self.subjects.holder(certificate)

    async def _actor(self, request: TokenRequest, client: Client, caller: Caller) -> Caller:
        """Who acts for the caller; one parameter without the other is an error (§2.1)."""
        token, kind = request.get("actor_token"), request.get("actor_token_type")
        if not token or not kind:
            raise InvalidRequest("actor_token and actor_token_type go together")
        if kind not in READABLE:
            raise InvalidRequest("actor_token_type: must be jwt, access_token or id_token")
        actor = await self._prove(request, client, token)
        if not may_act(caller, actor):
            raise InvalidGrant("the subject token does not allow this actor")
        return actor

    async def _prove(self, request: TokenRequest, client: Client, token: str) -> Caller:
        return await self.subjects.prove(token, issuer=request.issuer, client=client.id)


def may_act(caller: Caller, actor: Caller) -> bool:
    """Whether the subject token leaves room for this actor: its ``may_act`` claim (§4.4)."""
    allowed = caller.claims.get("may_act")
    if allowed is None:
        return True
    if not isinstance(allowed, Mapping) or not allowed:
        return False
    # A sub is unique within its issuer only: the subject's own, unless another is named.
    wanted = {"iss": caller.claims.get("iss"), **allowed}
    return all(actor.claims.get(name) == value for name, value in wanted.items())
