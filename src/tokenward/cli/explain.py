"""``tokenward explain``: which rule would answer, and what; nothing is issued."""

import json as json_
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tokenward.cli.check import Config, settings_or_exit
from tokenward.cli.saying import USAGE, Json, fail, say_json, secret_from_stdin
from tokenward.oauth.errors import OAuthError
from tokenward.oauth.messages import CLIENT_CREDENTIALS, TOKEN_EXCHANGE
from tokenward.oauth.scope import Scope

if TYPE_CHECKING:
    from tokenward.server.model import Client, Grant
    from tokenward.server.settings import Settings


def explain(
    caller: Annotated[str, typer.Argument(help="Who asks: a name under [callers].")],
    target: Annotated[str, typer.Option("--token", "-t", help="The token asked for.")] = "",
    scope: Annotated[str, typer.Option("--scope", "-s", help="The scope asked for.")] = "",
    claims: Annotated[
        str, typer.Option("--claims", help="The caller's claims, as a JSON object; '-' for stdin.")
    ] = "{}",
    client: Annotated[str, typer.Option("--client", help="The client they use, if any.")] = "",
    config: Config = None,
    json: Json = False,
) -> None:
    """Say what every rule says to such a request, and which one decides.

    Example: tokenward explain mobile --token itwin --claims '{"permissions": ["models:read"]}'
    """
    from tokenward.server.app import policy  # noqa: PLC0415

    settings = settings_or_exit(config, json=json)
    rules = policy(settings)
    grant = _grant(settings, caller, client, target, scope, _claims(claims))
    refused, agreed = "", None
    try:
        agreed = rules.decide(grant)
    except OAuthError as exc:
        refused = f"{exc.error}: {exc.detail or exc.description}"
    try:
        verdicts = rules.explain(grant)
    except OAuthError:
        verdicts = []
    if json:
        answer: dict[str, Any] = {
            "allowed": agreed is not None,
            "refusal": refused,
            "rules": [
                {"rule": it.rule.name, "holds": it.holds, "says": it.reason} for it in verdicts
            ],
        }
        if agreed:
            answer |= {"rule": agreed.rule, "token": agreed.token, "scope": str(agreed.scope)}
        say_json(answer)
    else:
        decided = agreed.rule if agreed else ""
        for verdict in verdicts:
            mark = "=>" if verdict.rule.name == decided else "  "
            typer.echo(f"{mark} {verdict.rule.name:<40} {verdict.reason}")
        if agreed:
            typer.secho(f"\nallowed: {agreed.token}, scope: {agreed.scope or '-'}", fg="green")
        else:
            typer.secho(f"\nrefused: {refused}", fg="red")
    if agreed is None:
        raise typer.Exit(1)


def _claims(text: str) -> dict[str, object]:
    try:
        said = json_.loads(secret_from_stdin("The claims") if text == "-" else text)
    except ValueError as exc:
        fail(f"--claims is not JSON: {exc}", code=USAGE)
    if not isinstance(said, dict):
        fail("--claims is not a JSON object", code=USAGE)
    return said


def _grant(
    settings: "Settings",
    name: str,
    client_id: str,
    target: str,
    scope: str,
    claims: dict[str, object],
) -> "Grant":
    from tokenward.server.model import NOBODY, Caller, Grant  # noqa: PLC0415

    client: Client = NOBODY
    if client_id or name in settings.clients:
        registered = settings.clients.get(client_id or name)
        if registered is None:
            fail(f"there is no client {client_id!r}", _known(settings), code=USAGE)
        client = registered.client
    by_itself = name in settings.clients
    if by_itself:
        caller: Caller = client.as_caller()
    elif name in settings.subjects:
        default = settings.subjects[name].default
        caller = Caller(name=name, subject=f"{name}|somebody", claims=claims, default=default)
    else:
        fail(f"there is no caller {name!r}", _known(settings), code=USAGE)
    try:
        asked = Scope.parse(scope)
    except OAuthError as exc:
        fail(f"--scope: {exc.description}", code=USAGE)
    return Grant(
        caller=caller,
        client=client,
        grant_type=CLIENT_CREDENTIALS if by_itself else TOKEN_EXCHANGE,
        targets=(target,) if target else (),
        scope=asked,
    )


def _known(settings: "Settings") -> str:
    return "There are: " + ", ".join([*settings.subjects, *settings.clients])
