"""Somebody else's authorization server, a real one on loopback, that can be told to misbehave."""

import json
import ssl
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qsl

THEIRS = "UPSTREAMS-OWN-WORDS"
"""Is in everything a misbehaving upstream says, and must be in nothing that we say."""


@dataclass(frozen=True)
class Question:
    path: str
    headers: dict[str, str]
    fields: list[tuple[str, str]]
    body: str = ""
    certificate: dict[str, object] | None = None
    """What whoever asked showed, over TLS that wants to see something."""

    @property
    def form(self) -> dict[str, str]:
        form = dict(self.fields)
        assert len(form) == len(self.fields), "no parameter is sent twice"
        return form


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "_Server"

    def do_GET(self):
        self._take(b"")

    def do_POST(self):
        self._take(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _take(self, body):
        upstream = self.server.upstream
        headers = {name.lower(): value for name, value in self.headers.items()}
        text, shown = body.decode(), getattr(self.connection, "getpeercert", dict)()
        fields = parse_qsl(text, keep_blank_values=True)
        question = Question(self.path, headers, fields, text, shown or None)
        behaviour = upstream.take(question)
        with suppress(ConnectionError):
            behaviour(self)

    def say(self, status, body=b"", reason=None, **headers):
        self.send_response(status, reason)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        pass


Behaviour = Callable[[Handler], None]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    upstream: "Upstream"

    def handle_error(self, request, client_address):
        pass  # whoever hung up was meant to


class Upstream:
    """Gives every question the next of ``answers``, or else ``always``; remembers them all."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.always: Behaviour = token()
        self.answers: deque[Behaviour] = deque()
        self.questions: list[Question] = []
        self.lookups: list[Question] = []
        self.metadata: dict[str, object] = {}
        self.closing = threading.Event()
        self.given = 0
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.upstream = self
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_address[1]}"
        self.token_endpoint = f"{self.url}/connect/token"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def take(self, question: Question) -> Behaviour:
        with self._lock:
            if question.path.startswith("/.well-known/"):
                self.lookups.append(question)
                found = {"issuer": self.url, "token_endpoint": self.token_endpoint}
                return says(
                    200, json.dumps({**found, **self.metadata}), Content_Type="application/json"
                )
            self.questions.append(question)
            return self.answers.popleft() if self.answers else self.always

    def next_token(self) -> str:
        with self._lock:
            self.given += 1
            return f"theirs-{self.given}"


def token(*, wait: float = 0.0, **changes: object) -> Behaviour:
    """A good answer, with a new token each time; a change to ``None`` leaves the member out."""

    def behave(handler: Handler) -> None:
        upstream = handler.server.upstream
        upstream.closing.wait(wait)
        answer = {
            "access_token": upstream.next_token(),
            "token_type": "Bearer",
            "expires_in": 3600,
            **changes,
        }
        body = json.dumps({name: value for name, value in answer.items() if value is not None})
        handler.say(200, body.encode(), Content_Type="application/json")

    return behave


def says(status: int, body: str = "", reason: str | None = None, **headers: str) -> Behaviour:
    """Exactly that."""
    return lambda handler: handler.say(status, body.encode(), reason, **headers)


def endless(handler: Handler) -> None:
    """A body that does not end."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.end_headers()
    handler.close_connection = True
    while not handler.server.upstream.closing.is_set():
        handler.wfile.write(THEIRS.encode() * 1_000)


def silent(handler: Handler) -> None:
    """Nothing at all, for as long as anybody listens."""
    handler.server.upstream.closing.wait(30)
    handler.close_connection = True


def dripping(handler: Handler) -> None:
    """A byte now and then: never so late that a read would time out."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    while not handler.server.upstream.closing.wait(0.05):
        handler.wfile.write(b" ")


def hangs_up(handler: Handler) -> None:
    """Closes the connection instead of an answer."""
    handler.close_connection = True


def not_http(handler: Handler) -> None:
    """Something else than HTTP."""
    handler.wfile.write(f"{THEIRS}\r\n\r\n".encode())
    handler.close_connection = True
