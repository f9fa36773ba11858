"""A user-group key of Textile's: an application that says which people may have tokens.

Such a key is no secret; it stands in every copy of the application. What it is worth, the
signature says that the application's server makes for each of its people with the key's secret
(and nothing else: it names neither the person nor the request, so it is good for everybody until
it expires). Who the people are, they show with keys of their own: see ``server/hub``.
"""

import hmac
import re
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from typing import Annotated, ClassVar, Literal, TypeAlias

from tokenward.clock import Clock
from tokenward.jose import multibase
from tokenward.jose.identity import PublicKey
from tokenward.oauth.errors import InvalidClient
from tokenward.server import hubkeys
from tokenward.server.directory import Directory
from tokenward.server.hubkeys import Entry, key_fault, secret_fault
from tokenward.server.model import Caller
from tokenward.server.proofs import Trusting
from tokenward.server.values import Within

REQUIRED = "API key signature required"
BAD = "Bad API key signature"
"""What the original says; which of the checks it was is for the operator."""

# RFC 3339 §5.6, date-time: with or without fractions of a second, at any offset.
_DATE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?"
    r"(?:Z|[+-][0-9]{2}:[0-9]{2})"
)


Guess: TypeAlias = Callable[[str], Callable[[], None]]
"""Asked before the signature of this key is looked at, and raises when there were too many that
were wrong; what it gives is called when this one is right."""


def free(key: str) -> Callable[[], None]:  # noqa: ARG001  as the others have it
    """Whoever guesses may."""
    return lambda: None


@dataclass(frozen=True, slots=True, kw_only=True)
class HubKey:
    """Settings of an application of Textile's. Its people are their public keys."""

    key: str = ""
    """Its user-group key: base32 with a `b` before it. It is no secret. Besides, or instead, there
    are those that `tokenward hub keys new` has made for it."""

    secret: str = field(default="", repr=False)
    """The key's secret, as `"${NAME}"`, in the same spelling."""

    development: bool = False
    """Whether the key has no secret, so that whoever knows it speaks for the application."""

    type: Literal["user", "account"] = "user"
    """Whose the key is, which rules see as the claim `app_type`."""

    max_ahead: Annotated[float, Within("1m", "24h")] = 3_600.0
    """How far ahead a signature may expire at most: whoever sees one can use it until then.
    Textile's newer clients ask for half an hour unless told otherwise."""

    at_a_hub: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.key:
            if self.secret or self.development:
                raise ValueError(f"key: {key_fault(self.key)}")
            return
        if fault := key_fault(self.key):
            raise ValueError(f"key: {fault}")
        if self.development and self.secret:
            raise ValueError("development: says that there is no secret, and there is one")
        if not self.development and (fault := secret_fault(self.secret)):
            raise ValueError(f"secret: {fault}")

    def trusted(self, trusting: Trusting) -> "Application":
        """The application itself."""
        it = Application(trusting=trusting, max_ahead=self.max_ahead)
        if self.key:
            secret = b"" if self.development else multibase.decode(self.secret)
            it.written = it.group(
                Entry(key=self.key, caller=trusting.name, type=self.type, secret=secret)
            )
        return it


@dataclass(slots=True, kw_only=True)
class Application:
    """The keys of one application; no token of its people is good for an exchange."""

    trusting: Trusting
    max_ahead: float
    """Seconds."""

    origins: frozenset[str] = frozenset()
    """The pages that may ask."""

    written: "UserGroup | None" = None
    """The one in the configuration."""

    _made: "dict[str, UserGroup]" = field(default_factory=dict, init=False, repr=False)
    _directory: Directory | None = field(default=None, init=False, repr=False)

    def find(self, key: str) -> "UserGroup | None":
        """Those who have this key, if it is one of ours and still good."""
        if self.written is not None and key == self.written.key:
            found: UserGroup | None = self.written
        else:
            found = self._made.get(key)
        return None if found is None else replace(found, origins=self.origins)

    def know(self, entries: Iterable[Entry]) -> None:
        """From now on these are the keys besides the configuration's, and no others."""
        name = self.trusting.name
        self._made = {it.key: self.group(it) for it in entries if it.caller == name}

    def group(self, entry: Entry) -> "UserGroup":
        """Those who have this key."""
        return UserGroup(
            name=self.trusting.name,
            default=self.trusting.default,
            key=entry.key,
            type=entry.type,
            secret=entry.secret,
            max_ahead=self.max_ahead,
            taken=self.trusting.taken,
            clock=self.trusting.clock,
        )

    def recall(self, digest: bytes) -> Caller | None:  # noqa: ARG002  as the contract has it
        """Nobody: there are no tokens of theirs."""
        return None

    async def prove(self, token: str, digest: bytes) -> Caller | None:  # noqa: ARG002
        """Nobody: there are no tokens of theirs."""
        return None

    async def open(self) -> None:
        """Read the list, and look again and again whether there is another.

        Raises ``StoreUnavailable``, ``SealBroken`` and ``WrongStore``.
        """
        shelf, seal = self.trusting.shelf, self.trusting.seal
        if shelf is None or seal is None:
            return  # nobody can have made a key
        self._directory = Directory(
            shelf=shelf,
            seal=seal,
            show=self.know,
            place=hubkeys.SHELF,
            read=hubkeys.from_bytes,
            what="hub keys",
        )
        await self._directory.open()

    async def close(self) -> None:
        """Look no more."""
        if self._directory is not None:
            await self._directory.close()

    async def look(self) -> None:
        """Look now whether there is another list."""
        if self._directory is not None:
            await self._directory.look()


@dataclass(frozen=True, slots=True, kw_only=True)
class UserGroup:
    """Those who have one key of an application."""

    name: str
    default: str = ""
    key: str
    type: str = hubkeys.USER
    secret: bytes = field(repr=False)
    """Empty if there is none."""

    max_ahead: float
    """Seconds."""

    taken: Container[str] = field(repr=False)
    clock: Clock = field(repr=False)
    origins: frozenset[str] = frozenset()
    """The pages that may ask; whoever is no page says nothing about it."""

    def check(self, signature: str, message: str, guess: Guess = free) -> None:
        """See that the application's server has let somebody in, and until when.

        The message is the time at which the signature expires. Raises ``InvalidClient``, and what
        ``guess`` does.
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
        right = guess(self.key)
        if not hmac.compare_digest(presented, hmac.digest(self.secret, message.encode(), sha256)):
            raise self._bad("made with another secret")
        right()

    def person(self, key: PublicKey) -> Caller:
        """Whoever has just shown to hold this key."""
        if key.text in self.taken:
            raise InvalidClient("Bad authorization", detail="the key is the name of another")
        claims = {"key": key.text, "key_type": key.kind, "app": self.key, "app_type": self.type}
        return Caller(
            name=self.name,
            subject=key.text,
            claims=claims,
            default=self.default,
            credential=self.key,
        )

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
