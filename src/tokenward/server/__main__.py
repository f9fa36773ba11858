"""Start the server: what ``tokenward serve`` does, without the machinery of a command line."""

import argparse
import json as json_
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from tokenward.oauth.errors import TemporarilyUnavailable
from tokenward.server.app import application
from tokenward.server.listening import CannotListen, url_of
from tokenward.server.listening import listen as open_port
from tokenward.server.metrics import SHARED
from tokenward.server.notify import READY, STOPPING, notify
from tokenward.server.prefork import FAILED, Master
from tokenward.server.seal import SealBroken
from tokenward.server.serve import Ready, serve
from tokenward.server.settings import ConfigError, Listen, Problem, Settings, find, load
from tokenward.server.settings.listen import MOST_WORKERS, cannot_share
from tokenward.server.stores import WrongStore
from tokenward.server.tls import context

CONFIGURATION = 78

Work = Callable[[socket.socket | None, Ready, int | None], int]
Tell = Callable[[str, dict[str, str]], None]
"""Says that something happened, and what there is to know about it."""


def main(arguments: list[str]) -> int:
    """Read the options of ``tokenward serve`` and run until told to stop."""
    parser = argparse.ArgumentParser(prog="tokenward serve", add_help=False, allow_abbrev=False)
    parser.add_argument("--config", "-c", type=Path)
    parser.add_argument("--host", default="")
    parser.add_argument("--port", type=_port)
    parser.add_argument("--workers", type=_workers)
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
    try:
        settings = _settings(config, host, port, workers)
        with _numbers_shared(settings):
            return _serve(settings, tell)
    except ConfigError as exc:
        for problem in exc.problems:
            tell("error", _told(problem))
        return CONFIGURATION


def _serve(settings: Settings, tell: Tell) -> int:
    """Serve as these settings say; raises ``ConfigError`` before anything has begun."""
    listen = settings.listen
    tls = context(listen.tls) if listen.tls else None
    app = application(settings)
    for warning in settings.warnings:
        tell("warning", _told(warning))

    def ready(url: str) -> None:
        tell("ready", {"message": f"serving on {url}", "url": url})
        notify(READY)

    def work(listener: socket.socket | None, ready: Ready, alive: int | None) -> int:
        """Be a whole server; the exit code when it is over."""
        try:
            serve(
                app,
                host=listen.host,
                port=listen.port,
                ready=ready,
                drain=listen.drain,
                listener=listener,
                tls=tls,
                alive=alive,
            )
        except CannotListen as exc:
            tell("failed", {"message": str(exc)})
            return FAILED
        except (WrongStore, TemporarilyUnavailable, SealBroken, OSError) as exc:
            tell("failed", {"message": f"cannot start: {exc}"})
            return FAILED
        return 0

    if listen.workers == 1:
        return work(None, ready, None)
    return _together(listen, work, ready, tell)


def _together(listen: Listen, work: Work, ready: Ready, tell: Tell) -> int:
    """Do this work in several processes; the exit code when it is over."""
    try:
        listeners = [open_port(listen.host, listen.port)]
        port = listeners[0].getsockname()[1]
        beside = range(1, listen.workers)
        listeners += [open_port(listen.host, port, beside=True) for _ in beside]
    except CannotListen as exc:
        tell("failed", {"message": str(exc)})
        return FAILED
    url = url_of(listen.host, port, tls=listen.tls is not None)
    return Master(
        listeners=listeners,
        work=lambda listener, ready, alive: work(listener, lambda _: ready(), alive),
        ready=lambda: ready(url),
        renew=lambda: False,
        died=lambda number, how: tell("died", {"message": f"worker {number} {how}"}),
        stopping=lambda: notify(STOPPING),
        drain=listen.drain,
    ).run()


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


def _workers(text: str) -> int:
    workers = int(text)
    if not 1 <= workers <= MOST_WORKERS:
        raise ValueError
    return workers


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
