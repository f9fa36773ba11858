"""Keep what is fleeting in a Redis (or Valkey), which many processes share.

Law: nothing that may happen once is remembered here alone. A Redis may forget what it was told,
and may be gone: what was kept there is absent then, and whoever asks does without. So there are no
chains and no leases here, only a shelf, and nobody waits long for it.

While it is gone, ``get`` finds nothing and ``put`` keeps nothing. What cannot be answered so,
without saying what is not known, is ``StoreUnavailable``: whether something was new, or that it is
gone for good. What was put before may be there again when Redis is.
"""

import asyncio
import logging
import re
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from math import ceil, inf
from typing import Any
from urllib.parse import unquote, urlsplit

from redis.asyncio import BlockingConnectionPool
from redis.asyncio import Redis as Client
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError, ResponseError

from tokenward.clock import Clock
from tokenward.server.stores import StoreUnavailable, WrongStore

_log = logging.getLogger("tokenward.server")

_WRITTEN_SO = "write redis://:password@host:6379/0, or rediss:// for TLS"
_CONNECTIONS = 16
_REST = 1.0
"""Seconds in which we do not ask again after it did not answer."""
_SPARE = 60.0
"""Seconds that Redis keeps a thing beyond its time: we go by our own clock."""
_LONGEST = 10 * 365 * 86_400.0

_SPECIAL = re.compile(rb"[\\*?\[\]^-]")
"""What means something in a pattern."""

_time = struct.Struct("!d")

# A thing stands behind the time until which it counts. Redis does each script in one step.
_FOUND = """
local it = redis.call('GET', KEYS[1])
if it and struct.unpack('>d', it) <= struct.unpack('>d', ARGV[1]) then it = false end
"""
_ADD = f"""{_FOUND}
if it then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""
_SWAP = f"""{_FOUND}
if not it or string.sub(it, 9) ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
return 1
"""
_TAKE = f"""{_FOUND}
redis.call('DEL', KEYS[1])
return it
"""


def from_url(rest: str, clock: Clock, *, scheme: str = "redis") -> "Redis":
    """``redis://:password@host:6379/0``; ``rediss:`` is the same over TLS."""
    if not rest.startswith("//"):
        raise WrongStore(f"{scheme}: is a URL with a host; {_WRITTEN_SO}")
    return Redis(f"{scheme}:{rest}", clock)


