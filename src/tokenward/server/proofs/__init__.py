"""Who asks?

A proof is one way to show who one is. There are two kinds, and a file here is of one of them:

* a **client proof** authenticates a client registered here (files are named as in IANA's registry
  of token endpoint authentication methods);
* a **subject proof** believes what somebody we trust says about somebody else.

A proof answers ``None`` if it is not concerned, and raises if it is and what it was shown is not
good: a proof that fails is never mistaken for a proof that is absent.

To add one, write a file with a frozen dataclass whose fields are its settings in
``[callers.<name>]``, and name it in ``server/plugins.py``.
"""

from typing import ClassVar, Protocol, Self

from tokenward.oauth.errors import InvalidGrant
from tokenward.oauth.presented import Presented
from tokenward.server.assertions import Surroundings
from tokenward.server.model import Caller, Client

NOT_VOUCHED_FOR = "nobody we trust vouches for this token"
"""What a caller hears of every fault but age, so that nobody learns which check it was."""


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
    """One issuer, or keyholder, whose word we take for who somebody is."""

    def recall(self, digest: bytes) -> Caller | None:
        """The caller of a token already believed, by the token's SHA-256; never waits."""
        ...

    async def prove(self, token: str, digest: bytes) -> Caller | None:
        """The caller this token speaks of; ``None`` if it is not from here.

        Raises ``InvalidGrant`` if it is and is not good, ``TemporarilyUnavailable`` if that
        cannot be told just now.
        """
        ...
