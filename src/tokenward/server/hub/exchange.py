"""getToken: a key, a challenge, a signature, a token; who says what when.

    client                          server
    metadata            ──────>     is this an application of ours?
    its public key      ──────>
                        <──────     32 random bytes
    its signature       ──────>     whose key is it?  may they?
                        <──────     a token

Law of this module: a generator without I/O. It says what it needs next, and whoever carries it
sends that back. The challenge exists in this conversation alone: it is answered here, once, or not
at all. What is signed is the bare bytes, because the clients sign nothing else.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from os import urandom
from typing import TypeAlias

from tokenward.jose.algorithms import UnusableKey
from tokenward.jose.identity import PublicKey
from tokenward.oauth.errors import (
    AccessDenied,
    InvalidClient,
    InvalidRequest,
    OAuthError,
    TemporarilyUnavailable,
    TooManyRequests,
)
from tokenward.server.hub import grpcweb
from tokenward.server.hub.grpcweb import Request, Said
from tokenward.server.model import Caller
from tokenward.server.proofs.hub_key import Guess, UserGroup, free

BYTES = 32
"""Of a challenge."""

CANCELLED, UNKNOWN, INVALID_ARGUMENT, DEADLINE_EXCEEDED, NOT_FOUND = 1, 2, 3, 4, 5
PERMISSION_DENIED, RESOURCE_EXHAUSTED, INTERNAL, UNAVAILABLE, UNAUTHENTICATED = 7, 8, 13, 14, 16
"""How a call may end (https://github.com/grpc/grpc/blob/master/doc/statuscodes.md)."""

_API_KEY, _SIGNATURE, _MESSAGE = (
    "x-textile-api-key",
    "x-textile-api-sig",
    "x-textile-api-sig-msg",
)
_SESSION = "x-textile-session"


class Refused(AccessDenied):
    """The conversation ends here."""

    def __init__(self, code: int, message: str, *, detail: str = "") -> None:
        super().__init__(message, detail=detail)
        self.code = code


@dataclass(frozen=True, slots=True)
class Listen:
    """Wait for what the client says next; send it back."""

    signing: bool = False
    """Whether it has to sign something first, which may take somebody a while."""


@dataclass(frozen=True, slots=True)
class Look:
    """Find the application with this key; send it back, or ``None``."""

    key: str


@dataclass(frozen=True, slots=True)
class Say:
    """Send this to the client."""

    message: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Issue:
    """Let the spine decide about this caller; send the token back."""

    caller: Caller


Step: TypeAlias = Listen | Look | Say | Issue
Sent: TypeAlias = Said | UserGroup | str | None
Conversation: TypeAlias = Generator[Step, Sent, None]


def get_token(
    origin: str, random: Callable[[int], bytes] = urandom, *, guess: Guess = free
) -> Conversation:
    """One conversation with a page of this origin, or with no page; raises ``OAuthError``."""
    group = yield from _admitted(origin, guess)
    said = yield Listen()
    if not isinstance(said, Request) or not said.key:
        raise Refused(INVALID_ARGUMENT, "Key is required")
    try:
        key = PublicKey.from_string(said.key)
    except UnusableKey as exc:
        raise Refused(INVALID_ARGUMENT, "Key is invalid", detail=f"key: {exc}") from None
    challenge = random(BYTES)
    yield Say(grpcweb.challenge(challenge))
    said = yield Listen(signing=True)
    if not isinstance(said, Request) or not said.signature:
        raise Refused(INVALID_ARGUMENT, "Signature is required")
    if not key.verify(challenge, said.signature):
        raise Refused(UNKNOWN, "bad signature")
    token = yield Issue(group.person(key))
    yield Say(grpcweb.token(str(token)))


def _admitted(origin: str, guess: Guess) -> Generator[Step, Sent, UserGroup]:
    """The application that asks, if it may."""
    metadata = yield Listen()
    if not isinstance(metadata, dict):
        raise Refused(INVALID_ARGUMENT, "Metadata is required")
    key = metadata.get(_API_KEY, "")
    if not key:
        if _SESSION in metadata:
            raise InvalidClient("Invalid session", detail="there are no sessions here")
        raise InvalidClient("Session or API key required")
    group = yield Look(key)
    if not isinstance(group, UserGroup):
        raise Refused(NOT_FOUND, "API key not found or is invalid")
    group.check(metadata.get(_SIGNATURE, ""), metadata.get(_MESSAGE, ""), guess)
    if origin and origin not in group.origins:
        raise Refused(
            PERMISSION_DENIED,
            "Bad authorization",
            detail=f"caller {group.name!r}: pages of this origin may not ask",
        )
    return group


def status_of(problem: OAuthError) -> tuple[int, str]:
    """How a refusal is said in gRPC: its code and its message."""
    match problem:
        case Refused():
            code = problem.code
        case InvalidClient():
            code = UNAUTHENTICATED
        case TooManyRequests():
            code = RESOURCE_EXHAUSTED
        case TemporarilyUnavailable():
            code = UNAVAILABLE
        case InvalidRequest():
            code = INVALID_ARGUMENT
        case _:
            code = PERMISSION_DENIED
    return code, problem.description
