"""How often and how long somebody else's server is asked the same thing.

Law of this module: a server in trouble is asked less, not more. One deadline is for everything,
retries are paid for from what successes earned, and who says when to come back is believed.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TypeVar

from tokenward.remote.fetch import RemoteError

T = TypeVar("T")

PICKY = frozenset({400, 403, 406, 413, 422, 431})
"""With these a server that is well refuses what it does not like (RFC 9110 §15.5)."""

TRIES = 3
"""Times one question is asked at most."""

MOST_RETRIES = 10
"""Retries that may be saved up; each costs one and each success earns one back."""

LONGEST_PAUSE = 300.0
"""Seconds for which a server that says ``Retry-After`` is left alone at most."""

TIME_TO_ANSWER = 1.0
"""Seconds that must be left of the deadline after a wait, or it is not worth waiting."""


class LeftAlone(RemoteError):
    """They were not asked at all, because they told us when to come back."""


@dataclass(slots=True, kw_only=True)
class Patience:
    """Our patience with one server, shared by all who ask it."""

    deadline: float
    """Seconds for one question: every request, every try and every wait between."""

    ticks: Callable[[], float] = time.monotonic
    """Seconds from anywhere, which only ever go forward."""

    _retries: int = field(default=MOST_RETRIES, init=False)
    _paused_until: float = field(default=0.0, init=False)

    async def ask(
        self,
        question: Callable[[float], Awaitable[T]],
        *,
        within: float | None = None,
        alone: bool = False,
    ) -> T:
        """The answer; ``question`` is told how many seconds it has. Raises ``RemoteError``.

        ``within``: seconds for all of it, if there are fewer left than ``deadline``. ``alone``:
        whether too many requests (RFC 6585 §4) are those of whom it is asked for, not all of ours.

        Only what may well succeed a little later is asked again, and an error's ``retry_after``
        says when to come back. Whatever else ``question`` raises is passed on at once.
        """
        # Here, because it takes long to import and a server may start without asking anybody.
        import stamina  # noqa: PLC0415

        loop, tries = asyncio.get_running_loop(), 0
        until = loop.time() + min(self.deadline, self.deadline if within is None else within)

        def again(error: Exception) -> bool | float:
            if not isinstance(error, RemoteError) or not error.transient:
                return False
            wait = error.retry_after or 0.0
            fits = wait + TIME_TO_ANSWER < until - loop.time()
            if not fits or not self._retries or tries == TRIES:
                return False
            self._retries -= 1
            return wait + random.uniform(0, 0.2) if wait else True  # noqa: S311 - jitter

        try:
            async with asyncio.timeout_at(until):
                async for attempt in stamina.retry_context(
                    on=again, attempts=None, timeout=None, wait_initial=0.1, wait_jitter=0.2
                ):
                    with attempt:
                        tries += 1
                        self._respect_pause()
                        answer = await question(max(0.0, until - loop.time()))
                        self._retries = min(self._retries + 1, MOST_RETRIES)
                        return answer
        except TimeoutError:
            late = f"the upstream did not answer within {self.deadline:g} seconds"
            raise RemoteError(late) from None
        except RemoteError as error:
            theirs = alone and error.status == HTTPStatus.TOO_MANY_REQUESTS
            if error.transient and error.retry_after and not theirs:
                pause = min(error.retry_after, LONGEST_PAUSE)
                self._paused_until = max(self._paused_until, self.ticks() + pause)
            raise
        raise AssertionError("unreachable")  # pragma: no cover

    def _respect_pause(self) -> None:
        """Nobody asks before the server wants to be asked (RFC 9110 §10.2.3)."""
        if (left := self._paused_until - self.ticks()) > 0:
            raise LeftAlone("the upstream told us to come back later", retry_after=left)
