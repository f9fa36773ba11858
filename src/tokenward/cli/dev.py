"""``tokenward dev``: a whole server to practise on, with everything to paste, in seconds."""

import json as json_
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tokenward.cli.saying import fail
from tokenward.practice.config import FILE, REAL
from tokenward.practice.folder import Kept
from tokenward.practice.process import Places, Practice

if TYPE_CHECKING:
    from tokenward.server.pages.welcome import Recipe

AUDIENCE = "http://tokenserver.sample.bentley.com"
REPORTS = "https://reports.example.com"
PORT = 8080
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"


def dev(
    port: Annotated[
        int | None, typer.Option(help=f"The port; 0 picks a free one. {PORT} if not said.")
    ] = None,
    data: Annotated[
        Path, typer.Option(help="The folder for its database and keys; made if missing.")
    ] = Path(".tokenward"),
    show_config: Annotated[
        bool, typer.Option("--show-config", help="Print the configuration it uses, and end.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON when it is ready.")
    ] = False,
) -> None:
    """Run a token server to practise on: no configuration, on this machine only.

    Beside the server itself it runs a practice identity provider, a practice iTwin Platform and a
    small protected API, and prints what to paste to get a token from each. Ctrl-C ends all of it.
    """
    try:
        kept = Kept.open(data.absolute(), port=port, standard=PORT)
    except OSError as exc:
        fail(f"cannot use the folder {data}: {exc.strerror}", "Give another one with --data.")
    issuer = f"http://127.0.0.1:{kept.port}"
    practice = Practice.start(_wanted(kept, issuer, data.absolute()))
    try:
        _run(kept, issuer, practice, data.absolute(), show_config=show_config, json=json)
    finally:
        practice.stop()


def _run(
    kept: Kept, issuer: str, practice: Practice, data: Path, *, show_config: bool, json: bool
) -> None:
    from tokenward.server.app import application  # noqa: PLC0415
    from tokenward.server.pages.welcome import welcome  # noqa: PLC0415
    from tokenward.server.serve import CannotListen, serve  # noqa: PLC0415
    from tokenward.server.settings import load  # noqa: PLC0415

    places = practice.places()
    file = FILE.substitute(
        data=data, port=kept.port, idp=places.idp, itwin=places.itwin, audience=AUDIENCE
    )
    if show_config:
        typer.echo(file, nl=False)
        return
    if not json and Path("tokenward.toml").exists():
        typer.echo("dev ignores the tokenward.toml here; tokenward serve uses it.", err=True)
    (data / "tokenward.toml").write_text(file, encoding="utf-8")
    settings = load(data / "tokenward.toml", kept.environment())
    recipes = _recipes(kept, issuer, places)
    pages = welcome(issuer=issuer, recipes=recipes, places=_places(issuer, places).items())

    def ready(_: str) -> None:
        if json:
            typer.echo(json_.dumps(_told(kept, issuer, places)))
        else:
            _show(issuer, recipes, data)

    try:
        serve(application(settings, pages=pages), host="127.0.0.1", port=kept.port, ready=ready)
    except CannotListen as exc:
        fail(str(exc), "Give another port, or let it pick one: tokenward dev --port 0")


def _wanted(kept: Kept, issuer: str, data: Path) -> dict[str, object]:
    return {
        "issuer": issuer,
        "audience": REPORTS,
        "caller_audience": AUDIENCE,
        "client_id": "service-practice",
        "client_secret": kept.itwin_secret,
        "ports": kept.ports,
        "keys": str(data / "practice.key"),
        "now": time.time(),
    }


def _places(issuer: str, places: Places) -> dict[str, str]:
    return {
        "token": f"{issuer}/token",
        "getToken": f"{issuer}/getToken",
        "metadata": f"{issuer}/.well-known/oauth-authorization-server",
        "jwks": f"{issuer}/.well-known/jwks.json",
        "introspection": f"{issuer}/introspect",
        "revocation": f"{issuer}/revoke",
        "ims": f"{issuer}/ims",
        "okta": f"{issuer}/oauth2/orders",
        "ready": f"{issuer}/readyz",
        "idp": places.idp,
        "itwin": places.itwin,
        "api": f"{places.api}/reports",
    }


def _told(kept: Kept, issuer: str, places: Places) -> dict[str, object]:
    return {
        "issuer": issuer,
        "client_id": "demo",
        "client_secret": kept.client_secret,
        "caller_token": places.caller_token,
        "urls": _places(issuer, places),
    }


def _recipes(kept: Kept, issuer: str, places: Places) -> list["Recipe"]:
    from tokenward.server.pages.welcome import Recipe  # noqa: PLC0415

    client = f"demo:{kept.client_secret}"
    read = "python3 -c 'import json, sys; print(json.load(sys.stdin)[\"access_token\"])'"
    ask = f"curl -s -u '{client}' -d grant_type=client_credentials {issuer}/token"
    get = f"curl -s -H 'Authorization: Bearer {places.caller_token}' {issuer}/getToken"
    return [
        Recipe(
            title="A token of ours",
            why="A registered client proves who it is with its secret and gets a token that this "
            "server signs (client credentials, RFC 6749).",
            code=ask,
        ),
        Recipe(
            title="Call a protected API with it",
            why="The practice API believes this server's tokens: the verifier library fetches the "
            "keys and checks every claim.",
            code=f'curl -s -H "Authorization: Bearer $({ask} | {read})" {places.api}/reports',
        ),
        Recipe(
            title="The main job: a foreign token in, an upstream's token out",
            why="An app shows the token of its own user, here from the practice identity provider, "
            "and gets one for the practice iTwin Platform. The client secret stays here.",
            code=get,
        ),
        Recipe(
            title="Use the upstream's token where it is good for something",
            why="The answer is ready to be an Authorization header.",
            code=f'curl -s -H "Authorization: $({get})" {places.itwin}/users/me',
        ),
        Recipe(
            title="The same as a standard token exchange",
            why="What any OAuth library sends (RFC 8693).",
            code=f"curl -s -d grant_type={TOKEN_EXCHANGE} -d audience=itwin "
            "-d subject_token_type=urn:ietf:params:oauth:token-type:jwt "
            f"-d subject_token={places.caller_token} {issuer}/token",
        ),
        Recipe(
            title="With real Auth0 and iTwin values",
            why="Save this as tokenward.toml, put your values in, then: tokenward check, and "
            "tokenward serve.",
            code=REAL,
        ),
    ]


def _show(issuer: str, recipes: list["Recipe"], data: Path) -> None:
    for number, recipe in enumerate(recipes, 1):
        typer.secho(f"\n{number}. {recipe.title}", bold=True)
        typer.echo(f"{recipe.code.rstrip()}")
    typer.secho(f"\nReady: {issuer}", fg="green", bold=True)
    typer.echo(f"The same in a browser, with copy buttons: {issuer}/")
    typer.echo(f"What it keeps is in {data}. Ctrl-C ends it.")
