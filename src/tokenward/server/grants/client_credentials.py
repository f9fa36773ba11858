"""Client credentials: a client asks for itself (RFC 6749 §4.4)."""

from dataclasses import dataclass
from typing import ClassVar

from tokenward.oauth.errors import InvalidClient
from tokenward.oauth.messages import CLIENT_CREDENTIALS, TokenRequest
from tokenward.server.grants import granted
from tokenward.server.model import Client, Grant


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """Only for clients that can prove who they are."""

    name: ClassVar[str] = CLIENT_CREDENTIALS

    async def redeem(self, request: TokenRequest, client: Client) -> Grant:
        """The client's own right; its authentication is the grant."""
        if not client.id or client.public:
            raise InvalidClient("this grant type needs client authentication")
        return granted(request, client, client.as_caller())
