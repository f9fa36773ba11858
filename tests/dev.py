"""``tokenward dev`` and the other commands, run as people run them: processes of their own.

Law: a command sees none of our variables but those that a test gives it.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.running import environment

PATIENCE = 60.0
"""Seconds for a command to end, and for dev to be ready."""


def program(*arguments: str) -> list[str]:
    """The command line of a command."""
    return [sys.executable, "-m", "tokenward", *arguments]


def around(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a command: what any shell has, and what the test gives."""
    shell = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return environment({**shell, **(environ or {})})


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which must be one JSON document."""
        return json.loads(self.out)


def command(
    *arguments: str,
    cwd: Path,
    environ: Mapping[str, str] | None = None,
    stdin: str | bytes = "",
) -> Ended:
    """Run a command until it ends; AssertionError if it shows a traceback."""
    done = subprocess.run(
        program(*arguments),
        cwd=cwd,
        env=around(environ),
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    ended = Ended(code=done.returncode, out=done.stdout.decode(), err=done.stderr.decode())
    assert "Traceback" not in ended.err, ended.err
    return ended


@dataclass(kw_only=True)
class Dev:
    """One ``tokenward dev --json``."""

    folder: Path
    """Where it was started; what it keeps is in ``.tokenward`` there."""

    arguments: tuple[str, ...] = ()
    process: subprocess.Popen[str] = field(init=False)
    said: dict[str, Any] = field(init=False, default_factory=dict)
    line: str = field(init=False, default="")

    def start(self) -> None:
        """Start it and wait until it is ready; AssertionError if it never is."""
        with (self.folder / "stderr").open("w") as err:
            self.process = subprocess.Popen(
                program("dev", "--json", *(self.arguments or ("--port", "0"))),
                cwd=self.folder,
                env=around(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=err,
                text=True,
            )
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline()
        assert self.line, f"it ended instead of serving:\n{self.stderr}"
        self.said = json.loads(self.line)

    def stop(self, how: signal.Signals = signal.SIGINT) -> str:
        """Stop it; what else it said on standard output."""
        self.process.send_signal(how)
        try:
            rest, _ = self.process.communicate(timeout=PATIENCE)
        finally:
            self.process.kill()
            self.process.communicate()
        return rest

    @property
    def kept(self) -> Path:
        return self.folder / ".tokenward"

    @property
    def stderr(self) -> str:
        return (self.folder / "stderr").read_text()

    @property
    def url(self) -> str:
        return str(self.said["issuer"])

    @property
    def urls(self) -> dict[str, str]:
        return dict(self.said["urls"])

    @property
    def environ(self) -> dict[str, str]:
        """What a shell has after it has sourced dev.env."""
        lines = (self.kept / "dev.env").read_text().splitlines()
        pairs = [it.removeprefix("export ").partition("=") for it in lines if "=" in it]
        return {name: value.strip("'") for name, _, value in pairs}

    def children(self) -> list[int]:
        """The processes it has started."""
        pid = self.process.pid
        tasks = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [int(child) for child in tasks.split()]


@contextmanager
def developing(folder: Path, *arguments: str, kept: Path | None = None) -> Iterator[Dev]:
    """dev for as long as the block takes; AssertionError if it does not end well.

    ``kept`` is what an earlier one has kept, to begin with: making keys takes longer than the rest.
    """
    if kept is not None:
        shutil.copytree(kept, folder / ".tokenward")
    dev = Dev(folder=folder, arguments=arguments)
    dev.start()
    try:
        yield dev
    finally:
        rest = dev.stop()
    assert (dev.process.returncode, rest, dev.stderr) == (0, "", "")
