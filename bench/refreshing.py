"""tokenward with an endpoint that rotates refresh tokens, and one that begins a chain of them.

    python -m bench.refreshing       in a folder with a tokenward.toml

The grant comes with a later version; its parts are here: a handle is looked up, the policy is asked
again, an access token and an ID token are signed, and old, new and the answer for whoever asks
twice change place in one transaction, durable before the answer leaves.

Law: everything of it is the server's own but the order of the steps.
"""

import os
import secrets
import sys
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

import orjson

from tokenward.clock import now
from tokenward.oauth.errors import InvalidGrant
from tokenward.oauth.messages import TokenRequest, TokenResponse
from tokenward.oauth.scope import Scope
from tokenward.server.app import Server
from tokenward.server.audit import Audit
from tokenward.server.endpoints import NEVER, Endpoint
from tokenward.server.endpoints.token import HEADERS, form
from tokenward.server.handles import from_bytes, to_bytes
from tokenward.server.http import Answer, Received
from tokenward.server.issuance import Issuance
from tokenward.server.keeping import seal
from tokenward.server.model import Caller, Grant
from tokenward.server.profiles import Signer
from tokenward.server.seal import Seal
from tokenward.server.serve import serve
from tokenward.server.settings import load
from tokenward.server.stores import Chains, First

LIFETIME, GRACE = 86_400, 10.0
"""Seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin:
    """GET /chain: somebody has signed in."""

    issuance: Issuance
    chains: Chains
    seal: Seal
    methods: ClassVar[frozenset[str]] = frozenset({"GET"})
    cors: ClassVar[str] = NEVER

    async def answer(self, _received: Received) -> Answer:
        """The first refresh token of a chain."""
        caller = Caller(
            name="mobile", subject="mobile|ann", claims={"permissions": ["models:read"]}
        )
        grant = Grant(
            caller=caller,
            client=self.issuance.registry.clients["service"].client,
            grant_type="refresh_token",
            issuer="main",
            targets=("reports",),
            scope=Scope.parse("reports:read"),
        )
        handle, key = made()
        kept = self.seal.close(to_bytes(grant), key)
        await self.chains.begin(secrets.token_hex(8), key, kept, until=now() + LIFETIME)
        return Answer(200, HEADERS, orjson.dumps({"refresh_token": handle}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Refresh:
    """POST /refresh."""

    issuance: Issuance
    audit: Audit
    chains: Chains
    seal: Seal
    signer: Signer
    methods: ClassVar[frozenset[str]] = frozenset({"POST"})
    cors: ClassVar[str] = NEVER

    async def answer(self, received: Received) -> Answer:
        """A new access token, a new ID token, and the refresh token for the next time."""
        async with self.audit.event("token", received) as event:
            request = event.request = TokenRequest.parse(
                form(received), authorization=received.header(b"authorization"), issuer="main"
            )
            presented = request.presented
            event.client, event.proved = await self.issuance.registry.authenticate(
                presented, received.address
            )
            old = sha256(request.require("refresh_token").encode()).hexdigest()
            if (kept := await self.chains.look(old)) is None:
                raise InvalidGrant(detail="no such handle")
            grant = event.grant = from_bytes(self.seal.open(kept, old))
            authorization = event.authorization = self.issuance.policy.decide(grant)
            token = await self.issuance.sources[authorization.token].issue(authorization)
            handle, key = made()
            at = now()
            said = {
                **TokenResponse(token, "").to_json(at),
                "refresh_token": handle,
                "id_token": self.signer.sign(self._login(grant, int(at)), typ="JWT"),
            }
            answer = orjson.dumps(said)
            outcome = await self.chains.rotate(
                old,
                key,
                self.seal.close(to_bytes(grant), key),
                self.seal.close(answer, old),
                until=at + LIFETIME,
                grace=GRACE,
            )
            if not isinstance(outcome, First):
                raise InvalidGrant(detail="spent")
            event.issued(token)
        return Answer(200, HEADERS, answer)

    def _login(self, grant: Grant, at: int) -> dict[str, object]:
        claims = {"sub": grant.caller.subject, "aud": grant.client.id, "iat": at, "exp": at + 900}
        return {"iss": "main", **claims}


def made() -> tuple[str, str]:
    """A handle, and the key it is kept under."""
    handle = secrets.token_urlsafe(32)
    return handle, sha256(handle.encode()).hexdigest()


class Refreshing(Server):
    """The server, with two more doors."""

    async def open(self) -> dict[str, Endpoint]:
        """Its own, and these."""
        routes = await Server.open(self)
        token: Any = routes["/token"]
        keys: Any = routes["/.well-known/jwks.json"]
        sealed = seal(self.settings, self.store)
        begin = Begin(issuance=token.issuance, chains=self.store.chains, seal=sealed)
        refresh = Refresh(
            issuance=token.issuance,
            audit=token.audit,
            chains=self.store.chains,
            seal=sealed,
            signer=keys.ring,
        )
        return {**routes, "/chain": begin, "/refresh": refresh}


if __name__ == "__main__":
    settings = load(Path.cwd() / "tokenward.toml", os.environ)
    app = Refreshing(settings=settings, clock=now).front()
    serve(app, host=settings.listen.host, port=settings.listen.port)
    sys.exit(0)
