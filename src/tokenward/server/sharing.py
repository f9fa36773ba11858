"""Upstream tokens that many processes share: one of them asks, the others take what it got.

A lease says who asks. What it got is sealed and put on a shelf that all of them see, under a name
made of everything that makes it the same token: the upstream with all its settings, and what the
upstream says may be shared. Whoever changes a setting never gets an old token.

Law of this module: it saves questions and is never needed. Where the store does not answer, each
process asks by itself; where whoever holds the lease is gone, it ends and another asks.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Protocol

from tokenward.clock import Clock
from tokenward.server.remembered import LONGEST_MEMORY, Asked, Failure, Held
from tokenward.server.seal import Seal, SealBroken
from tokenward.server.stores import Leases, Shelf, StoreUnavailable

SHELF = "upstream/"
"""What the names of all shared tokens begin with; then the token's name, a slash, and a hash."""

LEASE = 3.0
"""Seconds for which one process may ask; it renews that for as long as it does."""

TO_ANSWER = 1.0
"""Seconds that the store has for one question of ours."""

REST = 5.0
"""Seconds in which we ask by ourselves after the store did not answer."""

SOONEST, LATEST = 0.05, 0.25
"""Seconds between two looks at what another process may have got."""

SKEW = 60.0
"""Seconds by which the clock of whoever asked may be ahead of ours."""

_VERSION = 1

Outcome = Held | Failure
Usable = Callable[[Asked], Held | None]
Ask = Callable[[float], Awaitable[Outcome]]


class Shared(Protocol):
    """What the processes have in common about one token."""

    def place(self, key: Hashable) -> Any:
        """Where it is; ``None`` if they do not share it."""
        ...

    async def outcome(self, place: Any, *, usable: Usable, ask: Ask, deadline: float) -> Outcome:
        """What another process has got, or what comes of asking when it is our turn.

        ``ask`` is told the seconds it has, as many of the ``deadline``'s as are left.
        """
        ...

    async def close(self) -> None:
        """Bring to an end what is under way."""
        ...


@dataclass(slots=True, kw_only=True)
class Sharing:
    """What the processes have in common about one token."""

    token: str
    """Its name in the configuration."""

    upstream: object
    shelf: Shelf
    """Where tokens are put; it may forget them."""

    leases: Leases
    seal: Seal = field(repr=False)
    clock: Clock
    ticks: Callable[[], float] = time.monotonic
    _alone_until: float = field(default=0.0, init=False)

    def place(self, key: Hashable) -> str | None:
        """Where the token of this key is; ``None`` if it cannot be named in all processes."""
        try:
            named = canonical((_VERSION, self.token, self.upstream, key))
        except TypeError:
            return None
        return f"{SHELF}{self.token}/{self.seal.mark(named)}"

    async def outcome(self, place: str, *, usable: Usable, ask: Ask, deadline: float) -> Outcome:
        """What another process has got, or what comes of asking when it is our turn."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._alone_until:
            return await ask(deadline)
        until = loop.time() + deadline
        try:
            found = await self._found_or_ours(place, usable, until)
        except (StoreUnavailable, TimeoutError):
            self._alone_until = loop.time() + REST
            return await ask(until - loop.time())
        if not isinstance(found, int):
            return found
        renewing = asyncio.create_task(self._renew(place, found))
        try:
            outcome = await ask(until - loop.time())
            if isinstance(outcome, Held):
                await self._put(place, outcome)
            return outcome
        finally:
            renewing.cancel()
            with suppress(StoreUnavailable, TimeoutError):
                async with asyncio.timeout(TO_ANSWER):
                    await self.leases.release(place, found)

    async def close(self) -> None:
        """Nothing is under way."""

    async def _found_or_ours(self, place: str, usable: Usable, until: float) -> Outcome | int:
        """What is there, once it is; or the number of our lease to get it."""
        loop = asyncio.get_running_loop()
        pause, try_again = SOONEST, 0.0
        while True:
            if (held := await self._get(place, usable)) is not None:
                return held
            if loop.time() >= try_again:
                async with asyncio.timeout(TO_ANSWER):
                    ours = await self.leases.hold(place, until=self.clock() + LEASE)
                if ours is not None:
                    # Whoever had it before us may have put it there a moment ago.
                    held = await self._get(place, usable)
                    if held is None:
                        return ours
                    await self.leases.release(place, ours)
                    return held
                try_again = loop.time() + LEASE / 3
            if loop.time() + pause >= until:
                return Failure(detail="another process asks, and has no answer yet", asked=False)
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, LATEST)

    async def _get(self, place: str, usable: Usable) -> Held | None:
        async with asyncio.timeout(TO_ANSWER):
            sealed = await self.shelf.get(place)
        asked = None if sealed is None else opened(self.seal, place, sealed)
        if asked is None or asked.wall > self.clock() + SKEW:
            return None
        age = max(0.0, self.clock() - asked.wall)
        return usable(Asked(token=asked.token, wall=asked.wall, steady=self.ticks() - age))

    async def _put(self, place: str, held: Held) -> None:
        asked = Asked(token=held.token, wall=held.wall, steady=held.steady)
        said = {"version": _VERSION, **asked.to_json()}
        until = held.wall + min(held.life, LONGEST_MEMORY)
        with suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(TO_ANSWER):
                sealed = self.seal.close(json.dumps(said).encode(), place)
                await self.shelf.put(place, sealed, until=until)

    async def _renew(self, place: str, number: int) -> None:
        with suppress(StoreUnavailable):
            while True:
                await asyncio.sleep(LEASE / 3)
                await self.leases.renew(place, number, until=self.clock() + LEASE)


def opened(seal: Seal, place: str, sealed: bytes) -> Asked | None:
    """What somebody put there; ``None`` if it is not what we put there."""
    try:
        return Asked.from_json(json.loads(seal.open(sealed, place)))
    except (SealBroken, KeyError, ValueError):
        return None


def canonical(it: Any) -> bytes:
    """The same bytes for the same thing in every process; ``TypeError`` where that is not known."""
    match it:
        case None | bool() | int() | float():
            said = repr(it).encode()
        case str():
            said = it.encode()
        case bytes():
            said = it
        case tuple() | list():
            said = b"".join(map(canonical, it))
        case frozenset() | set():
            said = b"".join(sorted(map(canonical, it)))
        case Mapping():
            said = b"".join(sorted(canonical(pair) for pair in it.items()))
        case _ if is_dataclass(it) and not isinstance(it, type):
            kept = [(one.name, getattr(it, one.name)) for one in fields(it) if one.init]
            said = canonical([type(it).__module__, type(it).__qualname__, *kept])
        case _:
            raise TypeError
    kind = type(it).__name__.encode()
    return b"%d:%d:%b%b" % (len(kind), len(said), kind, said)
