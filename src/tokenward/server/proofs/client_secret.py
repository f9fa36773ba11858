"""A secret that both sides know: client_secret_basic and client_secret_post (RFC 6749 §2.3.1).

Several may live at a time, so that one can take the place of another without anybody waiting.
"""

import hmac
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Annotated, ClassVar, Self

from tokenward.clock import Clock, now
from tokenward.oauth.errors import InvalidClient
from tokenward.oauth.presented import BASIC, POST, Presented
from tokenward.server.assertions import Surroundings
from tokenward.server.hashes import Known, known_secrets
from tokenward.server.model import Client


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSecret:
    """Settings of a client that authenticates with a secret."""

    methods: ClassVar[frozenset[str]] = frozenset({BASIC, POST})
    name: ClassVar[str] = "client_secret"

    secrets: Annotated[tuple[str | Known, ...], known_secrets] = field(repr=False)
    """``sha256:…`` of each secret, as ``tokenward hash`` prints it; all of them are valid. Or a
    table for one that has an end, or a name in the audit trail: `{ hash = "sha256:…", name = "…",
    expires = 2027-01-01T00:00:00Z }`."""

    _known: tuple[Known, ...] = field(init=False, repr=False, compare=False)
    _clock: Clock = field(default=now, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.secrets:
            raise ValueError("secrets: at least one is needed; make one with: tokenward hash")
        try:
            known = tuple(
                one if isinstance(one, Known) else Known(hash=one) for one in self.secrets
            )
        except ValueError as exc:
            raise ValueError(f"secrets: {exc}") from None
        if len({one.name for one in known}) < len({one.digest for one in known}):
            raise ValueError("secrets: two of them have the same name")
        object.__setattr__(self, "_known", known)

    def within(self, surroundings: Surroundings) -> Self:
        """The same, with the server's clock."""
        ready = replace(self)
        object.__setattr__(ready, "_clock", surroundings.clock)
        return ready

    async def authenticate(self, presented: Presented, client: Client) -> str:
        """Compare in constant time, every secret every time."""
        right = None
        for id, secret in presented.candidates:
            digest = sha256(secret.encode()).digest()
            for known in self._known:
                if hmac.compare_digest(digest, known.digest) and id == client.id:
                    right = known
        if right is None:
            raise InvalidClient(detail=f"wrong id or secret for client {client.id!r}")
        if right.expires <= self._clock():
            raise InvalidClient(detail=f"client {client.id!r}: secret {right.name} has expired")
        return right.name
