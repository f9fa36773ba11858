"""Figures of days gone by, put together: one row for a day, not one for each process there was.

Law of this module: nothing is lost and nothing counted twice, whoever is killed in between. The
row of all says whose rows are in it, and those count no more, whether or not they are gone yet.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from tokenward.clock import Clock
from tokenward.oauth.errors import TemporarilyUnavailable
from tokenward.server.figures import Figures, from_bytes, to_bytes
from tokenward.server.rows import ALL, ROWS, day_of, ends, placed, row_of
from tokenward.server.stores import Leases, Shelf

LEASE = "usage"
"""Whoever holds it puts rows together."""

SECONDS = 30.0
"""For one time; what is left then is for the next."""


async def tidy(shelf: Shelf, leases: Leases, clock: Clock) -> None:
    """Put together the rows of all days but today and yesterday. What cannot be done now, because
    the store is away or somebody else is at it, is left for another time."""
    with suppress(TemporarilyUnavailable, TimeoutError):
        days = _untidy(await shelf.keys(ROWS), before=day_of(clock()) - 1)
        if not days:
            return
        number = await leases.hold(LEASE, until=clock() + 2 * SECONDS)
        if number is None:
            return
        try:
            async with asyncio.timeout(SECONDS):
                for day, places in days.items():
                    await _put_together(shelf, day, places)
        finally:
            await leases.release(LEASE, number)


def _untidy(places: list[str], *, before: int) -> Mapping[int, dict[str, str]]:
    """Where the rows of each day are, by whose they are, if there are any to put together."""
    days: dict[int, dict[str, str]] = {}
    for place in places:
        day, whose = placed(place)
        if day is not None and day < before:
            days.setdefault(day, {})[whose] = place
    return {day: found for day, found in days.items() if set(found) != {ALL}}


async def _put_together(shelf: Shelf, day: int, places: dict[str, str]) -> None:
    whole, found = Figures(), 0
    if (row := await shelf.get(row_of(day, ALL))) is not None:
        read = from_bytes(row)
        if read is None:  # a newer version of ours made it, and will know what to do
            return
        whole = read
    for whose, place in places.items():
        if whose == ALL or whose in whole.of:
            continue
        row = await shelf.get(place)
        figures = None if row is None else from_bytes(row)
        if figures is not None:
            whole.add(figures)
            whole.of |= {whose}
            found += 1
    if found:
        await shelf.put(row_of(day, ALL), to_bytes(whole), until=ends(day))
    for whose, place in places.items():
        if whose in whole.of:
            await shelf.drop(place)
