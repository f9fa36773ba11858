"""Our signing keys: one ring per issuer and algorithm, never shared, kept sealed in the store.

The first process to need a ring makes it; all others, and all later ones, read what it kept. A
ring is kept under the number of its edition, and an edition is added once or not at all: of two
who want to change it, one has to look again. Whoever is killed in the middle has changed nothing.

Law of this module: a token is signed from memory. What others have changed is looked for between
the requests, and while the store is away the keys we know go on. (A key that somebody else holds
signs where it is.)
"""

import asyncio
import json
import logging
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from tokenward.clock import Clock, now
from tokenward.jose.held import HeldKey, OurKey
from tokenward.jose.keys import KeySet, SigningKey
from tokenward.oauth.errors import TemporarilyUnavailable
from tokenward.server.holder import TO_MAKE, Asking, Holder, nobody
from tokenward.server.rotation import Entries, Entry, Make, Periods, advanced, states
from tokenward.server.seal import Seal, SealBroken
from tokenward.server.signers import SignerUnavailable
from tokenward.server.stores import Shelf

POLL = 30.0
"""Seconds after which every process knows what one of them changed."""

PLACE = "ring/"
"""All rings are kept under names that begin so."""

_VERSION = 2
_FIRST = "0000000001"

T = TypeVar("T")

_log = logging.getLogger("tokenward.server")


class Ring:
    """The keys of one issuer for one algorithm, the one that signs first; as they are now."""

    __slots__ = ("_verifying", "entries", "generation", "keys")

    def __init__(self, entries: Entries, now: float) -> None:
        self.keys: tuple[OurKey, ...] = ()
        self.generation = 0
        """Another number whenever the keys, or their order, are others."""

        self.show(entries, now)

    def __repr__(self) -> str:
        return f"Ring({', '.join(key.kid for key in self.keys)})"

    def show(self, entries: Entries, now: float) -> None:
        """These are the keys from now on."""
        self.entries = entries
        keys = tuple(entry.key for entry, _ in states(entries, now))
        if [key.kid for key in keys] != [key.kid for key in self.keys]:
            self.keys = keys
            self._verifying = KeySet(tuple(key.verifying_key() for key in keys))
            self.generation += 1

    def sign(self, claims: Mapping[str, object], *, typ: str) -> str | Awaitable[str]:
        """Sign with the current key; at once, unless somebody else holds it."""
        return self.keys[0].sign(claims, typ=typ)

    def jwks(self) -> dict[str, object]:
        """The public keys as a JWK Set (RFC 7517 §5), the current one first."""
        return {"keys": [key.public_jwk() for key in self.keys]}

    def verifying(self) -> KeySet:
        """The public keys, to verify our own tokens with."""
        return self._verifying


def to_bytes(entries: Entries) -> bytes:
    """All of it, private keys too: seal it before anybody sees it."""
    kept = [
        {
            "held" if isinstance(it.key, HeldKey) else "key": b64encode(it.key.to_bytes()).decode(),
            "made": it.made,
            "since": it.since,
        }
        for it in entries
    ]
    return json.dumps({"version": _VERSION, "keys": kept}).encode()


def from_bytes(data: bytes, asking: Asking = nobody) -> Entries:
    """What ``to_bytes`` made, of this version or of the one before, which had no dates.

    ``asking`` is how to ask for signatures with keys that somebody else holds.
    """
    kept = json.loads(data)
    if kept["version"] == 1:
        keys = [SigningKey.from_bytes(b64decode(key)) for key in kept["keys"]]
        return tuple(Entry(key=key, made=0.0, since=0.0) for key in keys[:1])
    return tuple(
        Entry(
            key=HeldKey.from_bytes(b64decode(it["held"]), asking)
            if "held" in it
            else SigningKey.from_bytes(b64decode(it["key"])),
            made=float(it["made"]),
            since=float(it["since"]),
        )
        for it in kept["keys"]
    )


