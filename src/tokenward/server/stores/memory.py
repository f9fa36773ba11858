"""Keep it until the process ends: for tests, and for trying things out."""

from dataclasses import dataclass, field
from itertools import count
from math import inf
from typing import Generic, TypeVar

from tokenward.clock import Clock
from tokenward.server.stores import (
    Again,
    Counts,
    First,
    Rotation,
    Theft,
    Unknown,
    WrongStore,
)

V = TypeVar("V")


def from_url(rest: str, clock: Clock) -> "Memory":
    """``memory:`` and nothing else."""
    if rest:
        raise WrongStore("memory: has no path; nothing is kept when the process ends")
    return Memory(clock)


class Memory:
    """Three dictionaries. No method waits, so each is one step to everybody else."""

    def __init__(self, clock: Clock) -> None:
        self.path = None
        tally = _Tally()
        self._tally = tally
        self.shelf = _Shelf(_Kept(clock), tally)
        self.chains = _Chains(_Kept(clock), clock, tally)
        self.leases = _Leases(_Kept(clock), tally)

    @property
    def counts(self) -> Counts:
        writes = self._tally.writes
        return Counts(reads=self._tally.reads, writes=writes, commits=writes)

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def ping(self) -> None:
        pass


@dataclass(slots=True)
class _Tally:
    reads: int = 0
    writes: int = 0


class _Kept(Generic[V]):
    """A dictionary in which what has expired is absent.

    It is swept when it has doubled since the last time, so that it is at most half dead.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[str, tuple[V, float]] = {}
        self._sweep_at = 256

    def get(self, key: str) -> V | None:
        value, until = self._kept.get(key, (None, 0.0))
        return value if self._clock() < until else None

    def put(self, key: str, value: V, until: float | None) -> None:
        self._kept[key] = (value, inf if until is None else until)
        if len(self._kept) >= self._sweep_at:
            self._kept = {key: self._kept[key] for key in self.live()}
            self._sweep_at = max(256, 2 * len(self._kept))

    def drop(self, key: str) -> None:
        self._kept.pop(key, None)

    def live(self) -> list[str]:
        now = self._clock()
        return [key for key, (_, until) in self._kept.items() if now < until]

    def __len__(self) -> int:
        return len(self._kept)


@dataclass(frozen=True, slots=True)
class _Shelf:
    _kept: _Kept[bytes]
    _tally: _Tally

    async def put(self, key: str, value: bytes, *, until: float | None) -> None:
        self._tally.writes += 1
        self._kept.put(key, value, until)

    async def get(self, key: str) -> bytes | None:
        self._tally.reads += 1
        return self._kept.get(key)

    async def add(self, key: str, value: bytes, *, until: float | None) -> bool:
        self._tally.writes += 1
        if self._kept.get(key) is not None:
            return False
        self._kept.put(key, value, until)
        return True

    async def swap(self, key: str, old: bytes, new: bytes, *, until: float | None) -> bool:
        self._tally.writes += 1
        if self._kept.get(key) != old:
            return False
        self._kept.put(key, new, until)
        return True

    async def take(self, key: str) -> bytes | None:
        self._tally.writes += 1
        value = self._kept.get(key)
        self._kept.drop(key)
        return value

    async def drop(self, key: str) -> None:
        self._tally.writes += 1
        self._kept.drop(key)

    async def keys(self, prefix: str) -> list[str]:
        self._tally.reads += 1
        return sorted(key for key in self._kept.live() if key.startswith(prefix))


@dataclass(slots=True)
class _Link:
    family: str
    value: bytes = field(repr=False)
    replay: bytes = field(repr=False)
    """The answer with which this key was given; forgotten, like ``value``, when it is spent."""
    spent: float | None = None
    successor: str = ""


@dataclass(frozen=True, slots=True)
class _Chains:
    _kept: _Kept[_Link]
    _clock: Clock
    _tally: _Tally

    async def begin(self, family: str, key: str, value: bytes, *, until: float | None) -> None:
        self._tally.writes += 1
        self._refuse_used(key)
        self._kept.put(key, _Link(family, value, b""), until)

    async def look(self, key: str) -> bytes | None:
        self._tally.reads += 1
        link = self._live(key)
        return None if link is None else link.value

    async def rotate(
        self,
        old: str,
        new: str,
        value: bytes,
        replay: bytes,
        *,
        until: float | None,
        grace: float,
    ) -> Rotation:
        self._tally.writes += 1
        link = self._kept.get(old)
        if link is None:
            return Unknown()
        if link.spent is None:
            self._refuse_used(new)
            link.value, link.replay, link.spent, link.successor = b"", b"", self._clock(), new
            self._kept.put(new, _Link(link.family, value, replay), until)
            return First()
        successor = self._live(link.successor)
        if successor is not None and grace > 0 and self._clock() < link.spent + grace:
            return Again(replay=successor.replay)
        self._forget(link.family)
        return Theft(family=link.family)

    async def revoke(self, family: str) -> None:
        self._tally.writes += 1
        self._forget(family)

    def _live(self, key: str) -> _Link | None:
        link = self._kept.get(key)
        return link if link is not None and link.spent is None else None

    def _refuse_used(self, key: str) -> None:
        if self._kept.get(key) is not None:
            raise ValueError("this key is in use")

    def _forget(self, family: str) -> None:
        for key in self._kept.live():
            link = self._kept.get(key)
            if link is not None and link.family == family:
                self._kept.drop(key)


@dataclass(frozen=True, slots=True)
class _Leases:
    _kept: _Kept[int]
    _tally: _Tally
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    async def hold(self, name: str, *, until: float) -> int | None:
        self._tally.writes += 1
        if self._kept.get(name) is not None:
            return None
        number = next(self._numbers)
        self._kept.put(name, number, until)
        return number

    async def renew(self, name: str, number: int, *, until: float) -> bool:
        self._tally.writes += 1
        if self._kept.get(name) != number:
            return False
        self._kept.put(name, number, until)
        return True

    async def release(self, name: str, number: int) -> bool:
        self._tally.writes += 1
        if self._kept.get(name) != number:
            return False
        self._kept.drop(name)
        return True
