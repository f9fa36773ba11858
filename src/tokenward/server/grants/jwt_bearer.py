"""An assertion as a grant: a signed statement of an issuer we trust (RFC 7523 §2.1)."""

from dataclasses import dataclass
from typing import ClassVar

from tokenward.oauth.messages import JWT_BEARER, TokenRequest
from tokenward.server.grants import granted
from tokenward.server.model import Client, Grant
from tokenward.server.subjects import Subjects


@dataclass(frozen=True, slots=True)
class JwtBearer:
    """The elder sister of token exchange: one token, no actor, no type to name."""

    subjects: Subjects
    name: ClassVar[str] = JWT_BEARER

    async def redeem(self, request: TokenRequest, client: Client) -> Grant:
        """The right of whom the assertion speaks of; client authentication is optional (§3.1)."""
        caller = await self.subjects.prove(request.require("assertion"))
        return granted(request, client, caller)
