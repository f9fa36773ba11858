"""tokenward as its operators run it: a process of its own, a real configuration, a real port.

Law: all that the process writes is kept for the ledger of ``leaks``, and nobody stops a server
without looking whether it ended well.
"""

import asyncio
import json
import os
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx2
import pytest

from tests.leaks import Ledger
from tokenward.clock import now
from tokenward.jose.keys import SigningKey
from tokenward.server.app import seal
from tokenward.server.keyring import KeyRing
from tokenward.server.settings import load
from tokenward.server.stores import open_store

SOURCE = Path(__file__).parents[1] / "src"
CONFIG = "tokenward.toml"
READY = "tokenward: serving on "
TO_START, TO_STOP = 30.0, 15.0
"""Seconds."""


def hashed(secret: str) -> str:
    """What stands in a configuration instead of a secret."""
    return "sha256:" + sha256(secret.encode()).hexdigest()


def free_port() -> int:
    """A port nobody listens on, for a server whose URL must be known before it starts."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """These variables, what measures coverage, and nothing else of ours."""
    measured = {name: it for name, it in os.environ.items() if name.startswith("COVERAGE")}
    return {**measured, "PYTHONPATH": str(SOURCE), **environ}


@dataclass(kw_only=True)
class Tokenward:
    """A server; ``start`` and ``stop`` it, or let ``running`` do so."""

    ledger: Ledger
    folder: Path
    """Where it runs: its configuration, its ``.env`` files, what it prints, all that it keeps."""

    files: Mapping[str, str] = field(default_factory=dict)
    """What is in the folder before it starts, by name."""

    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    arguments: tuple[str, ...] = ()
    url: str = ""
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it says that it serves; AssertionError if it does not."""
        self.launch()
        until = time.monotonic() + TO_START
        while READY not in self.stderr:
            assert self.process is not None
            assert self.process.poll() is None, f"it ended instead of serving:\n{self.stderr}"
            assert time.monotonic() < until, f"it does not say that it serves:\n{self.stderr}"
            time.sleep(0.01)
        self.url = self.stderr.partition(READY)[2].partition("\n")[0]

    def launch(self) -> None:
        """Start it, and do not wait."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, text in self.files.items():
            (self.folder / name).write_text(text)
        with (self.folder / "stdout").open("wb") as out, (self.folder / "stderr").open("wb") as err:
            self.process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", "tokenward.server", *self.arguments],
                cwd=self.folder,
                env=environment(self.environ),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    def ended(self) -> int:
        """Wait for it to end by itself; its exit code."""
        assert self.process is not None
        try:
            return self.process.wait(TO_STOP)
        finally:
            self.process.kill()
            self._gather()

    def stop(self) -> None:
        """Stop it as an operator would; AssertionError if it does not end well."""
        assert self.process is not None
        self._gather()  # while it runs, there is a write-ahead log
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(TO_STOP)
        finally:
            self.process.kill()
            self._gather()
        self._enter_keys()
        self.ledger.trail(self.folder.name, b"".join(map(Path.read_bytes, self.trails)))
        assert code == 0, f"it ended with {code}:\n{self.stderr}"
        assert "traceback" not in self.stderr.lower(), self.stderr

    @property
    def stderr(self) -> str:
        return (self.folder / "stderr").read_text()

    @property
    def trails(self) -> list[Path]:
        """Where audit events are: in a file of that name, or else on standard output."""
        return [path for name in ("audit.jsonl", "stdout") if (path := self.folder / name).exists()]

    def events(self, **like: object) -> list[dict[str, Any]]:
        """The audit events so far that are like this."""
        lines = b"".join(map(Path.read_bytes, self.trails)).splitlines(keepends=True)
        said = [json.loads(line) for line in lines if line.endswith(b"\n")]
        return [event for event in said if event.items() >= like.items()]

    def event(self, **like: object) -> dict[str, Any]:
        """The last event like this; audit lines may be 50 ms late."""
        until = time.monotonic() + 5
        while not (found := self.events(**like)):
            assert time.monotonic() < until, f"there is no event like {like}"
            time.sleep(0.01)
        return found[-1]

    def keys(self) -> dict[str, SigningKey]:
        """The signing key of each issuer, taken out of the store that the server keeps it in."""
        settings = load(self.folder / CONFIG, self.environ)

        (database,) = self.folder.rglob("*.db")

        async def read() -> dict[str, SigningKey]:
            store = open_store(f"sqlite://{database}", now)
            await store.open()
            try:
                keyring = KeyRing(shelf=store.shelf, seal=seal(settings, store))
                return {
                    name: (await keyring.ring(name, issuer.algorithm)).keys[0]
                    for name, issuer in settings.issuers.items()
                }
            finally:
                await store.close()

        return asyncio.run(read())

    def kept(self) -> list[Path]:
        """The files it has made."""
        return sorted(
            path
            for path in self.folder.rglob("*")
            if path.is_file() and path.name not in {*self.files, "stdout", "stderr"}
        )

    def _gather(self) -> None:
        """Enter all that is written by now, and see who could read it."""
        name = self.folder.name
        for path in (self.folder / "stdout", self.folder / "stderr"):
            self.ledger.wrote(path, path.read_bytes(), f"{name}/{path.name}")
        for path in self.kept():
            self.ledger.wrote(path, path.read_bytes(), f"{name}/{path.name}")
            mode = stat.S_IMODE(path.stat().st_mode)
            assert not mode & 0o077, f"others have access to {path.name}: {mode:o}"
            if path.suffix == ".db":
                self.ledger.wrote(path, b"\n".join(cells(path)), f"the tables of {name}/{path.name}")
        for written, text in self.files.items():
            assert (self.folder / written).read_text() == text, f"{written} was changed"

    def _enter_keys(self) -> None:
        """Enter the private keys, and the key that they are sealed with."""
        for path in self.folder.rglob("*.db.key"):
            self.ledger.secret("an encryption key", path.read_text().strip(), home=path)
        if not any(self.folder.rglob("*.db")):
            return
        for issuer, key in self.keys().items():
            numbers: Any = key.private.private_numbers()
            for part in ("private_value", "d", "p", "q", "dmp1", "dmq1", "iqmp"):
                if number := getattr(numbers, part, 0):
                    data = number.to_bytes((number.bit_length() + 7) // 8, "big")
                    self.ledger.secret(f"{part} of the private key of {issuer}", data)

    def http(self, **options: Any) -> httpx2.Client:
        """A client of this server; the tokens it sends and gets are entered."""
        name = self.folder.name

        def sent(request: httpx2.Request) -> None:
            form = parse_qsl(request.content.decode(errors="replace"))
            self.ledger.tokens(f"a token sent to {name}", form)
            self.ledger.tokens(f"a token shown to {name}", request.headers.get("Authorization"))

        def got(response: httpx2.Response) -> None:
            response.read()
            try:
                answer: object = response.json()
            except ValueError:
                answer = response.text
            self.ledger.tokens(f"a token of {name}", answer)

        hooks: dict[str, list[Callable[..., Any]]] = {"request": [sent], "response": [got]}
        return httpx2.Client(base_url=self.url, event_hooks=hooks, trust_env=False, **options)


def cells(path: Path) -> Iterator[bytes]:
    """Everything in the tables of a database, whole: on disk it may be scattered over pages."""
    db = sqlite3.connect(path.absolute().as_uri() + "?mode=ro", uri=True)
    try:
        for (table,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
            for row in db.execute(f'SELECT * FROM "{table}"'):  # noqa: S608 - their own names
                yield from (it if isinstance(it, bytes) else str(it).encode() for it in row)
    finally:
        db.close()


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory, ledger: Ledger) -> Any:
    """Runs servers: ``with running("mobile", files={…}, environ={…}) as server:``."""

    @contextmanager
    def run(name: str, **how: Any) -> Iterator[Tokenward]:
        server = Tokenward(ledger=ledger, folder=tmp_path_factory.mktemp(name), **how)
        try:
            server.start()
            yield server
        finally:
            server.stop()

    return run
