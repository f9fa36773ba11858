"""One question to an upstream, and whether it is any use to ask.

Law of this module: no word of an upstream's is in a failure, and whoever is at fault is asked
less: the upstream if it fails whatever is asked, else that one thing that fails.
"""

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from pathlib import Path
from traceback import extract_tb
from typing import Literal, TypeAlias

import httpx2

from tokenward.clock import Clock
from tokenward.oauth.messages import AccessToken
from tokenward.remote.fetch import RemoteError, arun
from tokenward.server.breaker import Breaker
from tokenward.server.latency import Latency
from tokenward.server.model import Authorization
from tokenward.server.patience import PICKY, LeftAlone, Patience
from tokenward.server.remembered import Asked, Failure, Held
from tokenward.server.upstreams import Lasts, Upstream, forwards

MOST_FAULTS = 1_024
"""Things that fail by themselves, of which we know at a time."""

# Words of an upstream that are also ours (RFC 6749 §5.2, RFC 8707 §2); others are not repeated.
_THEIRS = {"invalid_client", "server_error", "temporarily_unavailable"}
_OURS = {
    *("invalid_request", "invalid_grant", "unauthorized_client"),
    *("unsupported_grant_type", "invalid_scope", "invalid_target", "access_denied"),
}
"""Those that may be about what was asked for, and say nothing about what others ask for."""

_PICKY = PICKY | {401, 429}
"""Besides, a token may be bad, and one person may ask too often."""

_log = logging.getLogger("tokenward.server.broker")

Judge = Callable[[Asked, Authorization], Held | Failure]

Carry = Callable[[Hashable, Authorization, float, float], Awaitable[AccessToken]]
"""(key, authorization, now, seconds) -> what one question brought, if it is kept on the way."""

End: TypeAlias = Literal["fetched", "errors", "refused"]
"""How a question ends, by the names of what is counted."""

Heard = Callable[[End, float | None], None]
"""Told how a question ended, and after how many seconds, if anybody was asked."""


def nobody(_end: End, _seconds: float | None, /) -> None:
    """Does not listen."""


@dataclass(slots=True, kw_only=True)
class Counters:
    """What a broker has done since it was made."""

    asked: int = 0
    """Questions sent upstream, every try counted."""

    fetched: int = 0
    """Tokens that questions brought."""

    served: int = 0
    """Tokens handed out."""

    avoided: int = 0
    """Calls that needed no question of their own: from memory, or joining one under way."""

    errors: int = 0
    """Questions that brought no token after the last try."""

    refused: int = 0
    """Questions that were not asked, because the upstream is left alone for a while."""

    shared: int = 0
    """Tokens that another process had asked for."""

    latency: Latency = field(default_factory=Latency, compare=False, repr=False)
    """What questions took, every try and every wait between included."""

    def numbers(self) -> dict[str, int]:
        """Whatever is counted, by its name."""
        names = ("asked", "fetched", "served", "avoided", "errors", "refused", "shared")
        return {name: getattr(self, name) for name in names}


