"""Is it alive, and would it do its work?"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import ClassVar

from tokenward.server.endpoints import NEVER
from tokenward.server.http import JSON, NO_STORE, Answer, Received
from tokenward.server.stores import StoreUnavailable

HEADERS = (JSON, *NO_STORE)


@dataclass(frozen=True, slots=True)
class HealthEndpoint:
    """Alive: the process answers, whatever it depends on."""

    methods: ClassVar[frozenset[str]] = frozenset({"GET"})
    cors: ClassVar[str] = NEVER

    async def answer(self, received: Received) -> Answer:  # noqa: ARG002
        """Always yes: whoever cannot answer does not."""
        return Answer(200, HEADERS, b'{"status":"ok"}')


@dataclass(frozen=True, slots=True)
class ReadinessEndpoint:
    """Ready: what it depends on to do its work answers too."""

    ping: Callable[[], Awaitable[None]]
    methods: ClassVar[frozenset[str]] = frozenset({"GET"})
    cors: ClassVar[str] = NEVER

    async def answer(self, received: Received) -> Answer:  # noqa: ARG002
        """503 while the store does not answer."""
        try:
            await self.ping()
        except StoreUnavailable:
            return Answer(
                503, (*HEADERS, (b"retry-after", b"5")), b'{"status":"store unavailable"}'
            )
        return Answer(200, HEADERS, b'{"status":"ready"}')
