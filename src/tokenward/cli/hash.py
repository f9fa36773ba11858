"""``tokenward hash``: a new client secret, and the hash of it that goes into the configuration."""

import secrets
from hashlib import sha256
from typing import Annotated

import typer

from tokenward.cli.options import Json
from tokenward.cli.saying import fail, from_stdin, note, say, say_json

EXAMPLES = """
tokenward hash                         # a new secret and its hash
tokenward hash --stdin < old-secret    # the hash of one that exists
tokenward hash --json
"""

SHORTEST = 32


def hash(
    stdin: Annotated[
        bool,
        typer.Option("--stdin", help="Hash the secret on standard input, instead of a new one."),
    ] = False,
    json: Json = False,
) -> None:
    """Make a client secret, and the hash of it for the configuration.

    The client gets the secret; the server only ever needs the hash. Nobody can get the secret
    back from the hash, so note it now. A client may have several secrets at a time: to change
    one, add the new hash, give the client the new secret, then take the old hash away.
    """
    secret = from_stdin("The secret") if stdin else secrets.token_urlsafe(32)
    if len(secret) < SHORTEST:
        fail(
            f"that secret has {len(secret)} characters, and at least {SHORTEST} are needed",
            "A short secret can be guessed from its hash. Without --stdin, a good one is made.",
            in_json=json,
        )
    if "\n" in secret or not secret.isascii() or not secret.isprintable():
        fail(
            "that secret has characters that no client can send",
            "A secret is one line of printable ASCII (RFC 6749, appendix A.2).",
            in_json=json,
        )
    hashed = "sha256:" + sha256(secret.encode()).hexdigest()
    if json:
        say_json({"hash": hashed} if stdin else {"secret": secret, "hash": hashed})
        return
    if not stdin:
        say(f"secret  {secret}")
    say(f"hash    {hashed}")
    note("\nThe secret is for the client alone. The hash is for .env.local, beside tokenward.toml:")
    note(f"  NIGHTLY_SECRET_HASH={hashed}")
    note('and in [callers.nightly]:\n  secrets = ["${NIGHTLY_SECRET_HASH}"]')
