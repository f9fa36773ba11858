"""Asking somebody else about the tokens we are shown: once for a crowd, and not again for a while.

Law of this module: what is remembered is bounded and known by its SHA-256 alone. A yes counts as
long as the settings say and never beyond the end of the token, a no for a second, and that nobody
answered is not remembered at all.
"""

import asyncio
import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias, TypeVar

from tokenward.clock import Clock
from tokenward.oauth.errors import InvalidGrant, OAuthError, TemporarilyUnavailable
from tokenward.remote.fetch import RemoteError
from tokenward.server.breaker import Breaker
from tokenward.server.model import Caller
from tokenward.server.patience import LONGEST_PAUSE, PICKY, LeftAlone, Patience
from tokenward.server.proofs import NOT_VOUCHED_FOR, TooOld

T = TypeVar("T")

MOST = 4_096
"""Tokens known to be good, and as many known not to be."""

REFUSED_FOR = 1.0
"""Seconds for which a token that is not good is not asked about again."""

MOST_AT_ONCE = 32
"""Questions under way; whoever would ask one more hears 503. So a slow issuer, and strangers who
ask about what is no token, never have all the connections there are (``remote.clients``)."""

DEADLINE = 10.0
"""Seconds for one question: every try and every wait between."""


class Refused(NamedTuple):
    """Why not; everybody who waited is told by an error of their own."""

    detail: str
    old: bool = False
    unheard: bool = False
    """Nobody said no: nobody said anything."""

    retry_after: float = 0.0

    def told(self) -> OAuthError:
        """The error, to raise once."""
        if self.unheard:
            return TemporarilyUnavailable(
                "the issuer of the token cannot be asked just now",
                detail=self.detail,
                retry_after=math.ceil(min(self.retry_after, LONGEST_PAUSE)) or 5,
            )
        if self.old:
            return TooOld("the token has expired", detail=self.detail)
        return InvalidGrant(NOT_VOUCHED_FOR, detail=self.detail)


Answer: TypeAlias = dict[str, object]


class _Believed(NamedTuple):
    caller: Caller
    since: float
    until: float


@dataclass(slots=True, kw_only=True)
class Inquiries:
    """All that is asked of one issuer."""

    ask: Callable[[str, float], Awaitable[Answer]] = field(repr=False)
    """What it says about this token, within so many seconds; raises ``RemoteError``."""

    judge: Callable[[Answer], Caller | Refused] = field(repr=False)
    told: Callable[[object], str] = field(repr=False)
    """How the operator is told of it."""

    remember: float
    """Seconds."""

    clock: Clock
    breaker: Breaker = field(default_factory=Breaker)
    _patience: Patience = field(default_factory=lambda: Patience(deadline=DEADLINE), init=False)
    _known: OrderedDict[bytes, _Believed] = field(
        default_factory=OrderedDict, init=False, repr=False
    )
    _refused: OrderedDict[bytes, tuple[Refused, float]] = field(
        default_factory=OrderedDict, init=False, repr=False
    )
    _asking: "dict[bytes, asyncio.Task[Caller | Refused]]" = field(
        default_factory=dict, init=False, repr=False
    )

    def recall(self, digest: bytes) -> Caller | None:
        """The caller of a token that was good a while ago; what is over is forgotten."""
        known = self._known.get(digest)
        if known is None:
            return None
        if known.since <= self.clock() < known.until:
            return known.caller
        del self._known[digest]
        return None

    async def about(self, token: str, digest: bytes) -> Caller:
        """Whose token this is; raises ``InvalidGrant`` and ``TemporarilyUnavailable``."""
        outcome: Caller | Refused | None = self._still_refused(digest)
        if outcome is None:
            if (task := self._asking.get(digest)) is None:
                if len(self._asking) >= MOST_AT_ONCE:
                    raise Refused(self.told("too many questions at once"), unheard=True).told()
                task = asyncio.create_task(self._outcome(token, digest))
                self._asking[digest] = task
                task.add_done_callback(lambda _: self._asking.pop(digest, None))
            await asyncio.wait((task,))  # whoever leaves does not take it with them
            ended = Refused(self.told("the question was given up"), unheard=True)
            outcome = ended if task.cancelled() else task.result()
        if isinstance(outcome, Refused):
            raise outcome.told()
        return outcome

    async def close(self) -> None:
        """Give up every question under way; whoever waits for one hears 503."""
        if asking := list(self._asking.values()):
            for task in asking:
                task.cancel()
            await asyncio.wait(asking)

    def _still_refused(self, digest: bytes) -> Refused | None:
        refused, since = self._refused.get(digest, (None, 0.0))
        if refused is not None and not since <= self.clock() < since + REFUSED_FOR:
            del self._refused[digest]
            return None
        return refused

    async def _outcome(self, token: str, digest: bytes) -> Caller | Refused:
        """Ask, judge, and remember what may be remembered."""
        began = self.clock()
        answer = await self._answer(token, digest)
        if isinstance(answer, Refused):
            return answer
        outcome, now = self.judge(answer), self.clock()
        if isinstance(outcome, Refused):
            _keep(self._refused, digest, (outcome, now))
            return outcome
        # Counted from before the question: the answer may have been long on its way.
        until = min(began + self.remember, outcome.expires_at)
        if began <= now < until:
            _keep(self._known, digest, _Believed(outcome, began, until))
        return outcome

    async def _answer(self, token: str, digest: bytes) -> Answer | Refused:
        if wait := self.breaker.wait():
            told = self.told("its issuer has failed too often, and is left alone for a while")
            return Refused(told, unheard=True, retry_after=wait)
        self.breaker.begin(digest)
        try:
            answer = await self._patience.ask(lambda left: self.ask(token, left))
        except RemoteError as exc:
            if not (isinstance(exc, LeftAlone) or _about_it(exc)):
                self.breaker.failed(digest)
            told = self.told(exc.reason)
            return Refused(told, unheard=True, retry_after=exc.retry_after or 0.0)
        finally:
            self.breaker.abandoned(digest)
        self.breaker.succeeded()
        return answer


def _about_it(error: RemoteError) -> bool:
    """Whether they did not like this token, and say nothing about others: what stands before an
    issuer refuses what looks odd, and anybody can show us that."""
    return error.status in PICKY and error.code != "invalid_client"


def _keep(memory: OrderedDict[bytes, T], digest: bytes, thing: T) -> None:
    memory[digest] = thing
    memory.move_to_end(digest)
    if len(memory) > MOST:
        memory.popitem(last=False)