@dataclass(slots=True, kw_only=True)
class Asking:
    """Our side of the conversation with one upstream."""

    upstream: Upstream
    http: httpx2.AsyncClient = field(repr=False)
    patience: Patience
    judge: Judge = field(repr=False)
    """Whether an answer will do."""

    counters: Counters
    clock: Clock
    ticks: Callable[[], float]
    heard: Heard = field(default=nobody, repr=False)
    carry: Carry | None = field(default=None, repr=False)
    """Who asks, if not we by the upstream's own flow."""

    breaker: Breaker = field(init=False)
    _each: bool = field(init=False)
    """Whether everybody is asked for with something of their own, which may be what is wrong."""

    _faults: OrderedDict[Hashable, Breaker] = field(
        default_factory=OrderedDict, init=False, repr=False
    )

    def __post_init__(self) -> None:
        self.breaker = Breaker(ticks=self.ticks)
        connected = isinstance(self.upstream, Lasts) and not self.upstream.refresh_token
        self._each = connected or forwards(self.upstream)

    async def outcome(
        self, key: Hashable, authorization: Authorization, within: float
    ) -> Held | Failure:
        """What comes of asking, within so many seconds, or at once if it is no use to ask now.

        Of one key there must be no more than one question at a time.
        """
        fault = self._faults.get(key)
        if wait := max(self.breaker.wait(), fault.wait() if fault else 0.0):
            self._ended("refused", None)
            return Failure(detail="it has failed too often", retry_after=wait, asked=False)
        self.breaker.begin(key)
        if fault:
            fault.begin(key)
        began = self.ticks()
        try:
            outcome = await self._outcome(key, authorization, within)
        finally:
            self.breaker.abandoned(key)
            if fault:
                fault.abandoned(key)
        seconds = self.ticks() - began
        if isinstance(outcome, Held):
            self._ended("fetched", seconds)
        else:
            self._ended("errors", seconds if outcome.asked else None)
        return outcome

    def _ended(self, end: End, seconds: float | None) -> None:
        if end == "fetched":
            self.counters.fetched += 1
        elif end == "errors":
            self.counters.errors += 1
        else:
            self.counters.refused += 1
        if seconds is not None:
            self.counters.latency.took(seconds)
        self.heard(end, seconds)

    async def _outcome(
        self, key: Hashable, authorization: Authorization, within: float
    ) -> Held | Failure:
        async def once(seconds: float) -> Asked:
            # Lives are counted from before the question: an answer may be long on its way.
            wall, steady = self.clock(), self.ticks()
            self.counters.asked += 1
            if self.carry is not None:
                token = await self.carry(key, authorization, wall, seconds)
            else:
                flow = self.upstream.flow(authorization, now=wall)
                token = await arun(flow, self.http, deadline=seconds)
            return Asked(token=token, wall=wall, steady=steady)

        try:
            asked = await self.patience.ask(once, within=within, alone=self._each)
        except LeftAlone as error:
            return Failure(detail=error.reason, retry_after=error.retry_after or 0.0, asked=False)
        except RemoteError as error:
            known = f": {error.code}" if error.code in _THEIRS | _OURS else ""
            failure = Failure(detail=error.reason + known, retry_after=error.retry_after or 0.0)
            return self._failed(key, authorization, failure, theirs=not self._about_one(error))
        except Exception as error:  # noqa: BLE001 - a plug-in that fails is an upstream that fails
            return self._failed(key, authorization, Failure(detail=_in_our_words(error)))
        self._answered(authorization)
        outcome = self.judge(asked, authorization)
        if isinstance(outcome, Failure):
            return self._failed(key, authorization, outcome)
        self._faults.pop(key, None)
        return outcome

    def _about_one(self, error: RemoteError) -> bool:
        """Whether that was perhaps about what was asked for, and nothing about all the others.

        Nobody's token, and nobody who has to sign in there again, keeps us from asking for others.
        """
        about_us = error.code == "invalid_client" or error.status not in _PICKY
        return error.code in _OURS or (self._each and not about_us)

    def _answered(self, authorization: Authorization) -> None:
        if self.breaker.state != "closed":
            _log.warning("%s: its upstream answers again", authorization.token)
        self.breaker.succeeded()

    def _failed(
        self,
        key: Hashable,
        authorization: Authorization,
        failure: Failure,
        *,
        theirs: bool = False,
    ) -> Failure:
        if not theirs:
            fault = self._faults.setdefault(key, Breaker(ticks=self.ticks))
            if len(self._faults) > MOST_FAULTS:
                self._faults.popitem(last=False)
            fault.failed(key)
        elif self.breaker.failed(key):
            _log.warning("%s: its upstream is left alone for a while", authorization.token)
        return failure


def _in_our_words(error: Exception) -> str:
    """What failed and where; not what it said, for that may be the upstream's own text."""
    where = extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {Path(where.filename).name}, line {where.lineno}"
