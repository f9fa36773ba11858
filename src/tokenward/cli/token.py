"""``tokenward token``: get a token from this or any other OAuth 2 server, as a program would."""

import os
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from tokenward.cli.options import Audience, GoodFor, Header, Json
from tokenward.cli.saying import USAGE, fail, from_stdin, say, say_json
from tokenward.oauth.errors import OAuthError
from tokenward.oauth.messages import AccessToken

EXAMPLES = """
# who we are comes from TOKENWARD_ISSUER, TOKENWARD_CLIENT_ID and TOKENWARD_CLIENT_SECRET
tokenward token --scope reports:read
tokenward token --header | curl -H @- https://api.example.com/reports

# the secret from a file, or from a password manager
tokenward token --issuer https://tokens.example.com \\
    --client-id nightly --client-secret-file nightly.secret
pass show nightly | tokenward token --client-id nightly --client-secret-file -

# exchange somebody's token for one that is good at the next service (RFC 8693)
tokenward token --issuer https://tokens.example.com --subject-token-file alice.jwt \\
    --audience itwin

# while tokenward dev runs, in the same folder
. .tokenward/dev.env && tokenward token | tokenward inspect
"""

ADVICE = {
    "invalid_client": "Is that the right id, with the right secret? Some servers want "
    "--method client_secret_post.",
    "invalid_scope": "Is that scope one of the token's, and may this client have it? On a "
    "tokenward server, tokenward explain says which rule decides.",
    "invalid_target": "Is there such a token, and may this caller have it? On a tokenward server, "
    "tokenward explain says which rule decides.",
    "unauthorized_client": "The client is known, but not for this grant type.",
    "invalid_grant": "The token to be exchanged was not accepted: tokenward inspect shows what it "
    "says, and the audit trail of the server why.",
}


def token(
    issuer: Annotated[
        str,
        typer.Option(
            metavar="URL",
            help="Whose token: the issuer, or the URL of its token endpoint. TOKENWARD_ISSUER if "
            "not said.",
        ),
    ] = "",
    client_id: Annotated[
        str,
        typer.Option(metavar="ID", help="Which client asks. TOKENWARD_CLIENT_ID if not said."),
    ] = "",
    client_secret_file: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="Where the client's secret is; '-' reads it from standard input. "
            "TOKENWARD_CLIENT_SECRET if not said.",
        ),
    ] = "",
    method: Annotated[
        str,
        typer.Option(
            metavar="METHOD",
            help="How to send it: client_secret_basic, client_secret_post or none.",
        ),
    ] = "client_secret_basic",
    subject_token_file: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="Exchange the token in this file for one (RFC 8693); '-' for standard input.",
        ),
    ] = "",
    audience: Audience = None,
    resource: Annotated[
        list[str] | None,
        typer.Option(metavar="URI", help="The same as RFC 8707 has it."),
    ] = None,
    scope: GoodFor = "",
    header: Header = False,
    json: Json = False,
) -> None:
    """Get a token and print it.

    With a client it is a token of the client's own (client credentials); with a subject token, one
    in exchange for that. Secrets and tokens come from files, standard input or the environment:
    arguments can be read by everybody on the machine.
    """
    if client_secret_file == subject_token_file == "-":
        fail("standard input cannot be both the secret and the token", code=USAGE, in_json=json)
    secret = _read(client_secret_file, "The client secret", json=json)
    subject_token = _read(subject_token_file, "The token to exchange", json=json).strip()
    settings: dict[str, Any] = {
        "client_id": client_id,
        "client_secret": secret,
        "method": method,
        "audience": tuple(audience or ()),
        "resource": tuple(resource or ()),
        "scope": scope,
    }
    got = _ask(issuer, subject_token, settings, json=json)
    if json:
        said = {"access_token": got.value, "token_type": got.token_type, "scope": str(got.scope)}
        say_json(said | {"expires_in": got.expires_in(time.time())})
    else:
        say(f"Authorization: Bearer {got.value}" if header else got.value)


def _ask(issuer: str, subject_token: str, settings: dict[str, Any], *, json: bool) -> AccessToken:
    from tokenward.client import TokenAuth, TokenError  # noqa: PLC0415

    try:
        if subject_token:
            auth = TokenAuth.exchange(issuer, subject_token=subject_token, **settings)
        else:
            auth = TokenAuth.client_credentials(issuer, **settings)
        return auth.token()
    except TokenError as exc:
        hint = ADVICE.get(exc.error, "")
        if not exc.status and not issuer and _is_local(os.environ.get("TOKENWARD_ISSUER", "")):
            hint = "Is the server running? tokenward dev starts one to practise on."
        fail(f"no token: {exc}", hint, in_json=json)
    except OAuthError as exc:
        fail(f"--scope: {exc.description}", code=USAGE, in_json=json)
    except ValueError as exc:
        fail(str(exc), "tokenward token --help has examples.", code=USAGE, in_json=json)


def _is_local(url: str) -> bool:
    return url.startswith(("http://127.0.0.1:", "http://localhost:", "http://[::1]:"))


def _read(file: str, what: str, *, json: bool) -> str:
    """What is in a file, without the line break at its end; ``""`` if none is named."""
    if not file:
        return ""
    if file == "-":
        text = from_stdin(what)
    else:
        try:
            text = Path(file).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, ValueError) as exc:
            why = exc.strerror if isinstance(exc, OSError) else "it is not text"
            fail(f"{file} cannot be read: {why}", code=USAGE, in_json=json)
    if not text:
        where = "standard input" if file == "-" else file
        fail(f"{what.lower()} is missing: {where} is empty", code=USAGE, in_json=json)
    return text
