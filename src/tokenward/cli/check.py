"""``tokenward check``: would this configuration do? It loads everything and touches nothing."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tokenward.cli.options import Config, Json
from tokenward.cli.saying import (
    BOLD,
    CONFIGURATION,
    FAINT,
    GREEN,
    RED,
    YELLOW,
    note,
    painted,
    say,
    say_json,
)

if TYPE_CHECKING:
    from tokenward.server.settings import Problem, Settings

EXAMPLES = """
tokenward check
tokenward check --config deploy/tokenward.toml
tokenward check --json
"""


def check(config: Config = None, json: Json = False) -> None:
    """Report every mistake in the configuration at once, each with its place.

    Nothing is opened, fetched or written. Ends with 78 if the server would not start; warnings
    alone do not keep it from that.
    """
    settings = settings_or_exit(config, json=json)
    if json:
        warnings = [_told(warning) for warning in settings.warnings]
        say_json({"ok": True, "warnings": warnings, **_structure(settings)})
        return
    for title, rows in _summary(settings).items():
        say(title, BOLD)
        width = max(map(len, rows))
        for name, what in rows.items():
            say(f"  {name:<{width}}  {what}")
    _report(settings.warnings, YELLOW, "warning")
    verdict = f"ok, with warnings: {len(settings.warnings)}" if settings.warnings else "ok"
    say(verdict, YELLOW if settings.warnings else GREEN)


def settings_or_exit(config: Path | None, *, json: bool = False) -> "Settings":
    """The configuration, or every mistake in it and exit code 78."""
    from tokenward.server.doors import paths  # noqa: PLC0415
    from tokenward.server.settings import ConfigError, find, load  # noqa: PLC0415

    try:
        settings = load(config, os.environ) if config else find(Path.cwd(), os.environ)
        paths(settings)
    except ConfigError as exc:
        if json:
            problems, warnings = map(_told, exc.problems), map(_told, exc.warnings)
            say_json({"ok": False, "problems": list(problems), "warnings": list(warnings)})
        else:
            _report(exc.warnings, YELLOW, "warning")
            _report(exc.problems, RED, "error")
            count = len(exc.problems)
            note(f"{count} thing{'s' * (count != 1)} to mend; nothing was started.")
        raise typer.Exit(CONFIGURATION) from None
    return settings


def _told(problem: "Problem") -> dict[str, str]:
    return {"place": problem.place, "message": problem.message, "hint": problem.hint}


def _report(problems: Iterable["Problem"], colour: str, kind: str) -> None:
    for problem in problems:
        note(f"{kind}: {problem.place}", colour)
        note(f"  {problem.message}")
        for line in problem.hint.splitlines():
            note(f"    {line}".rstrip())


def _structure(settings: "Settings") -> dict[str, Any]:
    """What a program may want to know of it."""
    return {
        "issuers": {
            name: {"url": it.url, "profile": _profile(it), "algorithm": it.algorithm}
            for name, it in settings.issuers.items()
        },
        "callers": {
            name: {"kind": "subjects", "issuer": getattr(it.proof, "issuer", "")}
            for name, it in settings.subjects.items()
        }
        | {
            it.client.name: {
                "kind": "client",
                "client_id": it.client.id,
                "grant_types": sorted(it.client.grant_types),
            }
            for it in settings.clients.values()
        },
        "tokens": {
            name: {
                "issuer": it.issuer,
                "audience": it.audience,
                "scopes": sorted(it.scopes),
                "fetched": it.upstream is not None,
            }
            for name, it in settings.tokens.items()
        },
        "rules": [
            {"name": it.name, "caller": it.caller, "token": it.token, "scope": str(it.scope)}
            for it in settings.rules
        ],
    }


def _summary(settings: "Settings") -> dict[str, dict[str, str]]:
    """The same for people."""
    said = {
        "issuers": {
            name: f"{it.url}  {painted(f'{_profile(it)}, {it.algorithm}', FAINT)}"
            for name, it in settings.issuers.items()
        },
        "callers": {
            name: f"whomever {getattr(it.proof, 'issuer', 'its proof')} vouches for"
            for name, it in settings.subjects.items()
        }
        | {
            it.client.name: "a client" if it.client.grant_types else "a resource server"
            for it in settings.clients.values()
        },
        "tokens": {
            name: f"minted by {it.issuer} for {it.audience}"
            if it.upstream is None
            else f"fetched from {_upstream(it.upstream)}"
            for name, it in settings.tokens.items()
        },
        "rules": {
            rule.name: f"{rule.caller} -> {rule.token} ({rule.scope or 'no scopes'})"
            for rule in settings.rules
        },
    }
    return {title: rows for title, rows in said.items() if rows}


def _profile(issuer: Any) -> str:
    return type(issuer.profile).__name__.lower()


def _upstream(upstream: object) -> str:
    said = getattr(upstream, "issuer", "") or getattr(upstream, "token_endpoint", "")
    return str(said or "its upstream")
