"""Tokens as an Okta custom authorization server makes them."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from tokenward.oauth.errors import (
    AccessDenied,
    InvalidClient,
    InvalidScope,
    OAuthError,
    ScopeNotAllowed,
    ScopeRequired,
    TargetNotAllowed,
    UnknownScope,
)
from tokenward.server.model import Authorization
from tokenward.server.profiles import AUTHORIZATION, INTROSPECTION, JWKS, REVOCATION, TOKEN


@dataclass(frozen=True, slots=True)
class Okta:
    """``scp`` is an array, ``cid`` the client, and everything lies under ``/v1``."""

    algorithm: ClassVar[str] = "RS256"
    typ: ClassVar[str] = "at+jwt"
    paths: ClassVar[Mapping[str, str]] = {
        AUTHORIZATION: "/v1/authorize",
        TOKEN: "/v1/token",
        JWKS: "/v1/keys",
        INTROSPECTION: "/v1/introspect",
        REVOCATION: "/v1/revoke",
    }

    def claims(self, authorization: Authorization) -> dict[str, object]:
        """``uid`` only where there is a person; ``sub`` is the client where there is none."""
        grant = authorization.grant
        claims: dict[str, object] = {
            "ver": 1,
            "jti": "AT." + secrets.token_urlsafe(16),
            "cid": grant.client.id or grant.caller.name,
            "scp": list(authorization.scope),
            "sub": grant.caller.subject,
        }
        if grant.caller.subject != grant.client.id:
            claims["uid"] = grant.caller.subject
        return claims

    def spoken(self, error: OAuthError) -> OAuthError:
        """The texts that people search for when Okta says no."""
        match error:
            case ScopeRequired():
                return InvalidScope(
                    "The authorization server resource does not have any configured default "
                    "scopes, 'scope' must be provided.",
                    detail=error.detail,
                )
            case UnknownScope():
                return InvalidScope(
                    "One or more scopes are not configured for the authorization server resource.",
                    detail=error.detail,
                )
            case ScopeNotAllowed() | TargetNotAllowed():
                return AccessDenied(
                    "Policy evaluation failed for this request, please check the policy "
                    "configurations.",
                    detail=error.detail,
                )
            case InvalidClient():
                return InvalidClient(
                    "The client secret supplied for a confidential client is invalid.",
                    detail=error.detail,
                )
        return error
