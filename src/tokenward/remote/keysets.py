"""An issuer's public keys: known without waiting, kept fresh, and never asked for in a crowd.

Law of this module: what is known goes on being known while its owner cannot be reached, for a
day; what its owner withdrew is forgotten at the next successful fetch.

==================  =========================================================================
max-age             what ``Cache-Control`` of the answer says, but 1 minute to 1 hour; 10 minutes
                    if it says nothing. Afterwards the keys are fetched anew, in the background.
cooldown            30 s between fetches for the sake of key ids nobody knows; the first comes
                    at once, so that a new key works at once.
pause               2 s after a failure, or as long as ``Retry-After`` says, at most 30 s.
trusted             24 h after the last success no key is believed any more.
==================  =========================================================================
"""

import asyncio
import re
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from math import inf

import httpx2

from tokenward import clock
from tokenward.clock import Clock
from tokenward.jose.keys import KeySet
from tokenward.remote.discovery import check_url, discover
from tokenward.remote.fetch import (
    DEADLINE,
    RemoteError,
    arun,
    json_object,
    open_async_client,
    open_client,
    run,
)
from tokenward.remote.flow import Flow

MAX_AGE_UNSAID, SHORTEST_MAX_AGE, LONGEST_MAX_AGE = 600.0, 60.0, 3_600.0
COOLDOWN = 30.0
PAUSE, LONGEST_PAUSE = 2.0, 30.0
TRUSTED = 86_400.0

NO_KEYS = KeySet()

