"""What goes into and comes out of the token endpoint (RFC 6749 §4 and §5, RFC 8693 §2)."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple, Self
from urllib.parse import urlsplit

from tokenward.oauth.errors import InvalidRequest, InvalidScope, InvalidTarget
from tokenward.oauth.presented import NOTHING_PRESENTED, Presented
from tokenward.oauth.scope import NOTHING, Scope

CLIENT_CREDENTIALS = "client_credentials"
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"

ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"
JWT = "urn:ietf:params:oauth:token-type:jwt"
MTLS = "urn:ietf:params:oauth:token-type:mtls"
"""The certificate shown when the connection began: what Google's token service calls it. The IANA
registry has no name for that."""

MAY_REPEAT = frozenset({"audience", "resource"})
MOST_TARGETS = 16

LIFETIME_UNSAID = 300
"""Seconds a token is taken to live whose issuer does not say (``expires_in`` is optional)."""

LONGEST_LIFETIME = 86_400 * 365
LONGEST_TOKEN = 65_536

# RFC 6750 §2.1: b64token; wider here (VCHAR), because some platforms' tokens are not b64tokens.
_TOKEN = re.compile(r"[\x21-\x7E]+")


class TokenRequest(NamedTuple):
    """A token request, parsed once, at the door."""

    grant_type: str
    parameters: Mapping[str, str]
    targets: tuple[str, ...] = ()
    """Every ``audience`` (RFC 8693 §2.1) and ``resource`` (RFC 8707 §2) named."""

    presented: Presented = NOTHING_PRESENTED
    issuer: str = ""
    """The name of the issuer at whose endpoint it arrived; ``""`` for the whole origin."""

    @classmethod
    def parse(
        cls,
        form: Iterable[tuple[str, str]],
        *,
        authorization: str = "",
        certificate: str = "",
        issuer: str = "",
    ) -> Self:
        """Read a form; raises ``InvalidRequest``, ``InvalidTarget`` or ``InvalidClient``.

        Parameters without a value count as omitted, and unknown ones are ignored (RFC 6749 §3.2).
        """
        parameters: dict[str, str] = {}
        targets: list[str] = []
        for name, value in form:
            if not value:
                continue
            if name in MAY_REPEAT:
                targets.append(value if name == "audience" else _resource(value))
            elif name in parameters:
                raise InvalidRequest(f"{_shown(name)} is repeated")
            else:
                parameters[name] = value
        if len(targets) > MOST_TARGETS:
            raise InvalidTarget(f"more than {MOST_TARGETS} audiences and resources")
        presented = Presented.parse(
            authorization, parameters, certificate=certificate, issuer=issuer
        )
        if not (grant_type := parameters.get("grant_type", "")):
            raise InvalidRequest("grant_type is required")
        return cls(grant_type, parameters, tuple(targets), presented, issuer)

    @property
    def scope(self) -> Scope:
        """The scope asked for; raises ``InvalidScope``."""
        return Scope.parse(self.parameters.get("scope", ""))

    def get(self, name: str) -> str:
        """The parameter, or ``""``."""
        return self.parameters.get(name, "")

    def require(self, name: str) -> str:
        """The parameter; raises ``InvalidRequest`` if it is missing."""
        if value := self.parameters.get(name, ""):
            return value
        raise InvalidRequest(f"{name} is required")

    def __repr__(self) -> str:
        """Without the parameters, among which there are secrets."""
        return f"TokenRequest({self.grant_type!r}, targets={self.targets}, issuer={self.issuer!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """A token, wherever it came from."""

    value: str = field(repr=False)
    expires_at: float
    """Seconds since the epoch."""

    scope: Scope = NOTHING
    token_type: str = "Bearer"
    types: frozenset[str] = frozenset({ACCESS_TOKEN})
    """What it may be called in an exchange (RFC 8693 §3)."""

    sha256: str = field(init=False, repr=False, compare=False)
    """The SHA-256 of the value in hex, by which those call it who must not know it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha256", sha256(self.value.encode()).hexdigest())

    @classmethod
    def parse(cls, answer: object, *, now: float, asked: Scope = NOTHING) -> Self:
        """Read a token response (RFC 6749 §5.1); raises ``ValueError`` if it is none.

        The scope is what was asked for unless the answer says otherwise. An ``expires_in`` that
        is missing counts as five minutes; one that makes no sense is an error.
        """
        if not isinstance(answer, Mapping):
            raise ValueError("the answer is not a JSON object")  # noqa: TRY004
        value = answer.get("access_token")
        if not isinstance(value, str) or not _TOKEN.fullmatch(value) or len(value) > LONGEST_TOKEN:
            raise ValueError("access_token is missing or malformed")
        token_type = answer.get("token_type", "Bearer")
        if not isinstance(token_type, str) or token_type.lower() != "bearer":
            raise ValueError("token_type is not Bearer")
        said = answer.get("scope")
        if said is not None and not isinstance(said, str):
            raise ValueError("scope is not a string")
        try:
            scope = asked if said is None else Scope.parse(said)
        except InvalidScope:
            raise ValueError("scope is malformed") from None
        seconds = _lifetime(answer.get("expires_in"))
        return cls(value=value, expires_at=now + seconds, scope=scope)

    def expires_in(self, now: float) -> int:
        """Seconds left, to the nearest whole one, never less than none."""
        return max(0, round(self.expires_at - now))

    def __str__(self) -> str:
        return self.value


class TokenResponse(NamedTuple):
    """A successful answer (RFC 6749 §5.1, RFC 8693 §2.2.1)."""

    access_token: AccessToken
    issued_token_type: str = ""
    refresh_token: str = ""

    def to_json(self, now: float) -> dict[str, object]:
        """The body of the response; ``scope`` and ``expires_in`` only if there is one."""
        token = self.access_token
        body: dict[str, object] = {
            "access_token": token.value,
            "token_type": token.token_type,
        }
        if token.expires_at < math.inf:
            body["expires_in"] = token.expires_in(now)
        if scope := token.scope.text:
            body["scope"] = scope
        if self.issued_token_type:
            body["issued_token_type"] = self.issued_token_type
        if self.refresh_token:
            body["refresh_token"] = self.refresh_token
        return body

    def __repr__(self) -> str:
        """Without the refresh token."""
        return f"TokenResponse({self.access_token!r}, {self.issued_token_type!r})"


def _resource(value: str) -> str:
    """A resource must be an absolute URI without a fragment (RFC 8707 §2)."""
    try:
        parts = urlsplit(value)
    except ValueError:
        raise InvalidTarget("resource is not a URI") from None
    if not parts.scheme or "#" in value or " " in value:
        raise InvalidTarget("resource must be an absolute URI without a fragment")
    return value


def _lifetime(seconds: object) -> float:
    match seconds:
        case None:
            return LIFETIME_UNSAID
        case bool():
            pass
        case int() | float() if math.isfinite(seconds):
            return max(0, min(int(seconds), LONGEST_LIFETIME))
        case str() if seconds.isascii() and seconds.isdigit() and len(seconds) < 12:  # noqa: PLR2004
            return min(int(seconds), LONGEST_LIFETIME)
    raise ValueError("expires_in is not a number of seconds")


def _shown(name: str) -> str:
    """A parameter's name as far as it is safe to repeat to whoever sent it."""
    return name if name.isidentifier() and name.isascii() and len(name) < 40 else "a parameter"  # noqa: PLR2004
