"""npm's oidc-provider, which keeps everything in memory, with our client, scope and lifetime."""

import json
from http.client import HTTPConnection
from pathlib import Path

from bench.asking import gathered
from bench.contestants import JWKS, MANY, OIDC, REFRESH, SHOWN, SHOWN_ONCE, Contestant
from bench.node import FOLDER
from bench.ours import API, SERVICE, Ours
from bench.processes import Cores, Program, free_port
from bench.requests import access_token, basic, get, post

APIS = {
    "ES256": "https://reports.example.com",
    "EdDSA": "https://eddsa.example.com",
    "RS256": "https://rsa.example.com",
}
OPAQUE = "https://opaque.example.com"


def oidc_provider(folder: Path, cores: Cores, ours: Ours, node: Path) -> Contestant:
    """One process for all algorithms: the API that is asked for decides."""
    port = free_port()
    welcome, api = basic(SERVICE, ours.secret), basic(API, ours.api_secret)

    def token(resource: str) -> bytes:
        form = {"grant_type": "client_credentials", "scope": "reports:read", "resource": resource}
        return post("/token", form, welcome)

    def about(many: int) -> list[bytes]:
        shown = [access_token(it) for it in gathered(port, token(OPAQUE), many)]
        return [post("/token/introspection", {"token": it}, api) for it in shown]

    refresh = {"grant_type": "refresh_token", "refresh_token": "@REFRESH_TOKEN@"}
    return Contestant(
        name=OIDC,
        port=port,
        program=Program(
            name=OIDC,
            command=[node, FOLDER / "oidc-provider.mjs", str(port), ours.secret, ours.api_secret],
            folder=folder / "oidc-provider",
            cores=cores.server,
            environ={"NODE_ENV": "production"},
        ),
        asked={
            **{name: lambda api=api: [token(api)] for name, api in APIS.items()},  # type: ignore[misc]
            JWKS: lambda: [get("/jwks")],
            SHOWN: lambda: about(1),
            SHOWN_ONCE: lambda: about(MANY),
            REFRESH: lambda: [post("/token", refresh, welcome, plain="@REFRESH_TOKEN@")],
        },
        chain=lambda: first_of_chain(port),
    )


def first_of_chain(port: int) -> str:
    """The first refresh token of a new chain, from a server that has ``/chain``."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/chain")
        return str(json.loads(connection.getresponse().read())["refresh_token"])
    finally:
        connection.close()
