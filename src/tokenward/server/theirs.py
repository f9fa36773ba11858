"""Tokens of others: a broker for each, what processes share of them, and what they forget."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import httpx2

from tokenward.clock import Clock
from tokenward.remote.clients import Identity
from tokenward.server.asking import Heard, nobody
from tokenward.server.broker import Broker
from tokenward.server.forgetting import Forgetting
from tokenward.server.seal import Seal
from tokenward.server.settings import IssuerSettings, TokenSettings
from tokenward.server.sharing import Sharing
from tokenward.server.stores import Shelf, Store
from tokenward.server.upstreams import (
    Carrier,
    OurIssuer,
    Signer,
    Upstream,
    carrier_for,
    identity_for,
)


@dataclass(slots=True, kw_only=True)
class Theirs:
    """All the brokers of one server."""

    store: Store
    cache: Shelf
    http: httpx2.AsyncClient = field(repr=False)
    connect: Callable[[Identity | None, Carrier | None], httpx2.AsyncClient] = field(repr=False)
    """The way to those that want to see a certificate of ours, or that speak no HTTP."""

    clock: Clock
    seal: Callable[[], Seal] | None = field(repr=False)
    """What other processes share with us, if they see what we keep."""

    heard: Callable[[str], Heard] = lambda _: nobody
    """By the name of a token: who wants to know how questions to its upstream end."""

    brokers: dict[str, Broker] = field(default_factory=dict)
    """By the name of the token."""

    carried: dict[str, Broker] = field(default_factory=dict)
    """Those of former settings, for tokens that are as they were."""

    issuers: Mapping[str, OurIssuer] = field(default_factory=dict)
    """Those of ours that sign for us, by name."""

    _forgetting: Forgetting | None = None

    def sign_as(self, issuers: Mapping[str, IssuerSettings], rings: Mapping[str, Signer]) -> None:
        """Let these issuers of ours sign for us, where an upstream believes them."""
        self.issuers = {name: OurIssuer(it.url, rings[name]) for name, it in issuers.items()}

    def broker(self, token: TokenSettings, upstream: Upstream) -> Broker:
        """The source of this token."""
        if (carried := self.carried.get(token.name)) is not None:
            self.brokers[token.name] = carried
            return carried
        sharing = None
        if self.seal is not None:
            sharing = Sharing(
                token=token.name,
                upstream=upstream,
                shelf=self.cache,
                leases=self.store.leases,
                seal=self.seal(),
                clock=self.clock,
            )
        identity, carrier = identity_for(upstream), carrier_for(upstream)
        own = identity is not None or carrier is not None
        if (signed_by := getattr(upstream, "signed_by", None)) and token.signs:
            upstream = signed_by(self.issuers[token.signs])
        broker = self.brokers[token.name] = Broker(
            upstream=upstream,
            http=self.connect(identity, carrier) if own else self.http,
            own=own,
            fresh=token.fresh,
            scope_check=token.scope_check,
            clock=self.clock,
            sharing=sharing,
            heard=self.heard(token.name),
        )
        return broker

    async def open(self) -> None:
        """Look what is to be forgotten, from now on."""
        if self.brokers and self.seal is not None:
            self._forgetting = Forgetting(notes=self.store.shelf, brokers=self.brokers)
            await self._forgetting.open()

    async def close(self) -> None:
        """End all that is under way."""
        if self._forgetting is not None:
            await self._forgetting.close()
        for broker in self.brokers.values():
            await broker.close()
