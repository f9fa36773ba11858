"""No secret at all: a public client that only says its name (RFC 6749 §2.1).

What it says identifies it in rules and in the audit trail and proves nothing, so it can never use
the client credentials grant; the subject's proof has to carry the request.
"""

from dataclasses import dataclass
from typing import ClassVar, Self

from tokenward.oauth.presented import CERTIFICATE, NONE, Presented
from tokenward.server.assertions import Surroundings
from tokenward.server.model import Client


@dataclass(frozen=True, slots=True, kw_only=True)
class NoProof:
    """Settings of a public client: there are none."""

    methods: ClassVar[frozenset[str]] = frozenset({NONE, CERTIFICATE})
    name: ClassVar[str] = NONE

    def within(self, surroundings: Surroundings) -> Self:  # noqa: ARG002 - it needs nothing
        """Ready as it is."""
        return self

    async def authenticate(self, presented: Presented, client: Client) -> str:  # noqa: ARG002 - see above
        """The name is all there is."""
        return ""
