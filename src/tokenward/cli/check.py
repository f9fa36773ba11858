"""``tokenward check``: would this configuration do? It loads everything and touches nothing."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
tokenward check --live                 # and would everything around it do?
tokenward check --json
"""


def check(
    config: Config = None,
    live: Annotated[
        bool,
        typer.Option(
            "--live",
            help="Ask the issuers, the upstreams and the database, too.",
            show_default=False,
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Report every mistake in the configuration at once, each with its place.

    Nothing is opened, fetched or written. Ends with 78 if the server would not start; warnings
    alone do not keep it from that.

    With --live, everything the server depends on is asked besides: trusted issuers for their keys,
    each upstream for a token (which is thrown away), the store and its keys, the module that holds
    keys for a signature, the place of the trail, the clock. Ends with 1 if one of them would not
    do.
    """
    settings = settings_or_exit(config, json=json)
    if json:
        warnings = [_told(warning) for warning in settings.warnings]
        found = _asked(settings) if live else None
        good = found is None or all(one["ok"] for one in found)
        said = {} if found is None else {"live": found}
        say_json({"ok": good, "warnings": warnings, **_structure(settings), **said})
        raise typer.Exit(0 if good else 1)
    for title, rows in _summary(settings).items():
        say(title, BOLD)
        width = max(map(len, rows))
        for name, what in rows.items():
            say(f"  {name:<{width}}  {what}")
    _report(settings.warnings, YELLOW, "warning")
    if live:
        _show_live(settings)
    verdict = f"ok, with warnings: {len(settings.warnings)}" if settings.warnings else "ok"
    say(verdict, YELLOW if settings.warnings else GREEN)


def _asked(settings: "Settings") -> list[dict[str, Any]]:
    """What became of every question, for programs."""
    from tokenward.cli.live import ask  # noqa: PLC0415

    return [
        {"part": it.part, "ok": it.good, "said": it.said, "hint": it.hint, "ms": round(it.ms, 1)}
        for it in ask(settings)
    ]


def _show_live(settings: "Settings") -> None:
    """The same for people; ends here with 1 if something would not do."""
    from tokenward.cli.live import ask  # noqa: PLC0415

    note("asking …", FAINT)
    found = ask(settings)
    say("live", BOLD)
    width = max(len(one.part) for one in found)
    for one in found:
        mark = painted("ok    ", GREEN) if one.good else painted("failed", RED)
        took = painted(f"{one.ms:.0f} ms", FAINT) if one.ms else ""
        say(f"  {mark} {one.part:<{width}}  {one.said}  {took}".rstrip())
        if one.hint:
            say(f"         {'':<{width}} {one.hint}")
    failed = sum(not one.good for one in found)
    if failed:
        note(f"{failed} of {len(found)} would not do.", RED)
        raise typer.Exit(1)


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
