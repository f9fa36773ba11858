"""The tokens we have: one question for a crowd, remembered, asked again early.

Law of this module: whoever waits, nobody carries. Every question is asked in a thread of its own
that belongs to nobody who waits for the answer. So one question serves threads and tasks of any
event loop alike, a caller who is cancelled or gives up takes nothing from the others, a loop that
ends takes no question with it, and blocking code inside a loop cannot lock itself out.

How long a token lives is counted from its arrival, by two clocks: the wall's and one that only
runs forward. Whichever says that more time has passed is believed, so that neither a clock set
back nor a machine that slept makes a token look younger than it is. A server whose clock is
wrong does no harm either: only the seconds it promises count (RFC 6749 §5.1), never its dates.
"""

import asyncio
import os
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future, wait
from copy import copy
from dataclasses import dataclass, field
from typing import NamedTuple
from weakref import WeakSet

from tokenward.client.errors import TokenError
from tokenward.clock import Clock, now
from tokenward.oauth.messages import AccessToken

Fetch = Callable[[], AccessToken]
"""Asks for a token and waits for it; raises ``TokenError``."""

REPLACED_AT_MOST_EVERY = 10.0
"""Seconds in which a token that replaced a refused one is not replaced again: an API that answers
401 to everything must not become a flood of questions at the token endpoint."""

TRIED_AT_MOST_EVERY = 5.0
"""Seconds between two early refreshes, if the first one failed."""

MOST_QUESTIONS = 32
"""Questions under way at once; more of them wait for a turn."""


class _Reading(NamedTuple):
    wall: float
    steady: float

    def since(self, earlier: "_Reading") -> float:
        return max(0.0, self.wall - earlier.wall, self.steady - earlier.steady)


@dataclass(slots=True, kw_only=True)
class _Kept:
    """A token, and what is known about it."""

    token: AccessToken
    arrived: _Reading
    life: float
    margin: float
    early: float
    is_replacement: bool = False
    is_refused: bool = False
    tried: _Reading | None = None

    def left(self, at: _Reading) -> float:
        return self.life - at.since(self.arrived)

    def serves(self, at: _Reading) -> bool:
        return not self.is_refused and self.left(at) > self.margin

    def is_due(self, at: _Reading) -> bool:
        rested = self.tried is None or at.since(self.tried) >= TRIED_AT_MOST_EVERY
        return rested and self.left(at) <= self.early


@dataclass(slots=True, kw_only=True, eq=False)
class _Question:
    """A question under way, and the place where everybody who asked it waits."""

    key: str
    fetch: Fetch = field(repr=False)
    answer: "Future[AccessToken]" = field(default_factory=Future)

    def __post_init__(self) -> None:
        # From here on cancel() has no effect: no waiter can cancel the answer of the others.
        self.answer.set_running_or_notify_cancel()