class Redis:
    """A shelf, and the connections to where it is. ``patience``: the seconds anybody waits."""

    def __init__(
        self, url: str, clock: Clock, *, patience: float = 0.5, space: str = "tokenward:"
    ) -> None:
        try:
            pool = BlockingConnectionPool.from_url(
                url,
                max_connections=_CONNECTIONS,
                protocol=2,
                retry=Retry(NoBackoff(), 0),
                socket_timeout=patience,
                socket_connect_timeout=patience,
            )
            pool.make_connection()  # type: ignore[no-untyped-call]
            self._secret = unquote(urlsplit(url).password or "")
        except (ValueError, TypeError):  # their texts quote what they did not understand
            raise WrongStore(f"redis: this URL cannot be read; {_WRITTEN_SO}") from None
        self._client: Client = Client(connection_pool=pool)
        self._patience = patience
        self._gone = False
        self._asleep_until = 0.0
        self.shelf = _Shelf(self, self._client, clock, space)

    async def open(self) -> None:
        """Look whether it is there: it may be gone, but ``WrongStore`` if it will have none of
        us."""
        try:
            await self.ping()
        except StoreUnavailable as gone:
            if isinstance(gone.__cause__, AuthenticationError | ResponseError):
                raise WrongStore(str(gone.detail)) from None

    async def close(self) -> None:
        await self._client.aclose(close_connection_pool=True)

    async def ping(self) -> None:
        """Return if it would answer now; readiness is not about this."""
        await self.asked(self._client.ping)

    async def asked(self, ask: Callable[..., Awaitable[Any]], *what: Any, **how: Any) -> Any:
        """What it says to this; ``StoreUnavailable``, soon, if it says nothing."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._asleep_until:
            raise StoreUnavailable("redis: it did not answer a moment ago")
        try:
            async with asyncio.timeout(self._patience):
                said = await ask(*what, **how)
        except (RedisError, OSError, TimeoutError) as problem:
            text = str(problem) or f"it has not answered within {self._patience:g} seconds"
            told = StoreUnavailable("redis: " + text.replace(self._secret or "\n", "..."))
            if not isinstance(problem, ResponseError):
                self._asleep_until = loop.time() + _REST
                if not self._gone:
                    _log.warning("%s: going on without it", told.detail)
                self._gone = True
            raise told from problem
        if self._gone:
            self._gone = False
            _log.warning("redis: it is back")
        return said


class _Shelf:
    """What is fleeting. Its keys begin with ``space``, for others may use the same Redis."""

    def __init__(self, redis: Redis, client: Client, clock: Clock, space: str) -> None:
        self._redis = redis
        self._client = client
        self._clock = clock
        self._space = space
        self._adding = client.register_script(_ADD)
        self._swapping = client.register_script(_SWAP)
        self._taking = client.register_script(_TAKE)

    async def put(self, key: str, value: bytes, *, until: float | None) -> None:
        name, left = self._name(key), self._left(until)
        if left is not None:
            with suppress(StoreUnavailable):
                await self._redis.asked(self._client.set, name, _kept(value, until), px=left)
                return
        with suppress(StoreUnavailable):  # rather nothing than what was there before
            await self._redis.asked(self._client.delete, name)

    async def get(self, key: str) -> bytes | None:
        try:
            kept: bytes | None = await self._redis.asked(self._client.get, self._name(key))
        except StoreUnavailable:
            return None
        return kept[_time.size :] if kept and self._clock() < _until(kept) else None

    async def add(self, key: str, value: bytes, *, until: float | None) -> bool:
        """As far as Redis remembers: where once must mean once, this is not where to ask."""
        now, left = _time.pack(self._clock()), self._left(until)
        # What is too late is kept for a moment, so that it is not there for the next either.
        it = [now, _kept(value, until), left or 1]
        return bool(await self._redis.asked(self._adding, [self._name(key)], it))

    async def swap(self, key: str, old: bytes, new: bytes, *, until: float | None) -> bool:
        """As far as Redis remembers."""
        now, left = _time.pack(self._clock()), self._left(until)
        it = [now, old, _kept(new, until), left or 1]
        return bool(await self._redis.asked(self._swapping, [self._name(key)], it))

    async def take(self, key: str) -> bytes | None:
        now = _time.pack(self._clock())
        kept: bytes | None = await self._redis.asked(self._taking, [self._name(key)], [now])
        return None if kept is None else kept[_time.size :]

    async def drop(self, key: str) -> None:
        await self._redis.asked(self._client.delete, self._name(key))

    async def keys(self, prefix: str) -> list[str]:
        found: list[str] = await self._redis.asked(self._keys, self._name(prefix))
        return found

    async def _keys(self, prefix: bytes) -> list[str]:
        literally = _SPECIAL.sub(rb"\\\g<0>", prefix)
        found = sorted(
            {name async for name in self._client.scan_iter(literally + b"*", count=1000)}
        )
        kept: list[Any] = await self._client.mget(found) if found else []
        now, beyond = self._clock(), len(self._space.encode())
        return [
            name[beyond:].decode()
            for name, it in zip(found, kept, strict=True)
            if it is not None and now < _until(it)
        ]

    def _name(self, key: str) -> bytes:
        return (self._space + key).encode()

    def _left(self, until: float | None) -> int | None:
        """How long Redis is to keep it, in milliseconds; ``None``: not at all."""
        left = _LONGEST if until is None else until - self._clock()
        return ceil(1000 * min(left + _SPARE, _LONGEST)) if left > 0 else None


def _kept(value: bytes, until: float | None) -> bytes:
    return _time.pack(inf if until is None else until) + value


def _until(kept: bytes) -> float:
    until: float = _time.unpack_from(kept)[0]
    return until
