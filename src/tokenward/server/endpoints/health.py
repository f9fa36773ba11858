"""Is it alive, and would it do its work?"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import orjson

from tokenward.oauth.errors import TemporarilyUnavailable
from tokenward.server.endpoints import NEVER
from tokenward.server.http import JSON, NO_STORE, Answer, Received

HEADERS = (JSON, *NO_STORE)
TO_ANSWER = 2.0
"""Seconds that each part has to say that it would work; whoever asks us waits no longer."""

SIGNED_ENOUGH = 5.0
"""Seconds for which keys that have signed are taken to be there: anybody may ask, and signing
is work."""

Ping = Callable[[], Awaitable[None]]


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

    needs: Mapping[str, Ping]
    """By the name of the part."""

    methods: ClassVar[frozenset[str]] = frozenset({"GET"})
    cors: ClassVar[str] = NEVER

    async def answer(self, received: Received) -> Answer:  # noqa: ARG002
        """503 with the names of the parts that would fail; why, the log says."""
        works = await asyncio.gather(*map(_works, self.needs.values()))
        failing = [name for name, it in zip(self.needs, works, strict=True) if not it]
        if failing:
            said = orjson.dumps({"status": "not ready", "failing": failing})
            return Answer(503, (*HEADERS, (b"retry-after", b"5")), said)
        return Answer(200, HEADERS, b'{"status":"ready"}')


async def _works(ping: Ping) -> bool:
    try:
        async with asyncio.timeout(TO_ANSWER):
            await ping()
    except (TemporarilyUnavailable, TimeoutError):
        return False
    return True


class Signer(Protocol):
    """What signs for an issuer."""

    def sign(self, claims: Mapping[str, object], *, typ: str) -> str | Awaitable[str]: ...


@dataclass(slots=True)
class Signing:
    """Whether every issuer can sign: asked of the keys themselves, which may be in a device."""

    signers: Iterable[Signer]
    _until: float = field(default=0.0, init=False)

    async def ping(self) -> None:
        """Return if they can; raises ``TemporarilyUnavailable``."""
        if (now := asyncio.get_running_loop().time()) < self._until:
            return
        for signer in self.signers:
            try:
                signed = signer.sign({}, typ="readiness")  # no token of any kind
                if not isinstance(signed, str):
                    await signed
            except Exception as failure:
                raise TemporarilyUnavailable(detail="a key cannot sign") from failure
        self._until = now + SIGNED_ENOUGH
