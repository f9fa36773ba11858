"""Somebody else's authorization server, where people agree in a browser: a real one, on loopback.

It does what RFC 6749, 7636, 7009 and 9207 say, with codes and refresh tokens that are good once,
and can be told to misbehave.
"""

import base64
import hashlib
import html
import json
import secrets
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.world import UPSTREAM_SECRET as SECRET

THEIRS = "UPSTREAMS-OWN-WORDS"
CLIENT = "tokenward-at-drive"


@dataclass
class Agreement:
    """What somebody agreed to over there."""

    account: str
    scope: str
    redirect_uri: str = ""
    challenge: str = ""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "_Server"

    def do_GET(self):
        with suppress(ConnectionError):
            self.server.drive.get(self)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        with suppress(ConnectionError):
            self.server.drive.post(self, dict(parse_qsl(body, keep_blank_values=True)))

    def say(self, status, body="", kind="application/json", **headers):
        data = body.encode()
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format, *args):
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    drive: "Drive"

    def handle_error(self, request, client_address):
        pass


@dataclass
class Drive:
    """The server; ``with`` it runs."""

    says_iss: bool = True
    gives: dict[str, object] = field(default_factory=dict)
    """Changes to every answer of the token endpoint; ``None`` leaves a member out."""

    broken: int = 0
    """A status that the token endpoint answers with instead."""

    away: bool = False
    """Whether nobody can learn where its endpoints are."""

    codes: dict[str, Agreement] = field(default_factory=dict)
    grants: dict[str, Agreement] = field(default_factory=dict)
    """By refresh token."""

    revoked: list[str] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    """Every form that came to the token endpoint."""

    shown: list[dict[str, str]] = field(default_factory=list)
    """Every question that came by way of a browser."""

    def __post_init__(self):
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.drive = self
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    # ── in the browser ──────────────────────────────────────────────────────────────────────────

    def get(self, handler):
        parts = urlsplit(handler.path)
        said = dict(parse_qsl(parts.query, keep_blank_values=True))
        if parts.path.startswith("/.well-known/"):
            handler.say(503 if self.away else 200, json.dumps(self.metadata()))
        elif parts.path == "/authorize":
            self.shown.append(said)
            fields = "".join(
                f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">'
                for name, value in said.items()
            )
            page = (
                '<!doctype html><html lang="en"><meta charset="utf-8"><title>Drive</title>'
                f'<link rel="icon" href="data:,"><h1>Drive</h1><form method="post">{fields}'
                '<button id="agree" name="answer" value="yes">Agree</button>'
                '<button id="refuse" name="answer" value="no">Refuse</button></form></html>'
            )
            handler.say(200, page, "text/html; charset=utf-8")
        else:
            handler.say(200, f"<!doctype html><title>{THEIRS}</title>", "text/html")

    def metadata(self):
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "revocation_endpoint": f"{self.url}/revoke",
            "authorization_response_iss_parameter_supported": self.says_iss,
        }

    def answered(self, url, *, account="ann", refuse=False, **changes):
        """Where a browser is sent back to whose person agrees, or does not, to what it asks."""
        said = dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
        back = {"state": said.get("state", "")}
        if self.says_iss:
            back["iss"] = self.url
        if refuse:
            back |= {"error": "access_denied", "error_description": THEIRS}
        else:
            code = back["code"] = secrets.token_urlsafe(16)
            self.codes[code] = Agreement(
                account, said.get("scope", ""), said["redirect_uri"], said["code_challenge"]
            )
        back |= changes
        query = urlencode({name: it for name, it in back.items() if it is not None})
        return f"{said['redirect_uri']}?{query}"

    # ── the server's own questions ──────────────────────────────────────────────────────────────

    def post(self, handler, form):
        path = urlsplit(handler.path).path
        if path == "/authorize":
            refuse = form.pop("answer") != "yes"
            where = self.answered("?" + urlencode(form), refuse=refuse)
            handler.say(303, "", "text/html", Location=where)
            return
        given = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if handler.headers.get("Authorization") != f"Basic {given}":
            handler.say(401, '{"error": "invalid_client"}')
        elif path == "/revoke":
            self.revoked.append(form["token"])
            self.grants.pop(form["token"], None)
            handler.say(200, "{}")
        elif self.broken:
            handler.say(self.broken, f"<html>{THEIRS}</html>", "text/html")
        else:
            self._token(handler, form)

    def _token(self, handler, form):
        self.asked.append(form)
        with self._lock:
            if form["grant_type"] == "authorization_code":
                agreed = self.codes.pop(form["code"], None)
                if agreed is not None and not proves(agreed, form):
                    agreed = None
            else:
                agreed = self.grants.pop(form["refresh_token"], None)
            if agreed is None:
                said = {"error": "invalid_grant", "error_description": THEIRS}
                handler.say(400, json.dumps(said))
                return
            lasting = secrets.token_urlsafe(16)
            self.grants[lasting] = agreed
        scope = form.get("scope", agreed.scope)
        said = {
            "access_token": f"{agreed.account}-{secrets.token_urlsafe(12)}",
            "token_type": "Bearer",
            "expires_in": 3600,
            "refresh_token": lasting,
            "scope": scope,
        } | self.gives
        kept = {name: it for name, it in said.items() if it is not None}
        handler.say(200, json.dumps(kept))


def proves(agreed, form):
    """Whether whoever shows a code is who asked for it (RFC 7636 §4.6)."""
    digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return challenge == agreed.challenge and form.get("redirect_uri") == agreed.redirect_uri
