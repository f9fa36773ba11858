"""The authorization endpoint (RFC 6749 §3.1): nobody can sign in here yet, and it says so.

It never redirects: no redirect URI has been validated.
"""

from dataclasses import dataclass
from typing import ClassVar

from tokenward.server.endpoints import NEVER
from tokenward.server.http import NO_STORE, Answer, Received

PAGE = b"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>Error</title>
<h1>Signing in is not possible here</h1>
<p>This server hands out tokens to programs and for tokens of issuers that it trusts. It does not
sign people in. If an application sent you here, tell its developer that it should use the client
credentials or the token exchange grant.</p>
</html>
"""
HEADERS = ((b"content-type", b"text/html; charset=utf-8"), *NO_STORE)


@dataclass(frozen=True, slots=True)
class AuthorizationEndpoint:
    """The same page for everybody."""

    methods: ClassVar[frozenset[str]] = frozenset({"GET", "POST"})
    cors: ClassVar[str] = NEVER

    async def answer(self, received: Received) -> Answer:  # noqa: ARG002
        """An error page: 501, because it is us and not the request."""
        return Answer(501, HEADERS, PAGE)
