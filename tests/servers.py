"""An issuer to break: a real HTTP server on loopback with metadata, a JWKS, and bad habits."""

import gzip
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import anyio

from tokenward.jose.keys import SigningKey

OPENID = "/.well-known/openid-configuration"
OAUTH = "/.well-known/oauth-authorization-server"
JWKS = "/jwks"

SECRET_TEXT = "upstream-secret-7f3a"
"""Stands in every broken answer; it must never be seen again on our side."""


BOMB = gzip.compress(b" " * 20_000_000, 1)


class Issuer:
    """Keys, claims and a server that publishes them, well or badly.

    ``behaviour`` maps a path, or ``"*"``, to the name of a bad habit: one of the ``_bad_…``
    methods below or an HTTP status as a string.
    """

    def __init__(
        self, *keys: SigningKey, tls: ssl.SSLContext | None = None, path: str = ""
    ) -> None:
        self.keys = list(keys)
        self.entries: list[object] = []
        """What else stands in the JWKS."""

        self.metadata: dict[str, object] = {}
        """What the metadata says besides or instead."""

        self.places = {OPENID}
        """Where metadata is published; paths may hold ``{path}``."""

        self.headers: dict[str, str] = {}
        self.behaviour: dict[str, str] = {}
        self.asked: list[str] = []
        self.seen: list[dict[str, str]] = []
        self.let_go = threading.Event()
        """Set it and whatever hangs answers."""

        issuer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                with suppress(OSError):
                    issuer._answer(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

            def handle_error(self, request: object, client_address: object) -> None:
                pass  # those who hang up are part of the exercise

        self._server = Server(("127.0.0.1", 0), Handler)
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        scheme = "https" if tls else "http"
        self.origin = f"{scheme}://127.0.0.1:{self._server.server_port}"
        self.url = self.origin + path

    @contextmanager
    def serving(self) -> Iterator["Issuer"]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.let_go.set()
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def claims(self, **more: object) -> dict[str, object]:
        now = int(time.time())
        return {
            "iss": self.url,
            "aud": "api",
            "sub": "user|1",
            "iat": now,
            "exp": now + 600,
            "scope": "read write",
        } | more

    def token(self, *, key: SigningKey | None = None, typ: str = "at+jwt", **more: object) -> str:
        claims = {name: it for name, it in self.claims(**more).items() if it is not ...}
        return (key or self.keys[0]).sign(claims, typ=typ)

    def count(self, path: str = JWKS) -> int:
        """How often the path was asked for."""
        return self.asked.count(path)

    @property
    def jwks_uri(self) -> str:
        return self.origin + JWKS

    def jwks(self) -> dict[str, object]:
        return {"keys": [*(key.public_jwk() for key in self.keys), *self.entries]}

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = urlsplit(handler.path).path
        self.asked.append(path)
        self.seen.append({name.lower(): it for name, it in handler.headers.items()})
        habit = self.behaviour.get(path, self.behaviour.get("*", ""))
        if habit.isdigit():
            body = b"" if habit == "204" else f"<html>{SECRET_TEXT}</html>".encode()
            self._send(handler, body, status=int(habit), type="text/html")
        elif habit:
            getattr(self, f"_bad_{habit}")(handler)
        else:
            self._good(handler, path)

    def _good(self, handler: BaseHTTPRequestHandler, path: str) -> None:
        if path == JWKS:
            self._send(handler, json.dumps(self.jwks()).encode())
        elif path in self.places:
            metadata = {
                "issuer": self.url,
                "jwks_uri": self.jwks_uri,
                "token_endpoint": f"{self.origin}/token",
            } | self.metadata
            self._send(handler, json.dumps(metadata).encode())
        else:
            self._send(handler, b"not here", status=404, type="text/plain")

    def _send(
        self,
        handler: BaseHTTPRequestHandler,
        body: bytes,
        *,
        status: int = 200,
        type: str = "application/json",
        **headers: str,
    ) -> None:
        handler.send_response(status)
        for name, value in (
            {"Content-Type": type, "Content-Length": str(len(body))}
            | {name.replace("_", "-"): value for name, value in headers.items()}
            | self.headers
        ).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    # ── bad habits ──

    def _bad_html(self, handler: BaseHTTPRequestHandler) -> None:
        self._send(handler, f"<html>{SECRET_TEXT}</html>".encode(), type="text/html")

    def _bad_empty(self, handler: BaseHTTPRequestHandler) -> None:
        self._send(handler, b"")

    def _bad_no_keys(self, handler: BaseHTTPRequestHandler) -> None:
        self._send(handler, b'{"keys":[]}')

    def _bad_list(self, handler: BaseHTTPRequestHandler) -> None:
        self._send(handler, b"[]")

    def _bad_garbage(self, handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"\x00\xff" * 500 + SECRET_TEXT.encode() + b"\r\n\r\n")
        handler.close_connection = True

    def _bad_hang(self, handler: BaseHTTPRequestHandler) -> None:
        self.let_go.wait(30)
        self._good(handler, urlsplit(handler.path).path)

    def _bad_cut(self, handler: BaseHTTPRequestHandler) -> None:
        self._send(handler, b'{"keys":', Content_Length="5000")
        handler.close_connection = True

    def _bad_hang_up(self, handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True

    def _bad_drip(self, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        self._drip(handler, b" ")

    def _bad_drip_head(self, handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        self._drip(handler, b"x")

    def _drip(self, handler: BaseHTTPRequestHandler, drop: bytes) -> None:
        while not self.let_go.wait(0.02):
            handler.wfile.write(drop)
            handler.wfile.flush()
        handler.close_connection = True

    def _bad_huge(self, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(200_000_000))
        handler.end_headers()
        for _ in range(200):
            handler.wfile.write(b" " * 1_000_000)

    def _bad_bomb(self, handler: BaseHTTPRequestHandler) -> None:
        self._send(handler, BOMB, Content_Encoding="gzip")

    def _bad_packed(self, handler: BaseHTTPRequestHandler) -> None:
        body = gzip.compress(json.dumps(self.jwks()).encode())
        self._send(handler, body, Content_Encoding="gzip")

    def _bad_encoded(self, handler: BaseHTTPRequestHandler) -> None:
        self._send(handler, b"\x1b\x00", Content_Encoding="br")

    def _bad_mispacked(self, handler: BaseHTTPRequestHandler) -> None:
        self._send(handler, SECRET_TEXT.encode(), Content_Encoding="gzip")

    def _bad_redirect(self, handler: BaseHTTPRequestHandler) -> None:
        self._send(handler, b"", status=302, Location=f"{self.origin}/stolen")

    def _bad_other_issuer(self, handler: BaseHTTPRequestHandler) -> None:
        metadata = {"issuer": "https://other.example", "jwks_uri": self.jwks_uri}
        self._send(handler, json.dumps(metadata).encode())

    def _bad_cookies(self, handler: BaseHTTPRequestHandler) -> None:
        self._send(handler, json.dumps(self.jwks()).encode(), Set_Cookie="track=me; Path=/")


async def until(condition: Callable[[], object]) -> None:
    """Wait for something another thread does."""
    while not condition():  # noqa: ASYNC110 - there is nobody who could set an event
        await anyio.sleep(0.005)


def until_now(condition: Callable[[], object]) -> None:
    while not condition():
        time.sleep(0.005)


class Hands:
    """A clock whose hands the test moves."""

    def __init__(self, now: float | None = None) -> None:
        self.now = time.time() if now is None else now

    def __call__(self) -> float:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += seconds
