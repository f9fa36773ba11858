"""One client on a WebSocket, from its first message to the last.

Law of this module: one thing after another. What is asked while a challenge is open waits, so that
no answer is taken for another's; and whatever a client says or leaves unsaid, the trail hears of it
once, the client hears why, and nobody else feels it.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from os import urandom
from typing import Protocol

from tokenward.oauth.errors import AccessDenied, InvalidRequest, OAuthError
from tokenward.server.audit import Event
from tokenward.server.http import Received
from tokenward.server.textile import messages
from tokenward.server.textile.messages import Asked, Signed
from tokenward.server.websocket import Over, WebSocket

FIRST, ALL = 10.0, 60.0
"""Seconds for the first question, and for all of them: whoever has more to ask opens another, and
is answered by the settings of then."""

BYTES = 32
"""Of a challenge."""

MOST_FAULTS = 8
"""Errors on one WebSocket, after which it is closed."""

MOST_WAITING = 4
"""Questions that wait until the challenge before them is answered."""

_log = logging.getLogger("tokenward.server")


class Host(Protocol):
    """Where talks take place."""

    seconds: float
    """For a signature."""

    def event(self, received: Received) -> Event:
        """What the audit trail is to hear of a question."""
        ...

    def mind(self, received: Received) -> None:
        """See that whoever opened this WebSocket may; raises ``OAuthError``."""
        ...

    async def give(self, asked: Asked, event: Event) -> object:
        """What the owner of this key may have; raises ``OAuthError``."""
        ...


@dataclass(slots=True)
class Talk:
    """What one client says and hears."""

    host: Host
    received: Received
    random: Callable[[int], bytes] = urandom
    _waiting: deque[Asked] = field(default_factory=deque, init=False)
    _faults: int = field(default=0, init=False)

    async def __call__(self, socket: WebSocket) -> None:
        """All of it; raises ``Over`` and ``TimeoutError`` when there is no more to be heard."""
        loop = asyncio.get_running_loop()
        seconds, over = FIRST, loop.time() + ALL
        while self._faults < MOST_FAULTS and seconds > 0:
            said = self._waiting.popleft() if self._waiting else await socket.hear(seconds)
            try:
                async with self.host.event(self.received) as event:
                    await self._answer(socket, said, event)
            except OAuthError as exc:
                self._faults += 1
                socket.say(messages.error(exc.description))
            except Exception:  # noqa: BLE001  whatever it is, the client hears of it
                self._faults = MOST_FAULTS
                said_of_it = {"request_id": self.received.id}
                _log.exception("a talk on a WebSocket of Textile's failed", extra=said_of_it)
                socket.say(messages.error(f"internal error {self.received.id}"))
            seconds = over - loop.time()

    async def _answer(self, socket: WebSocket, said: bytes | Asked, event: Event) -> None:
        self.host.mind(self.received)
        asked = messages.heard(said) if isinstance(said, bytes) else said
        if not isinstance(asked, Asked):
            raise InvalidRequest("there is no challenge to answer")
        challenge = self.random(BYTES)
        socket.say(messages.challenge(challenge))
        answer = await self._signed(socket)
        if not asked.key.verify(challenge, answer.signature):
            raise AccessDenied("bad signature")
        socket.say(messages.token(await self.host.give(asked, event)))

    async def _signed(self, socket: WebSocket) -> Signed:
        """The answer to the open challenge; raises ``OAuthError`` if there is none in time."""
        try:
            async with asyncio.timeout(self.host.seconds):
                while True:
                    said = messages.heard(await socket.hear(self.host.seconds, patient=True))
                    if isinstance(said, Signed):
                        return said
                    if len(self._waiting) >= MOST_WAITING:
                        raise InvalidRequest("too many at once: answer the challenge first")
                    self._waiting.append(said)
        except TimeoutError:
            raise AccessDenied("challenge deadline exceeded") from None
        except Over as exc:
            raise AccessDenied("cancelled", detail=str(exc)) from None
