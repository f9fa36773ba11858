"""When signing keys come and go: shown before they sign, believed after, never more than three.

    made ──── lead ────> signs ──── every ────> another signs ──── keep ────> gone
    (published)          (current)              (retired)

Law of this module: no store and no clock. From the keys, the time and the periods follows which
key signs and which are shown, so that all processes that know the same keys say the same.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import inf
from typing import TypeAlias

from tokenward.jose.held import OurKey

MOST = 3
"""Keys that are public at a time: next, current, retired."""

NEXT, CURRENT, RETIRED = "next", "current", "retired"

Make: TypeAlias = Callable[[], OurKey]


class TooSoon(Exception):
    """A key cannot be changed yet; ``until`` says when (seconds since the epoch)."""

    def __init__(self, reason: str, until: float) -> None:
        super().__init__(reason)
        self.until = until


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One key, and its dates in seconds since the epoch."""

    key: OurKey = field(repr=False)
    made: float
    """When it was first published."""

    since: float
    """When it begins to sign; it does until another one begins."""


Entries: TypeAlias = tuple[Entry, ...]
"""The keys of one ring, in the order in which they sign."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Periods:
    """In seconds."""

    every: float = inf
    """For how long one key signs; infinite if it is never changed by itself."""

    lead: float = 0.0
    """From when a key is published until it signs: longer than anybody keeps our JWKS."""

    keep: float = 0.0
    """From when a key last signed until it is gone: longer than any token lives."""


def current(entries: Entries, now: float) -> Entry:
    """The key that signs now: exactly one, whatever the clock says."""
    begun = [entry for entry in entries if entry.since <= now]
    return begun[-1] if begun else entries[0]


def states(entries: Entries, now: float) -> list[tuple[Entry, str]]:
    """The keys as they are shown: the current one first, then the next, then the retired."""
    if not entries:
        return []
    signing = current(entries, now)
    place = entries.index(signing)
    return [
        (signing, CURRENT),
        *((entry, NEXT) for entry in entries[place + 1 :]),
        *((entry, RETIRED) for entry in reversed(entries[:place])),
    ]


def gone_at(entry: Entry, entries: Entries, periods: Periods) -> float:
    """When the last token that this key signed has expired for everybody."""
    later = [other.since for other in entries if other.since > entry.since]
    return min(later) + periods.keep if later else inf


def advanced(entries: Entries, now: float, periods: Periods, make: Make) -> Entries:
    """The keys as they should be kept from now on; the same ones if nothing is due."""
    entries = _kept(entries, now, periods)
    signing = current(entries, now)
    begins = signing.since + periods.every
    if entries[-1] is signing and len(entries) < MOST and now >= begins - periods.lead:
        since = max(begins, now + periods.lead)
        return (*entries, Entry(key=make(), made=now, since=since))
    return entries


def rotated(entries: Entries, now: float, periods: Periods, make: Make) -> Entries:
    """The keys with another one about to sign, as soon as all who verify can know it.

    Raises ``TooSoon`` if one is on its way already, or if there is no room for one yet.
    """
    entries = _kept(entries, now, periods)
    signing, last = current(entries, now), entries[-1]
    if last is not signing:
        since = max(last.made + periods.lead, now)
        if since >= last.since:
            raise TooSoon("the next key is on its way already, and signs then", last.since)
        return (*entries[:-1], replace(last, since=since))
    if len(entries) >= MOST:
        until = min(gone_at(entry, entries, periods) for entry in entries)
        raise TooSoon("tokens of three keys are alive; the oldest of these is gone then", until)
    return (*entries, Entry(key=make(), made=now, since=now + periods.lead))


def replaced(entries: Entries, now: float, periods: Periods, make: Make) -> Entries:
    """The keys with another one that signs at once: whoever verifies may not know it yet.

    Where there is no room for one, the oldest goes, and with it the tokens it signed.
    """
    entries = _kept(entries, now, periods)
    signing, last = current(entries, now), entries[-1]
    if last is not signing:
        return (*entries[:-1], replace(last, since=now))
    since = max(now, signing.since + 0.001)  # no two begin at the same time
    return (*entries[-(MOST - 1) :], Entry(key=make(), made=now, since=since))


def revoked(entries: Entries, kid: str, now: float, make: Make) -> Entries:
    """The keys without this one; if it signs, another does at once. ``LookupError`` if unknown."""
    left = tuple(entry for entry in entries if entry.key.kid != kid)
    if len(left) == len(entries):
        raise LookupError(kid)
    if current(entries, now).key.kid != kid:
        return left
    coming = [entry for entry in left if entry.since > now]
    if coming:
        first = coming[0]
        return tuple(replace(entry, since=now) if entry is first else entry for entry in left)
    return (*left, Entry(key=make(), made=now, since=now))


def _kept(entries: Entries, now: float, periods: Periods) -> Entries:
    return tuple(entry for entry in entries if gone_at(entry, entries, periods) > now)
