"""Start the server: what ``tokenward serve`` does, without the machinery of a command line."""

import argparse
import json as json_
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from tokenward.server.metrics import SHARED
from tokenward.server.program import CONFIGURATION, Program, refused
from tokenward.server.settings import ConfigError, Problem, Settings, find, load
from tokenward.server.settings.listen import MOST_WORKERS, cannot_share


def main(arguments: list[str]) -> int:
    """Read the options of ``tokenward serve`` and run until told to stop."""
    parser = argparse.ArgumentParser(prog="tokenward serve", add_help=False, allow_abbrev=False)
    parser.add_argument("--config", "-c", type=Path)
    parser.add_argument("--host", default="")
    parser.add_argument("--port", type=partial(_number, least=0, most=65_535))
    parser.add_argument("--workers", type=partial(_number, least=1, most=MOST_WORKERS))
    parser.add_argument("--json", action="store_true")
    return run(**vars(parser.parse_args(arguments)))


def run(
    *,
    config: Path | None,
    host: str,
    port: int | None,
    workers: int | None = None,
    json: bool = False,
) -> int:
    """Serve; the exit code when it is over. All it says is on standard error."""
    tell = _in_json if json else _in_words
    read = partial(_settings, config, host, port, workers)
    try:
        settings = read()
        with _numbers_shared(settings):
            return Program(read=read, tell=tell, settings=settings).run()
    except ConfigError as exc:
        refused(exc, tell)
        return CONFIGURATION


@contextmanager
def _numbers_shared(settings: Settings) -> Iterator[None]:
    """Have a folder in which several processes leave their numbers for each other."""
    if settings.metrics is None or settings.listen.workers == 1:
        yield
        return
    from tempfile import TemporaryDirectory  # noqa: PLC0415 - few need it

    with TemporaryDirectory(prefix="tokenward-") as folder:
        os.environ[SHARED] = folder
        yield


def _settings(config: Path | None, host: str, port: int | None, workers: int | None) -> Settings:
    """What the file says, or the variables, and what the command line says instead."""
    settings = load(config, os.environ) if config else find(Path.cwd(), os.environ)
    listen = replace(
        settings.listen,
        host=host or settings.listen.host,
        port=settings.listen.port if port is None else port,
        workers=workers or settings.listen.workers,
    )
    if said := cannot_share(listen, settings.store):
        raise ConfigError([Problem(place="--workers", message=said[0], hint=said[1])])
    return replace(settings, listen=listen)


def _in_words(event: str, said: dict[str, str]) -> None:
    if "place" in said:
        problem = Problem(place=said["place"], message=said["message"], hint=said["hint"])
        sys.stderr.write(f"{event}: {problem}\n")
    else:
        sys.stderr.write(f"tokenward: {said['message']}\n")


def _in_json(event: str, said: dict[str, str]) -> None:
    sys.stderr.write(json_.dumps({"event": event, **said}) + "\n")


def _number(text: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdecimal() and least <= int(text) <= most):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from {least} to {most}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
