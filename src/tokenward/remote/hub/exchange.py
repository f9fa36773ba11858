"""One conversation with a Hub: our key, its challenge, a signature, its token.

    who asks                        the Hub
    metadata            ──────>     is this an application it knows?
    a public key        ──────>
                        <──────     a challenge
    a signature of it   ──────>
                        <──────     a token

Between the challenge and the signature a minute may pass, and whoever signs may be somebody else.
"""

import hmac
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from importlib.util import find_spec
from typing import Protocol
from urllib.parse import urlsplit

from tokenward.jose import multibase
from tokenward.remote.discovery import check_url
from tokenward.remote.fetch import RemoteError
from tokenward.remote.hub.messages import Malformed, Reply, Request, reply

SIGNED_FOR = 60.0
"""Seconds for which the signature of our key's secret is good: it is made for each conversation."""

LONGEST_ANSWER = 128 * 1024
"""Bytes that a Hub may say in one conversation; the longest token we know is half of that."""

CHALLENGE = 32
"""Bytes of a challenge. Nothing else is signed: what is as short is no statement of anybody's."""

CANCELLED, UNKNOWN, INVALID_ARGUMENT, DEADLINE_EXCEEDED, NOT_FOUND = 1, 2, 3, 4, 5
PERMISSION_DENIED, RESOURCE_EXHAUSTED, INTERNAL, UNAVAILABLE, UNAUTHENTICATED = 7, 8, 13, 14, 16
"""How a call may end (https://github.com/grpc/grpc/blob/master/doc/statuscodes.md)."""

_LATER = frozenset({CANCELLED, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, INTERNAL, UNAVAILABLE})
_CODES = {
    UNAUTHENTICATED: "invalid_client",  # no key, or a signature of its secret that does not fit
    NOT_FOUND: "invalid_client",  # a key that it does not know
    PERMISSION_DENIED: "access_denied",
    INVALID_ARGUMENT: "invalid_request",
    RESOURCE_EXHAUSTED: "temporarily_unavailable",
    UNAVAILABLE: "temporarily_unavailable",
    INTERNAL: "server_error",
}
_SIGNED = frozenset({UNKNOWN, INVALID_ARGUMENT, PERMISSION_DENIED})
"""What a Hub says of a signature that is not the key's."""

_KEY = re.compile(r"b[a-z2-7]+")


class HubRefused(RemoteError):
    """The Hub ended the conversation, and said by a number why; its words are not repeated."""

    def __init__(self, host: str, number: int, *, signed: bool = False) -> None:
        code = "invalid_grant" if signed and number in _SIGNED else _CODES.get(number, "")
        super().__init__(
            f"{host} ended the conversation with gRPC status {number}",
            transient=number in _LATER,
            code=code,
        )
        self.number = number


class Line(Protocol):
    """What carries a conversation."""

    async def say(self, message: bytes, *, last: bool = False) -> None:
        """Send a message; raises ``RemoteError``."""
        ...

    async def hear(self) -> bytes:
        """The next message.

        Raises ``HubRefused`` if the Hub ends the conversation instead, or ``RemoteError``.
        """
        ...

    async def close(self) -> None:
        """Hang up, at once."""
        ...


Dial = Callable[[str, Mapping[str, str]], Awaitable[Line]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hub:
    """A Hub, and which application of its we are; raises ``ValueError`` for nonsense.

    What the error says begins with the name of the field.
    """

    url: str
    """`https://host`, and for a WebSocket any path; http on loopback."""

    native: bool = False
    """Whether gRPC itself is spoken there, and no WebSocket."""

    key: str = ""
    """Our user-group key there; nothing for a Hub that wants none."""

    secret: str = field(default="", repr=False)
    """Its secret, if it has one."""

    def __post_init__(self) -> None:
        try:
            parts = check_url(self.url)
        except ValueError as exc:
            raise ValueError(f"url: {exc}") from None
        if parts.query:
            raise ValueError("url: must have no query")
        if self.native and parts.path.strip("/"):
            raise ValueError("url: must have no path: gRPC has its own")
        for name in ("key", "secret"):
            if fault := _misspelled(getattr(self, name)):
                raise ValueError(f"{name}: {fault}")
        if self.secret and not self.key:
            raise ValueError("key: is missing, and there is a secret of it")
        module, extra = ("grpc", "grpc") if self.native else ("websockets", "hub")
        if find_spec(module) is None:
            raise ValueError(f"url: to ask there, install tokenward[{extra}]: {module} is missing")

    @property
    def host(self) -> str:
        """Its name, as operators are told it."""
        return urlsplit(self.url).hostname or "the Hub"

    def metadata(self, now: float) -> dict[str, str]:
        """What says which application we are, good for a minute."""
        if not self.key:
            return {}
        said = {"x-textile-api-key": self.key}
        if self.secret:
            until = datetime.fromtimestamp(now + SIGNED_FOR, UTC)
            message = until.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            mark = hmac.digest(multibase.decode(self.secret), message.encode(), sha256)
            said["x-textile-api-sig-msg"] = message
            said["x-textile-api-sig"] = multibase.encode(mark)
        return said

    async def begin(self, public_key: str, *, now: float) -> "Exchange":
        """Ask for a token for this key: what comes is a challenge; raises ``RemoteError``.

        Has no deadline of its own. Whoever has the exchange answers it or closes it.
        """
        dial = _dial_native if self.native else _dial_websocket
        line = await dial(self.url, self.metadata(now))
        try:
            await line.say(Request(key=public_key).to_bytes())
            challenge = _challenge(await line.hear(), self.host)
        except BaseException:
            await line.close()
            raise
        return Exchange(challenge=challenge, host=self.host, line=line)


@dataclass(slots=True, kw_only=True)
class Exchange:
    """A challenge that waits to be signed, once."""

    challenge: bytes = field(repr=False)
    host: str
    line: Line = field(repr=False)

    async def answer(self, signature: bytes) -> str:
        """The token for this signature of the challenge; raises ``RemoteError``; hangs up."""
        try:
            await self.line.say(Request(signature=signature).to_bytes(), last=True)
            token = _said(await self.line.hear(), self.host).token
        except HubRefused as refused:
            raise HubRefused(self.host, refused.number, signed=True) from None
        finally:
            await self.line.close()
        if not token:
            raise _nonsense(self.host)
        return token

    async def close(self) -> None:
        """Hang up: nobody signs it any more."""
        await self.line.close()


async def _dial_websocket(url: str, metadata: Mapping[str, str]) -> Line:
    from tokenward.remote.hub.websocket import dial  # noqa: PLC0415  another package, half a library

    return await dial(url, metadata)


async def _dial_native(url: str, metadata: Mapping[str, str]) -> Line:
    from tokenward.remote.hub.native import dial  # noqa: PLC0415  another package, and a large one

    return await dial(url, metadata)


def _challenge(message: bytes, host: str) -> bytes:
    challenge = _said(message, host).challenge
    if len(challenge) != CHALLENGE:
        raise _nonsense(host)
    return challenge


def _said(message: bytes, host: str) -> Reply:
    try:
        return reply(message)
    except Malformed:
        raise _nonsense(host) from None


def _nonsense(host: str) -> RemoteError:
    return RemoteError(f"{host} said something that no Hub would say")


def _misspelled(text: str) -> str:
    """What is wrong with a key or a secret; quotes nothing of it."""
    if text and not _KEY.fullmatch(text):
        return "must be base32 with a b before it: only the letters a to z and the digits 2 to 7"
    try:
        multibase.decode(text or "b")
    except ValueError:
        return "is cut off, or not spelled as base32 is: the last characters cannot be right"
    return ""
