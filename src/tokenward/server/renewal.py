"""The server, whose settings may change while it runs.

Law of this module: nobody notices. What is being answered is answered by the settings it began
under; what was remembered stays where its settings did; and settings that cannot be used change
nothing.
"""

import asyncio
from dataclasses import replace
from secrets import token_urlsafe
from typing import Any

from tokenward.clock import Clock, now
from tokenward.server.app import Server
from tokenward.server.asgi import Front
from tokenward.server.seal import KEY_BYTES
from tokenward.server.settings import ConfigError, IssuerSettings, Problem, Settings
from tokenward.server.upstreams import Lasts

FAREWELL = 60.0
"""Seconds after which nobody is under way any more who began under former settings."""

_ITS_OWN = frozenset({"_start", "_stop", "_pages"})
"""What a front keeps when it takes over the rest of another: the life it has, not the answers."""


class Renewable:
    """One server after the other behind the same front."""

    def __init__(self, settings: Settings, *, clock: Clock = now, pages: Any = None) -> None:
        self._server = Server(settings=_sealable(settings), clock=clock)
        self._former: dict[asyncio.TimerHandle, Server] = {}
        self.front: Front = self._server.front(pages, stop=self._stop)

    @property
    def settings(self) -> Settings:
        """Those that count now."""
        return self._server.settings

    async def renew(self, settings: Settings) -> None:
        """Be what these say; raises whatever a server raises when it starts, and nothing changed.

        What only a restart can change stays as it is.
        """
        former = self._server
        heir = _heir(former, kept(former.settings, settings))
        try:
            routes = await heir.routes()
            front = heir.front(routes=routes)
        except BaseException:
            for name in heir.theirs.carried:
                heir.theirs.brokers.pop(name, None)
            await heir.leave()
            raise
        vars(self.front).update({k: it for k, it in vars(front).items() if k not in _ITS_OWN})
        self._server = heir
        if heir.natives is not None:
            heir.natives.lead(routes, heir.limits.admit)
        for name in heir.theirs.carried:
            former.theirs.brokers.pop(name, None)
        self._bid_farewell(former)

    def _bid_farewell(self, former: Server) -> None:
        """Let it end, when those who are under way have come to their end.

        The keys are looked after by one alone: who is going may not know how they are sealed now.
        """
        if former.watching is not None:
            former.watching.cancel()

        def leave() -> None:
            del self._former[timer]
            self._leaving = asyncio.ensure_future(former.leave())

        timer = asyncio.get_running_loop().call_later(FAREWELL, leave)
        self._former[timer] = former

    async def _stop(self) -> None:
        for timer, former in self._former.items():
            timer.cancel()
            await former.leave()
        await self._server.close()


def _heir(former: Server, settings: Settings) -> Server:
    """A server of these settings that goes on with what the former one has opened."""
    heir = Server(settings=settings, clock=former.clock)
    heir.http, heir.watchers = former.http, former.watchers
    heir.store, heir.redis, heir.trail = former.store, former.redis, former.trail
    heir.metrics, heir.meter, heir.natives = former.metrics, former.meter, former.natives
    theirs = heir.theirs
    theirs.store, theirs.cache = heir.store, heir.cache
    theirs.heard = heir.meter.upstream
    theirs.connect = heir.watchers.client
    before = former.settings
    if _sealed(before) == _sealed(settings):
        theirs.carried = {
            name: broker
            for name, broker in former.theirs.brokers.items()
            if name in settings.tokens and settings.tokens[name] == before.tokens[name]
            if not before.tokens[name].signs  # whose keys this server would not see change
            if not isinstance(before.tokens[name].upstream, Lasts)  # who seal what they keep
        }
    return heir


def _sealed(settings: Settings) -> tuple[str, str]:
    return settings.encryption_key, settings.encryption_key_file


def changed(old: Settings, new: Settings) -> list[str]:
    """What these want otherwise than a running server can have it, by the names in the file."""
    found = [
        name
        for name in ("store", "cache", "audit", "otel", "log")
        if getattr(old, name) != getattr(new, name)
    ]
    if (old.metrics is None) is not (new.metrics is None):
        found.append("metrics")
    before, after = old.listen, new.listen
    found += [
        f"listen.{key}"
        for key, one, other in (
            ("address", (before.host, before.port), (after.host, after.port)),
            ("workers", before.workers, after.workers),
            ("drain", before.drain, after.drain),
            ("tls_certificate", before.tls is None, after.tls is None),
        )
        if one != other
    ]
    found += [
        f"issuers.{name}.grpc"
        for name, issuer in new.issuers.items()
        if _grpc(issuer) != (_grpc(old.issuers[name]) if name in old.issuers else "")
    ]
    return found


def _grpc(issuer: IssuerSettings) -> str:
    """Where it speaks gRPC besides; ``""`` for nowhere."""
    place: str = getattr(issuer.profile, "grpc", "")
    return place


def kept(old: Settings, new: Settings) -> Settings:
    """The new ones, with what only a restart can change as it was.

    Raises ``ConfigError`` where the whole of it has to wait for that.
    """
    if any(one.signer is not None for it in (old, new) for one in it.issuers.values()):
        raise ConfigError(
            [
                Problem(
                    place="issuers",
                    message="keys that others hold are opened once, at the start",
                    hint="restart the server instead",
                )
            ]
        )
    tls = new.listen.tls if old.listen.tls and new.listen.tls else old.listen.tls
    settings = replace(
        new,
        listen=replace(old.listen, tls=tls),
        store=old.store,
        cache=old.cache,
        audit=old.audit,
        otel=old.otel,
        log=old.log,
        metrics=new.metrics if old.metrics and new.metrics else old.metrics,
    )
    if _forgetful(old):
        return replace(settings, encryption_key=old.encryption_key, encryption_key_file="")
    return settings


def _sealable(settings: Settings) -> Settings:
    """With a key for what outlives the settings in memory, and nothing else."""
    if not _forgetful(settings):
        return settings
    return replace(settings, encryption_key=token_urlsafe(KEY_BYTES), encryption_key_file="")


def _forgetful(settings: Settings) -> bool:
    return settings.store.lower().startswith("memory:")
