"""The body of a request: whole and in time, or not at all.

What the wire of ASGI is made of has its names here.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from tokenward.oauth.errors import InvalidRequest

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

PUNCTUAL = "tokenward.punctual"
"""The ASGI extension of a server that itself ends a body that does not arrive in time."""


class TooLarge(InvalidRequest):
    """The body is too large."""

    status = 413


class TooSlow(InvalidRequest):
    """The body did not arrive in time."""

    status = 408


class Gone(Exception):
    """The client went away before its request was complete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """How much a body may be, in bytes, and how long it may take, in seconds."""

    longest: int
    deadline: float

    def read(self, scope: Scope, receive: Receive, length: bytes) -> Awaitable[bytes]:
        """The whole body; raises ``TooLarge`` and ``TooSlow``, and ``Gone`` with the client."""
        if not length.isdigit() or int(length[:18]) > self.longest:
            raise self._too_large()
        if PUNCTUAL in (scope.get("extensions") or ()):
            return self._read(receive)
        return self._read_in_time(receive)

    async def _read_in_time(self, receive: Receive) -> bytes:
        try:
            async with asyncio.timeout(self.deadline):
                return await self._read(receive)
        except TimeoutError:
            raise TooSlow from None

    async def _read(self, receive: Receive) -> bytes:
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Gone
            body += message.get("body", b"")
            if len(body) > self.longest:
                raise self._too_large()
            more = message.get("more_body", False)
        return body

    def _too_large(self) -> TooLarge:
        return TooLarge(f"The body must not have more than {self.longest} bytes")
