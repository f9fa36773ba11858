"""``tokenward check``: would this configuration do? It loads everything and touches nothing."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tokenward.cli.saying import CONFIGURATION, Json, say_json

if TYPE_CHECKING:
    from tokenward.server.settings import Problem, Settings

Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="The file; tokenward.toml in this folder if not said."),
]


def check(config: Config = None, json: Json = False) -> None:
    """Read the configuration and report every mistake at once, each with its place.

    Nothing is opened, fetched or written. Ends with 78 if the server would not start.
    """
    settings = settings_or_exit(config, json=json)
    if json:
        say_json({"ok": True, "warnings": list(map(_told, settings.warnings))} | _summary(settings))
        return
    _report(settings.warnings, "yellow", "warning")
    for title, rows in _summary(settings).items():
        typer.secho(title, bold=True)
        for name, what in rows.items():
            typer.echo(f"  {name:<20} {what}")
    typer.secho("\nok" if not settings.warnings else "\nok, with warnings", fg="green")


def settings_or_exit(config: Path | None, *, json: bool = False) -> "Settings":
    """The configuration, or every mistake in it and exit code 78."""
    from tokenward.server.app import paths  # noqa: PLC0415
    from tokenward.server.settings import ConfigError, find, load  # noqa: PLC0415

    try:
        settings = load(config, os.environ) if config else find(Path.cwd(), os.environ)
        paths(settings)
    except ConfigError as exc:
        if json:
            say_json({"ok": False, "problems": list(map(_told, exc.problems))})
        else:
            _report(exc.problems, "red", "error")
            typer.echo(f"\n{len(exc.problems)} to mend; nothing was started.", err=True)
        raise typer.Exit(CONFIGURATION) from None
    return settings


def _told(problem: "Problem") -> dict[str, str]:
    return {"place": problem.place, "message": problem.message, "hint": problem.hint}


def _report(problems: Iterable["Problem"], colour: str, kind: str) -> None:
    for problem in problems:
        typer.secho(f"{kind}: {problem.place}", err=True, fg=colour)
        typer.echo(f"  {problem.message}", err=True)
        if problem.hint:
            typer.echo(f"  -> {problem.hint}", err=True)


def _summary(settings: "Settings") -> dict[str, dict[str, str]]:
    said = {
        "issuers": {
            name: f"{issuer.url}  {type(issuer.profile).__name__.lower()} {issuer.algorithm}"
            for name, issuer in settings.issuers.items()
        },
        "callers": {
            name: f"whom {it.proof.issuer} vouches for" for name, it in settings.subjects.items()
        }
        | dict.fromkeys(settings.clients, "a client of ours"),
        "tokens": {
            name: f"minted by {it.issuer}" if it.upstream is None else "fetched from its upstream"
            for name, it in settings.tokens.items()
        },
        "rules": {
            rule.name: f"{rule.caller} may have {rule.token} ({rule.scope or 'no scope'})"
            for rule in settings.rules
        },
    }
    return {title: rows for title, rows in said.items() if rows}
