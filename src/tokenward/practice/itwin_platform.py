"""A practice iTwin Platform: IMS, which hands out tokens, and ``users/me``, which takes them.

It knows one service application, and is as strict as the real one: form-decoded Basic or the
secret in the body, known scopes only, ``Bearer`` tokens that it signed itself.
"""

import secrets
import time
from collections.abc import Mapping

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tokenward.jose.jws import InvalidToken
from tokenward.jose.jwt import Expected, verify
from tokenward.jose.keys import KeySet, SigningKey
from tokenward.oauth import forms
from tokenward.oauth.errors import InvalidClient, InvalidScope, OAuthError, UnsupportedGrantType
from tokenward.oauth.presented import Presented
from tokenward.oauth.scope import Scope
from tokenward.practice.published import published

LIFETIME = 3_600
SCOPES = Scope.parse("itwin-platform itwinjs imodels:read users:read itwins:read")


def itwin_platform(issuer: str, client_id: str, client_secret: str, key: SigningKey) -> Starlette:
    """The application; ``issuer`` has no trailing slash, as IMS has none."""
    keys = KeySet((key.verifying_key(),))
    expected = Expected(issuer=issuer, audience=f"{issuer}/resources")

    async def token(request: Request) -> JSONResponse:
        try:
            form = dict(forms.parse(await request.body()))
            scope = _asked(form, request.headers.get("authorization", ""))
        except OAuthError as exc:
            return JSONResponse(exc.to_json(), status_code=exc.status)
        now = int(time.time())
        claims = {
            "iss": issuer,
            "aud": f"{issuer}/resources",
            "client_id": client_id,
            "scope": list(scope),
            "iat": now,
            "nbf": now,
            "exp": now + LIFETIME,
            "jti": secrets.token_hex(16).upper(),
        }
        answer = {
            "access_token": key.sign(claims, typ="at+jwt"),
            "token_type": "Bearer",
            "expires_in": LIFETIME,
            "scope": str(scope),
        }
        return JSONResponse(answer, headers={"Cache-Control": "no-store"})

    def _asked(form: Mapping[str, str], authorization: str) -> Scope:
        presented = Presented.parse(authorization, form)
        if (client_id, client_secret) not in presented.candidates:
            raise InvalidClient
        if form.get("grant_type") != "client_credentials":
            raise UnsupportedGrantType
        scope = Scope.parse(form.get("scope", "")) or SCOPES
        if not scope <= SCOPES:
            raise InvalidScope
        return scope

    async def me(request: Request) -> Response:
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        try:
            verify(bearer if scheme == "Bearer" else "", keys, expected, now=time.time())
        except InvalidToken:
            said = {"code": "HeaderNotFound", "message": "Access denied."}
            return JSONResponse({"error": said}, status_code=401)
        user = {
            "id": "4d6f6e61-0000-4000-8000-000000000001",
            "displayName": "Practice Service",
            "givenName": "Practice",
            "surname": "Service",
            "email": f"{client_id}@apps.imsoidc.bentley.com",
            "organizationName": "Practice",
        }
        return JSONResponse({"user": user})

    about = published(
        issuer,
        key,
        token="/connect/token",
        authorize="/connect/authorize",
        jwks="/.well-known/openid-configuration/jwks",
    )
    return Starlette(
        routes=[
            *about,
            Route("/connect/token", token, methods=["POST"]),
            Route("/users/me", me),
        ]
    )
