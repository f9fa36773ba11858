"""One event per request: opened first, filled in on the way, kept whatever happens.

Law of this module: no token, no secret and no claim is ever in an event. Tokens are named by
their SHA-256, secrets not at all.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from hashlib import sha256
from math import inf
from time import perf_counter
from types import TracebackType
from typing import Protocol, Self

from tokenward.clock import Clock, now
from tokenward.oauth.errors import OAuthError
from tokenward.oauth.messages import AccessToken, TokenRequest
from tokenward.server.http import Received
from tokenward.server.model import UNPROVED, Authorization, Client, Grant, Proved

LONGEST_TEXT = 500
CHALLENGE = "challenge"
"""An event in which somebody may have a token, and is asked something before it is given."""

# What may have a token in it; one pattern for tokens alone would look at the rest of a long text
# again from each place where one might begin, and somebody would send such a text.
_WORD = re.compile(r"[\w.-]+")
_BEGINS = "eyJ"


class Sink(Protocol):
    """Where events are kept."""

    async def record(self, event: dict[str, object]) -> None:
        """Keep it; may wait, never drops. Raises nothing that the caller could mend."""
        ...


@dataclass(slots=True)
class Event:
    """What one request asked for and what became of it."""

    kind: str
    received: Received
    sink: Sink
    clock: Clock
    request: TokenRequest | None = None
    client: Client | None = None
    proved: Proved = UNPROVED
    grant: Grant | None = None
    authorization: Authorization | None = None
    token_sha256: str = ""
    expires_at: float | None = None
    failure: dict[str, str] | None = None
    known: dict[str, str] = field(default_factory=dict)
    """What else is known of it, by the names of the trail: no token, no secret, no claim."""

    tally: "Callable[[Event], None] | None" = None
    _began: float = field(default_factory=perf_counter)

    def issued(self, token: AccessToken) -> None:
        """Note which token left, without keeping the token."""
        self.token_sha256 = token.sha256
        self.expires_at = token.expires_at if token.expires_at < inf else None

    def shown(self, token: str) -> bytes:
        """Note which token was asked about or revoked, without keeping it; its SHA-256."""
        digest = sha256(token.encode(errors="replace")).digest()
        self.token_sha256 = digest.hex()
        return digest

    async def __aenter__(self) -> Self:
        return self

    def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> Awaitable[None]:
        if error is not None:
            self.failure = _failure(error)
        if self.tally is not None:
            self.tally(self)
        return self.sink.record(self.to_json())

    def to_json(self) -> dict[str, object]:
        """The event as a flat JSON object; what is not known is not there."""
        said: dict[str, object] = {
            "time": int(self.clock() * 1_000) / 1_000,
            "event": self.kind,
            "id": self.received.id,
            "outcome": "ok" if self.failure is None else "refused",
        }
        if self.request is not None:
            _asked(self.request, said)
        if self.client is not None and self.client.id:
            said["client"] = self.client.id
            _proved(self.proved, said)
        if self.grant is not None:
            _granted(self.grant, said)
        if self.authorization is not None:
            _agreed(self.authorization, said)
        said |= self.known
        if self.token_sha256:
            said["token_sha256"] = self.token_sha256
        if self.expires_at is not None:
            said["expires_at"] = int(self.expires_at)
        if self.failure is not None:
            said |= self.failure
        if self.received.address:
            said["address"] = self.received.address
        said["ms"] = int((perf_counter() - self._began) * 1_000_000) / 1_000
        return said


def _shown(text: str) -> str:
    """What somebody sent, cut short, and without the token that they put where none belongs."""
    return (_WORD.sub(_masked, text) if _BEGINS in text else text)[:LONGEST_TEXT]


def _masked(word: re.Match[str]) -> str:
    """Without what reads like JSON in base64url and goes on after a dot (RFC 7515 §3.1)."""
    text = word[0]
    at = text.find(_BEGINS)
    return text[:at] + "(a token)" if 0 <= at < text.rfind(".") else text


def _failure(error: BaseException) -> dict[str, str]:
    if isinstance(error, OAuthError):
        detail = error.detail or error.description
        return {"error": error.error, "detail": _shown(detail)}
    if isinstance(error, asyncio.CancelledError):
        return {"error": "cancelled"}
    return {"error": "server_error", "detail": type(error).__name__}


def _asked(request: TokenRequest, said: dict[str, object]) -> None:
    said["grant_type"] = _shown(request.grant_type)
    if request.issuer:
        said["issuer"] = request.issuer
    if request.targets:
        said["targets"] = [_shown(target) for target in request.targets]


def _proved(proved: Proved, said: dict[str, object]) -> None:
    if proved.method:
        said["method"] = proved.method
    if proved.credential:
        said["credential"] = _shown(proved.credential)


def _granted(grant: Grant, said: dict[str, object]) -> None:
    said["caller"], said["subject"] = grant.caller.name, grant.caller.subject
    if credential := grant.caller.credential:
        said["subject_credential"] = credential
    if scope := grant.scope.text:
        said["scope_asked"] = _shown(scope)
    if actor := grant.actor.subject:
        said["actor"] = actor


def _agreed(authorization: Authorization, said: dict[str, object]) -> None:
    said["token"], said["rule"] = authorization.token, authorization.rule
    if scope := authorization.scope.text:
        said["scope"] = scope


@dataclass(frozen=True, slots=True)
class Audit:
    """Opens events."""

    sink: Sink
    clock: Clock = now
    tally: Callable[[Event], None] | None = None
    """Told of every event when it ends."""

    def event(self, kind: str, received: Received) -> Event:
        """An event to be filled in inside ``async with``; recorded when that ends."""
        return Event(kind, received, self.sink, self.clock, tally=self.tally)
