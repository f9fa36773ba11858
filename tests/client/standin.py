"""Real HTTP servers on loopback that play a token endpoint, an API, or something broken."""

import json
import socket
import ssl
import threading
from base64 import b64decode
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, unquote_plus

TLS = ssl.create_default_context()
"""For the clients of all tests: reading certificates takes longer than everything else here."""


@dataclass
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name, value in parse_qsl(self.body.decode(), keep_blank_values=True):
            found.setdefault(name, []).append(value)
        return found

    @property
    def basic(self) -> tuple[str, str]:
        """The credentials, decoded as RFC 6749 §2.3.1 says."""
        scheme, _, encoded = self.headers.get("authorization", "").partition(" ")
        assert scheme == "Basic"
        id, _, secret = b64decode(encoded, validate=True).decode().partition(":")
        return unquote_plus(id), unquote_plus(secret)


@dataclass
class Reply:
    """One answer; a body that is neither text nor JSON is sent piece by piece until we hang up."""

    status: int = 200
    body: Any = ""
    headers: dict[str, str] = field(default_factory=dict)


HANG_UP = Reply(status=0)

Route = Reply | Callable[[Asked], Reply]


class Standin:
    """A server with routes by path that remembers what it was asked."""

    def __init__(self, routes: dict[str, Route] | None = None) -> None:
        self.routes = routes or {}
        self.asked: list[Asked] = []
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.standin = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def paths(self) -> list[str]:
        return [asked.path for asked in self.asked]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Issuer(Standin):
    """An authorization server in the shape of Bentley IMS: discovery, /connect/token, Basic."""

    def __init__(self, client_id: str = "service-x", client_secret: str = "s3cr3t") -> None:
        super().__init__(
            {
                "/.well-known/openid-configuration": lambda _: Reply(body=self.metadata()),
                "/connect/token": self.token,
            }
        )
        self.client = (client_id, client_secret)
        self.expires_in: object = 3600
        self.gate = threading.Event()
        self.gate.set()
        self.answers: list[Reply] = []
        """What the token endpoint says before it is willing again."""

    @property
    def token_url(self) -> str:
        return f"{self.url}/connect/token"

    @property
    def questions(self) -> list[Asked]:
        return [asked for asked in self.asked if asked.path == "/connect/token"]

    def metadata(self) -> dict[str, object]:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/connect/authorize",
            "token_endpoint": self.token_url,
            "jwks_uri": f"{self.url}/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    def token(self, asked: Asked) -> Reply:
        number = len(self.questions)
        assert self.gate.wait(20)
        if self.answers:
            return self.answers.pop(0)
        if "authorization" in asked.headers and asked.basic != self.client:
            return Reply(401, {"error": "invalid_client", "error_description": "Who are you?"})
        return Reply(body=granted(f"token-{number}", expires_in=self.expires_in))


class Api(Standin):
    """An API that answers whoever bears an accepted token, and says what it got."""

    def __init__(self, accepts: Callable[[str], bool] = lambda _: True) -> None:
        super().__init__()
        self.accepts = accepts
        self.routes = {"*": self.answer}

    def answer(self, asked: Asked) -> Reply:
        scheme, _, token = asked.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not self.accepts(token):
            return Reply(401, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})
        return Reply(body={"token": token, "body": asked.body.decode()})

    @property
    def tokens(self) -> list[str]:
        return [asked.headers.get("authorization", "") for asked in self.asked]


def granted(value: str = "token", **more: object) -> dict[str, object]:
    return {"access_token": value, "token_type": "Bearer", **more}


def endless() -> Iterable[bytes]:
    while True:
        yield b" " * 65_536


class _Server(ThreadingHTTPServer):
    request_queue_size = 512
    daemon_threads = True
    standin: Standin

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients may hang up whenever they like."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _serve(self) -> None:
        asked = Asked(
            self.command,
            self.path,
            {name.lower(): value for name, value in self.headers.items()},
            self._body(),
        )
        standin = self.server.standin
        standin.asked.append(asked)
        path = self.path.partition("?")[0]
        route = standin.routes.get(path) or standin.routes.get("*") or Reply(404)
        reply = route if isinstance(route, Reply) else route(asked)
        if reply is HANG_UP:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        else:
            self._reply(reply)

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _reply(self, reply: Reply) -> None:
        headers, body = dict(reply.headers), reply.body
        if isinstance(body, (dict, list)):
            headers.setdefault("Content-Type", "application/json")
            body = json.dumps(body)
        if isinstance(body, str):
            body = body.encode()
        if isinstance(body, bytes):
            headers["Content-Length"] = str(len(body))
            body = [body]
        else:
            headers["Connection"] = "close"
        self.send_response(reply.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        for piece in body:
            self.wfile.write(piece)

    def log_message(self, format: str, *args: object) -> None:
        """Be quiet."""
