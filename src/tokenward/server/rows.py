"""Where the figures of each day are kept, and for how long. Days are those of UTC."""

from datetime import UTC, date, datetime

ROWS = "usage/"
"""What the places of rows begin with; then the date, a slash, and whose row it is."""

ALL = "all"
"""Whose row has those of all others in it."""

KEPT = 400
"""Days for which figures are kept: a year, and a month to compare it with."""

DAY = 86_400
"""Seconds."""

_FIRST = date(1970, 1, 1)


def day_of(seconds: float) -> int:
    """The number of the day that this moment is in, counted from the beginning of the epoch."""
    return int(seconds // DAY)


def date_of(day: int) -> str:
    """The date of a day, as in ``2026-11-21``."""
    return datetime.fromtimestamp(day * DAY, UTC).date().isoformat()


def day_named(text: str) -> int | None:
    """The day of this date; ``None`` if it is none."""
    try:
        return (date.fromisoformat(text) - _FIRST).days
    except ValueError:
        return None


def row_of(day: int, whose: str) -> str:
    """The place of a row."""
    return f"{ROWS}{date_of(day)}/{whose}"


def placed(place: str) -> tuple[int | None, str]:
    """Which day it is about, if any that we know, and whose row it is."""
    named, _, whose = place.removeprefix(ROWS).partition("/")
    return day_named(named), whose


def ends(day: int) -> float:
    """When its rows are to be forgotten (seconds since the epoch)."""
    return float((day + KEPT) * DAY)
