"""Who got how many tokens, and what was saved by remembering them: the rows of all, read.

Law of this module: it is for those who look, and no server imports it.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from tokenward.server.figures import Fetched, Figures, Handed, from_bytes
from tokenward.server.rows import ALL, ROWS, date_of, placed
from tokenward.server.stores import Shelf

_AT_A_TIME = 64
_LOOKS_MORE = 2


@dataclass(slots=True, kw_only=True)
class Kept:
    """What was kept of some days."""

    days: dict[int, Figures] = field(default_factory=dict)
    unread: int = 0
    """Rows that another version wrote, which we cannot read."""


@dataclass(slots=True, kw_only=True)
class Line:
    """What is said of one token, one caller, one client or one day."""

    handed: Handed = field(default_factory=Handed)
    theirs: int = 0
    """Of the tokens served, those of others."""

    fetched: Fetched | None = None
    """What came of asking upstreams, where that can be said: a token that is fetched is for a
    crowd, so of those among them it is nobody's."""

    @property
    def avoided(self) -> int:
        """Tokens of others that were handed out and needed no question to their upstream."""
        return max(0, self.theirs - (self.fetched.fetched if self.fetched else 0))

    def add(self, other: "Line") -> None:
        """What is said of another, too."""
        self.handed.add(other.handed)
        self.theirs += other.theirs
        if other.fetched is not None:
            self.fetched = self.fetched or Fetched()
            self.fetched.add(other.fetched)


async def read(shelf: Shelf, first: int, last: int) -> Kept:
    """The figures of these days, by all processes together. Raises ``StoreUnavailable``."""
    rows = await _rows(shelf, first, last)
    for _ in range(_LOOKS_MORE):
        if None in rows.values():  # put together with others, since we knew of it: look there
            rows = await _rows(shelf, first, last)
    found = Kept()
    read = {key: from_bytes(row) for key, row in rows.items() if row is not None}
    for (day, whose), figures in read.items():
        if figures is None:
            found.unread += 1
            continue
        whole = read.get((day, ALL))
        if whole is None or whose not in whole.of:
            found.days.setdefault(day, Figures()).add(figures)
    return found


async def _rows(shelf: Shelf, first: int, last: int) -> dict[tuple[int, str], bytes | None]:
    """The rows of these days, by day and by whose they are."""
    places: dict[tuple[int, str], str] = {}
    for place in await shelf.keys(ROWS):
        day, whose = placed(place)
        if day is not None and first <= day <= last:
            places[day, whose] = place
    keys, rows = list(places), dict[tuple[int, str], bytes | None]()
    for at in range(0, len(keys), _AT_A_TIME):
        some = keys[at : at + _AT_A_TIME]
        kept = await asyncio.gather(*(shelf.get(places[key]) for key in some))
        rows |= dict(zip(some, kept, strict=True))
    return rows


def lines(
    days: Mapping[int, Figures], by: str, *, theirs: frozenset[str], only: str = ""
) -> dict[str, Line]:
    """What is to be said ``by`` token, caller, client or day.

    ``theirs``: tokens with an upstream; those that once had one
    are known by their figures. ``only``: of this token alone, unless it is empty.
    """
    theirs = theirs.union(*(figures.fetched for figures in days.values()))
    found: dict[str, Line] = {}
    for day, figures in sorted(days.items()):
        for (token, caller, client), handed in figures.handed.items():
            if only in ("", token):
                name = {"token": token, "caller": caller, "client": client, "day": date_of(day)}[by]
                fetched = Fetched() if token in theirs and by in ("token", "day") else None
                served = handed.served if token in theirs else 0
                more = Line(handed=handed, theirs=served, fetched=fetched)
                found.setdefault(name, Line()).add(more)
        for token, asked in figures.fetched.items():
            if only in ("", token) and by in ("token", "day"):
                name = token if by == "token" else date_of(day)
                found.setdefault(name, Line()).add(Line(fetched=asked))
    return found
