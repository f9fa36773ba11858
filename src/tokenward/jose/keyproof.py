"""What somebody signs to show that a key is theirs: a JWT for one server and one question of its.

Law: what is signed names its purpose (`typ`), the server it is meant for (`aud`), the key (`iss`
and `sub`) and the server's question (`nonce`).  A signature that was given elsewhere, or for
something else, is worth nothing here; one that was given here is worth nothing elsewhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tokenward.jose.algorithms import UnusableKey, names_of
from tokenward.jose.identity import PrivateKey, PublicKey
from tokenward.jose.jws import Expired, InvalidToken, header_of, load_object, parts

TYP = "tokenward-key-proof+jwt"
"""The purpose (RFC 8725 §3.11)."""

LONGEST_NONCE = 512
LEEWAY = 10.0
"""Seconds that the clock of whoever says `exp` or `nbf` may be off; nobody has to say them."""


def write(key: PrivateKey, *, audience: str, nonce: str) -> str:
    """Sign that the key is ours, for this server and this question of its."""
    name = key.public.text
    return key.write({"iss": name, "sub": name, "aud": audience, "nonce": nonce}, typ=TYP)


def is_one(token: str) -> bool:
    """Say whether a token means to be such a proof.  Verifies nothing and never raises."""
    try:
        return header_of(token).kind == TYP
    except InvalidToken:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """Such a proof taken apart: its form is right, and **nothing in it is verified**."""

    name: str
    """The key, as libp2p writes it."""

    audience: str
    nonce: str
    algorithm: str
    _claims: Mapping[str, object] = field(repr=False)
    _signed: bytes = field(repr=False)
    _signature: bytes = field(repr=False)

    def verified(self, *, now: float) -> PublicKey:
        """Give the key that has signed this.  Raises InvalidToken.

        `now` is in seconds since the epoch, and counts only where the proof has dates of its own.
        Expired is raised only if all the rest is right.
        """
        try:
            key = PublicKey.from_string(self.name)
        except UnusableKey as exc:
            raise InvalidToken(f"iss: {exc}", "iss") from None
        if key.text != self.name:
            raise InvalidToken("iss: not the one name of the key", "iss")
        if self.algorithm not in names_of(key.algorithm):
            raise InvalidToken("header: alg is not the key's")
        if not key.fits(self._signed, self._signature):
            raise InvalidToken("the signature does not match")
        begins, ends = (_date(self._claims, name) for name in ("nbf", "exp"))
        if begins is not None and begins > now + LEEWAY:
            raise InvalidToken("nbf: not yet valid", "nbf")
        if ends is not None and now >= ends + LEEWAY:
            raise Expired("exp: over", "exp")
        return key


def read(token: str) -> Shown:
    """Take a proof apart.  Verifies nothing; raises InvalidToken, whatever it is given."""
    header, payload, signed, signature = parts(token)
    if header.kind != TYP:
        raise InvalidToken("header: typ is another kind of token")
    if set(header.members) != {"alg", "typ"}:
        raise InvalidToken("header: more than alg and typ")  # no key comes along (RFC 8725 §3.5)
    try:
        claims = load_object(payload)
    except ValueError as exc:
        raise InvalidToken(f"payload: {exc}") from None
    name, audience, nonce = (_text(claims, wanted) for wanted in ("iss", "aud", "nonce"))
    if claims.get("sub") != name:
        raise InvalidToken("sub: not the key itself", "sub")
    if len(nonce) > LONGEST_NONCE:
        raise InvalidToken("nonce: too long", "nonce")
    return Shown(
        name=name,
        audience=audience,
        nonce=nonce,
        algorithm=header.alg,
        _claims=claims,
        _signed=signed,
        _signature=signature,
    )


def _text(claims: Mapping[str, object], name: str) -> str:
    said = claims.get(name)
    if not isinstance(said, str) or not said:
        raise InvalidToken(f"{name}: not a string, or missing", name)
    return said


def _date(claims: Mapping[str, object], name: str) -> float | None:
    said = claims.get(name)
    if name in claims and (isinstance(said, bool) or not isinstance(said, int | float)):
        raise InvalidToken(f"{name}: not a date", name)
    return None if said is None else float(str(said))
