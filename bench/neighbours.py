"""Those a token server lives with: an issuer whose people it believes, and an upstream it asks.

    python -m bench.neighbours PORT KEYS SECRET

They run in one process of their own, until standard input is closed. The keys are made by whoever
starts them, who can so sign for as many people as it needs.

Law: they answer at once and always well; what is measured is never theirs.
"""

import asyncio
import base64
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvicorn

from tokenward.jose.keys import SigningKey

CLIENT = "service-bench"
"""What a token server is to the upstream."""

AUDIENCE = "http://tokenserver.sample.bentley.com"
"""What a token server is to the issuer's people."""

LIFETIME = 600
"""Seconds that an upstream's token lives: short, so that it has to be renewed under load."""

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]


def caller(
    key: SigningKey, issuer: str, who: str, *, lifetime: int = 86_400, **more: object
) -> str:
    """A token of one of the issuer's people, in the manner of Auth0."""
    now = int(time.time())
    claims = {
        "iss": issuer,
        "sub": f"auth0|{who}",
        "aud": [AUDIENCE, f"{issuer}userinfo"],
        "iat": now,
        "exp": now + lifetime,
        "azp": "bench",
        "scope": "openid email",
        "email": f"{who}@example.com",
        "permissions": ["models:read"],
        **more,
    }
    return key.sign(claims, typ="JWT")


class Neighbours:
    """The ASGI application."""

    def __init__(self, issuer: str, keys: list[SigningKey], secret: str) -> None:
        here = issuer.removesuffix("/")
        basic = base64.b64encode(f"{CLIENT}:{secret}".encode())
        self._issuer, self._key = issuer, keys[0]
        self._welcome = b"Basic " + basic
        self._answers = {"/connect/token": self._token, "/connect/introspect": self._active}
        self._pages = {
            "/.well-known/openid-configuration": {
                "issuer": issuer,
                "token_endpoint": f"{here}/connect/token",
                "authorization_endpoint": f"{here}/connect/authorize",
                "introspection_endpoint": f"{here}/connect/introspect",
                "jwks_uri": f"{here}/.well-known/jwks.json",
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": [key.algorithm for key in keys],
            },
            "/.well-known/jwks.json": {"keys": [key.public_jwk() for key in keys]},
        }

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        status, said = 200, self._pages.get(scope["path"])
        if (answer := self._answers.get(scope["path"])) is not None:
            known = dict(scope["headers"]).get(b"authorization") == self._welcome
            status, said = (200, answer()) if known else (401, {"error": "invalid_client"})
        body = json.dumps(said or {}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        status = status if said else 404
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _token(self) -> dict[str, object]:
        now = int(time.time())
        claims = {"iss": self._issuer, "client_id": CLIENT, "iat": now, "exp": now + LIFETIME}
        token = self._key.sign({**claims, "scope": ["itwin-platform"]}, typ="at+jwt")
        return {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": LIFETIME,
            "scope": "itwin-platform",
        }

    def _active(self) -> dict[str, object]:
        """Whatever it is shown, it is a live token of the partner's (RFC 7662 §2.2)."""
        now = int(time.time())
        return {"active": True, "sub": "partner", "aud": CLIENT, "exp": now + LIFETIME}


async def _run(port: int, app: Neighbours) -> None:
    config = uvicorn.Config(
        app,
        port=port,
        log_level="error",
        access_log=False,
        lifespan="off",
        ws="none",
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    await asyncio.to_thread(sys.stdin.read)
    server.should_exit = True
    await serving


if __name__ == "__main__":
    at, kept, password = sys.argv[1:]
    signing = [SigningKey.from_bytes(path.read_bytes()) for path in sorted(Path(kept).iterdir())]
    asyncio.run(_run(int(at), Neighbours(f"http://127.0.0.1:{at}/", signing, password)))
