"""Tokens of others: a broker for each, what processes share of them, and what they forget."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx2

from tokenward.clock import Clock
from tokenward.remote.clients import Identity
from tokenward.server.asking import Heard, nobody
from tokenward.server.broker import Broker
from tokenward.server.forgetting import Forgetting
from tokenward.server.issuance import Source
from tokenward.server.offline.people import Connected, People
from tokenward.server.offline.refreshing import Refreshing
from tokenward.server.offline.safe import Safe
from tokenward.server.seal import Seal
from tokenward.server.settings import IssuerSettings, TokenSettings
from tokenward.server.sharing import Shared, Sharing
from tokenward.server.stores import Shelf, Store
from tokenward.server.upstreams import (
    Carrier,
    Lasts,
    OurIssuer,
    Signer,
    Upstream,
    carrier_for,
    identity_for,
)

if TYPE_CHECKING:
    from tokenward.server.passing import Passing


@dataclass(slots=True, kw_only=True)
class Theirs:
    """All the brokers of one server."""

    store: Store
    cache: Shelf
    connect: Callable[[Identity | None, Carrier | None], httpx2.AsyncClient] = field(repr=False)
    """The way to each: to some with a certificate of ours, to some not by HTTP."""

    clock: Clock
    seal: Callable[[], Seal] = field(repr=False)
    """With what they keep is sealed."""

    alone: bool = False
    """Whether no other process sees what we keep."""

    heard: Callable[[str], Heard] = lambda _: nobody
    """By the name of a token: who wants to know how questions to its upstream end."""

    brokers: dict[str, "Broker | Passing"] = field(default_factory=dict)
    """By the name of the token."""

    carried: dict[str, "Broker | Passing"] = field(default_factory=dict)
    """Those of former settings, for tokens that are as they were."""

    issuers: Mapping[str, OurIssuer] = field(default_factory=dict)
    """Those of ours that sign for us, by name."""

    refreshing: dict[str, Refreshing] = field(default_factory=dict)
    """What keeps the grants of those that are asked with a refresh token, by name."""

    _forgetting: Forgetting | None = None
    _safe: Safe | None = None

    @property
    def people(self) -> People:
        """The accounts that people have connected."""
        return People(safe=self._opened(), refreshing=self.refreshing)

    def sign_as(self, issuers: Mapping[str, IssuerSettings], rings: Mapping[str, Signer]) -> None:
        """Let these issuers of ours sign for us, where an upstream believes them."""
        self.issuers = {name: OurIssuer(it.url, rings[name]) for name, it in issuers.items()}

    def source(self, token: TokenSettings, upstream: Upstream) -> Source:
        """The source of this token."""
        broker = self.carried.get(token.name) or self._made(token, upstream)
        self.brokers[token.name] = broker
        if not isinstance(broker, Broker) or not isinstance(broker.sharing, Refreshing):
            return broker
        refreshing = self.refreshing[token.name] = broker.sharing
        return broker if refreshing.first else Connected(broker=broker, refreshing=refreshing)

    def _made(self, token: TokenSettings, upstream: Upstream) -> "Broker | Passing":
        if (hub := getattr(upstream, "passes", None)) is None:
            return self._broker(token, upstream)
        from tokenward.server.passing import Passing  # noqa: PLC0415  few have one, and it is much

        lifetime: float = getattr(upstream, "lifetime", 3_600.0)
        heard = self.heard(token.name)
        return Passing(hub=hub, lifetime=lifetime, clock=self.clock, heard=heard)

    def _broker(self, token: TokenSettings, upstream: Upstream) -> Broker:
        # Connections of its own: whoever waits for one upstream leaves the others theirs.
        http = self.connect(identity_for(upstream), carrier_for(upstream))
        asked = upstream
        if (signed_by := getattr(upstream, "signed_by", None)) and token.signs:
            asked = signed_by(self.issuers[token.signs])
        sharing: Shared | None = None
        if isinstance(asked, Lasts):
            sharing = Refreshing(
                token=token.name,
                upstream=asked,
                safe=self._opened(),
                leases=self.store.leases,
                http=http,
                clock=self.clock,
            )
        elif not self.alone:
            sharing = Sharing(
                token=token.name,
                upstream=upstream,
                shelf=self.cache,
                leases=self.store.leases,
                seal=self.seal(),
                clock=self.clock,
            )
        return Broker(
            upstream=asked,
            http=http,
            own=True,
            fresh=token.fresh,
            scope_check=token.scope_check,
            clock=self.clock,
            sharing=sharing,
            heard=self.heard(token.name),
        )

    def _opened(self) -> Safe:
        """One for all, with one seal: where nobody else sees what we keep, that may be a key that
        is nowhere else."""
        if self._safe is None:
            sealed_with = self.seal()
            self._safe = Safe(shelf=self.store.shelf, seal=lambda: sealed_with, clock=self.clock)
        return self._safe

    async def open(self) -> None:
        """Look what is to be forgotten, from now on."""
        if self.brokers and not self.alone:
            self._forgetting = Forgetting(notes=self.store.shelf, brokers=self.brokers)
            await self._forgetting.open()

    async def close(self) -> None:
        """End all that is under way."""
        if self._forgetting is not None:
            await self._forgetting.close()
        for broker in self.brokers.values():
            await broker.close()
