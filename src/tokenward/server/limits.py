"""Who has asked too often, and when may they come again?

Law of this module: what it remembers is bounded, and whoever is refused hears in how many seconds
it is worth trying again. Nothing here waits, and each process counts for itself.

Counting is by the generic cell rate algorithm: of everybody one time is kept, at which they would
have paid for all they have had. The library ``limits`` does the same in 12 to 25 microseconds a
request and takes a third of a second to import; this takes less than one, and nothing.
"""

import math
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from tokenward.oauth.errors import TooManyRequests
from tokenward.server.bounds import household
from tokenward.server.model import Caller, Client

MOST = 10_000
"""Of whom each meter knows at a time; those who have asked least are forgotten first."""

LONGEST_ID = 256
"""Characters of a client_id by which those are told apart who are none of ours."""

WIDER = 10
"""How many times as often an address may guess at all clients together as at one."""

_of = lru_cache(maxsize=4_096)(household)


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests in so many seconds on average, and so many at once."""

    requests: int
    seconds: float
    burst: int

    def times(self, factor: int) -> "Rate":
        """As often for so many together."""
        return Rate(self.requests * factor, self.seconds, self.burst * factor)


class Meter:
    """Counts requests of many against one rate."""

    __slots__ = ("_burst", "_each", "_paid", "most")

    def __init__(self, rate: Rate, *, most: int = MOST) -> None:
        self._each = rate.seconds / rate.requests
        self._burst = self._each * (rate.burst - 1)
        self._paid: dict[Hashable, float] = {}
        self.most = most

    def __len__(self) -> int:
        return len(self._paid)

    def wait(self, who: Hashable, now: float) -> float:
        """Seconds until they may ask again; 0 if they may now."""
        paid = self._paid.get(who)
        if paid is None or (wait := paid - self._burst - now) <= 0:
            return 0.0
        return wait

    def count(self, who: Hashable, now: float) -> None:
        """They have asked once more."""
        paid = self._paid.get(who, now)
        self._paid[who] = (max(now, paid)) + self._each
        if len(self._paid) > self.most:
            self._forget(now)

    def forgive(self, who: Hashable, now: float) -> None:
        """Once of what was counted did not count."""
        paid = self._paid.get(who, now) - self._each
        if paid > now:
            self._paid[who] = paid
        else:
            self._paid.pop(who, None)

    def _forget(self, now: float) -> None:
        owing = [(paid, who) for who, paid in self._paid.items() if paid > now]
        owing.sort(key=lambda one: one[0], reverse=True)
        self._paid = {who: paid for paid, who in owing[: self.most // 2]}


GUESSING = Rate(100, 60, 100)
"""Secrets are generated, of 256 bits, and not to be guessed at any rate: this bounds the work
that somebody who tries costs us, and must not shut out a client with one old secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """How often may who ask? What is ``None`` is not limited."""

    address: Rate | None = None
    """Each address, or each network of IPv6, whoever asks."""

    client: Rate | None = None
    """Each client, whatever for."""

    caller: Rate | None = None
    """Each person or machine that somebody vouches for."""

    guessing: Rate | None = GUESSING
    """One address that is wrong about being one client."""

    clients: Mapping[str, Rate] = field(default_factory=dict)
    """Instead of ``client``, by client_id."""

    callers: Mapping[str, Rate] = field(default_factory=dict)
    """Instead of ``caller``, by the name of who vouches for them."""


