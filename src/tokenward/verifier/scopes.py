"""Does this token allow that?

Law of this module: scope tokens are compared whole, claims exactly and with their types; what is
malformed allows nothing.
"""

from collections.abc import Mapping

from tokenward.jose.jwt import Claims
from tokenward.oauth.errors import InvalidScope
from tokenward.oauth.scope import NOTHING, Scope

NO_CLAIMS: Mapping[str, object] = {}


class InsufficientScope(Exception):
    """The token is good, but not for this (RFC 6750 §3.1)."""

    def __init__(self, reason: str, *, scope: str = "") -> None:
        super().__init__(reason)
        self.scope = scope
        """The scope it takes; ``""`` if more scope would not help."""


def scope_of(claims: Claims) -> Scope:
    """What a token allows: ``scope`` (RFC 8693 §4.2), else ``scp`` (Okta, Entra).

    Either may be a space-separated string or an array of scope tokens.
    """
    said = claims.get("scope", claims.get("scp"))
    try:
        match said:
            case str():
                return Scope.parse(said)
            case list() if all(isinstance(token, str) and " " not in token for token in said):
                return Scope.of(said)
    except InvalidScope:
        pass  # as good as none
    return NOTHING


def require(token: Claims, scope: str = "", *, claims: Mapping[str, object] = NO_CLAIMS) -> None:
    """Raise ``InsufficientScope`` unless the token has all of this scope and these claims.

    ``claims`` are compared as JSON is: ``1``, ``1.0``, ``true`` and ``"1"`` are four things, and
    a list is equal to a list alone. Raises ``InvalidScope`` if ``scope`` is not one.
    """
    if not Scope.parse(scope) <= scope_of(token):
        raise InsufficientScope(f"scope: needs {scope}", scope=scope)
    for name, value in claims.items():
        if name not in token or not _same(token[name], value):
            raise InsufficientScope(f"{name}: not as required")


def _same(one: object, other: object) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)
    return one == other
