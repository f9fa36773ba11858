"""The server's side of a WebSocket, as far as Textile's clients need it (RFC 6455).

No extension is ever agreed to, compression neither: what a client sends is as long as it says, and
a few bytes cannot become many.

Law of this module: no I/O. Whatever bytes a stranger sends, out come frames or ``Broken``, and no
more of them are kept than fit into one message.
"""

import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from hashlib import sha1
from typing import NamedTuple

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

NORMAL, PROTOCOL_ERROR, UNSUPPORTED, TOO_BIG = 1000, 1002, 1003, 1009
"""Why a connection is closed (§7.4.1)."""

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY = re.compile(rb"[A-Za-z0-9+/]{21}[AQgw]==")
_FINAL, _RESERVED, _OPCODE, _MASKED, _LENGTH = 0x80, 0x70, 0x0F, 0x80, 0x7F
_SHORT, _TWO_BYTES, _EIGHT_BYTES = 125, 126, 127
_MASK = 4


class Broken(Exception):
    """This is no WebSocket any more; ``code`` says why to the client (§7.4.1)."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Frame(NamedTuple):
    """A whole message, or a control frame."""

    opcode: int
    payload: bytes


def switching(headers: Mapping[bytes, bytes], subprotocol: bytes) -> bytes:
    """Our half of the opening handshake (§4.2.2), if theirs asks for this subprotocol; else empty.

    ``headers``: the last of each, by name in lower case.
    """
    key = headers.get(b"sec-websocket-key", b"")
    offered = _listed(headers.get(b"sec-websocket-protocol", b""))
    if (
        b"websocket" not in _listed(headers.get(b"upgrade", b"").lower())
        or b"upgrade" not in _listed(headers.get(b"connection", b"").lower())
        or headers.get(b"sec-websocket-version") != b"13"
        or not _KEY.fullmatch(key)
        or subprotocol not in offered
        or headers.get(b"content-length", b"0") != b"0"
        or b"transfer-encoding" in headers
    ):
        return b""
    accept = b64encode(sha1(key + _GUID, usedforsecurity=False).digest())
    lines = (
        b"HTTP/1.1 101 Switching Protocols",
        b"upgrade: websocket",
        b"connection: Upgrade",
        b"sec-websocket-accept: " + accept,
        b"sec-websocket-protocol: " + subprotocol,
    )
    return b"\r\n".join((*lines, b"", b""))


def _listed(value: bytes) -> list[bytes]:
    return [one.strip() for one in value.split(b",")]


class Incoming:
    """What a client sends, cut into messages of at most ``longest`` bytes."""

    __slots__ = ("_buffer", "_kind", "_longest", "_parts")

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._buffer = bytearray()
        self._parts = b""
        self._kind = 0

    def feed(self, data: bytes) -> Iterator[Frame]:
        """All that is complete now; raises ``Broken`` after what came before the fault."""
        self._buffer += data
        while (found := self._next()) is not None:
            first, payload = found
            opcode, final = first & _OPCODE, bool(first & _FINAL)
            if opcode >= CLOSE:
                yield Frame(opcode, payload)
                continue
            if (opcode == CONTINUATION) is not bool(self._kind):
                raise Broken(PROTOCOL_ERROR, "a message inside another, or a piece of none")
            self._kind = self._kind or opcode
            self._parts += payload
            if len(self._parts) > self._longest:
                raise Broken(TOO_BIG, "a message that is too long")
            if final:
                whole = Frame(self._kind, self._parts)
                self._kind, self._parts = 0, b""
                yield whole

    def _next(self) -> tuple[int, bytes] | None:
        """The next frame's first byte and its payload, once it is whole (§5.2)."""
        buffer = self._buffer
        if len(buffer) < 2:  # noqa: PLR2004
            return None
        first, length, at = buffer[0], buffer[1] & _LENGTH, 2
        opcode = first & _OPCODE
        if first & _RESERVED or opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
            raise Broken(PROTOCOL_ERROR, "a frame of a kind that nobody agreed to")
        if not buffer[1] & _MASKED:
            raise Broken(PROTOCOL_ERROR, "a frame without a mask")
        if opcode >= CLOSE and (length > _SHORT or not first & _FINAL):
            raise Broken(PROTOCOL_ERROR, "a control frame that is too long, or in pieces")
        if length > _SHORT:
            at += 2 if length == _TWO_BYTES else 8
            if len(buffer) < at:
                return None
            least = _TWO_BYTES if length == _TWO_BYTES else 1 << 16
            length = int.from_bytes(buffer[2:at], "big")
            if length < least:
                raise Broken(PROTOCOL_ERROR, "a length that could be written shorter")
        if length > self._longest:
            raise Broken(TOO_BIG, "a frame that is too long")
        begins = at + _MASK
        end = begins + length
        if len(buffer) < end:
            return None
        payload = _unmasked(bytes(buffer[begins:end]), bytes(buffer[at:begins]))
        del buffer[:end]
        return first, payload


def _unmasked(payload: bytes, mask: bytes) -> bytes:
    """§5.3, all bytes at once."""
    length = len(payload)
    repeated = (mask * (length // _MASK + 1))[:length]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")).to_bytes(
        length, "big"
    )


def frame(opcode: int, payload: bytes) -> bytes:
    """One whole frame of ours; a server masks nothing (§5.1)."""
    length = len(payload)
    if length <= _SHORT:
        said = bytes((_FINAL | opcode, length))
    elif length < 1 << 16:
        said = bytes((_FINAL | opcode, _TWO_BYTES)) + length.to_bytes(2, "big")
    else:
        said = bytes((_FINAL | opcode, _EIGHT_BYTES)) + length.to_bytes(8, "big")
    return said + payload


def closing(code: int) -> bytes:
    """The frame that says why we close (§5.5.1)."""
    return frame(CLOSE, code.to_bytes(2, "big"))
