"""A program that is asked line by line what something costs: libraries, each in its own process."""

import json
import select
import subprocess
from dataclasses import dataclass, field
from typing import Any

from bench.processes import DidNotStart, Program, pinned
from bench.wrk import Void

PATIENCE = 120.0
"""Seconds for one answer."""


@dataclass(slots=True, kw_only=True)
class Answering:
    """It answers each line of JSON with a line of JSON."""

    program: Program
    _pipe: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Start it, on the core of servers."""
        it = self.program
        it.folder.mkdir(parents=True, exist_ok=True)
        with (it.folder / "stderr").open("wb") as stderr, pinned(it.cores):
            it.process = subprocess.Popen(  # noqa: S603 - what we name ourselves
                it.command,
                cwd=it.folder,
                env=it.whole_environ,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
            )
        self._pipe = it.process

    def ask(self, **asked: object) -> dict[str, Any]:
        """Its answer; raises ``Void`` if it has none."""
        pipe = self._pipe
        if pipe is None or pipe.stdin is None or pipe.stdout is None:
            raise DidNotStart(f"{self.program.name} was not started")
        try:
            pipe.stdin.write(json.dumps(asked).encode() + b"\n")
            pipe.stdin.flush()
        except BrokenPipeError:
            raise Void(f"it ended: {self.program.said[-500:]}") from None
        if not select.select([pipe.stdout], [], [], PATIENCE)[0]:
            raise Void(f"no answer within {PATIENCE:g} s")
        line = pipe.stdout.readline()
        if not line:
            raise Void(f"it ended: {self.program.said[-500:]}")
        said: dict[str, Any] = json.loads(line)
        if "error" in said:
            raise Void(str(said["error"]))
        return said

    def stop(self) -> None:
        """Let it end."""
        self.program.stop()
        if self._pipe is not None and self._pipe.stdout is not None:
            self._pipe.stdout.close()
