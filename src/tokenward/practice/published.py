"""What every issuer publishes about itself: its metadata and its keys."""

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from tokenward.jose.keys import SigningKey


def published(
    issuer: str, key: SigningKey, *, token: str, authorize: str, jwks: str, what: str
) -> list[Route]:
    """The routes; the paths are relative to the issuer, which may end with a slash or not.

    ``what`` is what a person reads who looks at the root.
    """
    here = issuer.removesuffix("/")
    metadata = {
        "issuer": issuer,
        "authorization_endpoint": here + authorize,
        "token_endpoint": here + token,
        "jwks_uri": here + jwks,
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [key.algorithm],
    }

    async def about(_: Request) -> JSONResponse:
        return JSONResponse(metadata)

    async def keys(_: Request) -> JSONResponse:
        return JSONResponse({"keys": [key.public_jwk()]})

    async def root(_: Request) -> PlainTextResponse:
        return PlainTextResponse(what)

    return [
        Route("/", root),
        Route("/.well-known/openid-configuration", about),
        Route(jwks, keys),
    ]
