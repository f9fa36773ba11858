"""A practice iTwin Platform: IMS, which hands out tokens, and ``users/me``, which takes them.

It knows one service application, and is as strict as the real one: form-decoded Basic or the
secret in the body, known scopes only, ``Bearer`` tokens that it signed itself. Besides, it believes
an issuer of ours that speaks IMS's dialect, as a platform of one's own would.
"""

import secrets
import time
from collections.abc import Mapping
from uuid import NAMESPACE_URL, uuid5

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tokenward.jose.jwt import issuer_of
from tokenward.jose.keys import KeySet, SigningKey
from tokenward.oauth import forms
from tokenward.oauth.errors import InvalidClient, InvalidScope, OAuthError, UnsupportedGrantType
from tokenward.oauth.presented import Presented
from tokenward.oauth.scope import Scope
from tokenward.practice.published import published
from tokenward.verifier import InvalidToken, Verifier

LIFETIME = 3_600
SCOPES = Scope.parse("itwin-platform itwinjs imodels:read users:read itwins:read")


def itwin_platform(
    issuer: str, client_id: str, client_secret: str, key: SigningKey, *, also: tuple[str, str]
) -> Starlette:
    """The application; ``issuer`` has no trailing slash, as IMS has none.

    ``also`` is another issuer that it believes, and the audience of the tokens meant for it.
    """
    theirs = Verifier(issuer, f"{issuer}/resources", keys=KeySet((key.verifying_key(),)))
    ours = Verifier(*also)

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
        believes = ours if issuer_of(bearer) == ours.expected.issuer else theirs
        try:
            claims = await believes.averify(bearer if scheme == "Bearer" else "")
        except InvalidToken:
            said = {"code": "HeaderNotFound", "message": "Access denied."}
            return JSONResponse({"error": said}, status_code=401)
        service = claims["client_id"]
        user = {
            "id": str(uuid5(NAMESPACE_URL, f"{claims['iss']}#{service}")),
            "displayName": service,
            "givenName": "Practice",
            "surname": "Service",
            "email": f"{service}@apps.imsoidc.bentley.com",
            "organizationName": "Practice",
        }
        return JSONResponse({"user": user})

    about = published(
        issuer,
        key,
        token="/connect/token",
        authorize="/connect/authorize",
        jwks="/.well-known/openid-configuration/jwks",
        what=f"""A practice iTwin Platform: POST /connect/token for its one service application,
and GET /users/me for those who have a token of it, or of {also[0]}.
""",
    )
    return Starlette(
        routes=[
            *about,
            Route("/connect/token", token, methods=["POST"]),
            Route("/users/me", me),
        ]
    )
