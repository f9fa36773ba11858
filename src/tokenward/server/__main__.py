"""Start the server: what ``tokenward serve`` does, without the machinery of a command line."""

import argparse
import json as json_
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from tokenward.oauth.errors import TemporarilyUnavailable
from tokenward.server.app import application
from tokenward.server.seal import SealBroken
from tokenward.server.serve import CannotListen, serve
from tokenward.server.settings import ConfigError, Listen, Problem, find, load
from tokenward.server.stores import WrongStore

CONFIGURATION = 78
FAILED = 1

Tell = Callable[[str, dict[str, str]], None]
"""Says that something happened, and what there is to know about it."""


def main(arguments: list[str]) -> int:
    """Read the options of ``tokenward serve`` and run until told to stop."""
    parser = argparse.ArgumentParser(prog="tokenward serve", add_help=False, allow_abbrev=False)
    parser.add_argument("--config", "-c", type=Path)
    parser.add_argument("--host", default="")
    parser.add_argument("--port", type=_port)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    return run(config=options.config, host=options.host, port=options.port, json=options.json)


def run(*, config: Path | None, host: str, port: int | None, json: bool = False) -> int:
    """Serve; the exit code when it is over. All it says is on standard error."""
    tell = _in_json if json else _in_words
    try:
        settings = load(config, os.environ) if config else find(Path.cwd(), os.environ)
        listen = Listen(
            host=host or settings.listen.host,
            port=settings.listen.port if port is None else port,
        )
        app = application(replace(settings, listen=listen))
    except ConfigError as exc:
        for problem in exc.problems:
            tell("error", _told(problem))
        return CONFIGURATION
    for warning in settings.warnings:
        tell("warning", _told(warning))
    try:
        serve(
            app,
            host=listen.host,
            port=listen.port,
            ready=lambda url: tell("ready", {"message": f"serving on {url}", "url": url}),
        )
    except CannotListen as exc:
        tell("failed", {"message": str(exc)})
        return FAILED
    except (WrongStore, TemporarilyUnavailable, SealBroken, OSError) as exc:
        tell("failed", {"message": f"cannot start: {exc}"})
        return FAILED
    return 0


def _told(problem: Problem) -> dict[str, str]:
    return asdict(problem)


def _in_words(event: str, said: dict[str, str]) -> None:
    if "place" in said:
        problem = Problem(place=said["place"], message=said["message"], hint=said["hint"])
        sys.stderr.write(f"{event}: {problem}\n")
    else:
        sys.stderr.write(f"tokenward: {said['message']}\n")


def _in_json(event: str, said: dict[str, str]) -> None:
    sys.stderr.write(json_.dumps({"event": event, **said}) + "\n")


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65_535:  # noqa: PLR2004
        raise ValueError
    return port


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
