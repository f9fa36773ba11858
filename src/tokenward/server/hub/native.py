"""The hub by gRPC itself: one port, and the calls that come in there.

Law of this module: as with every port of ours. A stranger costs no more than one message and one
call, whoever comes too often is turned away, and at the end who is about to sign still may. The
library is an extra; it is imported when somebody wants such a port, and after the last fork.
"""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from random import getrandbits
from typing import Any
from urllib.parse import unquote

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # it would print what peers say

import grpc
from grpc import aio

from tokenward.remote.hub.messages import PATHS, Malformed, request
from tokenward.server.http import Received
from tokenward.server.hub.conversation import SAY, STOPPING, held
from tokenward.server.hub.door import HubDoor
from tokenward.server.hub.exchange import (
    CANCELLED,
    DEADLINE_EXCEEDED,
    INVALID_ARGUMENT,
    RESOURCE_EXHAUSTED,
    UNAVAILABLE,
    Refused,
)
from tokenward.server.hub.grpcweb import (
    END,
    LONGEST_MESSAGE,
    LONGEST_METADATA,
    MOST_METADATA,
    PREFIX,
    Said,
)
from tokenward.server.hub.tls import Keys

LEAVE = 2.0
"""Seconds that who is about to sign has, when we stop."""

_OPTIONS = (
    ("grpc.max_receive_message_length", LONGEST_MESSAGE),
    ("grpc.max_metadata_size", LONGEST_METADATA),
    ("grpc.absolute_max_metadata_size", LONGEST_METADATA),
    ("grpc.max_concurrent_streams", 100),
    ("grpc.max_connection_idle_ms", 120_000),
    ("grpc.server_handshake_timeout_ms", 5_000),
)
_STATUS = {one.value[0]: one for one in grpc.StatusCode}

Admit = Callable[[str], int]
"""Seconds that somebody at this address has to wait before asking again; 0 for the welcome."""


@dataclass(slots=True, kw_only=True)
class Listener(grpc.GenericRpcHandler):  # type: ignore[misc]  # the library has no types
    """A port of one hub's."""

    place: str
    """``host:port``"""

    door: HubDoor
    admit: Admit
    keys: Keys | None = None
    """With what TLS is spoken; in the clear if there is none."""

    beside: bool = False
    """Whether other processes of ours have the same port, and the kernel shares calls out."""

    _server: Any = field(default=None, init=False)
    _stopping: "asyncio.Future[None]" = field(init=False, repr=False)
    _stopped: "asyncio.Future[None]" = field(init=False, repr=False)

    async def open(self) -> None:
        """Begin to listen; raises ``OSError`` if the port cannot be had."""
        loop = asyncio.get_running_loop()
        self._stopping, self._stopped = loop.create_future(), loop.create_future()
        options = (*_OPTIONS, ("grpc.so_reuseport", int(self.beside)))
        server = aio.server(options=options, maximum_concurrent_rpcs=2 * self.door.most + 100)
        server.add_generic_rpc_handlers((self,))
        try:
            if self.keys is None:
                server.add_insecure_port(self.place)
            else:
                server.add_secure_port(self.place, self.keys.credentials())
        except RuntimeError:
            said = f"Cannot listen for gRPC on {self.place}: another program uses it, or may alone"
            raise OSError(said) from None
        await server.start()
        self._server = server

    async def close(self) -> None:
        """Let in nobody new, and let those sign who are about to."""
        if self._server is None:
            return
        server, self._server = self._server, None
        ending = asyncio.ensure_future(server.stop(LEAVE + 1))
        self._stopping.set_result(None)
        await asyncio.wait((ending,), timeout=LEAVE)
        self._stopped.set_result(None)
        await ending

    def service(self, handler_call_details: Any) -> Any:
        """The one method there is, by its two names; ``None`` for any other (UNIMPLEMENTED)."""
        if handler_call_details.method not in PATHS:
            return None
        return grpc.stream_stream_rpc_method_handler(self._call)

    async def _call(self, _: Any, context: Any) -> None:
        received = Received(
            "POST", PATHS[0], address=_address(context.peer()), id=f"{getrandbits(64):016x}"
        )
        if self.admit(received.address):
            await context.abort(_STATUS[RESOURCE_EXHAUSTED], "Too many requests from your address")
        door = self.door
        door.present += 1
        try:
            line = _Line(context, door.seconds, self._stopping, self._stopped)
            code, message = await held(door, received, line)
        finally:
            door.present -= 1
        if code:
            await context.abort(_STATUS[code], message)


@dataclass(slots=True)
class _Line:
    """One call."""

    context: Any
    seconds: float
    stopping: "asyncio.Future[None]"
    stopped: "asyncio.Future[None]"
    _begun: bool = False

    async def say(self, message: bytes) -> None:
        """Send a message; the library has a prefix of its own for it."""
        await self.context.write(message[PREFIX:])

    async def hear(self, *, signing: bool) -> Said:
        """What the client says next; raises ``Refused`` when it says nothing in time."""
        if not self._begun:
            self._begun = True
            return _metadata(self.context.invocation_metadata() or ())
        reading = asyncio.ensure_future(self.context.read())
        try:
            await asyncio.wait(
                (reading, self.stopped if signing else self.stopping),
                timeout=self.seconds if signing else SAY,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if not reading.done():
                if self.stopping.done():
                    raise Refused(UNAVAILABLE, STOPPING)
                what = "Challenge deadline exceeded" if signing else "Deadline exceeded"
                raise Refused(DEADLINE_EXCEEDED, what)
        finally:
            reading.cancel()
        return _said(reading)


def _said(reading: "asyncio.Future[Any]") -> Said:
    if reading.cancelled() or reading.exception() is not None:
        raise Refused(CANCELLED, "Cancelled", detail="the client went away")
    message = reading.result()
    if message is aio.EOF:
        return END
    try:
        return request(message)
    except Malformed as exc:
        raise Refused(INVALID_ARGUMENT, "Malformed request", detail=str(exc)) from None


def _metadata(pairs: Any) -> dict[str, str]:
    """What the client says about itself, by name; raises ``Refused``, also for a name twice."""
    said: dict[str, str] = {}
    for name, value in pairs:
        if name in said or not isinstance(value, str) or len(said) > MOST_METADATA:
            raise Refused(INVALID_ARGUMENT, "Malformed request", detail="metadata twice, or none")
        said[name] = value
    return said


def _address(peer: str) -> str:
    """The address of ``ipv4:192.0.2.1:4711`` or ``ipv6:[2001:db8::1]:4711``."""
    kind, _, rest = unquote(peer).partition(":")
    host = rest.rpartition(":")[0]
    return host.strip("[]") if kind in ("ipv4", "ipv6") else ""