@dataclass(slots=True, kw_only=True)
class KeyRing:
    """Where rings are kept, and who looks after them."""

    shelf: Shelf
    seal: Seal
    clock: Clock = now
    periods: Mapping[str, Periods] = field(default_factory=dict)
    """By issuer; keys of others are never changed by themselves."""

    holders: Mapping[str, Holder] = field(default_factory=dict)
    """Who holds the keys of an issuer; those of others are in the store, sealed."""

    _rings: dict[tuple[str, str], tuple[str, Ring]] = field(default_factory=dict, init=False)
    """With the place where the edition in memory is kept."""

    async def ring(self, issuer: str, algorithm: str) -> Ring:
        """The ring of an issuer, by its name; made now if there is none yet.

        Raises ``StoreUnavailable``, ``SignerUnavailable``, and ``SealBroken`` if it was sealed
        with another key.
        """
        if (issuer, algorithm) not in self._rings:
            place, entries = await self._read(issuer, algorithm)
            now = self.clock()
            if not entries:
                key = await self._done(issuer, self.maker(issuer, algorithm))
                first = Entry(key=key, made=now, since=now)
                place, entries = await self._keep(issuer, algorithm, place, (first,))
            self._rings[issuer, algorithm] = place, Ring(entries, now)
        return self._rings[issuer, algorithm][1]

    async def change(
        self, issuer: str, algorithm: str, step: Callable[[Entries], Entries]
    ) -> Entries:
        """Keep what ``step`` makes of the keys as they are in the store; what is kept then.

        ``step`` is asked again if somebody else was faster. Raises what it raises, and
        ``StoreUnavailable`` and ``SignerUnavailable``.
        """
        while True:
            place, before = await self._read(issuer, algorithm)
            after = await self._done(issuer, partial(step, before)) if before else before
            if after == before:
                return self._shown(issuer, algorithm, place, before)
            if len({entry.key.kid for entry in after}) < len(after):
                raise SignerUnavailable(
                    f"issuers.{issuer}: the signer has no other key; make one under another label"
                )
            kept_at, kept = await self._keep(issuer, algorithm, place, after)
            if kept == after:
                return self._shown(issuer, algorithm, kept_at, kept)

    async def reseal(self, issuer: str, algorithm: str) -> bool:
        """Seal the ring anew unless the first encryption key did; whether there was need.

        Raises what ``ring`` does.
        """
        needed = False
        while True:
            place, entries = await self._read(issuer, algorithm)
            kept = await self.shelf.get(place)
            if kept is None and entries:
                continue  # somebody else was faster
            if kept is None or not self.seal.is_stale(kept, place):
                return needed
            await self._keep(issuer, algorithm, place, entries)
            needed = True

    def maker(self, issuer: str, algorithm: str) -> Callable[[], OurKey]:
        """What makes a key for this issuer; it may take a while, and a signer's may fail."""
        holder = self.holders.get(issuer)
        if holder is None:
            return partial(SigningKey.generate, algorithm)
        return partial(holder.make, f"tokenward {issuer} {algorithm}", algorithm)

    async def _done(self, issuer: str, work: Callable[[], T]) -> T:
        """Do what may make a key: where it makes the others wait for a device, in its thread."""
        holder = self.holders.get(issuer)
        return work() if holder is None else await holder.in_turn(work, TO_MAKE)

    async def look(self, issuer: str, algorithm: str) -> Entries:
        """The keys as they are in the store, if there are any; from now on here as well."""
        place, entries = await self._read(issuer, algorithm)
        return self._shown(issuer, algorithm, place, entries) if entries else ()

    async def refresh(self) -> None:
        """See what others changed, and change what is due; raises what ``look`` does."""
        for issuer, algorithm in list(self._rings):
            periods = self.periods.get(issuer, Periods())
            make = self.maker(issuer, algorithm)

            def step(entries: Entries, periods: Periods = periods, make: Make = make) -> Entries:
                return advanced(entries, self.clock(), periods, make)

            entries = await self.look(issuer, algorithm)
            # A signer that hangs must not keep us from seeing what others changed.
            with suppress(_Due):
                if advanced(entries, self.clock(), periods, _due) == entries:
                    continue
            try:
                await self.change(issuer, algorithm, step)
            except SignerUnavailable as exc:  # the next key is late; all there is goes on
                _log.warning("issuers.%s gets no new signing key: %s", issuer, exc.detail)

    async def watch(self) -> None:
        """Refresh for ever; what fails is tried again, and the keys in memory go on."""
        while True:
            await asyncio.sleep(POLL)
            try:
                await self.refresh()
            except (TemporarilyUnavailable, SealBroken) as exc:
                why = exc.detail if isinstance(exc, TemporarilyUnavailable) else exc
                _log.warning("the signing keys could not be looked at: %s", why)
                self._turn()
            except Exception:  # noqa: BLE001 - whatever it is, tomorrow's keys depend on this
                _log.exception("the signing keys could not be looked at")
                self._turn()

    def close(self) -> None:
        """Let go of those who hold keys for us."""
        for holder in self.holders.values():
            holder.close()

    def _turn(self) -> None:
        """Time goes on without the store: the next key's turn may have come."""
        for _, ring in self._rings.values():
            ring.show(ring.entries, self.clock())

    def _shown(self, issuer: str, algorithm: str, place: str, entries: Entries) -> Entries:
        if known := self._rings.get((issuer, algorithm)):
            known[1].show(entries, self.clock())
            self._rings[issuer, algorithm] = place, known[1]
        return entries

    async def _read(self, issuer: str, algorithm: str) -> tuple[str, Entries]:
        """The newest edition and its place; the place of version 1, and nothing, if none is."""
        prefix = _prefix(issuer, algorithm)
        holder = self.holders.get(issuer)
        while True:
            editions = await self.shelf.keys(prefix)
            place = editions[-1] if editions else prefix.removesuffix("/")
            known = self._rings.get((issuer, algorithm))
            if known is not None and known[0] == place:
                return place, known[1].entries
            kept = await self.shelf.get(place)
            if kept is not None:
                asking = nobody if holder is None else holder.asking
                return place, from_bytes(self.seal.open(kept, place), asking)
            if not editions and not await self.shelf.keys(prefix):
                return place, ()
            # It was there a moment ago: the next edition has taken its place.

    async def _keep(
        self, issuer: str, algorithm: str, place: str, entries: Entries
    ) -> tuple[str, Entries]:
        """Keep the next edition, and forget the others; or what somebody else kept there."""
        prefix = _prefix(issuer, algorithm)
        number = place.removeprefix(prefix)
        following = prefix + (f"{int(number) + 1:010}" if number.isdigit() else _FIRST)
        sealed = self.seal.close(to_bytes(entries), following)
        if not await self.shelf.add(following, sealed, until=None):
            return await self._read(issuer, algorithm)
        for old in {place, *await self.shelf.keys(prefix)}:
            if old < following:
                await self.shelf.drop(old)
        return following, entries


class _Due(Exception):
    """A key has to be made."""


def _due() -> OurKey:
    raise _Due


def _prefix(issuer: str, algorithm: str) -> str:
    return f"{PLACE}{issuer}/{algorithm}/"
