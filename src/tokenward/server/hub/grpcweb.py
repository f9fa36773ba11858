"""gRPC-web over a WebSocket, as Textile's clients speak it: metadata, messages, trailers.

A client's first frame is a block of headers; each later one begins with ``00``, and a piece of the
stream of messages follows, or is ``01``, and nothing follows. A message is a flag, a length of four
bytes and protobuf. What a server says are messages too, and trailers, whose flag is ``80``.

Law of this module: no I/O. Whatever bytes a stranger sends, out comes what they say or
``Malformed``, and no more of them are kept than fit into one message.
"""

import re
from collections.abc import Mapping
from enum import Enum
from typing import Final, Literal, TypeAlias

from tokenward.remote.hub.messages import Malformed, Reply, Request, request

__all__ = ["END", "Malformed", "Reader", "Request", "Said", "metadata", "request", "trailers"]

LONGEST_METADATA = 8 * 1024
MOST_METADATA = 64
LONGEST_MESSAGE = 4 * 1024
"""The longest key anybody can have, and its signature, are much shorter."""

LONGEST_FRAME = LONGEST_METADATA
MOST_MESSAGES = 4
"""Two make a conversation."""

_MESSAGE, _END = b"\x00", b"\x01"
_DATA, _TRAILERS = 0x00, 0x80
PREFIX = 5
_NAME = re.compile(r"[0-9a-z_.-]+")
# https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md (Percent-Encoded)
_UNSAID = re.compile(rb"[^ -$&-~]")


class Ended(Enum):
    """The client has said all it has to say."""

    END = "end"


END: Final = Ended.END


Metadata: TypeAlias = Mapping[str, str]
Said: TypeAlias = Metadata | Request | Literal[Ended.END]


class Reader:
    """What one client says, frame by frame."""

    __slots__ = ("_begun", "_ended", "_messages", "_rest")

    def __init__(self) -> None:
        self._begun = self._ended = False
        self._messages = 0
        self._rest = b""

    def feed(self, frame: bytes) -> list[Said]:
        """What this frame completes; raises ``Malformed``."""
        if len(frame) > LONGEST_FRAME:
            raise Malformed("a frame that is too long")
        if self._ended:
            raise Malformed("something after the end")
        if not self._begun:
            self._begun = True
            return [metadata(frame)]
        kind = frame[:1]
        if kind == _MESSAGE:
            self._rest += frame[1:]
            return self._complete()
        if frame != _END:
            raise Malformed("a frame that is neither a message nor the end")
        if self._rest:
            raise Malformed("a message that was cut off")
        self._ended = True
        return [END]

    def _complete(self) -> list[Said]:
        found: list[Said] = []
        while len(self._rest) >= PREFIX:
            length = int.from_bytes(self._rest[1:PREFIX], "big")
            if self._rest[0] != _DATA:
                raise Malformed("a message that is compressed, or none")
            if length > LONGEST_MESSAGE:
                raise Malformed("a message that is too long")
            end = PREFIX + length
            if len(self._rest) < end:
                break
            self._messages += 1
            if self._messages > MOST_MESSAGES:
                raise Malformed("more messages than there is anything to say")
            found.append(request(self._rest[PREFIX:end]))
            self._rest = self._rest[end:]
        return found


def metadata(block: bytes) -> dict[str, str]:
    """The headers of a call, by name in lower case; raises ``Malformed``, also for a name twice."""
    if len(block) > LONGEST_METADATA:
        raise Malformed("too much metadata")
    try:
        lines = [line for line in block.decode("ascii").split("\r\n") if line]
    except UnicodeDecodeError:
        raise Malformed("metadata that is not ASCII") from None
    if len(lines) > MOST_METADATA:
        raise Malformed("too much metadata")
    said: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.lower()
        if not colon or not _NAME.fullmatch(name) or not value.isprintable():
            raise Malformed("metadata that is none")
        if name in said:
            raise Malformed("the same metadata twice")
        said[name] = value.strip(" ")
    return said


# ── what we say ─────────────────────────────────────────────────────────────────────────────────


def challenge(nonce: bytes) -> bytes:
    """``GetTokenReply`` with the bytes to be signed."""
    return _data(Reply(challenge=nonce).to_bytes())


def token(text: str) -> bytes:
    """``GetTokenReply`` with the token."""
    return _data(Reply(token=text).to_bytes())


def trailers(code: int, message: str = "") -> bytes:
    """How the call ended, in gRPC's terms; the connection is to be closed after it."""
    said = f"grpc-status: {code}\r\n".encode()
    if message:
        spoken = _UNSAID.sub(lambda one: b"%%%02X" % one[0][0], message.encode())
        said += b"grpc-message: " + spoken + b"\r\n"
    return bytes([_TRAILERS]) + len(said).to_bytes(4, "big") + said


def _data(message: bytes) -> bytes:
    return bytes([_DATA]) + len(message).to_bytes(4, "big") + message
