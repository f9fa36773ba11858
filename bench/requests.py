"""Requests as they are on the wire, whole: made once, sent many times."""

import json
from base64 import b64encode
from collections.abc import Mapping
from urllib.parse import urlencode

HANDLE = 43
"""Characters of a refresh token: ours and oidc-provider's have 32 bytes in base64url."""


def basic(name: str, secret: str) -> str:
    """A header field with HTTP Basic credentials."""
    return f"Authorization: Basic {b64encode(f'{name}:{secret}'.encode()).decode()}\r\n"


def post(path: str, form: Mapping[str, str], *fields: str, plain: str = "") -> bytes:
    """A whole request on the wire. ``plain`` is left as it is, for others to fill in: what comes
    there has 43 characters."""
    body = urlencode(form, safe=plain)
    head = "Host: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    more = HANDLE - len(plain) if plain else 0
    length = f"Content-Length: {len(body) + more}\r\n\r\n"
    return "".join([f"POST {path} HTTP/1.1\r\n", head, *fields, length, body]).encode()


def get(path: str, *fields: str) -> bytes:
    """A whole request on the wire."""
    return "".join([f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n", *fields, "\r\n"]).encode()


def bearer(token: str) -> str:
    """A header field with a bearer token."""
    return f"Authorization: Bearer {token}\r\n"


def access_token(body: bytes) -> str:
    """The token in an answer."""
    return str(json.loads(body)["access_token"])
