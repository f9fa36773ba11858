"""``tokenward inspect``: what a token says, and with ``--issuer`` whether it may be believed."""

import time
from collections.abc import Mapping
from typing import Annotated

import typer

from tokenward.cli.saying import Json, fail, say_json, secret_from_stdin

TIMES = ("iat", "nbf", "exp", "auth_time", "updated_at")


def inspect(
    token: Annotated[str, typer.Argument(help="The token; '-' reads standard input.")] = "-",
    issuer: Annotated[
        str, typer.Option(help="Verify it too: the exact issuer that must have made it.")
    ] = "",
    audience: Annotated[str, typer.Option(help="Verify it too: whom it must be meant for.")] = "",
    json: Json = False,
) -> None:
    """Show what is in a JSON Web Token, here on this machine.

    Without --issuer and --audience nothing is verified: anybody can write such a token.
    """
    from tokenward.jose import jws  # noqa: PLC0415

    if bool(issuer) != bool(audience):
        fail("--issuer and --audience go together", code=2)
    text = secret_from_stdin("The token") if token == "-" else token
    scheme, _, bare = text.strip().rpartition(" ")
    if scheme and scheme.lower() != "bearer":
        fail("that is more than one word, and the first is not Bearer")
    try:
        compact = jws.parse(bare)
        claims = jws.load_object(compact.payload)
    except (jws.InvalidToken, ValueError) as exc:
        fail(f"that is not a JSON Web Token: {exc}", "A token of another kind is opaque to you.")
    verdict = _verify(bare, issuer, audience) if issuer else "not verified"
    if json:
        say_json({"header": compact.header, "claims": claims, "verified": verdict == "verified"})
    else:
        _show("header", compact.header)
        _show("claims", claims)
        typer.secho(f"\n{verdict}", fg="green" if verdict == "verified" else "yellow")
    if issuer and verdict != "verified":
        raise typer.Exit(1)


def _verify(token: str, issuer: str, audience: str) -> str:
    from tokenward.jose.jws import InvalidToken  # noqa: PLC0415
    from tokenward.remote.fetch import RemoteError  # noqa: PLC0415
    from tokenward.verifier import Verifier  # noqa: PLC0415

    verifier = Verifier(issuer, audience)
    try:
        verifier.load()
        verifier.verify(token)
    except (InvalidToken, RemoteError) as exc:
        return f"refused: {exc}"
    return "verified"


def _show(title: str, said: Mapping[str, object]) -> None:
    typer.secho(title, bold=True)
    for name, value in said.items():
        when = ""
        if name in TIMES and isinstance(value, int | float) and not isinstance(value, bool):
            when = f"  ({_when(value)})"
        typer.echo(f"  {name:<10} {value}{when}")


def _when(at: float) -> str:
    try:
        moment = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))
    except (OverflowError, ValueError, OSError):
        return "not a time"
    distance = int(at - time.time())
    return f"{moment}, {'in' if distance >= 0 else 'ago:'} {_span(abs(distance))}"


def _span(seconds: int) -> str:
    for unit, name in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * unit:
            return f"{seconds // unit} {name}"
    return f"{seconds} seconds"
