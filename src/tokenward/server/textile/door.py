"""Where a WebSocket of Textile's examples begins: ``/ws/token``, ``/ws/userauth``, and others."""

from dataclasses import dataclass
from typing import ClassVar

from tokenward.oauth.errors import TooManyRequests
from tokenward.server.audit import Event
from tokenward.server.endpoints import NEVER
from tokenward.server.http import JSON, NO_STORE, Answer, Received
from tokenward.server.textile import messages
from tokenward.server.textile.giving import TOKEN_EVENT, Giving, mind_origin
from tokenward.server.textile.messages import Asked
from tokenward.server.textile.talk import Talk
from tokenward.server.websocket import Terms, WebSocket, opened

TERMS = Terms(text=True, longest=messages.LONGEST)

_PLEASE = Answer(
    426,
    (JSON, *NO_STORE, (b"upgrade", b"websocket"), (b"sec-websocket-version", b"13")),
    b'{"error": "upgrade_required", "error_description": "This is asked for by WebSocket"}',
)


@dataclass(slots=True, kw_only=True)
class TextileDoor:
    """One path; all that is said there is said with one client at a time."""

    giving: Giving
    whole: bool
    """Whether whoever asks gets all that Textile's clients want to know, not only the token."""

    seconds: float = 60.0
    """For a signature."""

    most: int = 600
    """WebSockets at a time."""

    present: int = 0
    methods: ClassVar[frozenset[str]] = frozenset({"GET"})
    cors: ClassVar[str] = NEVER

    async def answer(self, received: Received) -> Answer:  # noqa: ARG002  as the contract has it
        """To those who do not ask for a WebSocket (RFC 9110 §15.5.22)."""
        return _PLEASE

    def upgrade(self, received: Received) -> WebSocket | None:
        """The rest of this connection, if what was received opens a WebSocket."""

        async def talk(socket: WebSocket) -> None:
            self.present += 1
            try:
                await Talk(self, received)(socket)
            finally:
                self.present -= 1

        return opened(received, TERMS, talk)

    def event(self, received: Received) -> Event:
        """What the trail is to hear of a question."""
        return self.giving.audit.event(TOKEN_EVENT, received)

    def mind(self, received: Received) -> None:
        """See that the page may ask, and that there are not too many; raises ``OAuthError``."""
        mind_origin(received, self.giving.origins)
        if self.present > self.most:
            raise TooManyRequests("too many are about to sign; ask again")

    async def give(self, asked: Asked, event: Event) -> object:
        """What the owner of this key may have; raises ``OAuthError``."""
        if self.whole:
            return await self.giving.user_auth(asked.key, event)
        return await self.giving.to_owner(asked.key, event)
