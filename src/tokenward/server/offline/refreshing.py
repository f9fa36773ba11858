"""One process at a time shows a refresh token, and what came of it is kept before anybody hears.

A lease says whose turn it is. Whoever has it looks again, asks, and keeps the answer in one step
that cannot happen to anything but what was seen; the others wait, and take the access token from
there. Whoever gives up waiting does not take the question with them: an answer on its way is kept.

Law of this module: without a lease nothing is asked. A process that is killed leaves the refresh
token that it showed, and after a few seconds another shows it again.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

import httpx2

from tokenward.clock import Clock
from tokenward.oauth.errors import InteractionRequired
from tokenward.oauth.messages import AccessToken
from tokenward.oauth.scope import Scope
from tokenward.remote.fetch import RemoteError, arun
from tokenward.server.model import Authorization
from tokenward.server.offline import Whose
from tokenward.server.offline.kept import Kept
from tokenward.server.offline.safe import Safe, Seen, new
from tokenward.server.offline.turns import (
    SKEW,
    TO_ANSWER,
    Overtaken,
    Turn,
    Wanted,
    hashed,
    is_over,
    saved,
    settings_of,
)
from tokenward.server.remembered import Asked, Failure
from tokenward.server.sharing import LATEST, SOONEST, Ask, Outcome, Usable
from tokenward.server.stores import Leases, StoreUnavailable
from tokenward.server.upstreams import Lasts

LEASE = 5.0
"""Seconds for which one process may ask; it renews that for as long as it does."""

FAREWELL = 5.0
"""Seconds that an answer on its way has when the server stops."""

LATER = 300.0
"""Seconds after which it may be worth asking again where an operator has to do something."""

T = TypeVar("T")

_log = logging.getLogger("tokenward.server")


@dataclass(slots=True, kw_only=True)
class Refreshing:
    """The stored grants of one token, as its broker sees them: what many share."""

    token: str
    """Its name in the configuration."""

    upstream: Lasts
    safe: Safe
    leases: Leases
    http: httpx2.AsyncClient = field(repr=False)
    clock: Clock
    ticks: Callable[[], float] = time.monotonic
    where: str = field(init=False)
    first: str = field(init=False)
    """The configured refresh token as a hash; ``""`` where people connect accounts."""

    _said: str = field(init=False, repr=False)
    _turns: dict[Wanted, Turn] = field(default_factory=dict, init=False, repr=False)
    _ending: set["asyncio.Task[None]"] = field(default_factory=set, init=False, repr=False)

    def __post_init__(self) -> None:
        parts = ("issuer", "token_endpoint", "client_id")
        self.where = hashed([getattr(self.upstream, part, "") for part in parts])
        self._said = settings_of(self.upstream)
        self.first = hashed(self.upstream.refresh_token) if self.upstream.refresh_token else ""

    def good_for(self, scope: Scope) -> str:
        """What an access token is called that was asked for with this scope: whoever changes a
        setting never gets an old one."""
        return hashed((self._said, scope.tokens))

    def place(self, key: Hashable) -> Wanted:
        """What a broker's key stands for; without more, the one grant of all."""
        if isinstance(key, Wanted):
            return key
        scope = Scope(key) if isinstance(key, frozenset) else Scope()
        return Wanted(Whose(self.token), "", scope, self.good_for(scope))

    async def wanted(self, authorization: Authorization) -> Wanted:
        """The grant of whoever asks; raises ``InteractionRequired`` if there is none."""
        whose, scope = Whose.of(authorization.grant, authorization.token), authorization.scope
        seen = await self.safe.look(whose)
        if seen is None or seen.kept.where != self.where:
            raise InteractionRequired(detail="they have connected no account for this app")
        if seen.kept.ended:
            raise _connect_again()
        if seen.kept.scope and not scope <= seen.kept.scope:
            said = f"the account was connected without {scope - seen.kept.scope}"
            raise InteractionRequired(detail=said[:200])
        return Wanted(whose, seen.kept.id, scope, self.good_for(scope))

    async def outcome(
        self, wanted: Wanted, *, usable: Usable, ask: Ask, deadline: float
    ) -> Outcome:
        """What another process has got, or what comes of asking when it is our turn."""
        loop = asyncio.get_running_loop()
        until = loop.time() + deadline
        try:
            found = await self._found_or_ours(wanted, usable, until)
        except (StoreUnavailable, TimeoutError) as away:
            return Failure(detail=f"its grant cannot be read now: {away}"[:300], asked=False)
        if not isinstance(found, Turn):
            return found
        turn = self._turns[wanted] = found
        turn.renewing = asyncio.create_task(self._renew(turn))
        try:
            outcome = await ask(until - loop.time())
        finally:
            del self._turns[wanted]
            end = asyncio.create_task(self._end(turn))
            self._ending.add(end)
            end.add_done_callback(self._ending.discard)
            if turn.asking is None or turn.asking.done():
                await asyncio.shield(end)
        return self._over(wanted) if turn.seen.kept.ended else outcome

    async def carry(
        self,
        key: Hashable,
        authorization: Authorization,  # noqa: ARG002 - all it says is in the key
        now: float,
        seconds: float,
    ) -> AccessToken:
        """Ask once, in our turn; raises ``RemoteError``, ``Overtaken`` and ``StoreUnavailable``."""
        wanted = self.place(key)
        turn = self._turns[wanted]
        turn.asking = asyncio.create_task(self._refreshed(turn, wanted, now, seconds))
        turn.asking.add_done_callback(_heard)
        return await asyncio.shield(turn.asking)

    async def revoke(self, kept: Kept) -> bool:
        """Tell the platform that it is over; whether there was anywhere to tell.

        Raises ``RemoteError``.
        """
        flow = self.upstream.revoked(kept.refresh_token, now=self.clock())
        return await arun(flow, self.http)

    async def close(self) -> None:
        """Let answers on their way be kept."""
        if ending := [*self._ending]:
            _, late = await asyncio.wait(ending, timeout=FAREWELL)
            for end in late:
                end.cancel()
            await asyncio.wait(ending)

    async def _found_or_ours(self, wanted: Wanted, usable: Usable, until: float) -> Outcome | Turn:
        """What is there, once it is; or our turn to get it."""
        loop = asyncio.get_running_loop()
        pause, try_again = SOONEST, 0.0
        while True:
            found = self._found(wanted, await _soon(self.safe.look(wanted.whose)), usable)
            if not isinstance(found, Seen | None):
                return found
            if loop.time() >= try_again:
                place, ends = wanted.whose.place, self.clock() + LEASE
                number = await _soon(self.leases.hold(place, until=ends))
                if number is not None:
                    # Whoever had it before us may have kept something a moment ago.
                    seen = await _soon(self.safe.look(wanted.whose))
                    again = self._found(wanted, seen, usable)
                    if isinstance(again, Seen | None):
                        begun = again or await self._begun(seen, number)
                        return Turn(place=place, number=number, ends=ends, seen=begun)
                    await _soon(self.leases.release(place, number))
                    return again
                try_again = loop.time() + LEASE / 20
            if loop.time() + pause >= until:
                return Failure(detail="another process asks, and has no answer yet", asked=False)
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, LATEST)

    def _found(self, wanted: Wanted, seen: Seen | None, usable: Usable) -> Outcome | Seen | None:
        """A token, or why there is none; a grant to ask with; nothing, if ours is to be kept."""
        if self.first and (seen is None or seen.kept.is_replaced_by(self.first)):
            return None
        if seen is None or (wanted.id and seen.kept.id != wanted.id):
            return Failure(detail="it was removed just now", asked=False, error=_connect_again)
        if seen.kept.ended:
            return self._over(wanted)
        asked = seen.kept.tokens.get(wanted.good_for)
        if asked is None or asked.wall > self.clock() + SKEW:
            return seen
        age = max(0.0, self.clock() - asked.wall)
        held = usable(Asked(token=asked.token, wall=asked.wall, steady=self.ticks() - age))
        return seen if held is None else held

    async def _begun(self, seen: Seen | None, number: int) -> Seen:
        """Keep the configured refresh token, instead of the one configured before."""
        first = self.upstream.refresh_token
        heir = new(Whose(self.token), self.where, first, now=self.clock(), first=self.first)
        if seen is None:
            begun = await _soon(self.safe.add(heir))
        else:
            begun = await _soon(self.safe.change(seen, seen.kept.replaced(heir)))
        if begun is None:
            await _soon(self.leases.release(heir.whose.place, number))
            raise StoreUnavailable("somebody else keeps a grant at the same place")
        _log.info("tokens.%s: goes on with the refresh token that is configured", self.token)
        return begun

    async def _refreshed(
        self, turn: Turn, wanted: Wanted, now: float, seconds: float
    ) -> AccessToken:
        kept = turn.seen.kept
        if kept.ended or turn.is_over(self.clock()):
            raise Overtaken
        try:
            flow = self.upstream.refreshed(kept.refresh_token, wanted.scope, now=now)
            answer = await arun(flow, self.http, deadline=seconds)
        except RemoteError as fault:
            if is_over(fault):
                _log.error("tokens.%s: the platform has ended a stored grant", self.token)
                await self._save(turn, kept.over(at=self.clock()))
            raise
        asked = None if answer.token is None else Asked(token=answer.token, wall=now, steady=0.0)
        await self._save(
            turn, kept.renewed(answer.refresh_token, wanted.good_for, asked, at=self.clock())
        )
        if answer.token is None:
            raise RemoteError(f"the answer has no usable token: {answer.fault}", status=200)
        return answer.token

    async def _save(self, turn: Turn, kept: Kept) -> None:
        if await saved(self.safe, turn, kept):
            return
        if not kept.ended and await _soon(self.safe.look(kept.whose)) is None:
            with suppress(RemoteError):
                await self.revoke(kept)
        raise Overtaken

    async def _renew(self, turn: Turn) -> None:
        while not turn.lost:
            await asyncio.sleep(LEASE / 5)
            with suppress(StoreUnavailable):
                ends = self.clock() + LEASE
                if await self.leases.renew(turn.place, turn.number, until=ends):
                    turn.ends = ends
                else:
                    turn.lost = True

    async def _end(self, turn: Turn) -> None:
        try:
            if turn.asking is not None:
                await asyncio.wait((turn.asking,))
        finally:
            if turn.asking is not None:
                turn.asking.cancel()
            if turn.renewing is not None:
                turn.renewing.cancel()
        with suppress(StoreUnavailable, TimeoutError):
            await _soon(self.leases.release(turn.place, turn.number))

    def _over(self, wanted: Wanted) -> Failure:
        if wanted.id:
            return Failure(detail="it has ended", asked=False, error=_connect_again)
        said = "the platform has ended this grant: configure another refresh_token"
        return Failure(detail=said, retry_after=LATER, asked=False)


def _connect_again() -> InteractionRequired:
    return InteractionRequired(
        "the account is no longer connected: the person has to connect it again",
        detail="the platform has ended it, or it was removed",
    )


def _heard(task: "asyncio.Task[AccessToken]") -> None:
    if not task.cancelled():
        task.exception()  # whoever waited has been told, or has left


async def _soon(answer: Awaitable[T]) -> T:
    async with asyncio.timeout(TO_ANSWER):
        return await answer
