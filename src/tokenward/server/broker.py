"""Tokens of somebody else's: asked for once for a crowd, remembered, and asked for again early.

Law of this module: what leaves here is alive, is no wider than was authorized, and no word of an
upstream's leaves with it. As long as the token in memory will do, nothing waits.

A clock that somebody sets keeps no dead token alive: see ``remembered``.
"""

import asyncio
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace

import httpx2

from tokenward.clock import Clock, now
from tokenward.oauth.errors import TargetNotAllowed
from tokenward.oauth.messages import AccessToken
from tokenward.server.asking import Asking, Counters, Heard, nobody
from tokenward.server.breaker import State
from tokenward.server.model import Authorization
from tokenward.server.patience import Patience
from tokenward.server.remembered import SHORTEST_LIFE, Asked, Failure, Held
from tokenward.server.sharing import Shared
from tokenward.server.upstreams import Upstream

REST = 5.0
"""Seconds after a failure in which nobody who has a live token asks again."""

TROUBLE = 60.0
"""Seconds after a failure in which nobody who has a live token waits for a better one."""

__all__ = ["Broker", "Counters"]

_log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Broker:
    """The source of one token of theirs, from one upstream."""

    upstream: Upstream
    http: httpx2.AsyncClient = field(repr=False)
    fresh: float = 120.0
    """Seconds a token handed out has left, but never more than half of its life. Less, down to
    ``SHORTEST_LIFE``, only while the upstream has no better one to give."""

    early: float = 300.0
    """Seconds before a token would be too old to hand out, at which the next one is asked for in
    the background; but never more than a quarter of its life."""

    deadline: float = 10.0
    """Seconds for the whole of a question: every request, every try and every wait between."""

    scope_check: bool = True
    """Whether a scope wider than was asked for is refused."""

    most: int = 1_024
    """Tokens remembered; the one unused for longest goes first."""

    clock: Clock = now
    ticks: Callable[[], float] = time.monotonic
    """Seconds from anywhere, which only ever go forward."""

    counters: Counters = field(default_factory=Counters)
    own: bool = False
    """Whether ``http`` is for this one alone, and closed with it."""

    sharing: Shared | None = None
    """With whom tokens are shared besides those who ask this process; nobody unless said."""

    heard: Heard = field(default=nobody, repr=False)
    """Who wants to know how questions end."""

    _forgotten: float = field(default=-math.inf, init=False)
    _upstream: Asking = field(init=False, repr=False)
    _held: OrderedDict[Hashable, Held] = field(default_factory=OrderedDict, init=False, repr=False)
    _asking: dict[Hashable, "asyncio.Task[Held | Failure]"] = field(
        default_factory=dict, init=False, repr=False
    )

    def __post_init__(self) -> None:
        if not (self.fresh >= 0 and self.early >= 0 and self.deadline > 0 and self.most > 0):
            raise ValueError("fresh and early must not be negative, deadline and most be positive")
        self._upstream = Asking(
            upstream=self.upstream,
            http=self.http,
            patience=Patience(deadline=self.deadline, ticks=self.ticks),
            judge=self._judged,
            counters=self.counters,
            clock=self.clock,
            ticks=self.ticks,
            heard=self.heard,
            carry=getattr(self.sharing, "carry", None),
        )

    @property
    def state(self) -> State:
        """Whether the upstream is asked: ``closed`` (yes), ``open`` (no), ``half-open`` (once)."""
        return self._upstream.breaker.state

    async def issue(self, authorization: Authorization, key: Hashable | None = None) -> AccessToken:
        """The token authorized, or one that may do less; raises ``TemporarilyUnavailable``.

        ``key``: what it is shared by, if the upstream alone cannot say that.
        """
        if authorization.grant.certificate:
            raise TargetNotAllowed(
                "this token cannot be bound to a certificate", detail="it is somebody else's"
            )
        if key is None:
            key = self.upstream.shared_by(authorization)
        held = self._held.get(key)
        if held is None:
            outcome = await self._outcome(key, authorization)
            if isinstance(outcome, Failure):
                raise outcome.told()
            return self._handed_out(outcome.token, authorization)
        wall, steady = self.clock() - held.wall, self.ticks() - held.steady
        # Where the wall's clock was put back by more than the margin, no date we know is right.
        if wall < held.renew > steady and wall > steady - held.margin:
            self._held.move_to_end(key)
            self.counters.avoided += 1
            return self._handed_out(held.token, authorization)
        return await self._due(key, held, authorization)

    def forget(self, at: float) -> None:
        """Believe no token any more that was asked for until then (seconds since the epoch)."""
        if at > self._forgotten:
            self._forgotten = at
            for key in [key for key, held in self._held.items() if held.wall <= at]:
                del self._held[key]

    async def close(self) -> None:
        """End every question under way; whoever waits for one hears 503."""
        if asking := list(self._asking.values()):
            for task in asking:
                task.cancel()
            await asyncio.wait(asking)
        if self.sharing is not None:
            await self.sharing.close()
        if self.own:
            await self.http.aclose()

    async def _due(self, key: Hashable, held: Held, authorization: Authorization) -> AccessToken:
        """Hand out a token whose successor is due: before that is there, after, or instead."""
        wall, steady = self.clock() - held.wall, self.ticks() - held.steady
        age, since_failure = max(wall, steady), self.ticks() - held.failed
        good = age < held.stale and wall > steady - held.margin
        if good or (since_failure < TROUBLE and held.life - age >= SHORTEST_LIFE):
            if since_failure >= REST:
                self._ask(key, authorization)
            self.counters.avoided += 1
        else:
            outcome = await self._outcome(key, authorization)
            if isinstance(outcome, Held):
                return self._handed_out(outcome.token, authorization)
            age = self._age(held)
            if held.life - age < SHORTEST_LIFE:
                raise outcome.told()
        token, ends = held.token, self.clock() + held.life - age
        if ends < token.expires_at - 1:  # dates are the wall's, and its clock was put back
            token = replace(token, expires_at=ends)
        return self._handed_out(token, authorization)

    def _handed_out(self, token: AccessToken, authorization: Authorization) -> AccessToken:
        """The only way out; everybody's scope is looked at, for a plug-in says who may share."""
        within = token.scope.tokens <= authorization.scope.tokens
        if not within and (surplus := self._surplus(token, authorization)):
            raise Failure(detail=surplus).told()
        self.counters.served += 1
        return token

    def _surplus(self, token: AccessToken, authorization: Authorization) -> str:
        asked = authorization.scope
        if not self.scope_check or not asked or token.scope <= asked:
            return ""
        return f"the upstream gave more than was asked for: {str(token.scope - asked)[:200]}"

    async def _outcome(self, key: Hashable, authorization: Authorization) -> Held | Failure:
        """What the one question for all brings; whoever leaves does not take it with them."""
        if key in self._asking:
            self.counters.avoided += 1
        task = self._ask(key, authorization)
        await asyncio.wait((task,))
        return Failure(detail="the broker was closed") if task.cancelled() else task.result()

    def _ask(self, key: Hashable, authorization: Authorization) -> "asyncio.Task[Held | Failure]":
        if (task := self._asking.get(key)) is None:
            task = self._asking[key] = asyncio.create_task(self._question(key, authorization))
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        return task

    async def _question(self, key: Hashable, authorization: Authorization) -> Held | Failure:
        """Ask, or hear what another process got, and remember what came of it."""

        async def ask(within: float) -> Held | Failure:
            return await self._upstream.outcome(key, authorization, within)

        place = None if self.sharing is None else self.sharing.place(key)
        if self.sharing is None or place is None:
            outcome = await ask(self.deadline)
        else:
            outcome = await self.sharing.outcome(
                place,
                usable=lambda asked: self._usable(asked, self._held.get(key), authorization),
                ask=ask,
                deadline=self.deadline,
            )
        if isinstance(outcome, Held):
            if outcome.wall > self._forgotten:
                self._held[key] = outcome
                self._held.move_to_end(key)
                if len(self._held) > self.most:
                    self._held.popitem(last=False)
            return outcome
        if held := self._held.get(key):
            held.failed = self.ticks()
            if outcome.asked:
                _log.warning("no new %s token: %s", authorization.token, outcome.detail)
        return outcome

    def _usable(self, asked: Asked, held: Held | None, authorization: Authorization) -> Held | None:
        """Another process's token, if it is as good as one that we would ask for."""
        if asked.wall <= self._forgotten or (held is not None and asked.wall <= held.wall):
            return None
        found = self._judged(asked, authorization)
        if not isinstance(found, Held) or self._age(found) >= found.stale:
            return None
        self.counters.shared += 1
        return found

    def _judged(self, asked: Asked, authorization: Authorization) -> Held | Failure:
        if surplus := self._surplus(asked.token, authorization):
            return Failure(detail=surplus)
        held = Held.of(asked, fresh=self.fresh, early=self.early)
        # Written so that a life that is no number is none.
        if not held.life - self._age(held) >= SHORTEST_LIFE:
            return Failure(detail="the upstream gave a token that is dead or dying")
        return held

    def _age(self, held: Held) -> float:
        return held.age(self.clock(), self.ticks())