_MAX_AGE = re.compile(r"(?:^|[,\s])max-age=\"?([0-9]{1,9})", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A key set as its owner published it."""

    keys: KeySet
    max_age: float
    """Seconds, within our bounds."""


def fetch_keys(jwks_uri: str) -> Flow[Fetched]:
    """Ask for a JWKS (RFC 7517 §5); raises ``RemoteError``.

    Keys we cannot use are skipped; a set without any we can use is still a set: an issuer that
    withdraws all of its keys means it.
    """
    try:
        host = check_url(jwks_uri).hostname
    except ValueError as exc:
        raise RemoteError(f"the jwks_uri {exc}") from None
    response = yield httpx2.Request(
        "GET", jwks_uri, headers={"Accept": "application/jwk-set+json, application/json"}
    )
    try:
        keys = KeySet.parse(json_object(response))
    except ValueError as exc:
        raise RemoteError(f"{host} answered {exc}", status=response.status_code) from None
    said = _MAX_AGE.search(response.headers.get("Cache-Control", ""))
    max_age = float(said[1]) if said else MAX_AGE_UNSAID
    return Fetched(keys=keys, max_age=max(SHORTEST_MAX_AGE, min(max_age, LONGEST_MAX_AGE)))


class RemoteKeys:
    """The keys of one issuer, or behind one URL, or fixed ones that are never fetched.

    Threads use ``load`` and ``renew``, event loops ``aload`` and ``arenew``; one object serves
    both. Nothing is fetched by making one.
    """

    def __init__(
        self,
        issuer: str = "",
        *,
        jwks_uri: str = "",
        fixed: KeySet | None = None,
        cooldown: float = COOLDOWN,
        pause: float = PAUSE,
        deadline: float = DEADLINE,
        clock: Clock = clock.now,
        client: Callable[[], httpx2.Client] = open_client,
        async_client: Callable[[], httpx2.AsyncClient] = open_async_client,
    ) -> None:
        """``jwks_uri`` spares the discovery; periods are in seconds.

        Raises ``ValueError`` for a URL that is neither https nor http on loopback.
        """
        if fixed is None:
            check_url(jwks_uri or issuer)
        self._issuer, self._jwks_uri = issuer, jwks_uri
        self._fixed = fixed is not None
        self._cooldown, self._shortest_pause, self._deadline = cooldown, pause, deadline
        self._clock = clock
        self._client, self._async_client = client, async_client

        self._keys = NO_KEYS if fixed is None else fixed
        self.generation = 0
        """Another number whenever the keys are other keys; remembered tokens hang on it."""

        self.fresh_until = -inf if fixed is None else inf
        """When the keys are to be fetched anew (seconds since the epoch)."""

        self.failure: RemoteError | None = None
        """Why the last fetch failed; ``None`` if it did not."""

        self._fetched_at = -inf if fixed is None else inf
        self._paused_at, self._paused_for = -inf, 0.0
        self._asked_at = -inf
        self._fetches = 0
        self._lock = threading.Lock()
        self._flight: asyncio.Task[None] | None = None

    @property
    def current(self) -> KeySet:
        """The keys known and believed now; none if they were never had, or too long ago."""
        if self._clock() < self._fetched_at + TRUSTED:
            return self._keys
        return NO_KEYS

    @property
    def pause(self) -> float:
        """Seconds until it makes sense to try again."""
        return max(0.0, min(self._paused_at + self._paused_for - self._clock(), self._paused_for))

    def due(self, *, unknown: bool = False) -> bool:
        """Whether it is time to fetch; ``unknown``: somebody has shown a key id nobody knows."""
        now = self._clock()
        if self._fixed or 0 <= now - self._paused_at < self._paused_for:
            return False
        if self.failure or now >= self.fresh_until or now < self._fetched_at:
            return True
        return unknown and not 0 <= now - self._asked_at < self._cooldown

    def load(self, *, unknown: bool = False) -> None:
        """Fetch now if it is time, or wait for the thread that does.

        Raises ``RemoteError`` if no keys are known afterwards.
        """
        before = self._fetches
        with self._lock:
            if self._fetches == before and self._begin(unknown=unknown):
                try:
                    with self._client() as client:
                        self._keep(run(self._flow(), client, deadline=self._deadline))
                except RemoteError as exc:
                    self._fail(exc)
        self._insist()

    async def aload(self, *, unknown: bool = False) -> None:
        """Fetch now if it is time, or wait for the task that does; like ``load``.

        The fetch goes on if whoever asked first is cancelled.
        """
        if flight := self._take_off(unknown=unknown):
            await asyncio.shield(flight)
        self._insist()

    def renew(self) -> None:
        """Fetch in a thread of its own if the keys are past their max-age; does not wait."""
        if not self._lock.locked() and self.due():
            threading.Thread(target=self._load_quietly, name="tokenward-keys", daemon=True).start()

    def arenew(self) -> None:
        """Fetch in a task of its own if the keys are past their max-age; does not wait."""
        self._take_off(unknown=False)

    def _take_off(self, *, unknown: bool) -> asyncio.Task[None] | None:
        loop = asyncio.get_running_loop()
        flight = self._flight
        if flight and not flight.done() and flight.get_loop() is loop:
            return flight
        if not self._begin(unknown=unknown):
            return None
        self._flight = loop.create_task(self._fly(), name="tokenward-keys")
        return self._flight

    async def _fly(self) -> None:
        try:
            async with self._async_client() as client:
                self._keep(await arun(self._flow(), client, deadline=self._deadline))
        except RemoteError as exc:
            self._fail(exc)

    def _load_quietly(self) -> None:
        with suppress(RemoteError):
            self.load()

    def _flow(self) -> Flow[Fetched]:
        uri = self._jwks_uri or (yield from discover(self._issuer)).need("jwks_uri")
        return (yield from fetch_keys(uri))

    def _begin(self, *, unknown: bool) -> bool:
        if self.due():
            return True
        if not self.due(unknown=unknown):
            return False
        self._asked_at = self._clock()
        return True

    def _keep(self, fetched: Fetched) -> None:
        now = self._clock()
        if fetched.keys != self._keys:
            self._keys = fetched.keys
            self.generation += 1
        self._fetched_at, self.fresh_until = now, now + fetched.max_age
        self.failure = None
        self._fetches += 1
        # Nothing to believe at all is more likely a moment of theirs than a decision: ask soon.
        self._paused_at, self._paused_for = now, 0.0 if fetched.keys.keys else self._shortest_pause
        if not fetched.keys.keys:
            self.fresh_until = now

    def _fail(self, failure: RemoteError) -> None:
        wanted = min(failure.retry_after or 0.0, LONGEST_PAUSE)
        self._paused_at, self._paused_for = self._clock(), max(self._shortest_pause, wanted)
        self.failure = failure.again()
        self._fetches += 1

    def _insist(self) -> None:
        if self.current.keys:
            return
        if self.failure:
            raise self.failure.again()
        raise RemoteError(
            f"{self._issuer or self._jwks_uri} publishes no key we can use", transient=True
        )
