"""``tokenward inspect``: what a token says, and with ``--issuer`` whether it may be believed."""

import json as json_
import time
from collections.abc import Mapping
from typing import Annotated

import typer

from tokenward.cli.options import Json
from tokenward.cli.saying import (
    BOLD,
    FAINT,
    GREEN,
    RED,
    USAGE,
    YELLOW,
    fail,
    from_stdin,
    note,
    painted,
    say,
    say_json,
)

EXAMPLES = """
tokenward token | tokenward inspect
tokenward inspect < token.jwt
tokenward token | tokenward inspect --issuer https://tokens.example.com \\
    --audience https://api.example.com/reports
"""

TIMES = ("iat", "nbf", "exp", "auth_time", "updated_at")


def inspect(
    token: Annotated[
        str,
        typer.Argument(
            metavar="TOKEN",
            help="The token; from standard input if not said, so that nobody else can read it.",
            show_default=False,
        ),
    ] = "-",
    issuer: Annotated[
        str,
        typer.Option(metavar="URL", help="Verify it too: the exact issuer that must have made it."),
    ] = "",
    audience: Annotated[
        str, typer.Option(metavar="NAME", help="Verify it too: whom it must be meant for.")
    ] = "",
    json: Json = False,
) -> None:
    """Show what is in a JSON Web Token, here on this machine.

    "Bearer " before it does no harm, and the whole answer of a token endpoint will do as well.
    Without --issuer and --audience nothing is verified: anybody can write such a token. With them
    the issuer's keys are fetched; ends with 1 if the token is refused.
    """
    from tokenward.jose import jws  # noqa: PLC0415

    if bool(issuer) != bool(audience):
        fail("--issuer and --audience go together", code=USAGE, in_json=json)
    bare = _bare(from_stdin("The token") if token == "-" else token)
    if not bare:
        fail("there is no token", "tokenward inspect --help has examples.", code=2, in_json=json)
    try:
        compact = jws.parse(bare)
        claims = jws.load_object(compact.payload)
    except (jws.InvalidToken, ValueError) as exc:
        fail(
            f"that is not a JSON Web Token: {exc}",
            "Tokens of another kind can be read by nobody but the server that made them.",
            in_json=json,
        )
    refusal = _verify(bare, issuer, audience) if issuer else ""
    verified = bool(issuer) and not refusal
    if json:
        said = {"header": dict(compact.header), "claims": claims, "verified": verified}
        say_json(said | ({"refusal": refusal} if refusal else {}))
    else:
        _show("header", compact.header)
        _show("claims", claims)
        _judge(claims, verified=verified, refusal=refusal)
    if refusal:
        raise typer.Exit(1)


def _bare(text: str) -> str:
    """The token itself, taken out of whatever people copy along with it."""
    text = text.strip()
    if text.startswith("{"):
        try:
            text = str(json_.loads(text).get("access_token", ""))
        except (ValueError, RecursionError):
            return text
    return text.removeprefix("Authorization: ").removeprefix("Bearer ").strip()


def _verify(token: str, issuer: str, audience: str) -> str:
    """Why it is not to be believed, or ``""``."""
    from tokenward.jose.jws import InvalidToken  # noqa: PLC0415
    from tokenward.remote.fetch import RemoteError  # noqa: PLC0415
    from tokenward.verifier import Verifier  # noqa: PLC0415

    try:
        verifier = Verifier(issuer, audience)
        verifier.load()
        verifier.verify(token)
    except (InvalidToken, RemoteError, ValueError) as exc:
        return str(exc)
    return ""


def _judge(claims: Mapping[str, object], *, verified: bool, refusal: str) -> None:
    if verified:
        say("verified", GREEN)
    elif refusal:
        say(f"refused: {refusal}", RED)
    else:
        note("not verified; --issuer and --audience do that", YELLOW)
        exp = claims.get("exp")
        if isinstance(exp, int | float) and exp < time.time():
            note("expired", RED)


def _show(title: str, said: Mapping[str, object]) -> None:
    say(title, BOLD)
    width = max(map(len, said), default=0)
    for name, value in said.items():
        shown = value if isinstance(value, str) else json_.dumps(value, ensure_ascii=False)
        # What is in a token may be meant for the terminal rather than for who reads it.
        shown = "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in shown)
        when = ""
        if name in TIMES and isinstance(value, int | float) and not isinstance(value, bool):
            when = f"  {painted(_when(value), FAINT)}"
        say(f"  {name:<{width}}  {shown}{when}")


def _when(at: float) -> str:
    try:
        moment = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))
    except (OverflowError, ValueError, OSError):
        return "not a time"
    seconds = round(at - time.time())
    if abs(seconds) <= 1:
        return f"{moment}, now"
    return f"{moment}, {f'in {_span(seconds)}' if seconds > 0 else f'{_span(-seconds)} ago'}"


def _span(seconds: int) -> str:
    for unit, name in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * unit:
            return f"{seconds // unit} {name}"
    return f"{seconds} seconds"
