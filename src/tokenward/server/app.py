"""The composition root: the only module that knows everybody.

It reads from top to bottom: what is opened, and what sits on it. Which path leads where is said in
``doors``.
"""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tokenward.clock import Clock, now
from tokenward.server import doors
from tokenward.server.asgi import Front
from tokenward.server.audit import Audit
from tokenward.server.directory import Directory
from tokenward.server.endpoints import Endpoint
from tokenward.server.endpoints.get_token import GetTokenEndpoint
from tokenward.server.endpoints.health import HealthEndpoint, ReadinessEndpoint, Signing
from tokenward.server.endpoints.metrics import MetricsEndpoint
from tokenward.server.enrolment import directory_of, registry_of
from tokenward.server.grants import GrantType
from tokenward.server.grants.client_credentials import ClientCredentials
from tokenward.server.grants.jwt_bearer import JwtBearer
from tokenward.server.grants.token_exchange import TokenExchange
from tokenward.server.hooks import Hook
from tokenward.server.issuance import Issuance, Source
from tokenward.server.keeping import keyring_of, seal
from tokenward.server.keyring import KeyRing, Ring
from tokenward.server.limits import Limits
from tokenward.server.meter import Meter
from tokenward.server.metrics import Metrics, shared_folder
from tokenward.server.mint import Mint
from tokenward.server.policy import Policy, Target
from tokenward.server.profiles import OwnHand
from tokenward.server.registry import Registry
from tokenward.server.rotation import current
from tokenward.server.settings import Settings, TokenSettings
from tokenward.server.stores import Cache, Shelf, Store, open_cache, open_store
from tokenward.server.subjects import Subjects
from tokenward.server.theirs import Theirs
from tokenward.server.trail import Trail
from tokenward.server.trusts import close_all, open_all, subjects_of
from tokenward.server.watchers import Watchers
from tokenward.server.watching import all_seen, all_tallies


def application(settings: Settings, *, clock: Clock = now, pages: Any = None) -> Front:
    """The whole server as one ASGI application; it opens what it needs when it starts.

    ``pages`` is another ASGI application for everything that has no route here.
    """
    return Server(settings=settings, clock=clock).front(pages)


