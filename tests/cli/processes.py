"""A server of one's own for tests that start, change and end it: quick to make, with what it needs.

``Served`` is a folder, a configuration, and the process that ``tokenward serve`` is in it.
"""

import datetime as dt
import os
import signal
import ssl
import subprocess
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from tests.dev import around, program
from tests.running import free_port, hashed

SECRET = "the-nightly-secret-of-these-tests"
TOKEN = "/token"

CONFIG = """
issuer = "{scheme}://127.0.0.1:{port}"
store  = "sqlite:kept.db"
[listen]
address = "127.0.0.1:{port}"
{listen}
[audit]
to = "audit.jsonl"
[callers.nightly]
proof   = "client_secret"
secrets = ["{hash}"]
[callers.reports-api]
proof       = "client_secret"
secrets     = ["{hash}"]
grant_types = []
[tokens.reports]
audience      = "https://api.example.com/reports"
scopes        = {{ "reports:read" = "", "reports:write" = "" }}
introspectors = ["reports-api"]
[[allow]]
name   = "nightly reports"
caller = "nightly"
token  = "reports"
scope  = "{scope}"
"""


@dataclass(kw_only=True)
class Served:
    """A server in a folder of its own."""

    folder: Path
    listen: str = ""
    scheme: str = "http"
    port: int = field(default_factory=free_port)
    tls: ssl.SSLContext | None = None
    process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def write(self, *, scope: str = "reports:read", listen: str | None = None) -> None:
        """Write the configuration."""
        text = CONFIG.format(
            scheme=self.scheme,
            port=self.port,
            listen=self.listen if listen is None else listen,
            hash=hashed(SECRET),
            scope=scope,
        )
        (self.folder / "tokenward.toml").write_text(text)

    def start(self, *arguments: str, **environ: str) -> None:
        """Start it and wait until it serves."""
        if not (self.folder / "tokenward.toml").exists():
            self.write()
        with (self.folder / "err").open("wb") as err:
            self.process = subprocess.Popen(
                program("serve", *arguments),
                cwd=self.folder,
                env=around(environ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=err,
            )
        self.until(lambda: "serving on" in self.err)

    @property
    def err(self) -> str:
        return (self.folder / "err").read_text()

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def until(self, true: Any, within: float = 30.0) -> None:
        """Wait until something is true, while it runs."""
        assert self.process is not None
        end = time.monotonic() + within
        while not true():
            assert self.process.poll() is None, f"it ended:\n{self.err}"
            assert time.monotonic() < end, f"in vain:\n{self.err}"
            time.sleep(0.01)

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def kill(self, worker: int) -> None:
        """End a worker, and wait until there is another one in its place."""
        count = len(self.workers())
        os.kill(worker, signal.SIGKILL)
        self.until(lambda: worker not in (now := self.workers()) and len(now) == count)

    def reload(self) -> str:
        """Have it read its configuration anew; what it says about that."""
        before = len(self.err)
        self.signal(signal.SIGHUP)
        self.until(lambda: "the configuration " in self.err[before:])
        return self.err[before:]

    def stop(self) -> int:
        """The exit code after SIGTERM."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def workers(self) -> list[int]:
        return children(self.pid)

    def connection(self) -> HTTPConnection:
        if self.tls is not None:
            return HTTPSConnection("127.0.0.1", self.port, timeout=20, context=self.tls)
        return HTTPConnection("127.0.0.1", self.port, timeout=20)

    def ask(
        self, path: str = TOKEN, *, connection: HTTPConnection | None = None, **form: str
    ) -> tuple[int, bytes]:
        """Ask as the nightly service does; status and body."""
        used = connection or self.connection()
        form = {"client_id": "nightly", "client_secret": SECRET, **form}
        if path == TOKEN:
            form = {"grant_type": "client_credentials", **form}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        try:
            used.request("POST", path, urlencode(form), headers)
            answer = used.getresponse()
            return answer.status, answer.read()
        finally:
            if connection is None:
                used.close()


def children(pid: int) -> list[int]:
    """The processes that this one has started."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]


def present(pid: int) -> bool:
    """Whether there is such a process, and not only its remains."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Load:
    """Some who ask all the time, each on a connection of its own; what they heard, counted."""

    def __init__(self, served: Served, crowd: int = 4) -> None:
        self.heard: Counter[object] = Counter()
        self._served = served
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(crowd)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(30)

    def more(self, answers: int) -> None:
        """Wait for so many more good answers."""
        goal, end = self.heard[200] + answers, time.monotonic() + 30
        while self.heard[200] < goal:
            assert time.monotonic() < end, self.heard
            time.sleep(0.005)

    def _ask(self) -> None:
        connection = self._served.connection()
        while not self._over.is_set():
            try:
                status, _ = self._served.ask(connection=connection)
            except (HTTPException, OSError) as exc:
                self.heard[repr(exc)] += 1
                with suppress(OSError):
                    connection.close()
                time.sleep(0.02)
            else:
                self.heard[status] += 1
        connection.close()


# ── certificates ────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True)
class Certified:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def write(self, folder: Path, name: str, password: str = "") -> tuple[Path, Path]:
        """The files of the certificate and of the key."""
        how = BestAvailableEncryption(password.encode()) if password else NoEncryption()
        paths = folder / f"{name}.pem", folder / f"{name}.key"
        paths[0].write_bytes(self.pem)
        paths[1].write_bytes(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how))
        return paths


def certified(name: str, by: Certified | None = None, *, ca: bool = False) -> Certified:
    """A certificate for this name, signed by its own key unless ``by`` somebody."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
    )
    signed = built.sign(by.key if by else key, hashes.SHA256())
    return Certified(certificate=signed, key=key)
