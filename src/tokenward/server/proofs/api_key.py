"""A key that was made here for a script: whoever shows it is whom it was made for.

Law of this module: a key is looked up in memory. While the store is away the list we know goes on;
when a key was last used is written in batches, and nobody waits for that.
"""

import asyncio
import math
from contextlib import suppress
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, ClassVar

from tokenward.oauth.errors import TemporarilyUnavailable
from tokenward.server import apikeys
from tokenward.server.apikeys import Entry, KeyList
from tokenward.server.directory import Directory
from tokenward.server.model import Caller
from tokenward.server.proofs import TooOld, Trusting
from tokenward.server.values import Within

FLUSH = 60.0
"""Seconds between two batches of what was used when."""

COARSE = 600.0
"""Seconds that what is written about the last use of a key may be behind."""

KEPT = 400 * 86_400.0
"""Seconds for which it is remembered when a key was last used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """Settings of a caller whose people have keys."""

    listed: ClassVar[bool] = True
    """Somebody let each of them in by name."""

    lifetime: Annotated[float, Within("1h", "3650d")] = 90 * 86_400.0
    """How long a new key is good for at most; `tokenward api-keys new --expires` says less."""

    def trusted(self, trusting: Trusting) -> "KeyHolders":
        """The proof itself."""
        return KeyHolders(trusting=trusting)


@dataclass(slots=True, kw_only=True)
class KeyHolders:
    """Knows the keys that are for one caller."""

    trusting: Trusting
    _pepper: bytes = field(default=b"", init=False, repr=False)
    _entries: dict[str, Entry] = field(default_factory=dict, init=False, repr=False)
    """By what they are recognised by."""

    _shown: dict[bytes, tuple[Entry, Caller]] = field(default_factory=dict, init=False, repr=False)
    """Those that were shown since we know the list, by the SHA-256 of the key."""

    _used: dict[str, float] = field(default_factory=dict, init=False, repr=False)
    _written: dict[str, float] = field(default_factory=dict, init=False, repr=False)
    _directory: Directory | None = field(default=None, init=False, repr=False)
    _writing: asyncio.Task[None] | None = field(default=None, init=False, repr=False)

    def know(self, known: KeyList) -> None:
        """From now on these are the keys, and no others."""
        self._pepper = known.pepper
        mine = [it for it in known.entries if it.caller == self.trusting.name]
        self._entries = {it.digest: it for it in mine}
        self._shown.clear()
        ids = {it.id for it in mine}
        for times in self._used, self._written:
            for gone in times.keys() - ids:
                del times[gone]

    def recall(self, digest: bytes) -> Caller | None:
        """The holder of a key that was shown before, until it ends or the list changes."""
        known = self._shown.get(digest)
        if known is None:
            return None
        entry, caller = known
        now = self.trusting.clock()
        if now >= entry.expires:
            return None
        self._used[entry.id] = now
        return caller

    async def prove(self, token: str, digest: bytes) -> Caller | None:
        """Find the key; what is no key of ours does not concern us."""
        if not token.startswith(apikeys.PREFIX):
            return None
        if not apikeys.is_whole(token):
            raise self.trusting.refused("no whole key")
        entry = self._entries.get(apikeys.digest_of(token, self._pepper))
        if entry is None:
            raise self.trusting.refused("no such key, or no longer")
        now = self.trusting.clock()
        if now >= entry.expires:
            raise TooOld("the key has expired", detail=self.trusting.told(f"key {entry.id}: over"))
        claims = {**entry.claims, "sub": entry.name, "name": entry.name, "owner": entry.owner}
        caller = self.trusting.caller(
            MappingProxyType(claims), entry.name, expires_at=entry.expires, credential=entry.id
        )
        self._shown[digest] = entry, caller
        self._used[entry.id] = now
        return caller

    async def open(self) -> None:
        """Read the list, and look again and again whether there is another.

        Raises ``StoreUnavailable``, ``SealBroken`` and ``WrongStore``.
        """
        shelf, seal = self.trusting.shelf, self.trusting.seal
        if shelf is None or seal is None:
            return  # nobody can have made a key
        self._directory = Directory(
            shelf=shelf,
            seal=seal,
            show=self.know,
            place=apikeys.SHELF,
            read=apikeys.from_bytes,
            what="API keys",
        )
        await self._directory.open()
        self._writing = asyncio.create_task(self._write(), name="tokenward-api-keys")

    async def close(self) -> None:
        """Look no more, and write what was used."""
        if self._directory is not None:
            await self._directory.close()
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.wait((self._writing,))
            with suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self.flush()

    async def look(self) -> None:
        """Look now whether there is another list."""
        if self._directory is not None:
            await self._directory.look()

    async def flush(self) -> None:
        """Write when keys were last used, of those of which it is not known well enough."""
        if (shelf := self.trusting.shelf) is None:
            return
        for id, at in list(self._used.items()):
            if at - self._written.get(id, -math.inf) < COARSE:
                continue
            with suppress(TemporarilyUnavailable):  # another time
                await shelf.put(apikeys.USED + id, b"%d" % at, until=at + KEPT)
                self._written[id] = at

    async def _write(self) -> None:
        while True:
            await asyncio.sleep(FLUSH)
            await self.flush()
