"""The programs that are measured: their core, their processor time, their memory, what they hold.

Law: all of a program counts, its children and their children too, and nothing is asked of the
program itself: every figure is the kernel's.
"""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
TO_START, TO_STOP = 60.0, 20.0
"""Seconds."""


class DidNotStart(Exception):
    """A program ended, or said nothing, instead of answering."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cores:
    """Which core servers run on, and which one those who ask them; the same if there is but one."""

    server: frozenset[int]
    load: frozenset[int]

    @classmethod
    def ours(cls) -> "Cores":
        """The first and the second of those that we may use."""
        first, *others = sorted(os.sched_getaffinity(0))
        return cls(server=frozenset({first}), load=frozenset({others[0] if others else first}))

    @property
    def apart(self) -> bool:
        """Whether a server has a core to itself."""
        return not self.server & self.load


@contextmanager
def pinned(cores: frozenset[int]) -> Iterator[None]:
    """Run on these cores; what is started meanwhile stays there."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """What a program has of the machine at one moment."""

    rss: int
    pss: int
    """Bytes; ``pss`` divides what several processes share between them."""

    descriptors: int
    threads: int


@dataclass(slots=True, kw_only=True)
class Program:
    """A program of its own process tree. What it writes goes to files in its folder."""

    name: str
    command: Sequence[str | Path]
    folder: Path
    cores: frozenset[int]
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and do not wait."""
        self.folder.mkdir(parents=True, exist_ok=True)
        out, err = self.folder / "stdout", self.folder / "stderr"
        with out.open("wb") as stdout, err.open("wb") as stderr, pinned(self.cores):
            self.process = subprocess.Popen(  # noqa: S603 - what we name ourselves
                self.command,
                cwd=self.folder,
                env=self.whole_environ,
                stdin=subprocess.PIPE,  # closed when we end, which some take as a sign
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,  # Ctrl-C is for us, who then stop it
            )

    def wait_for(self, port: int) -> None:
        """Wait until it listens there; raises ``DidNotStart``."""
        until = time.monotonic() + TO_START
        while time.monotonic() < until:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                return
            if self.ended:
                raise DidNotStart(f"{self.name} ended instead of answering: {self.said[-2_000:]}")
            time.sleep(0.01)
        raise DidNotStart(f"{self.name} does not listen after {TO_START:g} s: {self.said[-2_000:]}")

    def stop(self) -> int:
        """Stop it as an operator would; its exit code, or that of a kill if it would not end."""
        if self.process is None:
            return 0
        if self.process.stdin is not None:
            self.process.stdin.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(TO_STOP)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            return self.process.wait()

    @property
    def whole_environ(self) -> dict[str, str]:
        """Its variables, and ours. Python compiles what it reads once, as where it is installed,
        and not at every start: where it is told to, or beside what is measured."""
        ours = str(self.folder.parent / "compiled")
        compiled = os.environ.get("PYTHONPYCACHEPREFIX") or ours
        python = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": compiled}
        return {**os.environ, **python, **self.environ}

    @property
    def said(self) -> str:
        """What it wrote to standard error."""
        return (self.folder / "stderr").read_text(errors="replace")

    @property
    def pid(self) -> int:
        """Of its first process."""
        if self.process is None:
            raise DidNotStart(f"{self.name} was not started")
        return self.process.pid

    @property
    def ended(self) -> bool:
        """Whether it is no longer there."""
        return self.process is None or self.process.poll() is not None

    def seconds(self) -> float:
        """Of processor time so far, user and system, of all its processes."""
        return sum(used_by(pid) for pid in tree(self.pid))

    def holding(self) -> Holding:
        """What it has of the machine now."""
        return self.holding_of(tree(self.pid))

    @staticmethod
    def holding_of(pids: Sequence[int]) -> Holding:
        """What these processes have of it."""
        memory = [_memory(pid) for pid in pids]
        return Holding(
            rss=sum(rss for rss, _ in memory),
            pss=sum(pss for _, pss in memory),
            descriptors=sum(_entries(f"/proc/{pid}/fd") for pid in pids),
            threads=sum(_entries(f"/proc/{pid}/task") for pid in pids),
        )


def tree(pid: int) -> list[int]:
    """A process, its children and theirs."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (stat := _stat(int(entry.name))):
            children.setdefault(int(stat[1]), []).append(int(entry.name))
    found, to_see = [], [pid]
    while to_see:
        one = to_see.pop()
        found.append(one)
        to_see += children.get(one, [])
    return found


def free_port() -> int:
    """A port nobody has now; not of those that the system deals out to connections."""
    for port in range(20_000 + os.getpid() % 9_000, 32_000):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            if port not in _given:
                _given.add(port)
                return port
    raise DidNotStart("there is no free port")


_given: set[int] = set()


def _stat(pid: int) -> list[str]:
    """What follows the name in /proc/<pid>/stat; empty if it is gone."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return []


def used_by(pid: int) -> float:
    """Seconds of processor time of one process, and of those of its children that have ended
    (proc(5): fields 14 to 17)."""
    stat = _stat(pid)
    return sum(map(int, stat[11:15])) / TICKS if stat else 0.0


def _memory(pid: int) -> tuple[int, int]:
    rss = pss = 0
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            name, _, said = line.partition(":")
            if name == "Rss":
                rss = int(said.split()[0]) * 1024
            elif name == "Pss":
                pss = int(said.split()[0]) * 1024
    return rss, pss


def _entries(folder: str) -> int:
    with suppress(OSError):
        return len(os.listdir(folder))  # noqa: PTH208 - counted, not looked at
    return 0
