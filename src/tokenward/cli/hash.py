"""``tokenward hash``: a new client secret, and the hash of it that goes into the configuration."""

import secrets
from hashlib import sha256
from typing import Annotated

import typer

from tokenward.cli.saying import Json, fail, say_json, secret_from_stdin

SHORTEST = 32


def hash(
    stdin: Annotated[
        bool,
        typer.Option("--stdin", help="Hash the secret on standard input, instead of a new one."),
    ] = False,
    json: Json = False,
) -> None:
    """Make a client secret, and the hash of it for the configuration file.

    The client gets the secret; the server only ever needs the hash. Nobody can get the secret back
    from the hash, so note it now.
    """
    secret = secret_from_stdin("The secret") if stdin else secrets.token_urlsafe(32)
    if len(secret) < SHORTEST:
        fail(
            f"that secret has {len(secret)} characters, and at least {SHORTEST} are needed",
            "A short secret can be guessed from its hash. Without --stdin, a good one is made.",
        )
    hashed = "sha256:" + sha256(secret.encode()).hexdigest()
    if json:
        say_json({"hash": hashed} if stdin else {"secret": secret, "hash": hashed})
        return
    if not stdin:
        typer.echo(f"secret  {secret}")
    typer.echo(f"hash    {hashed}")
    typer.echo(
        f'\nThe secret is for the client. In tokenward.toml:\n  secrets = ["{hashed}"]', err=True
    )
