"""Bearer tokens in an Authorization header, and what to answer when they do not do (RFC 6750).

Law of this module: only the header counts. A token in the query is not seen, and nobody here
looks into bodies.
"""

import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tokenward.jose.jws import Expired, InvalidToken
from tokenward.jose.jwt import Claims
from tokenward.oauth.scope import Scope
from tokenward.verifier.scopes import InsufficientScope, require
from tokenward.verifier.verifier import KeysUnavailable, Verifier

log = logging.getLogger("tokenward.verifier")

# RFC 6750 §2.1: credentials = "Bearer" 1*SP b64token
#   with b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="
# and blanks after it are not part of the field (RFC 9110 §5.5). A tab is no space.
_CREDENTIALS = re.compile(rb"(?i:bearer) +([A-Za-z0-9\-._~+/]+=*)[ \t]*")
# RFC 9110 §11.1 and §5.6.2: auth-scheme = token
_SCHEME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]*")
_QUOTABLE = re.compile(r"[\x20-\x21\x23-\x5B\x5D-\x7E]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What goes back instead of what was asked for (RFC 6750 §3.1)."""

    status: int
    error: str = ""
    """The error code; ``""`` if no credentials came, because then there is no error."""

    description: str = ""
    scope: str = ""
    retry_after: int = 0
    """Seconds; with 503."""

    def challenge(self, realm: str = "api") -> str:
        """The value of ``WWW-Authenticate``; ``""`` where there is nothing to authenticate."""
        if self.retry_after:
            return ""
        attributes = {
            "realm": realm,
            "error": self.error,
            "error_description": self.error and self.description,
            "scope": self.scope,
        }
        return "Bearer " + ", ".join(f'{name}="{it}"' for name, it in attributes.items() if it)

    def headers(self, realm: str = "api") -> dict[str, str]:
        """All headers that belong to it."""
        headers = {"content-type": "application/json", "cache-control": "no-store"}
        if challenge := self.challenge(realm):
            headers["www-authenticate"] = challenge
        if self.retry_after:
            headers["retry-after"] = str(self.retry_after)
        return headers

    def to_json(self) -> dict[str, str]:
        """The body: code, description and scope, as far as there are any."""
        members = {
            "error": self.error,
            "error_description": self.description,
            "scope": self.scope,
        }
        return {name: it for name, it in members.items() if it}

    def body(self) -> bytes:
        """The body as bytes."""
        return json.dumps(self.to_json()).encode()


NO_CREDENTIALS = Refusal(
    status=401, description="an access token is required: Authorization: Bearer ..."
)
MALFORMED = Refusal(
    status=400,
    error="invalid_request",
    description="there must be one Authorization header: Bearer, one space, the token",
)


def credentials(values: Sequence[bytes]) -> str | Refusal:
    """The token in the values of all Authorization headers, or why there is none."""
    match values:
        case []:
            return NO_CREDENTIALS
        case [value]:
            if found := _CREDENTIALS.fullmatch(value):
                return found[1].decode("ascii")
            scheme = _SCHEME.match(value)
            return MALFORMED if scheme and scheme[0].lower() == b"bearer" else NO_CREDENTIALS
    return MALFORMED


def refusal(error: InvalidToken | InsufficientScope) -> Refusal:
    """What to answer to somebody whose token does not do."""
    match error:
        case InsufficientScope():
            return Refusal(
                status=403,
                error="insufficient_scope",
                description="the access token does not allow this",
                scope=error.scope,
            )
        case KeysUnavailable():
            return Refusal(
                status=503,
                error="temporarily_unavailable",
                description="access tokens cannot be verified at the moment",
                retry_after=error.retry_after,
            )
    expired = isinstance(error, Expired)
    said = "the access token has expired" if expired else "the access token is not valid here"
    return Refusal(status=401, error="invalid_token", description=said)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Lets requests in whose token is good and allows what they want.

    Making one raises ``InvalidScope`` or ``ValueError`` for a scope or realm that is not one.
    """

    verifier: Verifier
    scope: str = ""
    """What it takes, separated by spaces; all of it."""

    claims: Mapping[str, object] = field(default_factory=dict)
    """What else the token must say, exactly."""

    realm: str = "api"

    def __post_init__(self) -> None:
        Scope.parse(self.scope)
        if not _QUOTABLE.fullmatch(self.realm) or not self.realm:
            raise ValueError("a realm is printable ASCII without quotes")

    async def aadmit(self, values: Sequence[bytes]) -> Claims | Refusal:
        """The claims behind the values of all Authorization headers, or what to answer."""
        if isinstance(token := credentials(values), Refusal):
            return token
        try:
            return self._weigh(await self.verifier.averify(token))
        except (InvalidToken, InsufficientScope) as exc:
            return self._refuse(exc)

    def admit(self, values: Sequence[bytes]) -> Claims | Refusal:
        """The same for threads; may wait for keys."""
        if isinstance(token := credentials(values), Refusal):
            return token
        try:
            return self._weigh(self.verifier.verify(token, wait=True))
        except (InvalidToken, InsufficientScope) as exc:
            return self._refuse(exc)

    def _weigh(self, claims: Claims) -> Claims:
        # Bound to a key whose possession nobody has shown us (RFC 9449 §6.1, RFC 8705 §3.1): as a
        # bearer token it may be stolen, which is what the binding is against.
        if "cnf" in claims:
            raise InvalidToken("cnf: bound to a key, so not a bearer token", "cnf")
        require(claims, self.scope, claims=self.claims)
        return claims

    def _refuse(self, error: InvalidToken | InsufficientScope) -> Refusal:
        answer = refusal(error)
        log.info("%d %s: %s", answer.status, answer.error, error)
        return answer
