"""POST /token (RFC 6749 §3.2): every grant, at one issuer."""

from dataclasses import dataclass
from typing import ClassVar

import orjson

from tokenward.clock import Clock
from tokenward.oauth import forms
from tokenward.oauth.errors import InvalidRequest, OAuthError
from tokenward.oauth.messages import TokenRequest
from tokenward.server.audit import Audit
from tokenward.server.endpoints import REGISTERED
from tokenward.server.http import JSON, NO_STORE, Answer, Received
from tokenward.server.issuance import Issuance
from tokenward.server.profiles import Profile

HEADERS = (JSON, *NO_STORE)
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenEndpoint:
    """The token endpoint of one issuer."""

    issuer: str
    """Its name."""

    profile: Profile
    issuance: Issuance
    audit: Audit
    clock: Clock
    methods: ClassVar[frozenset[str]] = frozenset({"POST"})
    cors: ClassVar[str] = REGISTERED

    async def answer(self, received: Received) -> Answer:
        """A token response, or an error in the issuer's dialect (RFC 6749 §5)."""
        try:
            async with self.audit.event("token", received) as event:
                request = TokenRequest.parse(
                    form(received),
                    authorization=received.header(b"authorization"),
                    certificate=received.certificate,
                    issuer=self.issuer,
                )
                response = await self.issuance.issue(request, event)
        except OAuthError as exc:
            raise self.profile.spoken(exc) from None
        return Answer(200, HEADERS, orjson.dumps(response.to_json(self.clock())))


def form(received: Received) -> forms.Form:
    """The form in the body; parameters in the URL are refused (RFC 6749 §3.2, §2.3.1)."""
    if received.query:
        raise InvalidRequest("parameters belong into the body, not into the URL")
    kind = received.header(b"content-type")
    if kind != FORM and kind.partition(";")[0].strip().lower() != FORM:
        raise InvalidRequest(f"the body must be {FORM}")
    return forms.parse(received.body)
