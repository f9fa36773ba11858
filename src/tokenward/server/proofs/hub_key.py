"""A user-group key of Textile's: an application that says which people may have tokens.

Such a key is no secret; it stands in every copy of the application. What it is worth, the
signature says that the application's server makes for each of its people with the key's secret
(and nothing else: it names neither the person nor the request, so it is good for everybody until
it expires). Who the people are, they show with keys of their own: see ``server/hub``.
"""

import hmac
import re
from collections.abc import Container
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from typing import Annotated, ClassVar

from tokenward.clock import Clock
from tokenward.jose import multibase
from tokenward.jose.identity import PublicKey
from tokenward.oauth.errors import InvalidClient
from tokenward.server.model import Caller
from tokenward.server.proofs import Trusting
from tokenward.server.values import Within

LONGEST_KEY = 128
SHORTEST_SECRET = 16
"""Bytes; the original's have 24."""

REQUIRED = "API key signature required"
BAD = "Bad API key signature"
"""What the original says; which of the checks it was is for the operator."""

# RFC 3339 §5.6, date-time: with or without fractions of a second, at any offset.
_DATE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?"
    r"(?:Z|[+-][0-9]{2}:[0-9]{2})"
)
_KEY = re.compile(r"b[a-z2-7]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class HubKey:
    """Settings of an application of Textile's. Its people are their public keys."""

    key: str = ""
    """Its user-group key: base32 with a `b` before it. It is no secret."""

    secret: str = field(default="", repr=False)
    """The key's secret, as `"${NAME}"`, in the same spelling."""

    development: bool = False
    """Whether the key has no secret, so that whoever knows it speaks for the application."""

    max_ahead: Annotated[float, Within("1m", "24h")] = 3_600.0
    """How far ahead a signature may expire at most: whoever sees one can use it until then.
    Textile's newer clients ask for half an hour unless told otherwise."""

    at_a_hub: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if fault := key_fault(self.key):
            raise ValueError(f"key: {fault}")
        if self.development and self.secret:
            raise ValueError("development: says that there is no secret, and there is one")
        if not self.development and (fault := secret_fault(self.secret)):
            raise ValueError(f"secret: {fault}")

    def trusted(self, trusting: Trusting) -> "UserGroup":
        """The application itself."""
        return UserGroup(
            name=trusting.name,
            default=trusting.default,
            key=self.key,
            secret=b"" if self.development else multibase.decode(self.secret),
            max_ahead=self.max_ahead,
            taken=trusting.taken,
            clock=trusting.clock,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class UserGroup:
    """The people of one application; no token of theirs is good for an exchange."""

    name: str
    default: str = ""
    key: str
    secret: bytes = field(repr=False)
    """Empty if there is none."""

    max_ahead: float
    """Seconds."""

    taken: Container[str] = field(repr=False)
    clock: Clock = field(repr=False)
    origins: frozenset[str] = frozenset()
    """The pages that may ask; whoever is no page says nothing about it."""

    def within(self, origins: frozenset[str]) -> "UserGroup":
        """The same, for pages of these origins."""
        return replace(self, origins=origins)

    def recall(self, digest: bytes) -> Caller | None:  # noqa: ARG002  as the contract has it
        """Nobody: there are no tokens of theirs."""
        return None

    async def prove(self, token: str, digest: bytes) -> Caller | None:  # noqa: ARG002
        """Nobody: there are no tokens of theirs."""
        return None

    def check(self, signature: str, message: str) -> None:
        """See that the application's server has let somebody in, and until when.

        The message is the time at which the signature expires. Raises ``InvalidClient``.
        """
        if not self.secret:
            return
        if not signature or not message:
            raise InvalidClient(REQUIRED, detail=f"caller {self.name!r}: signature missing")
        try:
            presented = multibase.decode(signature)
        except ValueError as exc:
            raise self._bad(f"signature: {exc}") from None
        expires_at = moment(message)
        now = self.clock()
        if expires_at is None:
            raise self._bad("its message is no date")
        if expires_at < now:
            raise self._bad("expired")
        if expires_at > now + self.max_ahead:
            raise self._bad("expires later than it may")
        if not hmac.compare_digest(presented, hmac.digest(self.secret, message.encode(), sha256)):
            raise self._bad("made with another secret")

    def person(self, key: PublicKey) -> Caller:
        """Whoever has just shown to hold this key."""
        if key.text in self.taken:
            raise InvalidClient("Bad authorization", detail="the key is the name of another")
        claims = {"key": key.text, "key_type": key.kind, "app": self.key}
        return Caller(name=self.name, subject=key.text, claims=claims, default=self.default)

    def _bad(self, why: str) -> InvalidClient:
        return InvalidClient(BAD, detail=f"caller {self.name!r}: signature: {why}")


def moment(message: str) -> float | None:
    """A date and time of RFC 3339 in seconds since the epoch; ``None`` for anything else."""
    if not _DATE.fullmatch(message):
        return None
    try:
        return datetime.fromisoformat(message).timestamp()
    except (ValueError, OverflowError):
        return None


def key_fault(key: str) -> str:
    """What is wrong with a user-group key, in words without it; empty if nothing is."""
    if not key:
        return "is missing: the user-group key of the application"
    if len(key) > LONGEST_KEY or not _KEY.fullmatch(key):
        return "must be base32 with a b before it: only the letters a to z and the digits 2 to 7"
    return _undecodable(key)


def secret_fault(secret: str) -> str:
    """What is wrong with the secret of such a key; quotes nothing of it."""
    if not secret:
        return "is missing; development = true says that there is none"
    if len(secret) > LONGEST_KEY or not _KEY.fullmatch(secret):
        return "must be base32 with a b before it: only the letters a to z and the digits 2 to 7"
    if fault := _undecodable(secret):
        return fault
    if len(multibase.decode(secret)) < SHORTEST_SECRET:
        return f"must have {SHORTEST_SECRET} bytes at least"
    return ""


def _undecodable(text: str) -> str:
    try:
        multibase.decode(text)
    except ValueError:
        return "is cut off, or not spelled as base32 is: the last characters cannot be right"
    return ""