@dataclass(slots=True, kw_only=True)
class Server:
    """Everything that is opened at the start and closed at the end."""

    settings: Settings
    clock: Clock
    watchers: Watchers = field(init=False)
    http: httpx2.AsyncClient = field(init=False)
    trail: Trail = field(init=False)
    store: Store = field(init=False)
    redis: Cache | None = field(init=False)
    theirs: Theirs = field(init=False)
    limits: Limits = field(init=False)
    meter: Meter = field(init=False)
    metrics: Metrics | None = field(init=False)
    keyring: KeyRing | None = None
    watching: asyncio.Task[None] | None = None
    directory: Directory | None = None
    subjects: Subjects | None = None
    natives: Any = None

    def __post_init__(self) -> None:
        audit = self.settings.audit
        self.trail = Trail(audit.to, before=audit.mode == "before")
        self.watchers = Watchers.of(self.settings, self.clock)
        self.http = self.watchers.client()
        self.store = self.watchers.store(open_store(self.settings.store, self.clock))
        self.meter = Meter(store=self.store, clock=self.clock)
        shared = shared_folder(os.environ)
        self.metrics = Metrics(folder=shared) if self.settings.metrics is not None else None
        self.redis = open_cache(self.settings.cache, self.clock) if self.settings.cache else None
        self.limits = Limits(rates=self.settings.limits)
        self.theirs = Theirs(
            store=self.store,
            cache=self.cache,
            connect=self.watchers.client,
            clock=self.clock,
            seal=lambda: seal(self.settings, self.store),
            alone=self.alone,
            heard=self.meter.upstream,
        )

    @property
    def alone(self) -> bool:
        """Whether nobody else sees what we keep."""
        return self.settings.store.lower().startswith("memory:")

    @property
    def cache(self) -> Shelf:
        """For what is fleeting: Redis if there is one, which may forget; else the store."""
        return self.store.shelf if self.redis is None else self.redis.shelf

    def front(
        self,
        pages: Any = None,
        *,
        routes: dict[str, Endpoint] | None = None,
        stop: Hook | None = None,
    ) -> Front:
        """The application; raises ``ConfigError`` if two issuers want the same path."""
        doors.paths(self.settings)
        routes = {} if routes is None else routes

        async def start() -> None:
            routes.update(await self.open())

        issuers = self.settings.issuers.values()
        tally = None if self.metrics is None else self.metrics.tally
        return Front(
            routes=routes,
            origins=self.settings.origins,
            start=start,
            stop=stop or self.close,
            pages=pages,
            admit=self.limits.admit if self.settings.limits.address else None,
            proxy=self.settings.proxy,
            seen=all_seen(None if tally is None else tally.seen, self.watchers.seen),
            fast=self.settings.lane == "fast",
            https=any(issuer.url.startswith("https:") for issuer in issuers),
        )

    async def open(self) -> dict[str, Endpoint]:
        """Open all of it, and say which path leads where."""
        await self.store.open()
        if self.redis is not None:
            await self.redis.open()
        await self.trail.open()
        routes = await self.routes()
        self.natives = await doors.natives(self.settings, routes, self.limits.admit)
        if self.metrics is not None:
            await self.metrics.open()
        await self.watchers.open()
        await self.meter.open()
        return routes

    async def routes(self) -> dict[str, Endpoint]:
        """Which path leads where, once all that is kept has been opened."""
        settings = self.settings
        rings = await self._rings()
        counting = self.metrics
        numbers = None if counting is None else counting.tally.event
        told = all_tallies(self.meter.event, numbers, self.watchers.event)
        audit = Audit(self.trail, self.clock, told)
        registry = await self._registry()
        subjects = self.subjects = subjects_of(
            settings, store=self.store, registry=registry, http=self.http, clock=self.clock
        )
        await open_all(subjects.proofs)
        self.theirs.sign_as(settings.issuers, rings)
        issuance = Issuance(
            registry=registry,
            grant_types=_by_name(
                ClientCredentials(),
                *(kind(subjects, settings.forwards) for kind in (TokenExchange, JwtBearer)),
            ),
            policy=policy(settings),
            sources={name: self._source(token, rings) for name, token in settings.tokens.items()},
        )
        await self.theirs.open()
        routes: dict[str, Endpoint] = {
            doors.GET_TOKEN: GetTokenEndpoint(issuance=issuance, audit=audit),
            doors.HEALTH: HealthEndpoint(),
            doors.LIVE: HealthEndpoint(),
            doors.READY: ReadinessEndpoint(
                {
                    "store": self.store.ping,
                    "audit": self.trail.ping,
                    "keys": Signing(tuple(rings.values())).ping,
                }
            ),
        }
        if counting is not None and settings.metrics is not None:
            counting.more = lambda: self._counted(rings)
            routes[doors.METRICS] = MetricsEndpoint(
                numbers=counting.numbers, digests=settings.metrics.digests()
            )
        for name, issuer in settings.issuers.items():
            routes |= doors.of_issuer(
                issuer,
                settings=settings,
                ring=rings[name],
                issuance=issuance,
                audit=audit,
                shelf=self.store.shelf,
                clock=self.clock,
                challenges=subjects.challenges,
            )
        routes |= doors.accounts(settings, self.theirs, issuance, audit)
        routes |= doors.textile(settings, issuance, audit, subjects)
        return self.watchers.around(routes) | doors.hubs(settings, issuance, audit, subjects.proofs)

    async def close(self) -> None:
        """Close all of it, whatever was open."""
        if self.natives is not None:
            await self.natives.close()
        await self.leave()
        await self.watchers.close()
        if self.metrics is not None:
            await self.metrics.close()
        await self.http.aclose()
        await self.meter.close()
        if self.redis is not None:
            await self.redis.close()
        await self.store.close()
        await self.trail.close()

    async def leave(self) -> None:
        """End what belongs to these settings alone; the rest stays open."""
        if self.watching is not None:
            self.watching.cancel()
        if self.directory is not None:
            await self.directory.close()
        if self.subjects is not None:
            await close_all(self.subjects.proofs)
        if self.keyring is not None:
            self.keyring.close()
        await self.theirs.close()

    def _counted(self, rings: Mapping[str, Ring]) -> dict[str, Any]:
        """What the parts of the server have counted themselves."""
        brokers = self.theirs.brokers.items()
        return {
            "upstreams": {name: one.counters.numbers() for name, one in brokers},
            "waited": {name: one.counters.latency.spans() for name, one in brokers},
            "keys": {
                name: current(ring.entries, self.clock()).since for name, ring in rings.items()
            },
        }

    async def _rings(self) -> dict[str, Ring]:
        issuers = self.settings.issuers
        if not issuers:
            return {}
        keyring = self.keyring = keyring_of(self.settings, self.store, self.clock)
        rings = {name: await keyring.ring(name, it.algorithm) for name, it in issuers.items()}
        await keyring.refresh()
        self.watching = asyncio.create_task(keyring.watch(), name="tokenward-keyring")
        return rings

    async def _registry(self) -> Registry:
        """The clients of the configuration, and from now on those registered beside it."""
        registry = registry_of(self.settings, self.store, self.clock, self.limits)
        if not self.alone:
            self.directory = directory_of(registry, self.settings, self.store, self.clock)
            await self.directory.open()
        return registry

    def _source(self, token: TokenSettings, rings: Mapping[str, Ring]) -> Source:
        """Who makes this token: our mint, or a broker of somebody else's."""
        if token.upstream is not None:
            return self.theirs.source(token, token.upstream)
        issuer = self.settings.issuers[token.issuer]
        profile, ring = issuer.profile, rings[token.issuer]
        return Mint(
            issuer=issuer.url,
            audience=token.audience,
            profile=profile,
            signer=profile.signer(ring) if isinstance(profile, OwnHand) else ring,
            lifetime=token.lifetime,
            clock=self.clock,
        )


def policy(settings: Settings) -> Policy:
    """The rules, and what they are about."""
    targets = {
        name: Target(
            name=name,
            audience=token.audience,
            issuer=token.issuer,
            scopes=token.vocabulary,
            default=token.default,
        )
        for name, token in settings.tokens.items()
    }
    return Policy(rules=settings.rules, targets=targets)


def _by_name(*grant_types: GrantType) -> dict[str, GrantType]:
    return {grant_type.name: grant_type for grant_type in grant_types}
