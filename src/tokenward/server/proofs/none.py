"""No secret at all: a public client that only says its name (RFC 6749 §2.1).

What it says identifies it in rules and in the audit trail and proves nothing, so it can never use
the client credentials grant; the subject's proof has to carry the request.
"""

from dataclasses import dataclass
from typing import ClassVar

from tokenward.oauth.presented import NONE, Presented
from tokenward.server.model import Client


@dataclass(frozen=True, slots=True, kw_only=True)
class NoProof:
    """Settings of a public client: there are none."""

    methods: ClassVar[frozenset[str]] = frozenset({NONE})

    async def authenticate(self, presented: Presented, client: Client) -> None:
        """The name is all there is."""
