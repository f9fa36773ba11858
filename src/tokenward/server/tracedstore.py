"""A store whose writes are seen in traces: how long an answer waited until something was kept.

Law of this module: a span says what kind of write it was; what was written, and under which key,
it does not say.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from tokenward.server.stores import Chains, Counts, Leases, Rotation, Shelf, Store

Span = Callable[[str], AbstractContextManager[object]]
"""Begins the span of a write."""


class TracedStore:
    """This store; reads are not seen, for most of them take no time."""

    def __init__(self, store: Store, span: Span) -> None:
        self._store = store
        self._shelf = _Shelf(store.shelf, span)
        self._chains = _Chains(store.chains, span)

    @property
    def shelf(self) -> Shelf:
        return self._shelf

    @property
    def chains(self) -> Chains:
        return self._chains

    @property
    def leases(self) -> Leases:
        return self._store.leases

    @property
    def counts(self) -> Counts:
        return self._store.counts

    @property
    def path(self) -> Path | None:
        return self._store.path

    async def open(self) -> None:
        await self._store.open()

    async def close(self) -> None:
        await self._store.close()

    async def ping(self) -> None:
        await self._store.ping()


class _Shelf:
    def __init__(self, shelf: Shelf, span: Span) -> None:
        self._shelf, self._span = shelf, span

    async def put(self, key: str, value: bytes, *, until: float | None) -> None:
        with self._span("store put"):
            await self._shelf.put(key, value, until=until)

    async def get(self, key: str) -> bytes | None:
        return await self._shelf.get(key)

    async def add(self, key: str, value: bytes, *, until: float | None) -> bool:
        with self._span("store add"):
            return await self._shelf.add(key, value, until=until)

    async def swap(self, key: str, old: bytes, new: bytes, *, until: float | None) -> bool:
        with self._span("store swap"):
            return await self._shelf.swap(key, old, new, until=until)

    async def take(self, key: str) -> bytes | None:
        with self._span("store take"):
            return await self._shelf.take(key)

    async def drop(self, key: str) -> None:
        with self._span("store drop"):
            await self._shelf.drop(key)

    async def keys(self, prefix: str) -> list[str]:
        return await self._shelf.keys(prefix)


class _Chains:
    def __init__(self, chains: Chains, span: Span) -> None:
        self._chains, self._span = chains, span

    async def begin(self, family: str, key: str, value: bytes, *, until: float | None) -> None:
        with self._span("store begin"):
            await self._chains.begin(family, key, value, until=until)

    async def look(self, key: str) -> bytes | None:
        return await self._chains.look(key)

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
        with self._span("store rotate"):
            return await self._chains.rotate(old, new, value, replay, until=until, grace=grace)

    async def revoke(self, family: str) -> None:
        with self._span("store revoke"):
            await self._chains.revoke(family)
