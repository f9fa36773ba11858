"""The two messages of getToken, as protobuf: read strictly, written as everybody writes them.

    message GetTokenRequest { oneof payload { string key = 1;      bytes  signature = 2; } }
    message GetTokenReply   { oneof payload { bytes challenge = 1; string token = 2;     } }

Law of this module: no I/O. Whatever bytes a stranger sends, out comes what they say or
``Malformed``, which quotes nothing of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from tokenward.jose.multibase import numbered

PATHS = ("/threads.pb.API/GetToken", "/threads.net.pb.API/GetToken")
"""Where it is asked for; the second is a twin of the first."""

_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5
_LONGEST_VARINT = 10
_FIRST, _SECOND = 1, 2


class Malformed(ValueError):
    """This is nothing that the other side would say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """``GetTokenRequest``: one of the two, or neither."""

    key: str = ""
    signature: bytes = b""

    def to_bytes(self) -> bytes:
        """As it goes over the wire; with neither it is empty."""
        if self.key:
            return _member(_FIRST, self.key.encode())
        return _member(_SECOND, self.signature) if self.signature else b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """``GetTokenReply``: one of the two, or neither."""

    challenge: bytes = field(default=b"", repr=False)
    token: str = field(default="", repr=False)

    def to_bytes(self) -> bytes:
        """As it goes over the wire; with neither it is empty."""
        if self.challenge:
            return _member(_FIRST, self.challenge)
        return _member(_SECOND, self.token.encode()) if self.token else b""


def request(message: bytes) -> Request:
    """Read ``GetTokenRequest``; raises ``Malformed``. Of a oneof, the last counts."""
    found = Request()
    for number, value in _members(message):
        if number == _FIRST:
            found = Request(key=_text(value))
        elif number == _SECOND:
            found = Request(signature=value)
    return found


def reply(message: bytes) -> Reply:
    """Read ``GetTokenReply``; raises ``Malformed``. Of a oneof, the last counts."""
    found = Reply()
    for number, value in _members(message):
        if number == _FIRST:
            found = Reply(challenge=value)
        elif number == _SECOND:
            found = Reply(token=_text(value))
    return found


def _members(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Those that are bytes or text, by their numbers; the others are passed over."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        if number == 0 or kind not in (_VARINT, _FIXED_64, _BYTES, _FIXED_32):
            raise Malformed("a message that is not protobuf")
        if kind == _VARINT:
            _, at = _varint(message, at)
            continue
        if kind == _BYTES:
            length, at = _varint(message, at)
        else:
            length = 8 if kind == _FIXED_64 else 4
        value, at = message[at : at + length], at + length
        if at > len(message):
            raise Malformed("a message that was cut off")
        if kind == _BYTES:
            yield number, value


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise Malformed("a text that is none") from None


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place, byte in enumerate(data[at : at + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:  # noqa: PLR2004
            return value, at + place + 1
    raise Malformed("a number that has no end")


def _member(number: int, value: bytes) -> bytes:
    return bytes([number << 3 | _BYTES]) + numbered(len(value)) + value
