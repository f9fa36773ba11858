"""Everything the server may answer instead of a token.

* OAuthError
  x InvalidRequest          400  RFC 6749 §5.2
  x InvalidClient           401  RFC 6749 §5.2
  x InvalidGrant            400  RFC 6749 §5.2
  x UnauthorizedClient      400  RFC 6749 §5.2
  x UnsupportedGrantType    400  RFC 6749 §5.2
  x InvalidScope            400  RFC 6749 §5.2
    x ScopeRequired         (none was asked for, and there is no default)
    x UnknownScope          (nobody can have it)
    x ScopeNotAllowed       (the policy says no)
  x InvalidTarget           400  RFC 8707 §2
    x TargetNotAllowed      (the policy says no)
  x InteractionRequired     400  OpenID Connect Core 1.0 §3.1.2.6
  x AccessDenied            400  RFC 6749 §4.1.2.1 (at the token endpoint: Okta's policies)
  x UnsupportedTokenType    400  RFC 7009 §2.2.1
  x TemporarilyUnavailable  503  RFC 6749 §4.1.2.1
    x TooManyRequests       429  RFC 6585 §4

An error has two readers. ``description`` is for the caller and goes out on the wire; ``detail``
is for the operator and goes to the audit trail only. An error raised without a description says
what its class says.
"""

import math
import re
from typing import ClassVar

# RFC 6749 §5.2: values of error_description must not include characters outside
#   %x20-21 / %x23-5B / %x5D-7E
_UNSPEAKABLE = re.compile(r"[^\x20-\x21\x23-\x5B\x5D-\x7E]")


class OAuthError(Exception):
    """No token, and why."""

    error: ClassVar[str]
    status: ClassVar[int] = 400

    def __init__(self, description: str = "", *, detail: str = "") -> None:
        super().__init__(detail or description or self.error)
        spoken = description or (type(self).__doc__ or "")
        self.description = _UNSPEAKABLE.sub("'", spoken)
        self.detail = detail

    def to_json(self) -> dict[str, str]:
        """The error response body of RFC 6749 §5.2."""
        return {"error": self.error, "error_description": self.description}


class InvalidRequest(OAuthError):
    """A parameter is missing, repeated or malformed."""

    error = "invalid_request"


class InvalidClient(OAuthError):
    """Client authentication failed: unknown client, wrong credentials, or another method."""

    error = "invalid_client"
    status = 401


class InvalidGrant(OAuthError):
    """The code, assertion or token presented is invalid, expired, revoked or not for us."""

    error = "invalid_grant"


class UnauthorizedClient(OAuthError):
    """This client may not use this grant type."""

    error = "unauthorized_client"


class UnsupportedGrantType(OAuthError):
    """Nobody may use this grant type here."""

    error = "unsupported_grant_type"


class InvalidScope(OAuthError):
    """The scope is malformed, unknown, or more than is allowed."""

    error = "invalid_scope"


class ScopeRequired(InvalidScope):
    """A scope must be asked for: there is no default."""


class UnknownScope(InvalidScope):
    """The token has no such scope."""


class ScopeNotAllowed(InvalidScope):
    """The scope is more than is allowed."""


class InvalidTarget(OAuthError):
    """The audience or resource is unknown, or not for this caller."""

    error = "invalid_target"


class TargetNotAllowed(InvalidTarget):
    """There is no such token for this caller, or none at all."""


class InteractionRequired(OAuthError):
    """The person has to connect their account first: start that at /connections/start."""

    error = "interaction_required"


class AccessDenied(OAuthError):
    """The policy does not allow it."""

    error = "access_denied"


class UnsupportedTokenType(OAuthError):
    """Tokens of this kind cannot be revoked here."""

    error = "unsupported_token_type"


class TemporarilyUnavailable(OAuthError):
    """We would, but somebody we depend on cannot just now. Try again later."""

    error = "temporarily_unavailable"
    status = 503

    def __init__(self, description: str = "", *, detail: str = "", retry_after: int = 5) -> None:
        super().__init__(description, detail=detail)
        self.retry_after = retry_after
        """Seconds after which it is worth trying again (``Retry-After``, RFC 9110 §10.2.3)."""


class TooManyRequests(TemporarilyUnavailable):
    """You have asked too often. Come again later."""

    status = 429

    def __init__(self, description: str = "", *, detail: str = "", wait: float = 1.0) -> None:
        super().__init__(description, detail=detail, retry_after=max(1, math.ceil(wait)))
