"""Who wants to know of each request: traces, a log, or nobody, as the settings say.

Law of this module: where nobody wants to know, nothing is hung anywhere and nothing imported.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx2

from tokenward.clock import Clock
from tokenward.remote.clients import Identity, open_async_client
from tokenward.server import doors
from tokenward.server.audit import Event
from tokenward.server.endpoints import Endpoint
from tokenward.server.hooks import Seen
from tokenward.server.settings import Settings
from tokenward.server.stores import Store
from tokenward.server.watching import Watch

if TYPE_CHECKING:
    from tokenward.server.requestlog import RequestLog
    from tokenward.server.tracing import Traces

QUIET = frozenset({doors.HEALTH, doors.LIVE, doors.READY, doors.METRICS})
"""Asked every few seconds by machines; told of only where they hear that something is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watchers:
    """Those there are."""

    watch: Watch | None = None
    traces: "Traces | None" = None
    log: "RequestLog | None" = None

    @classmethod
    def of(cls, settings: Settings, clock: Clock) -> "Watchers":
        """Those that the settings want; nothing is opened yet."""
        traces = log = None
        if settings.otel is not None:
            from tokenward.server.tracing import Traces  # noqa: PLC0415  takes a tenth of a second

            traces = Traces(settings.otel)
        if settings.log.requests:
            from tokenward.server.requestlog import RequestLog  # noqa: PLC0415

            log = RequestLog(format=settings.log.format, clock=clock)
        if traces is None and log is None:
            return cls()
        watch = Watch(tracer=traces, writer=log, quiet=QUIET)
        return cls(watch=watch, traces=traces, log=log)

    @property
    def seen(self) -> Seen | None:
        """Who hears of answers."""
        return None if self.watch is None else self.watch.seen

    @property
    def event(self) -> Callable[[Event], None] | None:
        """Who hears of what was audited."""
        return None if self.watch is None else self.watch.event

    def around(self, routes: dict[str, Endpoint]) -> dict[str, Endpoint]:
        """The endpoints, watched."""
        return routes if self.watch is None else self.watch.around(routes)

    def client(
        self, identity: Identity | None = None, carrier: httpx2.AsyncBaseTransport | None = None
    ) -> httpx2.AsyncClient:
        """Our way to upstreams; to those that want to see a certificate of ours, with it.

        ``carrier`` is for those that speak no HTTP.
        """
        around = None if self.traces is None else self.traces.outward
        return open_async_client(transport=carrier, around=around, identity=identity)

    def store(self, store: Store) -> Store:
        """The store, watched."""
        return store if self.traces is None else self.traces.kept(store)

    async def open(self) -> None:
        """Begin."""
        if self.traces is not None:
            await self.traces.open()
        if self.log is not None:
            await self.log.open()

    async def close(self) -> None:
        """End, soon."""
        if self.log is not None:
            await self.log.close()
        if self.traces is not None:
            await self.traces.close()
