"""Tokens of an upstream that wants to see a signature of whoever the token is for.

    who asks                           we                            the upstream
    their right, a public key  ──>     may they?    the key   ──>
    a challenge, and its name  <──                            <──    a challenge
    their right, the signature ──>     may they?    the same  ──>
    a token                    <──                            <──    a token

Law of this module: the private key stays with its owner, and the signature is looked at before it
goes on. A challenge is answered once, by whoever was given it, in the time the upstream gives; it
is kept with the conversation that it was asked in, and with that it ends. That conversation is a
connection, so another process cannot go on with it, and says so.
"""

import asyncio
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from tokenward.clock import Clock, now
from tokenward.jose.identity import PublicKey
from tokenward.jose.jws import decode
from tokenward.oauth.errors import (
    InvalidGrant,
    InvalidRequest,
    OAuthError,
    TargetNotAllowed,
    TemporarilyUnavailable,
    TooManyRequests,
)
from tokenward.oauth.messages import AccessToken
from tokenward.remote.fetch import RemoteError
from tokenward.remote.hub.exchange import (
    DEADLINE_EXCEEDED,
    INVALID_ARGUMENT,
    Exchange,
    Hub,
    HubRefused,
)
from tokenward.remote.hub.token import read
from tokenward.server.asking import Counters, Heard, nobody
from tokenward.server.breaker import Breaker, State
from tokenward.server.issuance import Challenge
from tokenward.server.model import Authorization

WITHIN = 55.0
"""Seconds for an answer: a Hub gives a minute, and both ways take some of it."""

MOST_EACH = 8
"""Challenges that one caller may have open."""

MOST = 1_000
"""Challenges that are open in one process."""

DEADLINE = 10.0
"""Seconds for the upstream's part of either request."""

_OVER = "the challenge is over, was answered, or is not yours: ask for a new one"
_ELSEWHERE = "another process of this server asked that: answer on the connection it came on"


@dataclass(slots=True, kw_only=True)
class _Open:
    """A challenge that nobody has answered yet."""

    whose: tuple[str, ...]
    key: PublicKey
    exchange: Exchange
    over: asyncio.TimerHandle


