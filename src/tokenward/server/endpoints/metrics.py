"""GET /metrics: the server's numbers, for the monitoring that knows the secret."""

import asyncio
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, ClassVar

from tokenward.server.endpoints import NEVER
from tokenward.server.http import NO_STORE, Answer, Received
from tokenward.verifier.bearer import Refusal, credentials

_REFUSED = Answer(
    401,
    (
        (b"content-type", b"text/plain; charset=utf-8"),
        *NO_STORE,
        (b"www-authenticate", b'Bearer realm="metrics"'),
    ),
    b"The secret of [metrics] is required: Authorization: Bearer ...\n",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsEndpoint:
    """For whoever shows one of the secrets."""

    numbers: Callable[[], dict[str, Any]]
    digests: tuple[bytes, ...]
    """SHA-256 of each secret."""

    methods: ClassVar[frozenset[str]] = frozenset({"GET"})
    cors: ClassVar[str] = NEVER

    async def answer(self, received: Received) -> Answer:
        """The numbers as text, or 401."""
        shown = credentials([it for name, it in received.headers if name == b"authorization"])
        if isinstance(shown, Refusal):
            return _REFUSED
        digest, right = sha256(shown.encode()).digest(), False
        for known in self.digests:
            right |= hmac.compare_digest(digest, known)
        if not right:
            return _REFUSED
        kind, text = await asyncio.to_thread(_exposed, self.numbers())
        return Answer(200, ((b"content-type", kind.encode()), *NO_STORE), text)


def _exposed(numbers: dict[str, Any]) -> tuple[str, bytes]:
    # Here, because it takes long to import, and who never asks need not wait for it.
    from tokenward.server.exposition import CONTENT_TYPE, exposed  # noqa: PLC0415

    return CONTENT_TYPE, exposed(numbers)
