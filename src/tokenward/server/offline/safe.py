"""Where stored grants are kept: on the store's own shelf, sealed, each changed by one at a time.

Law of this module: a change is made to what was seen and to nothing else. Who removes a grant, or
puts another in its place, does not get it back from somebody who was at it just then.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from tokenward.clock import Clock
from tokenward.oauth.messages import AccessToken
from tokenward.oauth.scope import NOTHING, Scope
from tokenward.server.offline import SHELF, Status, Whose, places_of
from tokenward.server.offline.kept import Kept, from_bytes, to_bytes
from tokenward.server.remembered import Asked
from tokenward.server.seal import Seal, SealBroken
from tokenward.server.stores import Shelf, StoreUnavailable, WrongStore

ENDED = 90 * 86_400.0
"""Seconds for which a person can see that the platform has ended what they connected."""


class Seen(NamedTuple):
    """A grant, and the very bytes of it."""

    kept: Kept
    sealed: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Safe:
    """All stored grants of a server. All it is asked may raise ``StoreUnavailable``."""

    shelf: Shelf
    """Of the store: what it forgets is lost."""

    seal: Callable[[], Seal] = field(repr=False)
    clock: Clock

    async def put(
        self,
        whose: Whose,
        *,
        where: str,
        refresh_token: str,
        scope: Scope = NOTHING,
        account: str = "",
        token: AccessToken | None = None,
        good_for: str = "",
    ) -> None:
        """Keep a grant that somebody has just given us, instead of any that was there.

        ``token``: the access token that came with it, if it is good for something.
        """
        now = self.clock()
        kept = new(whose, where, refresh_token, now=now, scope=scope, account=account)
        if token is not None and good_for:
            asked = Asked(token=token, wall=now, steady=0.0)
            kept = kept.renewed(refresh_token, good_for, asked, at=now)
        await self.shelf.put(whose.place, self._sealed(kept), until=None)

    async def look(self, whose: Whose) -> Seen | None:
        """What is there."""
        return await self._seen(whose.place)

    async def add(self, kept: Kept) -> Seen | None:
        """Keep this if nothing is there; ``None`` if something is."""
        sealed = self._sealed(kept)
        added = await self.shelf.add(kept.whose.place, sealed, until=None)
        return Seen(kept, sealed) if added else None

    async def change(self, seen: Seen, kept: Kept) -> Seen | None:
        """Keep this instead of what was seen; ``None`` if it is not there any more."""
        sealed = self._sealed(kept)
        swapped = await self.shelf.swap(kept.whose.place, seen.sealed, sealed, until=_until(kept))
        return Seen(kept, sealed) if swapped else None

    async def remove(self, whose: Whose) -> Kept | None:
        """Forget it; what it was, if it was there."""
        sealed = await self.shelf.take(whose.place)
        return None if sealed is None else self._opened(whose.place, sealed)

    async def of(self, subject: str) -> list[Status]:
        """All that this person has connected, ended or not, in no order that means anything."""
        found = [await self._seen(place) for place in await self.shelf.keys(places_of(subject))]
        return [seen.kept.status for seen in found if seen is not None]

    async def _seen(self, place: str) -> Seen | None:
        sealed = await self.shelf.get(place)
        return None if sealed is None else Seen(self._opened(place, sealed), sealed)

    def _opened(self, place: str, sealed: bytes) -> Kept:
        try:
            return from_bytes(self.seal().open(sealed, place))
        except (SealBroken, WrongStore) as fault:  # for an operator to mend, and nobody else
            raise StoreUnavailable(str(fault)) from fault

    def _sealed(self, kept: Kept) -> bytes:
        return self.seal().close(to_bytes(kept), kept.whose.place)


def new(
    whose: Whose,
    where: str,
    refresh_token: str,
    *,
    now: float,
    scope: Scope = NOTHING,
    account: str = "",
    first: str = "",
) -> Kept:
    """A grant that has just been given."""
    return Kept(
        whose=whose,
        id=secrets.token_hex(16),
        where=where,
        refresh_token=refresh_token,
        scope=scope,
        account=account,
        since=now,
        first=first,
    )


async def reseal(shelf: Shelf, seal: Seal) -> int:
    """Seal all grants anew unless the first encryption key did; how many there were.

    One that is changed meanwhile is sealed by whoever changes it, and looked at once more. Raises
    ``StoreUnavailable`` and ``SealBroken``.
    """
    number = 0
    for place in await shelf.keys(SHELF):
        while (sealed := await shelf.get(place)) is not None and seal.is_stale(sealed, place):
            anew = seal.close(seal.open(sealed, place), place)
            until = _until(from_bytes(seal.open(sealed, place)))
            if await shelf.swap(place, sealed, anew, until=until):
                number += 1
                break
    return number


def _until(kept: Kept) -> float | None:
    # The configured one is remembered for as long as somebody may have it configured.
    return kept.ended + ENDED if kept.ended and kept.whose.subject else None
