"""A request as it comes over ASGI, and its body: whole and in time, or not at all.

What the wire of ASGI is made of has its names here.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from tokenward.oauth.errors import InvalidRequest
from tokenward.server.http import Received

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


def received_from(
    scope: Scope,
    fields: tuple[tuple[bytes, bytes], ...],
    headers: Mapping[bytes, bytes],
    body: bytes,
    id: str,
) -> Received:
    """A request as endpoints know it; ``headers`` are the ``fields`` by name."""
    method = scope["method"]
    return Received(
        method="GET" if method == "HEAD" else method,
        path=scope["path"],
        query=scope["query_string"],
        headers=fields,
        single=headers if len(headers) == len(fields) else None,
        body=body,
        address=(scope.get("client") or ("",))[0],
        certificate=_certificate(scope),
        id=id,
    )


def _certificate(scope: Scope) -> str:
    """What the client showed about itself when the connection began (ASGI's TLS extension)."""
    extensions = scope.get("extensions")
    if not extensions or "tls" not in extensions:
        return ""
    chain = extensions["tls"].get("client_cert_chain")
    return chain[0] if chain else ""
