"""What somebody sees who waits for a set-up, and what they read when it failed.

Law: every step says what it does and how long it took; every failure says what to do next.
"""

import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TextIO


class Reason(NamedTuple):
    """Why a step fails: by what it says one knows it, and what to do about it."""

    pattern: str
    advice: str


FULL = Reason(
    r"no space left|disk quota exceeded",
    "The disk is full. Make room (about 500 MB), then start again.",
)
FORGED = Reason(
    r"do not match the hashes|hash mismatch",
    "A package is not the one that the lock file names, so it was not installed. If you use a\n"
    "package index of your own, ask those who run it what they serve.",
)
DISTRUSTED = Reason(
    r"certificate.verify.failed|invalid peer certificate|unknownissuer",
    "The package index shows a certificate that this system does not trust. If your network has\n"
    "an authority of its own, add it to the system's certificates, or tell pip about it:\n"
    "    python3 -m pip config set global.cert /path/to/authority.pem",
)
OFFLINE = Reason(
    r"name resolution|name or service not known|could not resolve|dns error|failed to lookup"
    r"|connection refused|connection reset|network is unreachable|timed out|failed to connect"
    r"|newconnectionerror|proxyerror|error sending request|cannot connect to proxy",
    "Packages cannot be fetched: nobody answers. Check the network. Behind a proxy, set\n"
    "HTTPS_PROXY; with a package index of your own, set PIP_INDEX_URL or write it into pip's\n"
    "configuration. tokenward asks where pip would ask.",
)
UNKNOWN = Reason(
    r"no matching distribution|could not find a version|no solution found|was not found in the"
    r"|unable to locate package|no installation candidate",
    "There is no such package where it was looked for. Is it a mirror that lags behind, or is\n"
    "this a system (an unusual processor or C library) that there is no package for?",
)
FORBIDDEN = Reason(
    r"permission denied|read-only file system|operation not permitted",
    "Something may not be written. Set TOKENWARD_VENV to a folder of yours, or start this as the\n"
    "user who owns the checkout.",
)
OTHER = Reason("", "Mend what it says above, then start again: it goes on from here.")
REASONS = (FULL, FORGED, DISTRUSTED, OFFLINE, UNKNOWN, FORBIDDEN)
LITTLE = 20_000_000
"""With fewer bytes left than this, the disk is what is wrong, even if nobody could write so."""
TAIL = 12


class Failure(Exception):
    """A set-up that cannot go on: what is wrong, and what to do about it."""


class Steps:
    """One set-up, step by step: each is a program that runs while somebody watches."""

    def __init__(self, log: Path, stream: TextIO | None = None) -> None:
        self.log = log
        self.stream = stream or sys.stderr
        self.said = ""
        self.held: tuple[int, ...] = ()

    def hold(self, descriptor: int) -> None:
        """Keep an open file open for as long as a step runs, even if this process is killed."""
        self.held = (*self.held, descriptor)

    def say(self, words: str) -> None:
        """One line, to whoever waits."""
        self._write(f"tokenward: {words}\n")

    def run(
        self, what: str, command: Sequence[str | Path], environment: Mapping[str, str] | None = None
    ) -> bool:
        """Run a program to its end; whether it went well. What it says goes into the log."""
        started = time.monotonic()
        words = [str(word) for word in command]
        self._write(f"tokenward: {what} … ")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("a+b") as log:
            log.write(f"\n$ {shlex.join(words)}\n".encode())
            log.flush()
            start = log.tell()
            try:
                status = self._watch(words, log.fileno(), environment, what, started)
            except OSError as error:
                status = 127
                log.write(f"{error}\n".encode())
            except BaseException:
                self._write("stopped\n")
                raise
            log.seek(start)
            self.said = log.read().decode("utf-8", "replace")
        took = f"{time.monotonic() - started:.1f} s"
        self._write(f"{took}\n" if status == 0 else f"failed after {took}\n")
        return status == 0

    def failed(self, what: str) -> Failure:
        """What to tell somebody whose last step went wrong, judged by what it said."""
        lines = [line.rstrip() for line in self.said.splitlines() if line.strip()][-TAIL:]
        quoted = "".join(f"    | {line}\n" for line in lines)
        return Failure(f"{what}\n{quoted}{self._reason().advice}\n(All that was said: {self.log})")

    def because(self, *reasons: Reason) -> bool:
        """Whether the last step failed for one of these reasons."""
        return self._reason() in reasons

    def _reason(self) -> Reason:
        if shutil.disk_usage(self.log.parent).free < LITTLE:
            return FULL
        said = self.said
        return next((why for why in REASONS if re.search(why.pattern, said, re.IGNORECASE)), OTHER)

    def _watch(
        self,
        words: list[str],
        log: int,
        environment: Mapping[str, str] | None,
        what: str,
        started: float,
    ) -> int:
        """Wait for a program; on a terminal the seconds count up meanwhile."""
        child = subprocess.Popen(  # noqa: S603 - commands of ours
            words,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            pass_fds=self.held,
        )
        patience = 1.0 if self.stream.isatty() else None
        try:
            while True:
                try:
                    return child.wait(patience)
                except subprocess.TimeoutExpired:
                    passed = time.monotonic() - started
                    self._write(f"\r\033[Ktokenward: {what} … {passed:.0f} s ")
        finally:
            if child.poll() is None:
                child.terminate()
                child.wait()

    def _write(self, words: str) -> None:
        self.stream.write(words)
        self.stream.flush()
