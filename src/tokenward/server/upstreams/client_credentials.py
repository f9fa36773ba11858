"""A token for our own client id and secret, which go to that server alone (RFC 6749 §4.4).

Whoever asks for the same scope shares the token: it speaks of us, not of them.
"""

import re
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Literal

from tokenward.client.credentials import Credentials
from tokenward.client.flows import TokenEndpoint
from tokenward.oauth.messages import AccessToken
from tokenward.oauth.presented import BASIC, POST
from tokenward.remote.discovery import check_url
from tokenward.remote.fetch import RemoteError
from tokenward.remote.flow import Flow
from tokenward.server.model import Authorization

REMEMBERED = 3_600.0
"""Seconds for which a discovered endpoint is not looked up again."""

_CONTROL = re.compile(r"[\x00-\x1F\x7F]")
# RFC 3986 §4.3: absolute-URI = scheme ":" hier-part [ "?" query ]
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[\x21\x22\x24-\x7E]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCredentials:
    """``[tokens.<name>] upstream = "client_credentials"``; raises ``ValueError`` for nonsense."""

    issuer: str = ""
    """Where to discover the token endpoint: this or ``token_endpoint``, not both."""

    token_endpoint: str = ""
    """Its token endpoint, where it has no metadata."""

    client_id: str
    """Who we are there."""

    client_secret: str = field(repr=False)
    """Our secret there, as ``"${NAME}"``."""

    auth: Literal["client_secret_basic", "client_secret_post"] = "client_secret_basic"
    """``client_secret_basic``, or ``client_secret_post`` for servers that want it in the form."""

    audience: str = ""
    """The API meant, for servers that want it named in this parameter."""

    resource: str = ""
    """The API meant, as RFC 8707 §2 has it: an absolute URI."""

    _found: dict[str, tuple[float, TokenEndpoint]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if bool(self.issuer) == bool(self.token_endpoint):
            raise ValueError("exactly one of issuer and token_endpoint is needed")
        try:
            parts = check_url(self.issuer or self.token_endpoint)
        except ValueError as fault:
            name = "issuer" if self.issuer else "token_endpoint"
            raise ValueError(f"{name} {fault}") from None
        if self.issuer and parts.query:
            raise ValueError("issuer must have no query")
        if self.auth not in (BASIC, POST):  # what comes from a file has no type yet
            raise ValueError(f"auth must be {BASIC} or {POST}")
        if _CONTROL.search(self.audience):
            raise ValueError("audience contains a line break or another control character")
        if self.resource and not _ABSOLUTE.fullmatch(self.resource):
            raise ValueError("resource must be an absolute URI without a fragment")
        self._endpoint()

    def flow(self, authorization: Authorization, *, now: float) -> Flow[AccessToken]:
        """Ask for a token, and before that, once an hour, where to ask."""
        here = self._remembered(now)
        if here is None:
            here = yield from self._endpoint().located()
            self._found[self.issuer] = now, here
        try:
            return (
                yield from here.client_credentials(
                    authorization.scope, audience=self.audience, resource=self.resource, now=now
                )
            )
        except RemoteError as fault:
            if not (fault.transient or fault.code):
                self._found.clear()  # that was no token endpoint: perhaps it moved
            raise

    def shared_by(self, authorization: Authorization) -> Hashable:
        """The scope, to the letter; nothing else of a request reaches the upstream."""
        return authorization.scope.tokens

    def _endpoint(self) -> TokenEndpoint:
        us = Credentials(
            client_id=self.client_id, client_secret=self.client_secret, method=self.auth
        )
        return TokenEndpoint(url=self.token_endpoint, issuer=self.issuer, credentials=us)

    def _remembered(self, now: float) -> TokenEndpoint | None:
        at, here = self._found.get(self.issuer, (0.0, None))
        return here if at <= now < at + REMEMBERED else None
