"""The page that dev mode shows at ``/``: what runs here, and what to paste into a terminal."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse
from starlette.routing import Route

HERE = Path(__file__).parent
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Something to paste."""

    title: str
    why: str
    code: str


def welcome(
    *, issuer: str, recipes: Iterable[Recipe], places: Iterable[tuple[str, str]]
) -> Starlette:
    """The page, its style and its script.

    It shows practice secrets, so only a browser that calls this machine by a loopback name gets
    it: a page elsewhere whose name was made to resolve to us (DNS rebinding) does not.
    """
    templates = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined
    )
    page = templates.get_template("welcome.html").render(
        issuer=issuer, recipes=list(recipes), places=list(places)
    )

    async def show(_: Request) -> HTMLResponse:
        return HTMLResponse(page, headers={"Content-Security-Policy": POLICY})

    def file(name: str, kind: str) -> Route:
        async def send(_: Request) -> FileResponse:
            return FileResponse(HERE / name, media_type=kind)

        return Route(f"/static/{name}", send)

    return Starlette(
        routes=[
            Route("/", show),
            file("welcome.css", "text/css"),
            file("welcome.js", "text/javascript"),
        ],
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost", "[::1]"])
        ],
    )
