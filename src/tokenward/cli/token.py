"""``tokenward token``: get a token from this or any other OAuth 2 server, as a program would."""

import time
from typing import Annotated

import typer

from tokenward.cli.saying import Json, fail, say_json, secret_from_stdin
from tokenward.oauth.errors import OAuthError
from tokenward.oauth.messages import AccessToken
from tokenward.oauth.scope import Scope


def token(
    issuer: Annotated[
        str, typer.Option(envvar="TOKENWARD_ISSUER", help="Whose token: its issuer.")
    ],
    client_id: Annotated[
        str, typer.Option(envvar="TOKENWARD_CLIENT_ID", help="Who asks, if a client does.")
    ] = "",
    client_secret: Annotated[
        str,
        typer.Option(
            envvar="TOKENWARD_CLIENT_SECRET",
            help="Better in the environment; '-' reads it from standard input.",
            show_envvar=True,
        ),
    ] = "",
    subject_token: Annotated[
        str, typer.Option(help="Exchange this token for one (RFC 8693); '-' for standard input.")
    ] = "",
    audience: Annotated[str, typer.Option(help="Which token, where there are several.")] = "",
    scope: Annotated[str, typer.Option("--scope", "-s", help="What it should be good for.")] = "",
    json: Json = False,
) -> None:
    """Get a token and print it, so that: curl -H "Authorization: Bearer $(tokenward token …)"."""
    if subject_token == "-":
        subject_token = secret_from_stdin("The subject token")
    if client_secret == "-":
        client_secret = secret_from_stdin("The client secret")
    if not client_id and not subject_token:
        fail("who asks? Give --client-id and its secret, or --subject-token", code=2)
    got = _ask(issuer, client_id, client_secret, subject_token, audience, scope)
    if json:
        said = {"access_token": got.value, "token_type": got.token_type, "scope": str(got.scope)}
        say_json(said | {"expires_in": got.expires_in(time.time())})
    else:
        typer.echo(got.value)


def _ask(
    issuer: str, client_id: str, client_secret: str, subject_token: str, audience: str, scope: str
) -> AccessToken:
    from tokenward.client import TokenError, get_token  # noqa: PLC0415
    from tokenward.remote.fetch import RemoteError  # noqa: PLC0415

    try:
        return get_token(
            issuer,
            client_id=client_id,
            client_secret=client_secret,
            subject_token=subject_token,
            audience=audience,
            scope=str(Scope.parse(scope)),
        )
    except OAuthError as exc:
        fail(f"--scope: {exc.description}", code=2)
    except (TokenError, RemoteError, ValueError) as exc:
        fail(f"no token: {exc}")
