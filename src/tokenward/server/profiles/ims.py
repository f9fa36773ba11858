"""Tokens as Bentley's IMS and IdentityServer make them, for iTwin's own clients.

Their introspection client accepts nothing but an array in ``scope``, and IdentityServer's services
have no ``sub``: only people do.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from tokenward.oauth.errors import OAuthError
from tokenward.server.model import Authorization
from tokenward.server.profiles import AUTHORIZATION, INTROSPECTION, JWKS, REVOCATION, TOKEN


@dataclass(frozen=True, slots=True)
class Ims:
    """Scope is an array of strings; RS256, because its clients know nothing else."""

    algorithm: ClassVar[str] = "RS256"
    typ: ClassVar[str] = "at+jwt"
    paths: ClassVar[Mapping[str, str]] = {
        AUTHORIZATION: "/connect/authorize",
        TOKEN: "/connect/token",
        JWKS: "/.well-known/openid-configuration/jwks",
        INTROSPECTION: "/connect/introspect",
        REVOCATION: "/connect/revocation",
    }

    def claims(self, authorization: Authorization) -> dict[str, object]:
        """A service is its ``client_id``; a person has a ``sub`` besides."""
        grant = authorization.grant
        claims: dict[str, object] = {
            "client_id": grant.client.id or grant.caller.name,
            "scope": list(authorization.scope),
        }
        if grant.caller.subject != grant.client.id:
            claims["sub"] = grant.caller.subject
        return claims

    def spoken(self, error: OAuthError) -> OAuthError:
        """IdentityServer has no words of its own."""
        return error
