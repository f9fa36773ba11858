"""Upstream tokens that are not to be believed any more, because somebody said so.

``tokenward broker forget`` puts a note on the shelf; every process looks for notes now and then,
and forgets what it was told to. Nothing is read for a request.
"""

import asyncio
import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from tokenward.oauth.errors import TemporarilyUnavailable
from tokenward.server.remembered import LONGEST_MEMORY
from tokenward.server.stores import Shelf

NOTES = "forgotten/"
"""What the names of notes begin with; then the token's name, a slash, and when it was said."""

EVERY = 5.0
"""Seconds between two looks."""

TO_LOOK = 2.0
"""Seconds that the store has to answer."""


async def forget(names: Iterable[str], *, notes: Shelf, at: float) -> None:
    """Tell all processes to believe none of these tokens that was asked for until now."""
    for name in names:
        note = f"{NOTES}{name}/{at:.3f}-{secrets.token_hex(4)}"
        await notes.put(note, b"", until=at + LONGEST_MEMORY)


class Forgets(Protocol):
    """What may be told to."""

    def forget(self, at: float) -> None:
        """Believe nothing any more that was asked for until then."""


@dataclass(slots=True, kw_only=True)
class Forgetting:
    """Reads the notes for as long as the server runs."""

    notes: Shelf
    brokers: Mapping[str, Forgets]
    """By the name of the token."""

    _seen: frozenset[str] = field(default=frozenset(), init=False)
    _looking: asyncio.Task[None] | None = field(default=None, init=False)

    async def open(self) -> None:
        """Look, and then again and again."""
        await self.look()
        self._looking = asyncio.create_task(self._look_again())

    async def close(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait((self._looking,))

    async def look(self) -> None:
        """Forget what there are new notes about; while the store is gone there is none."""
        with suppress(TemporarilyUnavailable, TimeoutError):
            async with asyncio.timeout(TO_LOOK):
                notes = frozenset(await self.notes.keys(NOTES))
            for note in notes - self._seen:
                name, _, said = note.removeprefix(NOTES).rpartition("/")
                if broker := self.brokers.get(name):
                    broker.forget(float(said.partition("-")[0]))
            self._seen = notes

    async def _look_again(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            await self.look()
