"""A server to attack: a process of its own, with friends to break, spoken to in raw bytes."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from base64 import b64encode
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, urlencode

from tests.servers import Issuer
from tests.tiers import BYTECODE
from tests.upstream import Upstream
from tests.world import (
    API_SECRET,
    AUDIENCE,
    FILE,
    JWT,
    SECRET,
    TOKEN_EXCHANGE,
    UPSTREAM_SECRET,
    hashed,
)
from tokenward.jose import jws
from tokenward.jose.keys import SigningKey

SOURCE = Path(__file__).parents[2] / "src"
READY = "tokenward: serving on http://127.0.0.1:"
SERVE = (sys.executable, "-m", "tokenward.server")
FORM = "application/x-www-form-urlencoded"
NIGHTLY = ("nightly", SECRET)
LAZY = ("lazy", SECRET)
API = ("reports-api", API_SECRET)
REPORTS = "grant_type=client_credentials&audience=reports"

KEY, RSA = SigningKey.generate("ES256"), SigningKey.generate("RS256")

# A second issuer, and a rule by which its people and the first one's may have reports.
MORE = """
[callers.partner]
proof    = "jwt"
issuer   = "{partner}"
audience = "{audience}"
[[allow]]
name   = "reports for partners"
caller = "partner"
token  = "reports"
scope  = "reports:read"
"""


def environment(**more):
    """What a server is started with, and what measures coverage."""
    measured = {name: it for name, it in os.environ.items() if name.startswith("COVERAGE")}
    ours = {"PYTHONPATH": str(SOURCE), "PYTHONPYCACHEPREFIX": str(BYTECODE)}
    return {**measured, "PATH": os.environ["PATH"], **ours, **more}


def basic(id, secret):
    return "Basic " + b64encode(f"{id}:{secret}".encode()).decode()


class Answer:
    """One answer, taken apart."""

    def __init__(self, raw):
        self.raw = raw
        head, _, self.body = raw.partition(b"\r\n\r\n")
        first, *rest = head.decode("latin-1").split("\r\n")
        words = first.split(" ")
        self.status = int(words[1]) if first.startswith("HTTP/1.1 ") else 0
        pairs = [line.partition(":") for line in rest]
        self.headers = [(name.lower(), value.strip()) for name, _, value in pairs]

    def __getitem__(self, name):
        return ", ".join(value for other, value in self.headers if other == name)

    def __repr__(self):
        return f"{self.status} {self.body[:300]!r}"

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        """Status and error code."""
        return self.status, self.json["error"]

    @property
    def token(self):
        assert self.status == 200, self
        return self.json["access_token"]


class Process:
    """``python -m tokenward.server`` in a folder."""

    def __init__(self, folder, config, *, port=0):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config = self.folder / "tokenward.toml"
        self.config.write_text(config)
        self.port = port
        self.child = None

    def start(self, *more):
        self.launch(*more)
        until = time.monotonic() + 20
        while READY not in self.stderr:
            assert self.child.poll() is None, self.stderr
            assert time.monotonic() < until, self.stderr
            time.sleep(0.01)
        self.port = int(re.match(r"\d+", self.stderr.partition(READY)[2])[0])
        return self

    def launch(self, *more):
        """Start it, with more on its command line, and do not wait."""
        with (self.folder / "stdout").open("ab") as out, (self.folder / "stderr").open("wb") as err:
            self.child = subprocess.Popen(
                [*SERVE, "-c", self.config, "--port", str(self.port), *more],
                cwd=self.folder,
                env=environment(UPSTREAM_SECRET=UPSTREAM_SECRET),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    def end(self, number, *, within=15):
        """Send a signal; the exit code."""
        self.child.send_signal(number)
        return self.child.wait(within)

    def kill(self):
        """End it and its workers, in the middle of whatever they do."""
        if self.child is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.child.pid, signal.SIGKILL)
            self.child.wait()

    @property
    def stderr(self):
        return (self.folder / "stderr").read_text()

    @property
    def descriptors(self):
        return len(os.listdir(f"/proc/{self.child.pid}/fd"))  # noqa: PTH208

    @property
    def memory(self):
        """Resident memory in KB."""
        status = Path(f"/proc/{self.child.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1])

    # ── on the wire ──

    def connect(self, timeout=15):
        return socket.create_connection(("127.0.0.1", self.port), timeout)

    def raw(self, data, *, timeout=15):
        """All that comes back on a connection of its own."""
        with self.connect(timeout) as it:
            it.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))
            return b"".join(iter(lambda: it.recv(65536), b""))

    def ask(self, method, path, *headers, body="", host="tokens.example.com"):
        data = body.encode() if isinstance(body, str) else body
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in headers]
        if data or method == "POST":
            lines.append(f"Content-Length: {len(data)}")
        return Answer(self.raw("\r\n".join([*lines, "", ""]).encode("latin-1") + data))

    def post(self, path="/token", form=REPORTS, auth=NIGHTLY, *headers, kind=FORM):
        said = list(headers)
        if kind is not None:
            said.append(("Content-Type", kind))
        if auth:
            said.append(("Authorization", basic(*auth)))
        body = form if isinstance(form, str | bytes) else urlencode(form)
        return self.ask("POST", path, *said, body=body)

    def get_token(self, token, query=""):
        return self.ask("GET", f"/getToken{query}", ("Authorization", f"Bearer {token}"))

    def exchange(self, token, auth=None, **form):
        asked = {"subject_token": token, "subject_token_type": JWT} | form
        return self.post("/token", {"grant_type": TOKEN_EXCHANGE} | asked, auth)

    def introspect(self, token, auth=API, path="/introspect"):
        return self.post(path, f"token={quote(token)}", auth)

    def revoke(self, token, auth=NIGHTLY, path="/revoke"):
        return self.post(path, f"token={quote(token)}", auth)

    def live(self, token):
        return self.introspect(token).json["active"]


class Lab:
    """The server, two issuers whose people it believes, and an upstream."""

    def __init__(self, folder, stack, *, config=FILE + MORE, store="sqlite://{folder}/t.db"):
        self.friend = stack.enter_context(Issuer(KEY, RSA).serving())
        self.partner = stack.enter_context(Issuer(KEY).serving())
        self.upstream = stack.enter_context(Upstream())
        text = config.format(
            store=store.format(folder=folder),
            audit=Path(folder) / "audit.jsonl",
            friend=self.friend.url,
            partner=self.partner.url,
            audience=AUDIENCE,
            nightly=hashed(SECRET),
            api=hashed(API_SECRET),
            upstream=self.upstream.token_endpoint,
        )
        self.server = Process(folder, text)
        stack.callback(self.server.kill)

    def user_token(self, *, key=KEY, typ="JWT", by=None, **claims):
        now = int(time.time())
        said = {
            "aud": AUDIENCE,
            "sub": "auth0|ann",
            "iat": now,
            "exp": now + 3600,
            "permissions": ["models:read", "reports"],
        }
        return (by or self.friend).token(key=key, typ=typ, **said | claims)


def claims_of(token):
    return jws.load_object(jws.parse(token).payload)


def forge(header, claims, key=KEY):
    """A token with any header at all, signed with this key."""
    signed = f"{jws.encode(json.dumps(header).encode())}.{jws.encode(json.dumps(claims).encode())}"
    return f"{signed}.{jws.encode(key._sign(signed.encode()))}"
