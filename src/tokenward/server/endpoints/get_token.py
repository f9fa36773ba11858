"""GET /getToken: token exchange (RFC 8693) for those in a hurry.

The caller's own bearer token is the subject token or, where none came, the certificate shown when
the connection began. The answer is text that is ready to be an Authorization header:
``Bearer eyJ…``. The iTwin mobile clients cut off the first seven characters or take the second
word, whatever the status: this is the contract, not a taste.
"""

from dataclasses import dataclass
from typing import ClassVar

from tokenward.oauth import forms
from tokenward.oauth.errors import InvalidRequest, OAuthError
from tokenward.oauth.messages import JWT, MTLS, TOKEN_EXCHANGE, TokenRequest
from tokenward.server.audit import Audit
from tokenward.server.certificates import thumbprint
from tokenward.server.endpoints import REGISTERED, errors
from tokenward.server.http import NO_STORE, TEXT, Answer, Received
from tokenward.server.issuance import Issuance
from tokenward.verifier.bearer import Refusal, credentials

HEADERS = (TEXT, *NO_STORE)
MAY_SAY = frozenset({"audience", "resource", "scope"})


@dataclass(frozen=True, slots=True, kw_only=True)
class GetTokenEndpoint:
    """One for the whole origin."""

    issuance: Issuance
    audit: Audit
    methods: ClassVar[frozenset[str]] = frozenset({"GET"})
    cors: ClassVar[str] = REGISTERED

    async def answer(self, received: Received) -> Answer:
        """``Bearer <token>``, or 400, 401, 403 or 503 with text that is no token."""
        shown = [it for name, it in received.headers if name == b"authorization"]
        bearer = credentials(shown)
        by_certificate = not shown and bool(received.certificate)
        try:
            async with self.audit.event("getToken", received) as event:
                if by_certificate:
                    request = holder(received.certificate, received.query)
                elif isinstance(bearer, Refusal):
                    raise InvalidRequest(bearer.description)
                else:
                    request = exchange(bearer, received.query)
                response = await self.issuance.issue(request, event)
        except OAuthError as exc:
            return errors.text(exc, presented=by_certificate or isinstance(bearer, str))
        token = response.access_token
        return Answer(200, HEADERS, f"{token.token_type} {token.value}".encode())


def exchange(bearer: str, query: bytes) -> TokenRequest:
    """The exchange that is meant: the bearer is the subject, the query says what for."""
    meant = {
        "grant_type": TOKEN_EXCHANGE,
        "subject_token": bearer,
        "subject_token_type": JWT,
    }
    if not query:
        return TokenRequest(TOKEN_EXCHANGE, meant)
    asked = [(name, value) for name, value in forms.parse(query) if name in MAY_SAY]
    return TokenRequest.parse([*meant.items(), *asked])


def holder(certificate: str, query: bytes) -> TokenRequest:
    """The exchange that is meant where no bearer came: the certificate shown is the subject."""
    meant = {
        "grant_type": TOKEN_EXCHANGE,
        "subject_token": thumbprint(certificate),
        "subject_token_type": MTLS,
    }
    asked = [(name, value) for name, value in forms.parse(query) if name in MAY_SAY]
    return TokenRequest.parse([*meant.items(), *asked], certificate=certificate)
