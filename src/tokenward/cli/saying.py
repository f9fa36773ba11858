"""How commands speak: text for people, JSON for programs, and one way to fail."""

import json
import sys
from typing import Annotated, NoReturn

import typer

FAILED, USAGE, CONFIGURATION = 1, 2, 78

Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]


def say_json(said: object) -> None:
    """One JSON document on standard output."""
    typer.echo(json.dumps(said, indent=2, default=str))


def fail(message: str, hint: str = "", *, code: int = FAILED) -> NoReturn:
    """Say what is wrong and what to do next on standard error, and end."""
    typer.secho(f"tokenward: {message}", err=True, fg="red")
    if hint:
        typer.echo(f"  {hint}", err=True)
    raise typer.Exit(code)


def secret_from_stdin(what: str) -> str:
    """A secret that is piped in, or typed without being shown; never an argument."""
    if sys.stdin.isatty():
        return str(typer.prompt(what, hide_input=True, err=True))
    return sys.stdin.readline().rstrip("\r\n")
