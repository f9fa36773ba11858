"""A practice identity provider in the likeness of Auth0: it signs tokens for whoever asks.

``GET /.well-known/openid-configuration``, ``GET /.well-known/jwks.json`` (with ``x5c``, as the
iTwin mobile sample's server wants it), and ``POST /practice/sign-in`` with ``user=ann`` in place of
a login page.
"""

import time

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tokenward.jose.keys import SigningKey
from tokenward.oauth import forms
from tokenward.oauth.errors import InvalidRequest
from tokenward.practice.published import published

LIFETIME = 12 * 3_600

PEOPLE = {
    "ann": {"email": "ann@example.com", "permissions": ["models:read", "models:write"]},
    "bob": {"email": "bob@example.com", "permissions": []},
}


def token_for(key: SigningKey, issuer: str, audience: str, user: str, *, now: float) -> str:
    """An access token for one of our people, as Auth0 makes them."""
    return key.sign(
        {
            "iss": issuer,
            "sub": f"auth0|{user}",
            "aud": [audience, f"{issuer}userinfo"],
            "iat": int(now),
            "exp": int(now) + LIFETIME,
            "azp": "practice",
            "scope": "openid email",
            **PEOPLE[user],
        },
        typ="JWT",
    )


def identity_provider(issuer: str, audience: str, key: SigningKey) -> Starlette:
    """The application; ``issuer`` ends with a slash, as Auth0's do."""

    async def sign_in(request: Request) -> PlainTextResponse:
        try:
            user = dict(forms.parse(await request.body())).get("user", "ann")
        except InvalidRequest as exc:
            return PlainTextResponse(f"{exc}\n", status_code=400)
        if user not in PEOPLE:
            return PlainTextResponse(f"we know {' and '.join(PEOPLE)}\n", status_code=404)
        return PlainTextResponse(token_for(key, issuer, audience, user, now=time.time()) + "\n")

    about = published(
        issuer,
        key,
        token="/oauth/token",
        authorize="/authorize",
        jwks="/.well-known/jwks.json",
        what=f"""A practice identity provider. It asks {" and ".join(PEOPLE)} for no password:

  curl -d user=ann {issuer}practice/sign-in
""",
    )
    return Starlette(routes=[*about, Route("/practice/sign-in", sign_in, methods=["POST"])])