@dataclass(slots=True, kw_only=True)
class Passing:
    """The source of one token."""

    hub: Hub
    lifetime: float
    """Seconds for which a token is good that does not say."""

    clock: Clock = now
    ticks: Callable[[], float] = time.monotonic
    heard: Heard = field(default=nobody, repr=False)
    most: int = MOST
    most_each: int = MOST_EACH
    within: float = WITHIN
    deadline: float = DEADLINE
    counters: Counters = field(default_factory=Counters)
    _here: str = field(default_factory=lambda: secrets.token_hex(6), init=False)
    _open: dict[str, _Open] = field(default_factory=dict, init=False, repr=False)
    _counted: dict[tuple[str, ...], int] = field(default_factory=dict, init=False, repr=False)
    _closing: set[asyncio.Task[None]] = field(default_factory=set, init=False, repr=False)
    _breaker: Breaker = field(init=False)

    def __post_init__(self) -> None:
        self._breaker = Breaker(ticks=self.ticks)

    @property
    def state(self) -> State:
        """Whether the upstream is asked."""
        return self._breaker.state

    async def challenge(self, authorization: Authorization, key: PublicKey) -> Challenge:
        """What the upstream wants to see signed with this key; raises ``OAuthError``."""
        whose = _whose(authorization)
        self._count(whose)
        try:
            exchange = await self._begun(key)
        except BaseException:
            self._uncount(whose)
            raise
        session = f"{self._here}.{secrets.token_urlsafe(24)}"
        loop = asyncio.get_running_loop()
        over = loop.call_later(self.within, self._end, session)
        self._open[session] = _Open(whose=whose, key=key, exchange=exchange, over=over)
        return Challenge(session, exchange.challenge, int(self.within))

    async def issue(self, authorization: Authorization) -> AccessToken:
        """The token for the answer that came with the request; raises ``OAuthError``."""
        answered = authorization.grant.answered
        if not answered:
            raise InvalidRequest(
                "this token is given for the answer to a challenge: POST /challenge asks for one"
            )
        signature = _signature(answered.signature)
        here, _, _ = answered.session.partition(".")
        if here != self._here and len(here) == len(self._here):
            raise InvalidGrant(_ELSEWHERE, detail="a challenge of another process, or of before")
        one = self._open.get(answered.session)
        if one is None or one.whose != _whose(authorization):
            raise InvalidGrant(_OVER)
        self._taken(answered.session)
        try:
            if not one.key.verify(one.exchange.challenge, signature):
                raise InvalidGrant("the signature is not the key's", detail=f"key: {one.key}")
            token = await self._answered(one, signature)
        finally:
            await one.exchange.close()
        self.counters.served += 1
        return token

    def forget(self, at: float) -> None:
        """Nothing: there is no token here that was given before."""

    async def close(self) -> None:
        """End every conversation under way."""
        for session in list(self._open):
            self._end(session)
        if self._closing:
            await asyncio.wait(self._closing)

    # ── the upstream's part ─────────────────────────────────────────────────────────────────────

    async def _begun(self, key: PublicKey) -> Exchange:
        if wait := self._breaker.wait():
            self.counters.refused += 1
            self.heard("refused", None)
            raise _unavailable("it has failed too often", wait)
        self._breaker.begin(self)
        self.counters.asked += 1
        began = self.ticks()
        try:
            async with asyncio.timeout(self.deadline):
                exchange = await self.hub.begin(key.text, now=self.clock())
        except (RemoteError, TimeoutError) as exc:
            if _is_theirs(exc):
                self._breaker.failed(self)
            else:
                self._breaker.succeeded()
            if isinstance(exc, HubRefused) and exc.number == INVALID_ARGUMENT:
                raise InvalidRequest(
                    "public_key: the Hub does not accept it", detail=exc.reason
                ) from None
            raise self._failed(exc, began) from None
        finally:
            self._breaker.abandoned(self)
        self._breaker.succeeded()
        return exchange

    async def _answered(self, one: _Open, signature: bytes) -> AccessToken:
        began, asked = self.ticks(), self.clock()
        try:
            async with asyncio.timeout(self.deadline):
                said = await one.exchange.answer(signature)
            token = read(said, key=one.key, lifetime=self.lifetime, now=asked)
        except (RemoteError, TimeoutError, ValueError) as exc:
            raise self._failed(exc, began) from None
        if token.expires_at <= asked:
            raise self._failed(ValueError(), began)
        self.counters.fetched += 1
        self.counters.latency.took(self.ticks() - began)
        self.heard("fetched", self.ticks() - began)
        return token

    def _failed(self, exc: Exception, began: float) -> OAuthError:
        """What the caller hears: whose fault it is, and never the upstream's own words."""
        self.counters.errors += 1
        self.counters.latency.took(self.ticks() - began)
        self.heard("errors", self.ticks() - began)
        if isinstance(exc, HubRefused) and exc.code == "invalid_grant":
            return InvalidGrant("the Hub does not accept the signature", detail=exc.reason)
        if isinstance(exc, HubRefused) and exc.number == DEADLINE_EXCEEDED:
            return InvalidGrant(_OVER, detail=exc.reason)
        if isinstance(exc, RemoteError):
            code = f": {exc.code}" if exc.code else ""
            return _unavailable(exc.reason + code, exc.retry_after or 0.0)
        late = isinstance(exc, TimeoutError)
        why = "did not answer in time" if late else "gave a token that is none, or another's"
        return _unavailable(f"{self.hub.host} {why}", 0.0)

    # ── what is open ────────────────────────────────────────────────────────────────────────────

    def _count(self, whose: tuple[str, ...]) -> None:
        each = self._counted.get(whose, 0)
        if each >= self.most_each or sum(self._counted.values()) >= self.most:
            raise TooManyRequests(
                "too many challenges are open: answer them first", wait=self.within / 10
            )
        self._counted[whose] = each + 1

    def _uncount(self, whose: tuple[str, ...]) -> None:
        self._counted[whose] -= 1
        if not self._counted[whose]:
            del self._counted[whose]

    def _taken(self, session: str) -> None:
        one = self._open.pop(session)
        one.over.cancel()
        self._uncount(one.whose)

    def _end(self, session: str) -> None:
        """Nobody will answer this one."""
        exchange = self._open[session].exchange
        self._taken(session)
        task = asyncio.ensure_future(_hang_up(exchange))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


async def _hang_up(exchange: Exchange) -> None:
    with suppress(RemoteError, OSError):
        await exchange.close()


def _is_theirs(exc: Exception) -> bool:
    """Whether it would be no better with another key."""
    if isinstance(exc, HubRefused):
        return exc.transient or exc.code == "invalid_client"
    return True


def _whose(authorization: Authorization) -> tuple[str, ...]:
    """Who may answer: the same caller, through the same client, for the same token."""
    grant = authorization.grant
    if grant.certificate:
        raise TargetNotAllowed(
            "this token cannot be bound to a certificate", detail="it is somebody else's"
        )
    return grant.caller.name, grant.caller.subject, grant.client.id, authorization.token


def _signature(said: str) -> bytes:
    try:
        if said:
            return decode(said)
    except ValueError:
        pass
    raise InvalidRequest("signature: must be the signature of the challenge, in base64url")


def _unavailable(why: str, seconds: float) -> TemporarilyUnavailable:
    return TemporarilyUnavailable(
        "the upstream gave no token", detail=why, retry_after=max(5, int(seconds) + 1)
    )
