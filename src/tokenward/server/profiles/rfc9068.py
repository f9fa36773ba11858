"""Tokens as the standard has them: JWT Profile for OAuth 2.0 Access Tokens (RFC 9068)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from tokenward.oauth.errors import OAuthError
from tokenward.server.model import Authorization
from tokenward.server.profiles import AUTHORIZATION, INTROSPECTION, JWKS, REVOCATION, TOKEN


@dataclass(frozen=True, slots=True)
class Rfc9068:
    """Scope is one string (§2.2.3), and there is always a subject and a client (§2.2)."""

    algorithm: ClassVar[str] = "ES256"
    typ: ClassVar[str] = "at+jwt"
    paths: ClassVar[Mapping[str, str]] = {
        AUTHORIZATION: "/authorize",
        TOKEN: "/token",
        JWKS: "/.well-known/jwks.json",
        INTROSPECTION: "/introspect",
        REVOCATION: "/revoke",
    }

    def claims(self, authorization: Authorization) -> dict[str, object]:
        """``client_id`` names the client, or who vouches where no client took part."""
        grant = authorization.grant
        claims: dict[str, object] = {
            "sub": grant.caller.subject,
            "client_id": grant.client.id or grant.caller.name,
        }
        if scope := authorization.scope.text:
            claims["scope"] = scope
        return claims

    def spoken(self, error: OAuthError) -> OAuthError:
        """The standard's own words."""
        return error