@dataclass(slots=True, kw_only=True)
class Limits:
    """All that one process counts."""

    rates: Rates = field(default_factory=Rates)
    ticks: Callable[[], float] = time.monotonic
    refused: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("address", "client", "caller", "guessing"), 0)
    )
    """How often, by what there was too much of."""

    _addresses: Meter | None = field(init=False)
    _clients: dict[str, Meter] = field(init=False)
    _callers: dict[str, Meter] = field(init=False)
    _guesses: Meter | None = field(init=False)
    _guessers: Meter | None = field(init=False)
    _right: set[tuple[str, str]] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self._addresses = _meter(self.rates.address)
        self._clients = {id: Meter(rate) for id, rate in self.rates.clients.items()}
        self._callers = {name: Meter(rate) for name, rate in self.rates.callers.items()}
        for meters, rate in (
            (self._clients, self.rates.client),
            (self._callers, self.rates.caller),
        ):
            if rate is not None:
                meters[""] = Meter(rate)  # no client and no caller has this name
        self._guesses = _meter(self.rates.guessing)
        self._guessers = _meter(self.rates.guessing, WIDER)

    def admit(self, address: str) -> int:
        """Whole seconds that somebody at this address has to wait; 0 for the welcome."""
        if self._addresses is None:
            return 0
        who, now = _of(address), self.ticks()
        if wait := self._addresses.wait(who, now):
            self.refused["address"] += 1
            return math.ceil(wait)
        self._addresses.count(who, now)
        return 0

    def mind_client(self, client: Client, address: str) -> None:
        """A client has shown who it is; raises ``TooManyRequests``. One that can show nothing is
        counted at each address: anybody can name it, and would use up what all others have."""
        if self._clients and client:
            meter = self._clients.get(client.id, self._clients.get(""))
            who = (client.id, _of(address)) if client.public else client.id
            self._mind(meter, "client", who)

    def mind_caller(self, caller: Caller, client: Client) -> None:
        """Somebody has been vouched for; raises ``TooManyRequests``. A client that speaks for
        itself has been minded already."""
        if self._callers and caller.subject != client.id:
            meter = self._callers.get(caller.name, self._callers.get(""))
            self._mind(meter, "caller", caller.subject)

    def _mind(self, meter: Meter | None, what: str, who: str | tuple[str, str]) -> None:
        if meter is None:
            return
        now = self.ticks()
        if wait := meter.wait(who, now):
            self.refused[what] += 1
            raise TooManyRequests(
                f"this {what} has asked too often", detail=f"{what} {who!r}", wait=wait
            )
        meter.count(who, now)

    def begin_guess(self, id: str, address: str) -> "Guess | None":
        """Somebody is about to be heard who says that they are this client; raises
        ``TooManyRequests`` instead if they were wrong too often.

        It is counted as a failure before it is known to be one, so that a hundred who come at once
        are a hundred; ``forgive`` takes that back. Of one client, one address can only use up its
        own tries: whoever comes from elsewhere is heard.
        """
        if self._guesses is None or self._guessers is None:
            return None
        house, now = _of(address), self.ticks()
        who = (house, id[:LONGEST_ID])
        wait = self._guesses.wait(who, now)
        known = who in self._right  # an address may be a proxy's: not all behind it guess
        if not known:
            wait = max(wait, self._guessers.wait(house, now))
        if wait:
            self.refused["guessing"] += 1
            raise TooManyRequests(
                "client authentication has failed too often", detail=f"from {who[0]}", wait=wait
            )
        self._guesses.count(who, now)
        if not known:
            self._guessers.count(house, now)
        return who, known, now

    def count_guess(self, guess: "Guess | None") -> None:
        """It was a failure, although it has been forgiven."""
        if guess is not None and self._guesses is not None and self._guessers is not None:
            who, known, now = guess
            self._guesses.count(who, now)
            if not known:
                self._guessers.count(who[0], now)

    def forgive(self, guess: "Guess | None", *, right: bool = False) -> None:
        """It was no failure: they were right, or nobody could tell."""
        if guess is None or self._guesses is None or self._guessers is None:
            return
        who, known, now = guess
        self._guesses.forgive(who, now)
        if not known:
            self._guessers.forgive(who[0], now)
            if right:
                if len(self._right) >= MOST:
                    self._right.clear()
                self._right.add(who)


Guess = tuple[tuple[str, str], bool, float]
"""Who from where says that they are whom, whether they were that before, and when."""


def _meter(rate: Rate | None, factor: int = 1) -> Meter | None:
    return None if rate is None else Meter(rate.times(factor))
