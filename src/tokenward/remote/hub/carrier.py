"""A whole conversation with a Hub as one request and one answer, for flows that ask for a token.

The request is for the public key in its body, and has along what signs: ``extensions["sign"]``.
"""

from dataclasses import dataclass
from typing import Any

import httpx2

from tokenward.clock import Clock, now
from tokenward.jose.identity import PrivateKey, UnusableKey
from tokenward.remote.hub.exchange import Hub
from tokenward.remote.hub.messages import PATHS


def question(hub: Hub, public_key: str, sign: Any) -> httpx2.Request:
    """What a flow yields; what it is sent has the token as its text."""
    url = hub.url.rstrip("/") + PATHS[0]
    return httpx2.Request("POST", url, content=public_key, extensions={"sign": sign})


def identity(private_key: str) -> PrivateKey:
    """Who we are to a Hub; raises ``ValueError``, which says which setting it is about."""
    try:
        return PrivateKey.from_string(private_key)
    except UnusableKey as fault:
        raise ValueError(f"private_key: {fault}") from None


@dataclass(frozen=True, slots=True)
class Carrier(httpx2.AsyncBaseTransport):
    """The way to one Hub."""

    hub: Hub
    clock: Clock = now

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Have the conversation; raises ``RemoteError``. Its deadline is whoever's who waits."""
        exchange = await self.hub.begin(request.content.decode(), now=self.clock())
        token = await exchange.answer(request.extensions["sign"](exchange.challenge))
        return httpx2.Response(200, stream=httpx2.ByteStream(token.encode()), request=request)