class TokenCache:
    """Tokens by what was asked for; safe for any number of threads, tasks and event loops.

    A token is handed out while more than ``min_life`` seconds of it are left. With less than
    ``early`` seconds left it is still handed out, while one question for the next one is under way
    in the background. For tokens that live only briefly, both are cut down to a tenth and a fifth
    of the token's whole life. A failure is told to everybody who waited for that answer, and not
    remembered. At most ``most`` tokens are kept; the one unused for longest goes first.

    Tasks may wait under asyncio. After a fork the child keeps the tokens and asks for itself.
    """

    def __init__(
        self,
        *,
        min_life: float = 30.0,
        early: float = 120.0,
        most: int = 1_000,
        clock: Clock = now,
        ticks: Clock = time.monotonic,
    ) -> None:
        self._min_life = min_life
        self._early = early
        self._most = most
        self.clock = clock
        self._ticks = ticks
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._nobody_asks()
        _CACHES.add(self)

    def __repr__(self) -> str:
        return f"<TokenCache of {len(self._kept)}>"

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: str, fetch: Fetch, *, patience: float = 30.0) -> AccessToken:
        """The token for ``key``, if need be by ``fetch``; waits at most ``patience`` seconds.

        Raises whatever ``fetch`` raised, or ``TokenError`` when patience ends.
        """
        found = self._look(key, fetch)
        if isinstance(found, AccessToken):
            return found
        if not wait([found.answer], timeout=patience).done:
            raise _no_answer(patience)
        return _told(found.answer)

    async def aget(self, key: str, fetch: Fetch, *, patience: float = 30.0) -> AccessToken:
        """As ``get``, for tasks; ``fetch`` is the same, and runs in a thread all the same."""
        found = self._look(key, fetch)
        if isinstance(found, AccessToken):
            return found
        answer = asyncio.wrap_future(found.answer)
        try:
            await asyncio.wait([answer], timeout=patience)
            if not answer.done():
                raise _no_answer(patience)
            return _told(answer)
        finally:
            answer.cancel()

    def refuse(self, key: str, token: AccessToken) -> bool:
        """Say that ``token`` was not accepted; false if asking for another one has no point yet.

        Only the very token that was refused is dropped: if it has been replaced meanwhile, the
        new one stays.
        """
        with self._lock:
            kept = self._kept.get(key)
            if kept is None or kept.is_refused or kept.token.value != token.value:
                return True
            if kept.is_replacement and self._read().since(kept.arrived) < REPLACED_AT_MOST_EVERY:
                return False
            kept.is_refused = True
            return True

    def clear(self) -> None:
        """Forget every token. Questions under way go on, for those who wait."""
        with self._lock:
            self._kept.clear()

    def _look(self, key: str, fetch: Fetch) -> AccessToken | _Question:
        with self._lock:
            at = self._read()
            kept = self._kept.get(key)
            if kept is not None and kept.serves(at):
                self._kept.move_to_end(key)
                if kept.is_due(at) and key not in self._asked:
                    self._ask(key, fetch)
                return kept.token
            return self._asked.get(key) or self._ask(key, fetch)

    def _ask(self, key: str, fetch: Fetch) -> _Question:
        question = self._asked[key] = _Question(key=key, fetch=fetch)
        self._queue.append(question)
        if self._askers < MOST_QUESTIONS:
            self._askers += 1
            try:
                threading.Thread(target=self._work, name="tokenward", daemon=True).start()
            except RuntimeError:  # no more threads, or the interpreter is about to end
                self._askers -= 1
                if not self._askers:
                    self._queue.remove(question)
                    del self._asked[key]
                    question.answer.set_exception(TokenError("no thread to ask from"))
        return question

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._queue:
                    self._askers -= 1
                    return
                question = self._queue.popleft()
            try:
                token = question.fetch()
                self._arrived(question, token)
            except BaseException as error:  # noqa: BLE001 - those who wait must hear of anything
                self._failed(question)
                question.answer.set_exception(error)
            else:
                question.answer.set_result(token)

    def _failed(self, question: _Question) -> None:
        with self._lock:
            self._asked.pop(question.key, None)
            if kept := self._kept.get(question.key):
                kept.tried = self._read()

    def _arrived(self, question: _Question, token: AccessToken) -> None:
        with self._lock:
            self._asked.pop(question.key, None)
            at = self._read()
            life = token.expires_at - at.wall
            previous = self._kept.pop(question.key, None)
            if life <= 0:  # those who waited may try it; nobody after them
                return
            self._kept[question.key] = _Kept(
                token=token,
                arrived=at,
                life=life,
                margin=min(self._min_life, life / 10),
                early=min(self._early, life / 5),
                is_replacement=previous is not None and previous.is_refused,
            )
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)

    def _read(self) -> _Reading:
        return _Reading(self.clock(), self._ticks())

    def _nobody_asks(self) -> None:
        self._lock = threading.Lock()
        self._asked: dict[str, _Question] = {}
        self._queue: deque[_Question] = deque()
        self._askers = 0


def _told(answer: "Future[AccessToken] | asyncio.Future[AccessToken]") -> AccessToken:
    """The token, or an error of one's own: one exception raised by a crowd grows a long tail."""
    error = answer.exception()
    if isinstance(error, TokenError):
        raise copy(error) from error
    return answer.result()


def _no_answer(patience: float) -> TokenError:
    return TokenError(f"no answer within {patience:g} seconds", transient=True)


_CACHES: "WeakSet[TokenCache]" = WeakSet()


def _after_fork() -> None:
    """The threads that ask stay behind in the parent, and so may somebody who holds the lock."""
    for cache in _CACHES:
        cache._nobody_asks()  # noqa: SLF001


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

SHARED = TokenCache()
"""The cache of the whole process."""
