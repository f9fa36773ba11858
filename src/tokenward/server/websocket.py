"""A WebSocket, from its opening to its last frame; ``websockets`` reads and writes the frames.

Whoever talks on one says ``say`` and ``hear``, and nothing else; what a talk is about is written
where it is at home. The package is an extra and imported when the first of them is opened.

Law of this module: a stranger costs no more than one message and what ``Terms`` say, and hears a
closing frame or is cut off. No extension is ever agreed to, compression neither: what a client
sends is as long as it says, and a few bytes cannot become many.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, TypeAlias, cast

from tokenward.server.http import Received
from tokenward.server.sockets import House

if TYPE_CHECKING:
    from websockets.frames import Frame
    from websockets.protocol import Protocol

LEAVE = 2.0
"""Seconds for the client to hear the end, and, when we stop, to do what it was just asked for."""

MOST_CONTROLS = 32
"""Pings and the like, each of which is answered."""

MOST_PIECES = 64
"""Into which clients cut their messages, all of them together; empty ones count as others do."""

_BITE = 1024
"""Bytes that are read before we see whether there has been enough: frames may be very short."""

SWITCHING = 101
NORMAL, GOING_AWAY, PROTOCOL_ERROR, UNSUPPORTED = 1000, 1001, 1002, 1003
INVALID, INTERNAL = 1007, 1011
"""Why a connection is closed (RFC 6455 §7.4.1)."""

MISSING = "needs the package websockets, an extra: pip install 'tokenward[server,hub]'"

_log = logging.getLogger("tokenward.server")
_frames = logging.getLogger("tokenward.server.websocket")
_frames.setLevel(logging.ERROR)  # what it would say of each frame is what somebody said in private


def installed() -> bool:
    """Whether the package is here."""
    return find_spec("websockets") is not None


class Over(Exception):
    """There is no more to be heard; its words are for the operator."""


class Gone(Over):
    """The client has left."""


class Broken(Over):
    """What the client sent is nothing that a client would send."""


class Stopping(Over):
    """We are about to stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """On which a WebSocket is opened."""

    subprotocol: str = ""
    """Which the client has to offer; empty if there is none."""

    text: bool = False
    """Whether text is spoken, which is told and heard as UTF-8; else bytes."""

    longest: int = 8 * 1024
    """Bytes of a message."""

    most: int = 64 * 1024
    """Bytes of one client, all in all."""


Talk: TypeAlias = "Callable[[WebSocket], Awaitable[None]]"
"""What one of them is for. When it returns, the connection is closed."""


def opened(received: Received, terms: Terms, talk: Talk) -> "WebSocket | None":
    """The WebSocket that this request opens (RFC 6455 §4.2), if that is what it does."""
    from websockets.datastructures import Headers  # noqa: PLC0415 - comes with an extra
    from websockets.exceptions import InvalidHandshake  # noqa: PLC0415
    from websockets.http11 import Request  # noqa: PLC0415
    from websockets.protocol import Protocol, Side, State  # noqa: PLC0415
    from websockets.server import ServerProtocol  # noqa: PLC0415
    from websockets.typing import Subprotocol  # noqa: PLC0415

    fields = Headers()
    try:
        for name, value in received.headers:
            fields[name.decode("latin-1")] = value.decode("latin-1")
    except InvalidHandshake:
        return None
    if "transfer-encoding" in fields or fields.get_all("content-length") not in ([], ["0"]):
        return None  # what follows is a body
    handshake = ServerProtocol(
        subprotocols=[Subprotocol(terms.subprotocol)] if terms.subprotocol else None,
        logger=_frames,
    )
    answer = handshake.accept(Request(received.path, fields, method=received.method))
    if answer.status_code != SWITCHING:
        return None
    protocol = Protocol(Side.SERVER, state=State.OPEN, max_size=terms.longest, logger=_frames)
    return WebSocket(protocol, answer.serialize(), terms, talk)


