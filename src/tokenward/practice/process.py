"""Starting the practice servers in a process of their own, and stopping them again."""

import errno
import json
import select
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

PATIENCE = 30.0
"""Seconds until the practice servers must answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where the practice servers are."""

    idp: str
    itwin: str
    api: str

    @classmethod
    def at(cls, *ports: int) -> Self:
        """On these ports of the loopback."""
        idp, itwin, api = (f"http://127.0.0.1:{port}" for port in ports)
        return cls(idp=f"{idp}/", itwin=itwin, api=api)


@dataclass(frozen=True, slots=True)
class Practice:
    """The practice servers' process."""

    process: subprocess.Popen[str] = field(repr=False)
    ports: tuple[int, int, int]

    @classmethod
    def start(cls, ports: tuple[int, int, int], wanted: Mapping[str, object]) -> Self:
        """Start them on these ports, or others where they are taken, and do not wait.

        From here on whoever connects is heard, sooner or later.
        """
        listeners = [listener(port, 0) for port in ports]
        said = {**wanted, "sockets": [one.fileno() for one in listeners]}
        # As the command was started: a folder that happens to be ours holds no modules of ours.
        safe = ["-P"] if sys.flags.safe_path else []
        process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, *safe, "-m", "tokenward.practice"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            pass_fds=[one.fileno() for one in listeners],
            start_new_session=True,  # Ctrl-C is for the server, which then ends them
        )
        first, second, third = (one.getsockname()[1] for one in listeners)
        for one in listeners:
            one.close()
        with suppress(BrokenPipeError):  # it has ended already, and ready() will say so
            if process.stdin is not None:
                process.stdin.write(json.dumps(said) + "\n")
                process.stdin.flush()
        return cls(process, (first, second, third))

    @property
    def places(self) -> Places:
        """Where they are."""
        return Places.at(*self.ports)

    def ready(self) -> str:
        """Wait until all of them answer; a token of a caller. Raises ``OSError`` if they do not."""
        out = self.process.stdout
        if out is None or not select.select([out], [], [], PATIENCE)[0]:
            raise OSError(f"the practice servers did not answer within {PATIENCE:g} seconds")
        if not (line := out.readline()):
            raise OSError(f"the practice servers ended with exit code {self.process.wait()}")
        return str(json.loads(line)["caller_token"])

    def stop(self) -> None:
        """Let them end; they also end by themselves when we do."""
        with suppress(BrokenPipeError):
            if self.process.stdin is not None:
                self.process.stdin.close()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


def listener(*ports: int) -> socket.socket:
    """Listen on the first of these ports of the loopback that is free, 0 being any.

    Raises ``OSError`` (``EADDRINUSE``) if none is.
    """
    for port in ports:
        opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.bind(("127.0.0.1", port))
            opened.listen(128)
        except OSError as exc:
            opened.close()
            if exc.errno != errno.EADDRINUSE:
                raise
        else:
            return opened
    raise OSError(errno.EADDRINUSE, "another program uses it")
