"""The pages that dev mode shows: at ``/`` what runs here, what to paste, and what became of it; at
``/key`` how a key is as good as a password.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse
from starlette.routing import Route

from tokenward.server.pages import Place, Recipe

HERE = Path(__file__).parent
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
FILES = {
    "welcome.css": "text/css",
    "welcome.js": "text/javascript",
    "key.css": "text/css",
    "key.js": "text/javascript",
    "mark.svg": "image/svg+xml",
}
SHOWN = 8
"""Events of the trail, the newest."""

TAIL = 32_768
"""Bytes of the trail that are read for them."""


def welcome(
    *,
    issuer: str,
    recipes: Sequence[Recipe],
    more: Sequence[Recipe],
    by_key: Sequence[Recipe],
    places: Sequence[Place],
    config: str,
    trail: Path,
    audience: str,
    api: str,
) -> Starlette:
    """The pages, their styles and their scripts.

    ``audience`` is the token that whoever has a key may have, and ``api`` where it is good.

    It shows practice secrets, so only a browser that calls this machine by a loopback name gets
    it: a page elsewhere whose name was made to resolve to us (DNS rebinding) does not.
    """
    templates = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page, key, events = map(templates.get_template, ("welcome.html", "key.html", "events.html"))

    def show(_: Request) -> HTMLResponse:
        text = page.render(
            issuer=issuer,
            recipes=recipes,
            more=more,
            places=places,
            config=config,
            events=latest(trail),
        )
        return HTMLResponse(text, headers=HEADERS)

    def show_key(_: Request) -> HTMLResponse:
        text = key.render(
            issuer=issuer, recipes=by_key, audience=audience, api=api, events=latest(trail)
        )
        return HTMLResponse(text, headers=HEADERS)

    def show_events(_: Request) -> HTMLResponse:
        return HTMLResponse(events.render(events=latest(trail)), headers=HEADERS)

    def file(name: str, kind: str) -> Route:
        def send(_: Request) -> FileResponse:
            return FileResponse(HERE / name, media_type=kind, headers=HEADERS)

        return Route(f"/static/{name}", send)

    return Starlette(
        routes=[
            Route("/", show),
            Route("/key", show_key),
            Route("/events", show_events),
            *(file(name, kind) for name, kind in FILES.items()),
        ],
        exception_handlers={404: _nothing},
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost", "[::1]"])
        ],
    )


def _nothing(_: Request, __: Exception) -> JSONResponse:
    """What the server itself would say."""
    said = {"error": "not_found", "error_description": "There is nothing at this path"}
    return JSONResponse(said, status_code=404)


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """One event of the trail, as far as it is shown."""

    at: str
    """The time of day."""

    kind: str
    refused: bool
    who: str
    token: str
    scope: str
    why: str
    """The rule that decided, or the error with its detail."""


def latest(trail: Path) -> list[Happened]:
    """The newest events of an audit trail, the newest first."""
    try:
        with trail.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - TAIL))
            lines = file.read(TAIL).splitlines(keepends=True)
    except OSError:
        return []
    events = []
    for line in reversed(lines):
        try:  # at either end there may be a part of a line
            events.append(_happened(json.loads(line)))
        except (ValueError, TypeError, KeyError):
            continue
        if len(events) == SHOWN:
            break
    return events


def _happened(event: dict[str, Any]) -> Happened:
    said = {name: str(value) for name, value in event.items()}
    refused = said["outcome"] != "ok"
    why = f"{said.get('error', '')}: {said.get('detail', '')}"
    return Happened(
        at=time.strftime("%H:%M:%S", time.localtime(event["time"])),
        kind=said["event"],
        refused=refused,
        who=said.get("subject") or said.get("client", ""),
        token=said.get("token", ""),
        scope=said.get("scope", ""),
        why=why if refused else said.get("rule", "") and f"rule: {said['rule']}",
    )
