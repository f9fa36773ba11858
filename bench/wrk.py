"""Asking as fast as one is answered, with Debian's wrk: one thread on a core of its own.

Law: an answer that is an error, or none, makes the whole round void.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.processes import Program, pinned
from bootstrap import debian
from bootstrap.steps import Failure, Steps

LUA = Path(__file__).with_suffix(".lua")


class Void(Exception):
    """Nothing was measured, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is asked, and from where."""

    cores: frozenset[int]
    folder: Path
    connections: int = 32

    def written(self, name: str, requests: Iterable[bytes]) -> Path:
        """A file with these requests, for ``ask``."""
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / name
        with file.open("wb") as opened:
            for request in requests:
                opened.write(b"%d\n%b" % (len(request), request))
        return file

    def ask(
        self, program: Program, port: int, file: Path, *, seconds: int, first: int | str = 0
    ) -> dict[str, float]:
        """Ask for so long; what came of it, with ``value``: answers per second of server CPU.

        ``first`` is how many requests of the file to leave out at first, or ``chain``. Raises
        ``Void``.
        """
        command: list[str | Path] = [
            *("wrk", "-t1", f"-c{self.connections}", f"-d{seconds}s", "--timeout", "10s"),
            *("-s", LUA, f"http://127.0.0.1:{port}/", "--", file, str(first)),
        ]
        used = program.seconds()
        with pinned(self.cores):
            done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - Debian's wrk
        used = program.seconds() - used
        line = next((it for it in done.stdout.splitlines() if it.startswith("JSON ")), "")
        if not line:
            raise Void(f"wrk ended with {done.returncode}: {(done.stderr or done.stdout)[-300:]}")
        said: dict[str, float] = json.loads(line.removeprefix("JSON "))
        if bad := said["failed"] + said["statuses"] + said["timeouts"]:
            raise Void(f"{bad:.0f} of {said['requests']:.0f} answers were errors")
        if not said["requests"] or used <= 0:
            raise Void("nothing was answered")
        return {
            **said,
            "value": said["requests"] / used,
            "per_second": said["requests"] / said["seconds"],
            "cpu_seconds": used,
        }


def bring() -> None:
    """Make sure that there is a wrk: as root it is installed; raises ``Void`` with the command."""
    if shutil.which("wrk"):
        return
    if os.geteuid() == 0 and debian.possible():
        try:
            debian.install("wrk", Steps(Path(sys.prefix) / ".tokenward" / "log"))
        except Failure as failure:
            raise Void(str(failure)) from failure
    if not shutil.which("wrk"):
        raise Void(f"there is no wrk; run: {debian.command('wrk')}")
