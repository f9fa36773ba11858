"""One client of the hub, from its first frame to the last.

Law of this module: whatever the client does or leaves, the conversation is told to the audit trail
once and ends in trailers, a closing frame and a closed connection, if there is anybody to hear it;
and no mistake in one conversation is felt in another.
"""

import asyncio
import logging
from collections import deque
from contextlib import suppress
from functools import partial
from typing import Protocol, cast

from tokenward.oauth.errors import OAuthError
from tokenward.server.audit import Event
from tokenward.server.http import Received
from tokenward.server.hub import grpcweb, websocket
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
from tokenward.server.hub.websocket import Broken
from tokenward.server.model import Caller
from tokenward.server.proofs.hub_key import UserGroup
from tokenward.server.sockets import House

SAY = 10.0
"""Seconds for what a client can say at once."""

LEAVE = 2.0
"""Seconds for the client to hear the end, and, when we stop, to sign what it was given."""

MOST_BYTES = 64 * 1024
"""Of one client; a conversation has less than two thousand."""

MOST_CONTROLS = 32
"""Pings and the like, each of which is answered."""

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

    def left(self) -> None:
        """One conversation less."""
        ...


class Connection(asyncio.Protocol):
    """A WebSocket, and the conversation on it."""

    transport: asyncio.Transport

    def __init__(self, host: Host, received: Received, opening: bytes) -> None:
        self._host, self._received, self._opening = host, received, opening
        self._frames = websocket.Incoming(grpcweb.LONGEST_FRAME)
        self._reader = grpcweb.Reader()
        self._said: deque[Said] = deque()
        self._waiting: asyncio.Future[None] | None = None
        self._end: OAuthError | None = None
        self._signing = self._closing = self._deaf = False
        self._bytes = self._controls = 0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, transport: asyncio.Transport, house: House, rest: bytes) -> None:
        """Take over a connection; ``rest`` has arrived already."""
        self.transport, self._house = transport, house
        house.enter(self)
        transport.set_protocol(self)
        transport.write(self._opening)
        loop = asyncio.get_running_loop()
        house.employ(loop.create_task(self._run(), name="tokenward-hub"))
        if rest:
            self.data_received(rest)

    # ── what arrives ────────────────────────────────────────────────────────────────────────────

    def data_received(self, data: bytes) -> None:
        """Read frames, until there is nothing more to be said."""
        self._bytes += len(data)
        if self._bytes > MOST_BYTES:
            self.transport.abort()
        if self._deaf or self._bytes > MOST_BYTES:
            return
        try:
            for frame in self._frames.feed(data):
                self._take(frame)
        except Broken as exc:
            self._stop(Refused(INVALID_ARGUMENT, "Not a WebSocket", detail=str(exc)))
            self._close(exc.code)
            self._deaf = True
            if self.transport.can_write_eof() and not self.transport.is_closing():
                self.transport.write_eof()  # nothing they say from here on can be understood
        except Malformed as exc:
            self._stop(Refused(INVALID_ARGUMENT, "Malformed request", detail=str(exc)))

    def _take(self, frame: websocket.Frame) -> None:
        if frame.opcode == websocket.CLOSE:
            self._stop(Refused(CANCELLED, "Cancelled", detail="the client closed"))
            self._close(websocket.NORMAL)
            self.transport.close()
        elif frame.opcode in (websocket.PING, websocket.PONG):
            self._controls += 1
            if self._controls > MOST_CONTROLS:
                raise Broken(websocket.PROTOCOL_ERROR, "nothing but pings")
            if frame.opcode == websocket.PING and not self._closing:
                self._write(websocket.frame(websocket.PONG, frame.payload))
        elif self._closing or self._end is not None:
            pass  # nobody listens any more
        elif frame.opcode == websocket.TEXT:
            raise Broken(websocket.UNSUPPORTED, "text, where only bytes are understood")
        else:
            self._said.extend(self._reader.feed(frame.payload))
            self._wake()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """The client is gone."""
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
        self._stop(Refused(CANCELLED, "Cancelled", detail="the client went away"))
        self._house.leave(self)
        self._host.left()

    # ── the conversation ────────────────────────────────────────────────────────────────────────

    async def _run(self) -> None:
        code, message = 0, ""
        try:
            async with self._host.event(self._received) as event:
                await self._converse(event)
        except OAuthError as exc:
            code, message = status_of(exc)
        except asyncio.CancelledError:
            code, message = UNAVAILABLE, "The server is stopping"
        except Exception:  # noqa: BLE001  whatever it is, the client hears of it
            said = {"request_id": self._received.id}
            _log.exception("a conversation of the hub failed", extra=said)
            code, message = INTERNAL, f"Internal error {self._received.id}"
        self._say(grpcweb.trailers(code, message))
        self._close(websocket.NORMAL)

    async def _converse(self, event: Event) -> None:
        conversation = self._host.conversation(self._received)
        answer: Sent = None
        with suppress(StopIteration):
            while True:
                match conversation.send(answer):
                    case Listen(signing):
                        answer = await self._next(signing=signing)
                    case Look(key):
                        answer = await self._host.find(key)
                    case Say(message):
                        self._say(message)
                        answer = None
                    case Issue(caller):
                        answer = await self._host.issue(caller, event)

    async def _next(self, *, signing: bool) -> Said:
        """What the client says next; raises ``Refused`` when it says nothing in time."""
        self._signing = signing
        if not self._said and self._end is None:
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(self._host.seconds if signing else SAY):
                    await self._waiting
            except TimeoutError:
                what = "Challenge deadline exceeded" if signing else "Deadline exceeded"
                raise Refused(DEADLINE_EXCEEDED, what) from None
            finally:
                self._waiting = None
        if self._said:
            return self._said.popleft()
        raise cast("OAuthError", self._end)

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def _stop(self, end: OAuthError) -> None:
        """Whatever else there is to hear from the client, there is no more of it."""
        if self._end is None:
            self._end = end
            self._wake()

    # ── what we write ───────────────────────────────────────────────────────────────────────────

    def _say(self, message: bytes) -> None:
        if not self._closing:
            self._write(websocket.frame(websocket.BINARY, message))

    def _write(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(data)

    def _close(self, code: int) -> None:
        """Say that this is all; the client closes, or is cut off (RFC 6455 §7.1.1)."""
        if not self._closing:
            self._closing = True
            self._write(websocket.closing(code))
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(LEAVE, self.transport.abort)

    # ── as one connection among others ──────────────────────────────────────────────────────────

    def shutdown(self) -> None:
        """Be done soon: who is about to sign may, who has not begun to ask may not."""
        stopping = Refused(UNAVAILABLE, "The server is stopping")
        if self._signing:
            asyncio.get_running_loop().call_later(LEAVE, partial(self._stop, stopping))
        else:
            self._stop(stopping)

    def renewed(self) -> None:
        """Others may be believed from now on; who has begun is answered as before."""
