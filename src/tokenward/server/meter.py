"""How much is handed out, to whom, and what it takes to get it, by the day: figures that last.

Each process keeps its figures of a day in one row of its own, always all of them. So a row that is
written twice says the same, whoever is killed loses what it had not written yet and nothing else,
and what all have done is the sum of all rows. Rows of days gone by are put together, see
``tidying``.

Law of this module: on the way to an answer a number is added to, and nothing else happens. While
the store is away the figures wait, and nobody waits for them.
"""

import asyncio
import logging
from dataclasses import dataclass, field
from secrets import token_hex

from tokenward.clock import Clock
from tokenward.oauth.errors import TemporarilyUnavailable
from tokenward.server.asking import End, Heard
from tokenward.server.audit import CHALLENGE, Event
from tokenward.server.figures import Figures, to_bytes
from tokenward.server.rows import day_of, ends, row_of
from tokenward.server.stores import Store
from tokenward.server.tidying import tidy

EVERY = 30.0
"""Seconds between two times that figures are kept; so much is lost if a process is killed."""

TO_KEEP = 5.0
"""Seconds that the store has to keep a row."""

LAST_WORDS = 1.0
"""Seconds for all that is left to be kept when the server stops."""

WAITING = 3
"""Days whose figures wait in memory at most for a store that is away."""

_log = logging.getLogger("tokenward.server")


@dataclass(slots=True, kw_only=True)
class _Day:
    figures: Figures = field(default_factory=Figures)
    row: str = field(default_factory=lambda: token_hex(8))
    """Never the row of a former time: what that one says would be lost."""

    changed: bool = False


@dataclass(slots=True, kw_only=True)
class Meter:
    """The figures of this process. They belong to whichever day the clock says it is."""

    store: Store
    clock: Clock
    _days: dict[int, _Day] = field(default_factory=dict, init=False)
    _keeping: asyncio.Task[None] | None = field(default=None, init=False)

    def event(self, event: Event) -> None:
        """Somebody has asked for something, and was told."""
        asked = event.request is not None and event.kind != CHALLENGE
        if asked:  # else it was no token that they asked for, or not yet
            self._today().figures.event(event)

    def upstream(self, token: str) -> Heard:
        """Whom to tell how questions to the upstream of this token end."""

        def heard(end: End, seconds: float | None) -> None:
            self._today().figures.upstream(token).ended(end, seconds)

        return heard

    def _today(self) -> _Day:
        number = day_of(self.clock())
        if (day := self._days.get(number)) is None:
            day = self._days[number] = _Day()
            while len(self._days) > WAITING:
                del self._days[min(self._days)]
        day.changed = True
        return day

    async def open(self) -> None:
        """Keep what there is from now on, again and again."""
        self._keeping = asyncio.create_task(self._keep_again(), name="tokenward-meter")

    async def close(self) -> None:
        """Keep what there is for the last time."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait((self._keeping,))
        try:
            async with asyncio.timeout(LAST_WORDS):
                kept = await self.keep()
        except TimeoutError:
            kept = False
        if not kept:
            _log.warning("the store is away: the last figures of tokenward usage are lost")

    async def keep(self) -> bool:
        """Write whatever has changed; whether that was done. If not, it may be the next time."""
        today, done = day_of(self.clock()), True
        for number, day in list(self._days.items()):
            if day.changed:
                done = await self._kept(number, day) and done
            elif number < today:
                self._days.pop(number, None)
        return done

    async def _kept(self, number: int, day: _Day) -> bool:
        kept, day.changed = False, False  # what happens while it is written is not in it
        try:
            async with asyncio.timeout(TO_KEEP):
                place = row_of(number, day.row)
                await self.store.shelf.put(place, to_bytes(day.figures), until=ends(number))
            kept = True
        except (TemporarilyUnavailable, TimeoutError):  # readiness tells of that
            pass
        except Exception:  # noqa: BLE001 - whatever it is, the next time may go better
            _log.exception("the figures of tokenward usage could not be kept")
        finally:
            day.changed = day.changed or not kept
        return kept

    async def _keep_again(self) -> None:
        tidied = None
        while True:
            await asyncio.sleep(EVERY)
            await self.keep()
            if tidied != (today := day_of(self.clock())):
                await self._tidy()
                tidied = today

    async def _tidy(self) -> None:
        try:
            await tidy(self.store.shelf, self.store.leases, self.clock)
        except Exception:  # noqa: BLE001 - it is for order's sake, and tomorrow is another day
            _log.exception("the figures of days gone by could not be put together")
