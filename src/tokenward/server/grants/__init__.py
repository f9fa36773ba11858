"""By what right?

A grant type turns what the caller presents into a grant. It does not check policy, narrow scopes,
choose tokens or write responses: those are everybody's steps and happen once, in ``issuance.py``.

To add one, write a file with a class that has ``name`` (the wire's ``grant_type``) and
``redeem``, and name it in ``server/plugins.py``.
"""

from typing import ClassVar, Protocol

from tokenward.oauth.messages import TokenRequest
from tokenward.server.model import Client, Grant


class GrantType(Protocol):
    """One value of ``grant_type`` (RFC 6749 §4)."""

    name: ClassVar[str]

    async def redeem(self, request: TokenRequest, client: Client) -> Grant:
        """What was presented, as a grant; raises ``OAuthError`` if it is worth nothing."""
        ...
