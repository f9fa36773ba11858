"""What every issuer publishes about itself: its metadata and its keys."""

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tokenward.jose.keys import SigningKey


def published(
    issuer: str, key: SigningKey, *, token: str, authorize: str, jwks: str
) -> list[Route]:
    """The routes; the paths are relative to the issuer, which may end with a slash or not."""
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

    return [Route("/.well-known/openid-configuration", about), Route(jwks, keys)]
