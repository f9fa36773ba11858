"""A conversation of the hub, whatever carries it: from what is said first to how it ends.

Law of this module: whatever the client does or leaves, the conversation is told to the audit trail
once and ends in a number and a word; and no mistake in one conversation is felt in another.
"""

import asyncio
import logging
from contextlib import suppress
from typing import Protocol

from tokenward.oauth.errors import OAuthError
from tokenward.server.audit import Event
from tokenward.server.http import Received
from tokenward.server.hub.exchange import (
    INTERNAL,
    UNAVAILABLE,
    Conversation,
    Issue,
    Listen,
    Look,
    Say,
    Sent,
    status_of,
)
from tokenward.server.hub.grpcweb import Said
from tokenward.server.model import Caller
from tokenward.server.proofs.hub_key import UserGroup

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


class Line(Protocol):
    """What carries one conversation."""

    async def hear(self, *, signing: bool) -> Said:
        """What the client says next; raises ``Refused`` when it says nothing in time."""
        ...

    async def say(self, message: bytes) -> None:
        """Send a message, as gRPC-web has it."""
        ...


async def held(host: Host, received: Received, line: Line) -> tuple[int, str]:
    """All of it; gives how it ended, in gRPC's terms."""
    try:
        async with host.event(received) as event:
            await _converse(host, received, line, event)
    except OAuthError as exc:
        return status_of(exc)
    except asyncio.CancelledError:
        return UNAVAILABLE, STOPPING
    except Exception:  # noqa: BLE001  whatever it is, the client hears of it
        _log.exception("a conversation of the hub failed", extra={"request_id": received.id})
        return INTERNAL, f"Internal error {received.id}"
    return 0, ""


async def _converse(host: Host, received: Received, line: Line, event: Event) -> None:
    conversation = host.conversation(received)
    answer: Sent = None
    with suppress(StopIteration):
        while True:
            match conversation.send(answer):
                case Listen(signing):
                    answer = await line.hear(signing=signing)
                case Look(key):
                    answer = await host.find(key)
                case Say(message):
                    await line.say(message)
                    answer = None
                case Issue(caller):
                    answer = await host.issue(caller, event)
