"""Tokens of somebody else's: asked for once for a crowd, remembered, and asked for again early.

Law of this module: what leaves here is alive, is no wider than was authorized, and no word of an
upstream's leaves with it. As long as the token in memory will do, nothing waits.

Ages are told by two clocks, the wall's and one that only runs forward, and whichever says that
more time has passed is believed: a clock that somebody sets keeps no dead token alive.
"""

import asyncio
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from pathlib import Path
from traceback import extract_tb

import httpx2

from tokenward.clock import Clock, now
from tokenward.oauth.errors import TargetNotAllowed, TemporarilyUnavailable
from tokenward.oauth.messages import AccessToken
from tokenward.remote.fetch import RemoteError, arun
from tokenward.server.model import Authorization
from tokenward.server.patience import LONGEST_PAUSE, Patience
from tokenward.server.upstreams import Upstream

SHORTEST_LIFE = 5.0
"""Seconds a token must have left to be of any use to whoever gets it."""

LONGEST_MEMORY = 86_400.0
"""Seconds after which a token is asked for anew, however long its upstream says it lives."""

REST = 5.0
"""Seconds after a failure in which nobody who has a live token asks again."""

TROUBLE = 60.0
"""Seconds after a failure in which nobody who has a live token waits for a better one."""

# Words of an upstream that are also ours (RFC 6749 §5.2, RFC 8707 §2); others are not repeated.
_CODES = {
    *("invalid_request", "invalid_client", "invalid_grant", "unauthorized_client"),
    *("unsupported_grant_type", "invalid_scope", "invalid_target", "access_denied"),
    *("server_error", "temporarily_unavailable"),
}

_log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Counters:
    """What a broker has done since it was made."""

    asked: int = 0
    """Questions sent upstream, every try counted."""

    served: int = 0
    """Tokens handed out."""

    avoided: int = 0
    """Calls that needed no question of their own: from memory, or joining one under way."""

    errors: int = 0
    """Questions that brought no token after the last try."""


