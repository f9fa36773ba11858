"""An assertion as a grant: a signed statement of an issuer we trust (RFC 7523 §2.1)."""

from dataclasses import dataclass
from typing import ClassVar

from tokenward.oauth.errors import InvalidGrant
from tokenward.oauth.messages import JWT_BEARER, TokenRequest
from tokenward.server.grants import granted
from tokenward.server.model import NOTHING_SHOWN, Client, Grant, Shown
from tokenward.server.proofs import NOT_VOUCHED_FOR
from tokenward.server.subjects import Subjects

DOTS = 2
"""In a JWT that is signed (RFC 7515 §3.1)."""


@dataclass(frozen=True, slots=True)
class JwtBearer:
    """The elder sister of token exchange: one token, no actor, no type to name."""

    subjects: Subjects
    forwards: bool = False
    """Whether some upstream wants to see what was shown."""

    name: ClassVar[str] = JWT_BEARER

    async def redeem(self, request: TokenRequest, client: Client) -> Grant:
        """The right of whom the assertion speaks of; client authentication is optional (§3.1)."""
        assertion = request.require("assertion")
        if assertion.count(".") != DOTS:  # §3: MUST be a JWT, and other proofs know other tokens
            raise InvalidGrant(NOT_VOUCHED_FOR, detail="the assertion is no JWT")
        caller = await self.subjects.prove(assertion, issuer=request.issuer, client=client.id)
        shown = Shown(assertion) if self.forwards and caller.onward else NOTHING_SHOWN
        return granted(request, client, caller, shown=shown)
