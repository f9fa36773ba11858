"""A practice API of our own, protected by the verifier library: the other end of our tokens."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tokenward.verifier import Verifier
from tokenward.verifier.asgi import BearerMiddleware


def reports_api(issuer: str, audience: str) -> BearerMiddleware:
    """``GET /reports`` for tokens of this issuer, for this audience, with ``reports:read``."""

    async def reports(request: Request) -> JSONResponse:
        who = request.scope["tokenward.claims"]["sub"]
        return JSONResponse({"reports": ["bridges", "tunnels"], "read_by": who})

    app = Starlette(routes=[Route("/reports", reports)])
    return BearerMiddleware(app, Verifier(issuer, audience), scope="reports:read")
