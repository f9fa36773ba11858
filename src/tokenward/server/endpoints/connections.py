"""What apps ask about the accounts that their people connect: start, complete, list, disconnect.

Every question is a form with the person's token, from the app as it shows itself at the token
endpoint: its own credentials, or none, with the person's token as the bearer, as at ``getToken``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import orjson

from tokenward.oauth.errors import InvalidRequest, InvalidTarget, OAuthError
from tokenward.oauth.messages import JWT, TOKEN_EXCHANGE, TokenRequest
from tokenward.server.audit import Audit, Event
from tokenward.server.connections.guide import Guide
from tokenward.server.endpoints import REGISTERED, errors
from tokenward.server.endpoints.token import HEADERS, form
from tokenward.server.http import Answer, Received
from tokenward.server.issuance import Issuance
from tokenward.server.model import Grant
from tokenward.server.offline import Status, Whose

Asked = Literal["start", "complete", "list", "disconnect"]

_BEARER = "bearer "


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionsEndpoint:
    """One of the four questions; the same for all apps."""

    asked: Asked
    guide: Guide = field(repr=False)
    issuance: Issuance = field(repr=False)
    audit: Audit
    methods: ClassVar[frozenset[str]] = frozenset({"POST"})
    cors: ClassVar[str] = REGISTERED

    async def answer(self, received: Received) -> Answer:
        """JSON; errors as at the token endpoint, or for a bearer as at an API."""
        by_bearer = received.header(b"authorization").lower().startswith(_BEARER)
        try:
            async with self.audit.event(f"connection_{self.asked}", received) as event:
                request = question(received)
                grant = await self.issuance.redeem(request, event)
                said = await self._said(request, grant, event)
        except OAuthError as exc:
            return errors.bearer(exc, presented=True) if by_bearer else errors.json(exc)
        return Answer(200, HEADERS, orjson.dumps(said))

    async def _said(
        self, request: TokenRequest, grant: Grant, event: Event
    ) -> Mapping[str, object]:
        match self.asked:
            case "start":
                return await self._start(request, grant, event)
            case "complete":
                return await self._complete(request, grant, event)
            case "list":
                return {"connections": await self._list(grant)}
            case "disconnect":
                return await self._disconnect(grant, event)

    async def _start(
        self, request: TokenRequest, grant: Grant, event: Event
    ) -> Mapping[str, object]:
        """A link for the person, if a rule would allow the token that it is about."""
        authorization = event.authorization = self.issuance.policy.decide(grant)
        begun = await self.guide.begin(
            authorization, redirect_uri=request.get("redirect_uri"), state=request.get("state")
        )
        return {"connect_uri": begun.url, "expires_in": int(begun.expires_in)}

    async def _complete(
        self, request: TokenRequest, grant: Grant, event: Event
    ) -> Mapping[str, object]:
        """The connection, if who began is who is there now."""
        journey = await self.guide.completed(grant, request.require("connection_code"))
        event.known["token"] = journey.token
        return _told(journey.token, await self.guide.kept.status(journey.whose))

    async def _list(self, grant: Grant) -> list[Mapping[str, object]]:
        """What this person has connected for this app; with a target, how it is about that one."""
        names = [self._target(grant)] if grant.targets else sorted(self.guide.platforms)
        found = [(name, await self.guide.kept.status(Whose.of(grant, name))) for name in names]
        return [_told(name, one) for name, one in found if one is not None or grant.targets]

    async def _disconnect(self, grant: Grant, event: Event) -> Mapping[str, object]:
        """It is over, whether or not any rule still allows the token."""
        name = event.known["token"] = self._target(grant)
        ended = await self.guide.kept.remove(Whose.of(grant, name))
        if ended is None:
            return {"audience": name, "status": "not_connected"}
        event.known["upstream"] = ended
        return {"audience": name, "status": "disconnected", "upstream": ended}

    def _target(self, grant: Grant) -> str:
        """The one token that is meant; all targets must lead to it (RFC 8707 §2)."""
        targets = self.issuance.policy.targets
        meant = {
            name
            for name in self.guide.platforms
            if all(one in (name, targets[name].audience) for one in grant.targets)
        }
        if not grant.targets and len(meant) != 1:
            raise InvalidTarget("say which connection: audience is required")
        if len(meant) != 1:
            raise InvalidTarget("nobody connects an account for such a token")
        return meant.pop()


def question(received: Received) -> TokenRequest:
    """The exchange that the person's token could be used for; raises ``OAuthError``."""
    shown, pairs = received.header(b"authorization"), form(received) if received.body else []
    if any(name == "grant_type" for name, _ in pairs):
        raise InvalidRequest("grant_type has no meaning here")
    if shown.lower().startswith(_BEARER):
        if any(name == "subject_token" for name, _ in pairs):
            raise InvalidRequest("one of a bearer token and subject_token, not both")
        pairs, shown = [*pairs, ("subject_token", shown[len(_BEARER) :].strip(" "))], ""
    if not any(name == "subject_token_type" and value for name, value in pairs):
        pairs = [*pairs, ("subject_token_type", JWT)]
    return TokenRequest.parse(
        [("grant_type", TOKEN_EXCHANGE), *pairs],
        authorization=shown,
        certificate=received.certificate,
    )


def _told(name: str, status: Status | None) -> Mapping[str, object]:
    if status is None:
        return {"audience": name, "status": "not_connected"}
    said: dict[str, object] = {
        "audience": name,
        "status": "ended" if status.ended else "connected",
        "connected_at": int(status.since),
    }
    return said | ({"scope": str(status.scope)} if status.scope else {})
