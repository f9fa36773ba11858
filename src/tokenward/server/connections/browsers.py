"""Which browser is it? A cookie that no page can read or send says so, for as long as it takes.

Law of this module: what was begun in one browser ends there. A page elsewhere can send a browser
here, but neither click in its name nor end for it what it has begun.
"""

import re
import secrets
from dataclasses import dataclass, field
from hashlib import sha256

from tokenward.server.http import Received
from tokenward.server.seal import Seal

_VALUE = re.compile(r"[A-Za-z0-9_-]{43}")

_LONGEST = 3_600
"""Seconds that a browser keeps it: longer than anything that is begun lives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Browsers:
    """Recognises them."""

    seal: Seal = field(repr=False)
    https: bool

    @property
    def name(self) -> str:
        """What the cookie is called: with https nobody but this very host can set it
        (RFC 6265bis §4.1.3.2)."""
        return "__Host-tokenward-connect" if self.https else "tokenward-connect"

    def known(self, received: Received) -> str:
        """What the browser shows, ``""`` if it is nothing of ours."""
        found = [
            value.strip('"')
            for header, line in received.headers
            if header == b"cookie"
            for pair in line.decode("latin-1").split(";")
            for name, _, value in [pair.strip(" \t").partition("=")]
            if name == self.name
        ]
        # Two of one name were not both set by us, and nobody knows which one was.
        return found[0] if len(found) == 1 and _VALUE.fullmatch(found[0]) else ""

    def new(self) -> str:
        """What a browser is to show from now on."""
        return secrets.token_urlsafe(32)

    def cookie(self, value: str) -> tuple[bytes, bytes]:
        """The header by which it is told (RFC 6265 §4.1)."""
        said = f"{self.name}={value}; Path=/; Max-Age={_LONGEST}; HttpOnly; SameSite=Lax"
        return b"set-cookie", (said + ("; Secure" if self.https else "")).encode()

    def mark(self, browser: str, link: str) -> str:
        """What a page of ours shows with the click, and no other page knows."""
        return self.seal.mark(_marked(browser, link))

    def is_ours(self, received: Received, browser: str, link: str, mark: str) -> bool:
        """Whether this click was made on the page that was shown to this browser."""
        # Where browsers say where a request comes from (Fetch Metadata), they know best.
        site = received.header(b"sec-fetch-site")
        if site not in ("", "same-origin") or not browser:
            return False
        return self.seal.has_marked(_marked(browser, link), mark)


def digest(browser: str) -> str:
    """What a browser is called where its cookie must not stand."""
    return sha256(browser.encode()).hexdigest()


def _marked(browser: str, link: str) -> bytes:
    return b"tokenward: a click\0" + browser.encode() + b"\0" + link.encode()
