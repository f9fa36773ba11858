"""Who asks?

A proof is one way to show who one is. There are two kinds, and a file here is of one of them:

* a **client proof** authenticates a client registered here (files are named as in IANA's registry
  of token endpoint authentication methods);
* a **subject proof** believes what somebody we trust says about somebody else.

A proof answers ``None`` if it is not concerned, and raises if it is and what it was shown is not
good: a proof that fails is never mistaken for a proof that is absent.

To add one, write a file with a frozen dataclass whose fields are its settings in
``[callers.<name>]``, and name it in ``server/plugins.py``. The settings of a client proof have
``methods``, ``within`` and ``authenticate``, those of a subject proof ``trusted``, which makes the
proof of what is in ``Trusting``. Where what is shown is an issuer's token and no secret between the
caller and us, they say ``onward = True``: then it may be exchanged at an upstream, too.
"""

from collections.abc import Awaitable, Callable, Container, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol, Self

from tokenward.clock import Clock, now
from tokenward.oauth.errors import InvalidGrant
from tokenward.oauth.presented import Presented
from tokenward.server.assertions import Surroundings
from tokenward.server.model import Caller, Client
from tokenward.server.seal import Seal
from tokenward.server.stores import Shelf

if TYPE_CHECKING:
    import httpx2

NOT_VOUCHED_FOR = "nobody we trust vouches for this token"
"""What a caller hears of every fault but age, so that nobody learns which check it was."""

LONGEST_SUB = 1_000

Revoked = Callable[[str, str], Awaitable[bool]]
"""Whether the token with this issuer and this ``jti`` was revoked."""


class TooOld(InvalidGrant):
    """The token has expired."""


class ClientProof(Protocol):
    """One way for a registered client to say who it is (RFC 6749 §2.3)."""

    methods: ClassVar[frozenset[str]]
    """The ``Presented.method`` values it accepts; all others are refused for this client."""

    name: ClassVar[str]
    """The method as the audit trail calls it."""

    def within(self, surroundings: Surroundings) -> Self:
        """The same, ready to work; itself, if its settings are all it needs."""
        ...

    async def authenticate(self, presented: Presented, client: Client) -> str:
        """See that this is that client; raises ``InvalidClient`` if not.

        Returns what the audit trail calls that which proved it, such as the name of a secret, the
        id of a key or the thumbprint of a certificate; ``""`` for what has no name.
        """
        ...


class SubjectProof(Protocol):
    """One issuer, or keyholder, whose word we take for who somebody is.

    One that has something to open or to close has ``open`` and ``close``.
    """

    def recall(self, digest: bytes) -> Caller | None:
        """The caller of a token already believed, by the token's SHA-256; never waits."""
        ...

    async def prove(self, token: str, digest: bytes) -> Caller | None:
        """The caller this token speaks of; ``None`` if it is not from here.

        Raises ``InvalidGrant`` if it is and is not good, ``TemporarilyUnavailable`` if that
        cannot be told just now.
        """
        ...


class HolderProof(Protocol):
    """One authority, or several, whose certificates say who somebody is."""

    def holder(self, pem: str) -> Caller | None:
        """Whose certificate this is, which was shown when the connection began; never waits.

        ``None`` if it is nobody's from here; raises ``InvalidGrant`` if it is not good.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Trusting:
    """What a subject proof needs to know besides its own settings, and how it names people."""

    name: str
    """The name of its table."""

    default: str = ""
    """The token meant when a request of its people names none."""

    taken: Container[str] = frozenset()
    """Ids of clients and names of other callers: nobody's people may have them."""

    clock: Clock = now
    http: "httpx2.AsyncClient | None" = field(default=None, repr=False)
    """Our way to somebody else's server."""

    shelf: Shelf | None = field(default=None, repr=False)
    seal: Callable[[], Seal] | None = field(default=None, repr=False)
    """What is kept, and with what it is sealed; nothing where nobody else sees what we keep."""

    revoked: Revoked | None = None
    """For our own tokens, which are never remembered: whether one was revoked."""

    onward: bool = False
    """Whether what its people show may go on to upstreams."""

    def caller(
        self,
        claims: Mapping[str, object],
        sub: object,
        *,
        expires_at: float,
        raw: bool = False,
        credential: str = "",
    ) -> Caller:
        """Whom these claims speak of, under a name that is nobody else's.

        ``raw`` people keep their ``sub``. Raises ``InvalidGrant`` for who cannot be named, and for
        what is not to be shown by just anybody.
        """
        if not isinstance(sub, str) or not sub:
            raise self.refused("sub: missing")
        if len(sub) > LONGEST_SUB or not sub.isprintable():
            raise self.refused("sub: too long, or not printable")
        if "cnf" in claims:
            # Bound to a key whose possession nobody has shown us (RFC 9449 §7.1, RFC 8705 §3).
            raise self.refused("cnf: bound to a key, so not to be shown by just anybody")
        if raw and (sub in self.taken or sub.partition("|")[0] in self.taken):
            # A sub that reads like a client's or another caller's subject would be taken for it.
            raise self.refused("sub: belongs to another")
        return Caller(
            name=self.name,
            subject=sub if raw else f"{self.name}|{sub}",
            claims=claims,
            expires_at=expires_at,
            default=self.default,
            credential=credential,
            onward=self.onward,
        )

    def refused(self, why: object) -> InvalidGrant:
        """What is raised for a token that is not good; why is for the operator alone."""
        return InvalidGrant(NOT_VOUCHED_FOR, detail=self.told(why))

    def told(self, why: object) -> str:
        """For the operator: who does not believe what."""
        return f"caller {self.name!r}: {why}"
