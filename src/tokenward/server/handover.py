"""A connection changes hands: whoever asks for a WebSocket gets one, where there is one.

Law of this module: an offer that nobody takes up changes nothing about a request (RFC 9110 §7.8:
we may ignore it), and who takes over has all that there is of the connection, and is counted.
"""

import asyncio
from dataclasses import dataclass, field
from random import getrandbits
from typing import TYPE_CHECKING, Any

from tokenward.server.asgi import Front
from tokenward.server.bounds import Crowd
from tokenward.server.heads import without_upgrade
from tokenward.server.http import Received
from tokenward.server.sockets import Heir

if TYPE_CHECKING:
    from tokenward.server.guard import Guard


@dataclass(frozen=True, slots=True)
class Lodging:
    """What is to be known of a connection, whoever has it."""

    connections: set[Any] = field(repr=False)
    tasks: set[asyncio.Task[None]] = field(repr=False)
    crowd: Crowd = field(repr=False)
    address: str

    def enter(self, one: Heir) -> None:
        """One more."""
        self.connections.add(one)
        self.crowd.enter(self.address)

    def leave(self, one: Heir) -> None:
        """One less."""
        self.connections.discard(one)
        self.crowd.leave(self.address)

    def employ(self, task: asyncio.Task[None]) -> None:
        """Wait for this before we stop."""
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


def instead(guard: "Guard", rest: bytes) -> bytes:
    """What is left to read, ``rest`` being what came behind an offer of another protocol.

    The request again, without the offer; or nothing, if somebody has taken it up, to whom the
    connection belongs from here on.
    """
    method, version = guard.parser.get_method(), guard.parser.get_http_version()
    if method == b"GET" and version == "1.1" and (heir := _heir(guard)) is not None:
        _hand_over(guard, heir, rest)
        return b""
    return without_upgrade(method, guard.url, version, guard.headers) + rest


def _heir(guard: "Guard") -> Heir | None:
    """Who goes on, if the request asks for something that there is."""
    front: object = guard.app
    if not isinstance(front, Front) or guard.under_way():
        return None
    target, _, query = guard.url.partition(b"?")
    fields = tuple(guard.headers)
    single = dict(fields)
    try:
        path = target.decode("ascii")
    except UnicodeDecodeError:
        return None
    return front.upgrade(
        Received(
            method="GET",
            path=path,
            query=query,
            headers=fields,
            single=single if len(single) == len(fields) else None,
            address=guard.address,
            certificate=guard.certificate,
            id=f"{getrandbits(64):016x}",
        )
    )


class _HandedOver(ConnectionError):
    """For the former owner, the connection is lost."""


def _hand_over(guard: "Guard", heir: Heir, rest: bytes) -> None:
    transport, stopping = guard.transport, guard.stopping
    lodging = Lodging(guard.connections, guard.tasks, guard.crowd, guard.address)
    guard.connection_lost(_HandedOver())  # lets go of everything but the transport
    heir.begin(transport, lodging, rest)
    if stopping:
        heir.shutdown()
