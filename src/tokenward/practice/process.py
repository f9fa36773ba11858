"""Starting the practice servers in a process of their own, and stopping them again."""

import json
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where the practice servers are."""

    idp: str
    itwin: str
    api: str
    caller_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Practice:
    """The practice servers' process."""

    process: subprocess.Popen[str] = field(repr=False)

    @classmethod
    def start(cls, wanted: dict[str, object]) -> Self:
        """Start them, and do not wait."""
        process = subprocess.Popen(
            [sys.executable, "-m", "tokenward.practice"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for the server, which then ends them
        )
        if process.stdin is not None:
            process.stdin.write(json.dumps(wanted) + "\n")
            process.stdin.flush()
        return cls(process)

    def places(self) -> Places:
        """Wait until all of them answer; raises ``OSError`` if they end instead."""
        line = self.process.stdout.readline() if self.process.stdout is not None else ""
        if not line:
            raise OSError(f"the practice servers ended with exit code {self.process.wait()}")
        return Places(**json.loads(line))

    def stop(self) -> None:
        """Let them end; they also end by themselves when we do."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
