"""Toy endpoints behind the real front, and a client that speaks bytes.

Run as a program it serves the toys until it is told to stop.
"""

import asyncio
import json
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import ClassVar
from urllib.parse import urlsplit

from tokenward.oauth.errors import AccessDenied, InvalidClient, TemporarilyUnavailable
from tokenward.server.asgi import Front
from tokenward.server.endpoints import NEVER, PUBLIC, REGISTERED
from tokenward.server.http import JSON, NO_STORE, Answer, Received
from tokenward.server.serve import serve

GET, POST = frozenset({"GET"}), frozenset({"POST"})
HOME = "https://app.example"
SECRET = "s3cret-of-the-operator"


@dataclass
class Echo:
    """Says what it received."""

    methods: ClassVar[frozenset[str]] = GET | POST
    cors: ClassVar[str] = REGISTERED
    seen: list[Received] = field(default_factory=list)

    async def answer(self, received: Received) -> Answer:
        self.seen.append(received)
        said = {
            "method": received.method,
            "path": received.path,
            "query": received.query.decode(),
            "body": received.body.decode("latin-1"),
            "headers": sorted(name.decode() for name, _ in received.headers),
            "authorization": received.header(b"authorization"),
            "address": received.address,
            "id": received.id,
        }
        return Answer(200, (JSON, *NO_STORE), json.dumps(said).encode())


class Open:
    methods: ClassVar[frozenset[str]] = GET
    cors: ClassVar[str] = PUBLIC

    async def answer(self, received):
        headers = (JSON, (b"cache-control", b"public, max-age=300"), (b"etag", b'"1"'))
        if received.header(b"if-none-match") == '"1"':
            return Answer(304, headers, b"")
        return Answer(200, headers, b'{"keys": []}')


class Closed:
    methods: ClassVar[frozenset[str]] = POST
    cors: ClassVar[str] = NEVER

    async def answer(self, received):
        csp = (b"content-security-policy", b"default-src 'self'")
        return Answer(200, ((b"content-type", b"text/html"), csp), b"<p>hello")


class Broken:
    methods: ClassVar[frozenset[str]] = GET
    cors: ClassVar[str] = REGISTERED

    async def answer(self, received):
        raise LookupError(SECRET)


@dataclass
class Refusing:
    error: Exception
    methods: ClassVar[frozenset[str]] = GET | POST
    cors: ClassVar[str] = REGISTERED

    async def answer(self, received):
        raise self.error


class Slow:
    """Takes as many seconds as the query says."""

    methods: ClassVar[frozenset[str]] = GET | POST
    cors: ClassVar[str] = NEVER

    async def answer(self, received):
        await asyncio.sleep(float(received.query))
        return Answer(200, (JSON,), b'{"slept": true}')


def routes():
    return {
        "/token": Echo(),
        "/jwks": Open(),
        "/closed": Closed(),
        "/broken": Broken(),
        "/refused": Refusing(InvalidClient(detail=SECRET)),
        "/denied": Refusing(AccessDenied("Caf\u00e9 \U0001f512", detail=SECRET)),
        "/later": Refusing(TemporarilyUnavailable(retry_after=7)),
        "/slow": Slow(),
    }


def front(**options):
    return Front(**{"routes": routes(), "origins": frozenset({HOME}), **options})


def roundabout(app):
    """The same application, but the server has to speak ASGI to it."""

    async def application(scope, receive, send):
        await app(scope, receive, send)

    return application


LANES = {"fast lane": lambda app: app, "ASGI": roundabout}


@dataclass(frozen=True)
class Heard:
    """An answer, from the wire."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name]

    def __getitem__(self, name):
        (value,) = self.all(name)
        return value

    @property
    def json(self):
        return json.loads(self.body)


class Wire:
    """One connection."""

    def __init__(self, url, timeout=10.0):
        parts = urlsplit(url)
        self.socket = socket.create_connection((parts.hostname, parts.port), timeout)
        self.buffer = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.socket.close()

    def say(self, data):
        self.socket.sendall(data)
        return self

    def push(self, pieces, until):
        """Say all of this, or so many bytes of it, unless the server cuts us off; how many."""
        sent = 0
        with suppress(ConnectionError):
            for piece in pieces:
                self.socket.sendall(piece)
                sent += len(piece)
                if sent >= until:
                    break
        return sent

    def hear(self, *, bodiless=False):
        """The next answer; ``None`` if the server closed instead."""
        while b"\r\n\r\n" not in self.buffer:
            if not self._more():
                assert self.buffer == b"", "half an answer"
                return None
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").split("\r\n")
        version, status, _ = line.split(" ", 2)
        assert version == "HTTP/1.1"
        headers = [tuple(field.split(": ", 1)) for field in fields]
        lengths = [int(value) for name, value in headers if name.lower() == "content-length"]
        assert len(lengths) == (0 if status in ("100", "204", "304") else 1)
        length = 0 if bodiless else sum(lengths)
        while len(self.buffer) < length:
            assert self._more(), "half a body"
        body, self.buffer = bytes(self.buffer[:length]), self.buffer[length:]
        return Heard(int(status), headers, body)

    def closed(self):
        """Whether the server says nothing more and closes; waits for it."""
        with suppress(ConnectionError):
            while self._more():
                pass
        return self.buffer == b""

    def _more(self):
        data = self.socket.recv(65536)
        self.buffer += data
        return bool(data)


def request(method="GET", path="/token", *fields, body=None, version="1.1"):
    lines = [f"{method} {path} HTTP/{version}", "Host: tokens.example", *fields]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


def ask(url, method="GET", path="/token", *fields, body=None):
    with Wire(url) as wire:
        wire.say(request(method, path, *fields, body=body))
        return wire.hear(bodiless=method == "HEAD")


def eventually(true, within=5.0):
    """Whether it becomes true."""
    end = time.monotonic() + within
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def tell(line):
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def stopped():
    tell("stopped")


if __name__ == "__main__":
    serve(
        front(stop=stopped),
        port=int(sys.argv[1]),
        drain=float(sys.argv[2]),
        ready=tell,
    )
