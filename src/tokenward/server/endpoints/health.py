"""Is it alive, and would it do its work?"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import ClassVar

from tokenward.oauth.errors import TemporarilyUnavailable
from tokenward.server.endpoints import NEVER
from tokenward.server.http import JSON, NO_STORE, Answer, Received

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

    needs: tuple[Callable[[], Awaitable[None]], ...]
    methods: ClassVar[frozenset[str]] = frozenset({"GET"})
    cors: ClassVar[str] = NEVER

    async def answer(self, received: Received) -> Answer:  # noqa: ARG002
        """503 while the store or the audit trail cannot be written to."""
        try:
            for ping in self.needs:
                await ping()
        except TemporarilyUnavailable:
            return Answer(503, (*HEADERS, (b"retry-after", b"5")), b'{"status":"cannot write"}')
        return Answer(200, HEADERS, b'{"status":"ready"}')
