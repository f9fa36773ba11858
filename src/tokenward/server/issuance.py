"""The spine: every token this server hands out comes through here.

    TokenRequest -> Grant -> Authorization -> AccessToken

Law of this module: it knows what each step is for, and nothing about how it is done.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from tokenward.jose.identity import PublicKey
from tokenward.oauth.errors import (
    InvalidClient,
    InvalidRequest,
    InvalidTarget,
    UnauthorizedClient,
    UnsupportedGrantType,
)
from tokenward.oauth.messages import (
    ACCESS_TOKEN,
    TOKEN_EXCHANGE,
    AccessToken,
    TokenRequest,
    TokenResponse,
)
from tokenward.server.audit import Event
from tokenward.server.grants import GrantType
from tokenward.server.model import Authorization, Client, Grant
from tokenward.server.policy import Policy
from tokenward.server.registry import Registry


class Source(Protocol):
    """Where a token comes from: our own mint, or a broker of other people's."""

    async def issue(self, authorization: Authorization) -> AccessToken:
        """The token authorized, or one that may do less; raises ``OAuthError``."""
        ...


class Challenge(NamedTuple):
    """What an upstream wants to see signed, and by which name the answer is to say so."""

    session: str
    challenge: bytes
    seconds: int


@runtime_checkable
class Asks(Protocol):
    """A source whose upstream asks whoever the token is for."""

    async def challenge(self, authorization: Authorization, key: PublicKey) -> Challenge:
        """Its question to this key; raises ``OAuthError``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuance:
    """The steps from a request to a token, in order."""

    registry: Registry
    grant_types: Mapping[str, GrantType]
    policy: Policy
    sources: Mapping[str, Source]
    """By the name of the token."""

    async def issue(self, request: TokenRequest, event: Event) -> TokenResponse:
        """Hand out a token, or say why not by raising an ``OAuthError``."""
        authorization = await self.authorize(request, event)
        token = await self.sources[authorization.token].issue(authorization)
        response = TokenResponse(token, self.issued_type(request, token))
        event.issued(token)
        return response

    async def challenge(self, request: TokenRequest, event: Event, key: PublicKey) -> Challenge:
        """What is to be signed with this key before that token is given; raises ``OAuthError``."""
        authorization = await self.authorize(request, event)
        source = self.sources[authorization.token]
        if not isinstance(source, Asks):
            raise InvalidTarget("this token is given without an answer to a challenge")
        return await source.challenge(authorization, key)

    async def authorize(self, request: TokenRequest, event: Event) -> Authorization:
        """Who asks, by which right, and may they? Raises ``OAuthError``."""
        event.request = request
        grant = await self.redeem(request, event)
        authorization = event.authorization = self.policy.decide(grant)
        return authorization

    async def redeem(self, request: TokenRequest, event: Event) -> Grant:
        """Who asks, and by which right; raises ``OAuthError`` if by none."""
        address = event.received.address
        client, event.proved = await self.registry.authenticate(request.presented, address)
        event.client = client
        self.registry.limits.mind_client(client, address)
        grant_type = self.grant_type(request.grant_type, client)
        grant = event.grant = await grant_type.redeem(request, client)
        self.registry.limits.mind_caller(grant.caller, client)
        return grant

    def grant_type(self, name: str, client: Client) -> GrantType:
        """The grant type, if this client may use it (RFC 6749 §5.2)."""
        if name not in self.grant_types:
            raise UnsupportedGrantType(detail=f"asked for {name[:80]!r}")
        if name not in client.grant_types:
            if not client:
                raise InvalidClient("this grant type needs client authentication")
            raise UnauthorizedClient(detail=f"client {client.id!r} may use {client.grant_types}")
        return self.grant_types[name]

    def issued_type(self, request: TokenRequest, token: AccessToken) -> str:
        """What an exchange answers about what it gives (RFC 8693 §2.2.1); others say nothing."""
        if request.grant_type != TOKEN_EXCHANGE:
            return ""
        wanted = request.get("requested_token_type") or ACCESS_TOKEN
        if wanted not in token.types:
            raise InvalidRequest("requested_token_type: this token cannot be had in that form")
        return wanted
