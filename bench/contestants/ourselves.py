"""tokenward: as it is served, and the same without its fast lane."""

import sys

from bench.asking import gathered
from bench.contestants import (
    ASGI,
    EXCHANGE,
    JWKS,
    MANY,
    OURS,
    REFRESH,
    SHOWN,
    SHOWN_ONCE,
    STRANGERS,
    WARM,
    Contestant,
)
from bench.contestants.express import strangers
from bench.contestants.oidc_provider import first_of_chain
from bench.ours import PLACES, ROOT, Ours
from bench.requests import access_token, basic, bearer, get, post

KEYS = "/.well-known/jwks.json"


def ourselves(ours: Ours) -> Contestant:
    """The product."""
    return _contestant(OURS, ours)


def by_asgi(ours: Ours) -> Contestant:
    """The product, with every request going through ASGI."""
    ours.program.name = ASGI
    ours.top = 'lane = "asgi"'
    return _contestant(ASGI, ours)


def with_workers(ours: Ours, name: str, many: int) -> Contestant:
    """The product in so many processes, which may use both cores."""
    ours.program.name = name
    ours.program.command = [*ours.program.command, "--workers", str(many)]
    ours.program.cores = ours.cores.server | ours.cores.load
    return _contestant(name, ours)


def refreshing(ours: Ours) -> Contestant:
    """The product, with an endpoint that rotates refresh tokens beside its own."""
    ours.program.name = REFRESH
    ours.program.command = [sys.executable, "-P", "-m", "bench.refreshing"]
    ours.program.environ = {**ours.program.environ, "PYTHONPATH": str(ROOT)}
    form = {"grant_type": "refresh_token", "refresh_token": "@REFRESH_TOKEN@"}
    request = post("/refresh", form, basic("service", ours.secret), plain="@REFRESH_TOKEN@")
    return Contestant(
        name=OURS,
        port=ours.port,
        program=ours.program,
        asked={REFRESH: lambda: [request]},
        before=ours.prepare,
        after=ours.stop_neighbours,
        chain=lambda: first_of_chain(ours.port),
    )


def _contestant(name: str, ours: Ours) -> Contestant:
    def about(many: int) -> list[bytes]:
        shown = gathered(ours.port, ours.client_credentials(), many)
        return [ours.introspection(access_token(it)) for it in shown]

    return Contestant(
        name=name,
        port=ours.port,
        program=ours.program,
        asked={
            **{it: lambda it=it: [ours.client_credentials(it)] for it in PLACES},  # type: ignore[misc]
            EXCHANGE: lambda: [ours.exchange(ours.caller("regular"))],
            WARM: lambda: [get("/getToken", bearer(ours.caller("regular")))],
            STRANGERS: lambda: strangers(ours),
            SHOWN: lambda: about(1),
            SHOWN_ONCE: lambda: about(MANY),
            JWKS: lambda: [get(KEYS)],
        },
        before=ours.prepare,
        after=ours.stop_neighbours,
    )
