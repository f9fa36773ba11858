"""One client of the hub with a WebSocket, from its first message to the last.

Law of this module: the conversation ends in trailers, if there is anybody to hear them.
"""

from collections import deque
from dataclasses import dataclass, field

from tokenward.server.http import Received
from tokenward.server.hub import grpcweb
from tokenward.server.hub.conversation import SAY, STOPPING, Host, held
from tokenward.server.hub.exchange import (
    CANCELLED,
    DEADLINE_EXCEEDED,
    INVALID_ARGUMENT,
    UNAVAILABLE,
    Refused,
)
from tokenward.server.hub.grpcweb import Malformed, Said
from tokenward.server.websocket import Gone, Over, Stopping, WebSocket


@dataclass(slots=True)
class Call:
    """What one client says and hears."""

    host: Host
    received: Received
    _reader: grpcweb.Reader = field(default_factory=grpcweb.Reader, init=False)
    _said: deque[Said] = field(default_factory=deque, init=False)
    _socket: WebSocket = field(init=False)

    async def __call__(self, socket: WebSocket) -> None:
        """All of it."""
        self._socket = socket
        socket.say(grpcweb.trailers(*await held(self.host, self.received, self)))

    async def say(self, message: bytes) -> None:
        """Send a message."""
        self._socket.say(message)

    async def hear(self, *, signing: bool) -> Said:
        """What the client says next; raises ``Refused`` when it says nothing in time."""
        try:
            while not self._said:
                seconds = self.host.seconds if signing else SAY
                message = await self._socket.hear(seconds, patient=signing)
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
