"""Is this token to be believed?  JSON Web Tokens, verified (RFC 7519 §7.2, RFC 8725).

Law: what is demanded is spelled out in `Expected`, defaults too.  `verify` looks at the claims
only after the signature, and raises InvalidToken and nothing else, whatever it is given.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import cast

from tokenward.jose.jws import Expired, InvalidToken, UnknownKey, kind_of, load_object, parts
from tokenward.jose.keys import ALGORITHMS, KeySet

Claims = Mapping[str, object]

ACCESS_TOKEN = frozenset({"at+jwt", "jwt", ""})
"""RFC 9068 §2.1, and what everybody wrote before it; the empty string is a header without `typ`."""

_MISSING = object()
_NAMES = ("sub", "jti", "client_id")
_NUMBERS = (int, float)
_LATEST = 253402300799  # the end of the year 9999; a later date is one in milliseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a token has to say before we believe it.

    `issuer`      the exact `iss` (RFC 8725 §3.8).
    `audience`    `aud` is this, or a list that contains it; several: one of them.  None accepts
                  tokens that were made for somebody else, who may then use them on us; only for
                  issuers that write no audience.
    `algorithms`  names of algorithms, exactly as in the header (RFC 8725 §3.1).
    `typ`         kinds of token in lower case without `application/`, the empty string for none
                  given (RFC 8725 §3.11); None accepts every kind, so that an ID token
                  or a proof passes for an access token.
    `leeway`      seconds that `exp` and `nbf` may be off.
    `future_iat`  seconds that `iat` may lie in the future.
    `max_age`     seconds since `iat`, which is required then; None for no limit.
    `required`    claims that have to be there, besides `iss` and `aud`.

    Making one raises ValueError if it would demand nothing or the impossible.
    """

    issuer: str
    audience: str | tuple[str, ...] | None
    algorithms: frozenset[str] = ALGORITHMS
    typ: frozenset[str] | None = ACCESS_TOKEN
    leeway: float = 10
    future_iat: float = 60
    max_age: float | None = None
    required: tuple[str, ...] = ("exp",)
    _audiences: frozenset[str] | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ours = (self.audience,) if isinstance(self.audience, str) else self.audience
        if not self.issuer or (ours is not None and not (ours and all(ours))):
            raise ValueError("an issuer or an audience that is empty")
        if not self.algorithms or not self.algorithms <= ALGORITHMS:
            raise ValueError("an algorithm we do not know")
        if self.typ is not None and any(kind != kind_of(kind) for kind in self.typ):
            raise ValueError("a typ is lower case, without application/")
        periods = (self.leeway, self.future_iat, self.max_age or 0)
        if not all(0 <= seconds <= _LATEST for seconds in periods):
            raise ValueError("a period that is no number of seconds")
        object.__setattr__(self, "_audiences", None if ours is None else frozenset(ours))

    def check(self, claims: Claims, *, now: float) -> None:
        """Refuse claims that are not what is expected.  Raises InvalidToken.

        `now` is in seconds since the epoch.  Expired is raised only if all the rest is right.
        """
        for name in self.required:
            if name not in claims:
                raise InvalidToken(f"{name}: missing", name)
        if claims.get("iss") != self.issuer:
            raise InvalidToken("iss: not the expected issuer", "iss")
        aud, ours = claims.get("aud", _MISSING), self._audiences
        if type(aud) is not str or ours is None or aud not in ours:
            self._check_audience(aud)
        for name in _NAMES:
            if type(said := claims.get(name, name)) is not str or not said:
                raise InvalidToken(f"{name}: not a string, or empty", name)
        exp, nbf, iat = _date(claims, "exp"), _date(claims, "nbf"), _date(claims, "iat")
        if nbf is not None and nbf > now + self.leeway:
            raise InvalidToken("nbf: not yet valid", "nbf")
        if iat is not None or self.max_age is not None:
            self._check_age(iat, exp, now)
        if exp is not None and now >= exp + self.leeway:
            raise Expired("exp: expired", "exp")

    def _check_audience(self, said: object) -> None:
        ours = self._audiences
        if isinstance(said, str):
            fits = ours is None or said in ours
        elif isinstance(said, list) and said and all(isinstance(name, str) for name in said):
            fits = ours is None or not ours.isdisjoint(said)
        elif said is _MISSING:
            if ours is None:
                return
            raise InvalidToken("aud: missing", "aud")
        else:
            raise InvalidToken("aud: neither a string nor a list of strings", "aud")
        if not fits:
            raise InvalidToken("aud: not for us", "aud")

    def _check_age(self, iat: float | None, exp: float | None, now: float) -> None:
        if iat is None:
            raise InvalidToken("iat: missing", "iat")
        if iat > now + self.future_iat:
            raise InvalidToken("iat: in the future", "iat")
        if exp is not None and exp <= iat:
            raise InvalidToken("exp: not after iat", "exp")
        if self.max_age is not None and now >= iat + self.max_age + self.leeway:
            raise InvalidToken("iat: too long ago", "iat")


def verify(token: str, keys: KeySet, expected: Expected, *, now: float) -> Claims:
    """Give the claims of a token that one of the keys signed and that says what it must.

    `now` is in seconds since the epoch.  The claims are read-only, their lists are not: leave
    those alone.  Raises InvalidToken: UnknownKey if newer keys might help, Expired if only time
    is to blame.
    """
    header, payload, signed, signature = parts(token)
    if header.alg not in expected.algorithms:
        raise InvalidToken("header: alg is not allowed")
    found = keys.find(header.kid, header.alg)
    if not found:
        raise UnknownKey("no key fits kid and alg")
    for key in found:
        if key.verify(signed, signature):
            break
    else:
        raise InvalidToken("the signature does not match")
    if expected.typ is not None and header.kind not in expected.typ:
        raise InvalidToken("header: typ is another kind of token")
    try:
        claims = load_object(payload)
    except ValueError as exc:
        raise InvalidToken(f"payload: {exc}") from None
    expected.check(claims, now=now)
    return MappingProxyType(claims)


def issuer_of(token: str) -> str | None:
    """Say who the token claims to be from, or None if it is malformed.

    Unverified: good for choosing keys, for nothing else.
    """
    try:
        _, payload, _, _ = parts(token)
        issuer = load_object(payload).get("iss")
    except (InvalidToken, ValueError):
        return None
    return issuer if isinstance(issuer, str) else None


def _date(claims: Claims, name: str) -> float | None:
    said = claims.get(name, _MISSING)
    if said is _MISSING:
        return None
    # true is an int to Python; NaN is not between anything
    if type(said) not in _NUMBERS or not 0 <= cast("float", said) <= _LATEST:
        raise InvalidToken(f"{name}: not a date", name)
    return cast("float", said)