class WebSocket(asyncio.Protocol):
    """One of them, and what is said on it."""

    transport: asyncio.Transport

    def __init__(self, protocol: "Protocol", opening: bytes, terms: Terms, talk: Talk) -> None:
        self._protocol, self._opening, self._terms, self._talk = protocol, opening, terms, talk
        self._said: deque[bytes] = deque()
        self._parts = b""
        self._waiting: asyncio.Future[None] | None = None
        self._end: Over | None = None
        self._patient = False
        self._bytes = self._controls = self._pieces = 0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, transport: asyncio.Transport, house: House, rest: bytes) -> None:
        """Take over a connection; ``rest`` has arrived already."""
        self.transport, self._house = transport, house
        house.enter(self)
        transport.set_protocol(self)
        transport.write(self._opening)
        loop = asyncio.get_running_loop()
        house.employ(loop.create_task(self._run(), name="tokenward-websocket"))
        if rest:
            self.data_received(rest)

    # ── for whoever talks ───────────────────────────────────────────────────────────────────────

    async def hear(self, seconds: float, *, patient: bool = False) -> bytes:
        """The next message; raises ``Over``, or ``TimeoutError`` when none comes in this time.

        ``patient``: what is waited for is somebody who was just asked for something, so it is
        waited for a moment longer when we are about to stop.
        """
        self._patient = patient
        if not self._said and self._end is None:
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(seconds):
                    await self._waiting
            finally:
                self._waiting = None
        if self._said:
            return self._said.popleft()
        end = cast("Over", self._end)
        raise type(end)(*end.args)  # not itself, which would keep us as long as we keep it

    def say(self, message: bytes) -> None:
        """Send a whole message, if there is anybody to hear it."""
        if self._open():
            if self._terms.text:
                self._protocol.send_text(message)
            else:
                self._protocol.send_binary(message)
            self._flush()

    def close(self, code: int = NORMAL) -> None:
        """Say that this is all; the client closes, or is cut off (RFC 6455 §7.1.1)."""
        if self._open():
            self._protocol.send_close(code)
            self._flush()

    # ── what arrives ────────────────────────────────────────────────────────────────────────────

    def data_received(self, data: bytes) -> None:
        """Read frames, until there is nothing more to be said."""
        self._bytes += len(data)
        if self._bytes > self._terms.most:
            self._stop(Broken("more than anybody has to say"))
            self.transport.abort()
            return
        listening = self._open()
        for at in range(0, len(data), _BITE):
            self._protocol.receive_data(data[at : at + _BITE])
            for frame in cast("list[Frame]", self._protocol.events_received()):
                if listening and self._end is None:
                    self._take(frame)
        if self._protocol.parser_exc is not None:
            self._stop(Broken(f"not a WebSocket: {self._protocol.parser_exc}"))
        self._flush()

    def _take(self, frame: "Frame") -> None:
        kind = frame.opcode.name
        if kind == "CLOSE":
            self._stop(Gone("the client closed"))
        elif kind in ("PING", "PONG"):
            self._controls += 1
            if self._controls > MOST_CONTROLS:
                self._protocol.data_to_send()  # answers to all of them
                self._fail(PROTOCOL_ERROR, "nothing but pings")
        elif kind not in ("CONT", "TEXT" if self._terms.text else "BINARY"):
            self._fail(UNSUPPORTED, "text instead of bytes, or bytes instead of text")
        elif (pieces := self._pieces + (kind == "CONT")) > MOST_PIECES:
            self._fail(PROTOCOL_ERROR, "nothing but pieces")
        else:
            self._pieces = pieces
            self._parts += bytes(frame.data)
            if frame.fin:
                whole, self._parts = self._parts, b""
                self._hand_on(whole)

    def _hand_on(self, message: bytes) -> None:
        if self._terms.text:
            try:
                message.decode()
            except UnicodeDecodeError:
                self._fail(INVALID, "text that is none")
                return
        self._said.append(message)
        self._wake()

    def _fail(self, code: int, why: str) -> None:
        if self._open():
            self._protocol.fail(code)
        self._stop(Broken(why))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """The client is gone."""
        if self._timer is not None:
            self._timer.cancel()
        self._protocol.parser.close()  # which holds what holds it, and so does the other
        self._protocol.parser_exc = None
        self._stop(Gone("the client went away"))
        self._house.leave(self)

    async def _run(self) -> None:
        code = NORMAL
        try:
            await self._talk(self)
        except (Stopping, asyncio.CancelledError):
            code = GOING_AWAY
        except (Over, TimeoutError):
            pass  # whoever talks has nothing to say about it
        except Exception:  # noqa: BLE001  whatever it is, the client is not left waiting
            _log.exception("a talk on a WebSocket failed")
            code = INTERNAL
        self.close(code)

    # ── the rest ────────────────────────────────────────────────────────────────────────────────

    def _open(self) -> bool:
        return self._protocol.state.name == "OPEN" and not self.transport.is_closing()

    def _flush(self) -> None:
        """Send what there is to be sent; after a closing frame, not for long."""
        for data in self._protocol.data_to_send():
            if self.transport.is_closing():
                return
            if data:
                self.transport.write(data)
            elif self._protocol.close_rcvd is not None:
                self.transport.close()  # both have said that this is all
            elif self.transport.can_write_eof():
                self.transport.write_eof()
        if self._timer is None and self._protocol.close_expected():
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(LEAVE, self.transport.abort)

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def _stop(self, end: Over) -> None:
        """Whatever else there is to hear from the client, there is no more of it."""
        if self._end is None:
            self._end = end
            self._wake()

    def shutdown(self) -> None:
        """Be done soon: who was just asked for something may answer, nobody else may."""
        stopping = Stopping("the server is stopping")
        if self._patient:
            asyncio.get_running_loop().call_later(LEAVE, self._stop, stopping)
        else:
            self._stop(stopping)

    def renewed(self) -> None:
        """Others may be believed from now on; who has begun is answered as before."""