@dataclass(slots=True, kw_only=True)
class _Held:
    """A token, when it was asked for by either clock, and until which age it is good for what."""

    token: AccessToken
    wall: float
    steady: float
    life: float
    margin: float
    stale: float
    renew: float
    failed: float = -math.inf
    """When a question for its successor last failed, by the clock that only runs forward."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failure:
    """Why there is no token: told to everybody who waited, and not remembered."""

    detail: str
    retry_after: float = 0.0

    def told(self) -> TemporarilyUnavailable:
        """An error of one's own: an exception that a crowd raises grows a long tail."""
        seconds = math.ceil(min(self.retry_after, LONGEST_PAUSE)) or 5
        return TemporarilyUnavailable(
            "the upstream gave no token", detail=self.detail, retry_after=seconds
        )


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

    _patience: Patience = field(init=False, repr=False)
    _held: OrderedDict[Hashable, _Held] = field(default_factory=OrderedDict, init=False, repr=False)
    _asking: dict[Hashable, "asyncio.Task[_Held | _Failure]"] = field(
        default_factory=dict, init=False, repr=False
    )

    def __post_init__(self) -> None:
        if not (self.fresh >= 0 and self.early >= 0 and self.deadline > 0 and self.most > 0):
            raise ValueError("fresh and early must not be negative, deadline and most be positive")
        self._patience = Patience(deadline=self.deadline, ticks=self.ticks)

    async def issue(self, authorization: Authorization) -> AccessToken:
        """The token authorized, or one that may do less; raises ``TemporarilyUnavailable``."""
        if authorization.grant.certificate:
            raise TargetNotAllowed(
                "this token cannot be bound to a certificate", detail="it is somebody else's"
            )
        key = self.upstream.shared_by(authorization)
        held = self._held.get(key)
        if held is None:
            outcome = await self._outcome(key, authorization)
            if isinstance(outcome, _Failure):
                raise outcome.told()
            return self._handed_out(outcome.token, authorization)
        wall, steady = self.clock() - held.wall, self.ticks() - held.steady
        # Where the wall's clock was put back by more than the margin, no date we know is right.
        if wall < held.renew > steady and wall > steady - held.margin:
            self._held.move_to_end(key)
            self.counters.avoided += 1
            return self._handed_out(held.token, authorization)
        return await self._due(key, held, authorization)

    async def close(self) -> None:
        """End every question under way; whoever waits for one hears 503."""
        if asking := list(self._asking.values()):
            for task in asking:
                task.cancel()
            await asyncio.wait(asking)

    async def _due(self, key: Hashable, held: _Held, authorization: Authorization) -> AccessToken:
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
            if isinstance(outcome, _Held):
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
            raise _Failure(detail=surplus).told()
        self.counters.served += 1
        return token

    def _surplus(self, token: AccessToken, authorization: Authorization) -> str:
        asked = authorization.scope
        if not self.scope_check or not asked or token.scope <= asked:
            return ""
        return f"the upstream gave more than was asked for: {str(token.scope - asked)[:200]}"

    async def _outcome(self, key: Hashable, authorization: Authorization) -> _Held | _Failure:
        """What the one question for all brings; whoever leaves does not take it with them."""
        if key in self._asking:
            self.counters.avoided += 1
        task = self._ask(key, authorization)
        await asyncio.wait((task,))
        return _Failure(detail="the broker was closed") if task.cancelled() else task.result()

    def _ask(self, key: Hashable, authorization: Authorization) -> "asyncio.Task[_Held | _Failure]":
        if (task := self._asking.get(key)) is None:
            task = self._asking[key] = asyncio.create_task(self._question(key, authorization))
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        return task

    async def _question(self, key: Hashable, authorization: Authorization) -> _Held | _Failure:
        """Ask, and remember what came of it."""

        async def once(seconds: float) -> tuple[AccessToken, float, float]:
            # Lives are counted from before the question: an answer may be long on its way.
            wall, steady = self.clock(), self.ticks()
            self.counters.asked += 1
            flow = self.upstream.flow(authorization, now=wall)
            return await arun(flow, self.http, deadline=seconds), wall, steady

        outcome: _Held | _Failure
        try:
            outcome = self._judged(*await self._patience.ask(once), authorization)
        except RemoteError as error:
            known = f": {error.code}" if error.code in _CODES else ""
            outcome = _Failure(
                detail=f"{error.reason}{known}", retry_after=error.retry_after or 0.0
            )
        except Exception as error:  # noqa: BLE001 - a plug-in that fails is an upstream that fails
            outcome = _Failure(detail=_in_our_words(error))
        if isinstance(outcome, _Held):
            self._held[key] = outcome
            self._held.move_to_end(key)
            if len(self._held) > self.most:
                self._held.popitem(last=False)
            return outcome
        self.counters.errors += 1
        if held := self._held.get(key):
            held.failed = self.ticks()
            _log.warning("no new %s token: %s", authorization.token, outcome.detail)
        return outcome

    def _judged(
        self, token: AccessToken, wall: float, steady: float, authorization: Authorization
    ) -> _Held | _Failure:
        if surplus := self._surplus(token, authorization):
            return _Failure(detail=surplus)
        life = token.expires_at - wall
        kept = min(life, LONGEST_MEMORY)
        margin = min(max(self.fresh, SHORTEST_LIFE), kept / 2)
        stale = kept - margin
        renew = stale - min(self.early, kept / 4)
        held = _Held(
            token=token,
            wall=wall,
            steady=steady,
            life=life,
            margin=margin,
            stale=stale,
            renew=renew,
        )
        # Written so that a life that is no number is none.
        if not life - self._age(held) >= SHORTEST_LIFE:
            return _Failure(detail="the upstream gave a token that is dead or dying")
        return held

    def _age(self, held: _Held) -> float:
        return max(self.clock() - held.wall, self.ticks() - held.steady)


def _in_our_words(error: Exception) -> str:
    """What failed and where; not what it said, for that may be the upstream's own text."""
    where = extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {Path(where.filename).name}, line {where.lineno}"
