"""Where a hub is found: two paths below its issuer and below any other, that lead to a WebSocket.

Law of this module: the spine decides. What a conversation has shown is a caller, and whether there
is a token for it, and which, the rules say as they do for everybody.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ClassVar

from tokenward.oauth.errors import InvalidRequest
from tokenward.oauth.messages import TOKEN_EXCHANGE, TokenRequest
from tokenward.server.audit import Audit, Event
from tokenward.server.endpoints import NEVER
from tokenward.server.http import JSON, NO_STORE, Answer, Received
from tokenward.server.hub import grpcweb
from tokenward.server.hub.connection import Call
from tokenward.server.hub.exchange import (
    RESOURCE_EXHAUSTED,
    Conversation,
    Refused,
    get_token,
)
from tokenward.server.issuance import Issuance
from tokenward.server.model import Caller, Client, Grant
from tokenward.server.proofs.hub_key import Application, UserGroup
from tokenward.server.websocket import Terms, WebSocket, opened

TERMS = Terms(subprotocol="grpc-websockets", longest=grpcweb.LONGEST_FRAME)
KIND = "hub.getToken"
"""What the audit trail calls a conversation."""

_PLEASE = Answer(
    426,
    (JSON, *NO_STORE, (b"upgrade", b"websocket"), (b"sec-websocket-version", b"13")),
    b'{"error": "upgrade_required", "error_description": "Clients of a hub ask by WebSocket, '
    b'with the subprotocol grpc-websockets"}',
)


@dataclass(frozen=True, slots=True)
class Shown:
    """The right of somebody who has just signed our challenge (a grant type for one request)."""

    caller: Caller
    name: ClassVar[str] = TOKEN_EXCHANGE

    async def redeem(self, request: TokenRequest, client: Client) -> Grant:
        """As an exchange, of a proof that no other request can hold."""
        return Grant(
            caller=self.caller,
            client=client,
            grant_type=self.name,
            issuer=request.issuer,
        )


@dataclass(slots=True, kw_only=True)
class HubDoor:
    """The hub of one issuer."""

    issuer: str
    """Its name."""

    issuance: Issuance
    audit: Audit
    applications: tuple[Application, ...] = field(repr=False)

    seconds: float = 60.0
    """For a signature."""

    most: int = 600
    """Conversations at a time."""

    present: int = 0
    methods: ClassVar[frozenset[str]] = frozenset({"GET"})
    cors: ClassVar[str] = NEVER

    async def answer(self, received: Received) -> Answer:  # noqa: ARG002  as the contract has it
        """To those who do not ask for a WebSocket, or not for one of ours (RFC 9110 §15.5.22)."""
        return _PLEASE

    def upgrade(self, received: Received) -> WebSocket | None:
        """The rest of this connection, if what was received opens a WebSocket of ours."""

        async def talk(socket: WebSocket) -> None:
            self.present += 1
            try:
                await Call(self, received)(socket)
            finally:
                self.present -= 1

        return opened(received, TERMS, talk)

    def conversation(self, received: Received) -> Conversation:
        """A new one; raises ``Refused`` if there are too many."""
        if self.present > self.most:
            raise Refused(RESOURCE_EXHAUSTED, "Too many are about to sign; ask again")
        try:
            origin = received.header(b"origin")
        except InvalidRequest:
            origin = "null"  # two of them are nobody's
        limits = self.issuance.registry.limits

        def guess(key: str) -> Callable[[], None]:
            begun = limits.begin_guess(key, received.address)
            return lambda: limits.forgive(begun, right=True)

        return get_token(origin, guess=guess)

    def event(self, received: Received) -> Event:
        """What the trail is to hear of a conversation."""
        return self.audit.event(KIND, received)

    async def find(self, key: str) -> UserGroup | None:
        """The application with this key."""
        there = self.applications
        # What the configuration says of a key counts, whatever was made besides.
        writer = (app for app in there if app.written is not None and app.written.key == key)
        return next((it for app in (*writer, *there) if (it := app.find(key)) is not None), None)

    async def issue(self, caller: Caller, event: Event) -> str:
        """The token that the rules have for this caller at this issuer."""
        spine = replace(self.issuance, grant_types={TOKEN_EXCHANGE: Shown(caller)})
        request = TokenRequest(TOKEN_EXCHANGE, {}, issuer=self.issuer)
        response = await spine.issue(request, event)
        return response.access_token.value
