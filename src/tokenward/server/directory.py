"""What is registered while the server runs, as every worker knows it: clients, and API keys.

Whoever registers something puts the whole list on the shelf, sealed, under the number of its
edition; what is for good is in ``records``, which workers never open. Each process reads the newest
edition when it starts and looks between the requests whether there is another.

Law of this module: whoever asks is recognised from memory. While the store is away the list we know
goes on, and an edition that cannot be read changes nothing.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf, isinf
from typing import Any

from tokenward.oauth.errors import TemporarilyUnavailable
from tokenward.oauth.scope import Scope
from tokenward.server.hashes import Known
from tokenward.server.seal import Seal, SealBroken
from tokenward.server.stores import Shelf, WrongStore

SHELF = "clients/"
"""What the places of editions begin with; then the number, of ten digits."""

POLL = 5.0
"""Seconds between two looks."""

TO_LOOK = 2.0
"""Seconds that the store has to answer one."""

_VERSION = 1

_log = logging.getLogger("tokenward.server")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One client, with what a token endpoint has to know of it."""

    id: str
    grant_types: frozenset[str]
    """As they are on the wire."""

    scope: Scope | None = None
    default: str = ""
    disabled: bool = False
    secrets: tuple[Known, ...] = field(default=(), repr=False)


Entries = tuple[Entry, ...]


def to_bytes(entries: Iterable[Entry]) -> bytes:
    """All of it; seal it before a store sees it."""
    said = [
        {
            "id": it.id,
            "grant_types": sorted(it.grant_types),
            "scope": None if it.scope is None else it.scope.text,
            "default": it.default,
            "disabled": it.disabled,
            "secrets": [
                {
                    "hash": one.hash,
                    "name": one.name,
                    "expires": None if isinf(one.expires) else one.expires,
                }
                for one in it.secrets
            ],
        }
        for it in entries
    ]
    return json.dumps({"version": _VERSION, "clients": said}).encode()


def from_bytes(data: bytes) -> Entries:
    """What ``to_bytes`` made; raises ``WrongStore`` for what a later version made."""
    said = json.loads(data)
    if said["version"] != _VERSION:
        raise WrongStore(
            f"the list of registered clients is of version {said['version']}, and this tokenward "
            f"knows {_VERSION}: use the newer one"
        )
    return tuple(
        Entry(
            id=it["id"],
            grant_types=frozenset(it["grant_types"]),
            scope=None if it["scope"] is None else Scope.parse(it["scope"]),
            default=it["default"],
            disabled=it["disabled"],
            secrets=tuple(
                Known(
                    hash=one["hash"],
                    name=one["name"],
                    expires=inf if one["expires"] is None else float(one["expires"]),
                )
                for one in it["secrets"]
            ),
        )
        for it in said["clients"]
    )


async def publish(
    entries: Entries, edition: int, *, shelf: Shelf, seal: Callable[[], Seal]
) -> bool:
    """Let all processes know this list of clients; what ``publish_bytes`` says of it."""
    return await publish_bytes(
        lambda: to_bytes(entries), edition, place=SHELF, shelf=shelf, seal=seal
    )


async def publish_bytes(
    data: Callable[[], bytes], edition: int, *, place: str, shelf: Shelf, seal: Callable[[], Seal]
) -> bool:
    """Let all processes know a list; whether they did not yet.

    A list that was published before stays, unless another encryption key is to seal it. Raises
    ``StoreUnavailable`` and ``SealBroken``.
    """
    if not edition:  # nobody was ever registered
        return False
    mine = f"{place}{edition:010}"
    kept = await shelf.get(mine)
    news = kept is None or _is_stale(seal(), kept, mine)
    if news:
        await shelf.put(mine, seal().close(data(), mine), until=None)
    for older in await shelf.keys(place):
        if older < mine:
            await shelf.drop(older)
    return news


async def reseal(shelf: Shelf, seal: Seal, place: str = SHELF) -> bool:
    """Seal the newest edition anew unless the first encryption key did; whether there was need.

    Raises ``StoreUnavailable`` and ``SealBroken``.
    """
    for newest in (await shelf.keys(place))[-1:]:
        kept = await shelf.get(newest)
        if kept is not None and seal.is_stale(kept, newest):
            await shelf.put(newest, seal.close(seal.open(kept, newest), newest), until=None)
            return True
    return False


def _is_stale(seal: Seal, kept: bytes, place: str) -> bool:
    try:
        return seal.is_stale(kept, place)
    except SealBroken:
        return True


@dataclass(slots=True, kw_only=True)
class Directory:
    """Reads the newest edition for as long as the server runs."""

    shelf: Shelf
    seal: Callable[[], Seal] = field(repr=False)
    """Asked for when there is something to open."""

    show: Callable[[Any], None]
    """Told of every edition, the first one before anybody is served."""

    place: str = SHELF
    read: Callable[[bytes], Any] = from_bytes
    """What ``show`` is told, of what was published there."""

    what: str = "registered clients"
    _newest: str = field(default="", init=False)
    _watching: asyncio.Task[None] | None = field(default=None, init=False)

    async def open(self) -> None:
        """Read what there is, and look again and again from now on.

        Raises ``StoreUnavailable``, ``SealBroken`` and ``WrongStore``.
        """
        await self.look()
        self._watching = asyncio.create_task(self._watch(), name="tokenward-directory")

    async def close(self) -> None:
        """Look no more."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait((self._watching,))

    async def look(self) -> None:
        """Show the newest edition, unless it is the one we know. Raises what ``open`` does."""
        while editions := await self.shelf.keys(self.place):
            place = editions[-1]
            if place == self._newest:
                return
            if (kept := await self.shelf.get(place)) is not None:
                self.show(self.read(self.seal().open(kept, place)))
                self._newest = place
                return
            # It was there a moment ago: the next edition has taken its place.

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(POLL)
            try:
                with suppress(TemporarilyUnavailable, TimeoutError):  # readiness tells of that
                    async with asyncio.timeout(TO_LOOK):
                        await self.look()
            except (SealBroken, WrongStore) as exc:
                _log.warning("the %s stay as they were: %s", self.what, exc)
            except Exception:  # noqa: BLE001 - whatever it is, the next look may see better
                _log.exception("the %s could not be looked at", self.what)
