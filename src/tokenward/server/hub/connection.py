"""One client of the hub, from its first message to the last.

Law of this module: whatever the client does or leaves, the conversation is told to the audit trail
once and ends in trailers, if there is anybody to hear them; and no mistake in one conversation is
felt in another.
"""

import asyncio
import logging
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from tokenward.oauth.errors import OAuthError
from tokenward.server.audit import Event
from tokenward.server.http import Received
from tokenward.server.hub import grpcweb
from tokenward.server.hub.exchange import (
    CANCELLED,
    DEADLINE_EXCEEDED,
    INTERNAL,
    INVALID_ARGUMENT,
    UNAVAILABLE,
    Conversation,
    Issue,
    Listen,
    Look,
    Refused,
    Say,
    Sent,
    status_of,
)
from tokenward.server.hub.grpcweb import Malformed, Said
from tokenward.server.model import Caller
from tokenward.server.proofs.hub_key import UserGroup
from tokenward.server.websocket import Gone, Over, Stopping, WebSocket

SAY = 10.0
"""Seconds for what a client can say at once."""

STOPPING = "The server is stopping"

_log = logging.getLogger("tokenward.server")


class Host(Protocol):
    """Where conversations take place."""

    seconds: float
    """For a signature."""

    def conversation(self, received: Received) -> Conversation:
        """A new one."""
        ...

    def event(self, received: Received) -> Event:
        """What the audit trail is to hear of it."""
        ...

    async def find(self, key: str) -> UserGroup | None:
        """The application with this key."""
        ...

    async def issue(self, caller: Caller, event: Event) -> str:
        """A token for this caller; raises ``OAuthError``."""
        ...


@dataclass(slots=True)
class Call:
    """What one client says and hears."""

    host: Host
    received: Received
    _reader: grpcweb.Reader = field(default_factory=grpcweb.Reader, init=False)
    _said: deque[Said] = field(default_factory=deque, init=False)

    async def __call__(self, socket: WebSocket) -> None:
        """All of it."""
        code, message = 0, ""
        try:
            async with self.host.event(self.received) as event:
                await self._converse(socket, event)
        except OAuthError as exc:
            code, message = status_of(exc)
        except asyncio.CancelledError:
            code, message = UNAVAILABLE, STOPPING
        except Exception:  # noqa: BLE001  whatever it is, the client hears of it
            said = {"request_id": self.received.id}
            _log.exception("a conversation of the hub failed", extra=said)
            code, message = INTERNAL, f"Internal error {self.received.id}"
        socket.say(grpcweb.trailers(code, message))

    async def _converse(self, socket: WebSocket, event: Event) -> None:
        conversation = self.host.conversation(self.received)
        answer: Sent = None
        with suppress(StopIteration):
            while True:
                match conversation.send(answer):
                    case Listen(signing):
                        answer = await self._next(socket, signing=signing)
                    case Look(key):
                        answer = await self.host.find(key)
                    case Say(message):
                        socket.say(message)
                        answer = None
                    case Issue(caller):
                        answer = await self.host.issue(caller, event)

    async def _next(self, socket: WebSocket, *, signing: bool) -> Said:
        """What the client says next; raises ``Refused`` when it says nothing in time."""
        try:
            while not self._said:
                seconds = self.host.seconds if signing else SAY
                message = await socket.hear(seconds, patient=signing)
                self._said.extend(self._reader.feed(message))
        except TimeoutError:
            what = "Challenge deadline exceeded" if signing else "Deadline exceeded"
            raise Refused(DEADLINE_EXCEEDED, what) from None
        except Malformed as exc:
            raise Refused(INVALID_ARGUMENT, "Malformed request", detail=str(exc)) from None
        except Over as exc:
            raise _refused(exc) from None
        return self._said.popleft()


def _refused(over: Over) -> Refused:
    """How it is said in gRPC that there is nothing more to be heard."""
    match over:
        case Gone():
            return Refused(CANCELLED, "Cancelled", detail=str(over))
        case Stopping():
            return Refused(UNAVAILABLE, STOPPING)
        case _:
            return Refused(INVALID_ARGUMENT, "Not a WebSocket", detail=str(over))
