"""Start the server: what ``tokenward serve`` does, without the machinery of a command line."""

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

from tokenward.server.app import application
from tokenward.server.seal import SealBroken
from tokenward.server.serve import CannotListen, serve
from tokenward.server.settings import ConfigError, Listen, Problem, find, load
from tokenward.server.stores import WrongStore

CONFIGURATION = 78
FAILED = 1


def main(arguments: list[str]) -> int:
    """Read the options of ``tokenward serve`` and run until told to stop."""
    parser = argparse.ArgumentParser(prog="tokenward serve", add_help=False, allow_abbrev=False)
    parser.add_argument("--config", "-c", type=Path)
    parser.add_argument("--host", default="")
    parser.add_argument("--port", type=int)
    options = parser.parse_args(arguments)
    return run(config=options.config, host=options.host, port=options.port)


def run(*, config: Path | None, host: str, port: int | None) -> int:
    """Serve; the exit code when it is over."""
    try:
        settings = load(config, os.environ) if config else find(Path.cwd(), os.environ)
        listen = Listen(
            host=host or settings.listen.host,
            port=settings.listen.port if port is None else port,
        )
        app = application(replace(settings, listen=listen))
    except ConfigError as exc:
        for problem in exc.problems:
            _tell("error", problem)
        return CONFIGURATION
    for warning in settings.warnings:
        _tell("warning", warning)
    try:
        serve(app, host=listen.host, port=listen.port, ready=_ready)
    except CannotListen as exc:
        sys.stderr.write(f"tokenward: {exc}\n")
        return FAILED
    except (WrongStore, SealBroken, OSError) as exc:
        sys.stderr.write(f"tokenward: cannot start: {exc}\n")
        return FAILED
    return 0


def _tell(kind: str, problem: Problem) -> None:
    sys.stderr.write(f"{kind}: {problem}\n")


def _ready(url: str) -> None:
    sys.stderr.write(f"tokenward: serving on {url}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
