"""What a Hub gave, as a token: until when it is good, and that it is for the key that asked.

A Hub's token is a JWT with ``iat``, ``iss`` and ``sub``, and never ended. Whoever it is shown to
checks its signature; to us it is a text, and only what could harm us is looked at.
"""

from tokenward.jose.identity import PublicKey, UnusableKey
from tokenward.jose.jws import decode, load_object
from tokenward.oauth.messages import AccessToken

_DOTS = 2


def read(token: str, *, key: PublicKey, lifetime: float, now: float) -> AccessToken:
    """The token; raises ``ValueError`` for none, and for one that is another key's.

    ``lifetime`` is in seconds, for tokens that say of no end.
    """
    claims: dict[str, object] = {}
    if token.count(".") == _DOTS:
        claims = load_object(decode(token.split(".")[1]))
    if "sub" in claims and not _is(claims["sub"], key):
        raise ValueError("a token for another key")
    until = claims.get("exp")
    left = lifetime
    if until is not None:
        if isinstance(until, bool) or not isinstance(until, int | float):
            raise ValueError("exp is no date")
        left = min(until - now, 10 * 365 * 86_400.0)
    return AccessToken.parse({"access_token": token, "expires_in": left}, now=now)


def _is(sub: object, key: PublicKey) -> bool:
    try:
        return isinstance(sub, str) and PublicKey.from_string(sub) == key
    except UnusableKey:
        return False
