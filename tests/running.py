"""tokenward as its operators run it: a process of its own, a real configuration, a real port.

Law: all that the process writes is kept for the ledger of ``leaks``, and nobody stops a server
without looking whether it ended well.
"""

import json
import os
import random
import re
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx2
import pytest

from tests.leaks import Ledger
from tests.tiers import BYTECODE
from tokenward.jose.keys import SigningKey
from tokenward.server.keyring import from_bytes
from tokenward.server.rotation import Entries, current
from tokenward.server.seal import Seal

SOURCE = Path(__file__).parents[1] / "src"
CONFIG = "tokenward.toml"
READY = re.compile(r"^tokenward: serving on (\S+)$", re.MULTILINE)
TO_START, TO_STOP = 30.0, 15.0
"""Seconds."""


def hashed(secret: str) -> str:
    """What stands in a configuration instead of a secret."""
    return "sha256:" + sha256(secret.encode()).hexdigest()


def free_port() -> int:
    """A port nobody has, for a server whose URL must be known before it starts.

    Not one of those that the system deals out: the next connection anybody makes might get it.
    """
    while True:
        port = random.randint(20_000, 30_000)  # noqa: S311 - nothing secret
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("0.0.0.0", port))
            return port


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """These variables, what measures coverage, and nothing else of ours."""
    measured = {name: it for name, it in os.environ.items() if name.startswith("COVERAGE")}
    ours = {"PYTHONPATH": str(SOURCE), "PYTHONPYCACHEPREFIX": str(BYTECODE)}
    return {**measured, **ours, **environ}


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
        while not (found := READY.search(self.stderr)):
            assert self.process is not None
            assert self.process.poll() is None, f"it ended instead of serving:\n{self.stderr}"
            assert time.monotonic() < until, f"it does not say that it serves:\n{self.stderr}"
            time.sleep(0.01)
        self.url = found[1]

    def launch(self) -> None:
        """Start it, and do not wait."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, text in self.files.items():
            (self.folder / name).write_text(text)
        with (self.folder / "stdout").open("wb") as out, (self.folder / "stderr").open("wb") as err:
            self.process = subprocess.Popen(
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
        try:
            self._gather()  # while it runs, there is a write-ahead log
            self.process.send_signal(signal.SIGTERM)
            code = self.process.wait(TO_STOP)
        finally:
            self.process.kill()
            self.process.wait()
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
        """The signing key of each issuer, by name, out of the database with its seal broken."""
        return {name: current(it, time.time()).key for name, it in self._rings().items()}

    def _rings(self) -> dict[str, Entries]:
        (database,) = self.folder.rglob("*.db")
        seal = Seal.from_file(database.with_name(f"{database.name}.key"))
        rings = [row for row in rows(database) if str(row[0]).startswith("ring/")]
        return {
            place.split("/")[1]: from_bytes(seal.open(sealed, place)) for place, sealed, *_ in rings
        }

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
                cells = [cell for row in rows(path) for cell in row]
                data = b"".join(it if isinstance(it, bytes) else str(it).encode() for it in cells)
                self.ledger.wrote(path, data, f"the tables of {name}/{path.name}")
        for written, text in self.files.items():
            assert (self.folder / written).read_text() == text, f"{written} was changed"

    def _enter_keys(self) -> None:
        """Enter the private keys, and the key that they are sealed with."""
        for path in self.folder.rglob("*.db.key"):
            key = urlsafe_b64decode(path.read_text().strip() + "==")
            self.ledger.secret("an encryption key", key, home=path)
        if not any(self.folder.rglob("*.db")):
            return
        for issuer, entries in self._rings().items():
            for entry in entries:
                self.ledger.private_key(f"a key of {issuer}", entry.key.private)

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


def rows(path: Path) -> list[tuple[Any, ...]]:
    """All rows of all tables of a database, whole: on disk they may be scattered over pages."""
    with closing(sqlite3.connect(path.absolute().as_uri() + "?mode=ro", uri=True)) as db:
        tables = db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        every = (f'SELECT * FROM "{name}"' for (name,) in tables)  # noqa: S608 - their own names
        return [row for query in every for row in db.execute(query)]


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
