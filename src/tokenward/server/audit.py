"""One event per request: opened first, filled in on the way, kept whatever happens.

Law of this module: no token, no secret and no claim is ever in an event. Tokens are named by
their SHA-256, secrets not at all.
"""

import asyncio
import math
import time
from dataclasses import dataclass, field
from hashlib import sha256
from types import TracebackType
from typing import Protocol, Self

from tokenward.clock import Clock, now
from tokenward.oauth.errors import OAuthError
from tokenward.oauth.messages import AccessToken, TokenRequest
from tokenward.server.http import Received
from tokenward.server.model import Authorization, Client, Grant

LONGEST_TEXT = 500


class Sink(Protocol):
    """Where events are kept."""

    async def record(self, event: dict[str, object]) -> None:
        """Keep it; may wait, never drops. Raises nothing that the caller could mend."""
        ...


@dataclass(slots=True, kw_only=True)
class Event:
    """What one request asked for and what became of it."""

    kind: str
    id: str
    address: str
    sink: Sink
    clock: Clock
    request: TokenRequest | None = None
    client: Client | None = None
    grant: Grant | None = None
    authorization: Authorization | None = None
    token: str = ""
    token_sha256: str = ""
    expires_at: float = math.nan
    error: str = ""
    detail: str = ""
    _began: float = field(default_factory=time.perf_counter)

    def issued(self, token: AccessToken) -> None:
        """Note which token left, without keeping the token."""
        self.token_sha256 = sha256(token.value.encode()).hexdigest()
        self.expires_at = token.expires_at

    def shown(self, token: str) -> None:
        """Note which token was asked about or revoked, without keeping it."""
        self.token_sha256 = sha256(token.encode(errors="replace")).hexdigest()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, OAuthError):
            self.error, self.detail = error.error, error.detail or error.description
        elif isinstance(error, asyncio.CancelledError):
            self.error = "cancelled"
        elif error is not None:
            self.error, self.detail = "server_error", type(error).__name__
        await self.sink.record(self.to_json())

    def to_json(self) -> dict[str, object]:
        """The event as a flat JSON object; what is not known is not there."""
        said: dict[str, object] = {
            "time": round(self.clock(), 3),
            "event": self.kind,
            "id": self.id,
            "outcome": "refused" if self.error else "ok",
        }
        if self.request is not None:
            said["grant_type"] = self.request.grant_type[:LONGEST_TEXT]
            said["issuer"] = self.request.issuer
            said["targets"] = [target[:LONGEST_TEXT] for target in self.request.targets]
        if self.client:
            said["client"] = self.client.id
        if grant := self.grant:
            said["caller"] = grant.caller.name
            said["subject"] = grant.caller.subject
            said["scope_asked"] = str(grant.scope)
            if grant.actor:
                said["actor"] = grant.actor.subject
        if agreed := self.authorization:
            said["token"] = agreed.token
            said["scope"] = str(agreed.scope)
            said["rule"] = agreed.rule
        if self.token_sha256:
            said["token_sha256"] = self.token_sha256
        if not math.isnan(self.expires_at):
            said["expires_at"] = int(self.expires_at)
        if self.error:
            said["error"] = self.error
            said["detail"] = self.detail[:LONGEST_TEXT]
        said["address"] = self.address
        said["ms"] = round((time.perf_counter() - self._began) * 1000, 3)
        return {name: value for name, value in said.items() if value not in ("", [])}


@dataclass(frozen=True, slots=True)
class Audit:
    """Opens events."""

    sink: Sink
    clock: Clock = now

    def event(self, kind: str, received: Received) -> Event:
        """An event to be filled in inside ``async with``; recorded when that ends."""
        return Event(
            kind=kind,
            id=received.id,
            address=received.address,
            sink=self.sink,
            clock=self.clock,
        )
