"""A secret that both sides know: client_secret_basic and client_secret_post (RFC 6749 §2.3.1).

Only the SHA-256 of a secret is ever written down. That is enough because the secrets are generated
(``tokenward hash``: 256 bits), never chosen: nothing can be guessed back from a fast hash.
"""

import hmac
import re
from dataclasses import dataclass, field
from hashlib import sha256
from typing import ClassVar, Self

from tokenward.oauth.errors import InvalidClient
from tokenward.oauth.presented import BASIC, POST, Presented
from tokenward.server.assertions import Surroundings
from tokenward.server.model import Client

_HASH = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSecret:
    """Settings of a client that authenticates with a secret."""

    methods: ClassVar[frozenset[str]] = frozenset({BASIC, POST})
    name: ClassVar[str] = "client_secret"

    secrets: tuple[str, ...] = field(repr=False)
    """``sha256:…`` of each secret, as ``tokenward hash`` prints it; all of them are valid."""

    _digests: tuple[bytes, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.secrets:
            raise ValueError("secrets: at least one is needed; make one with: tokenward hash")
        if not all(map(_HASH.fullmatch, self.secrets)):
            raise ValueError(
                "secrets: not a hash such as sha256:<64 hex digits>; "
                "make one with: tokenward hash (the file never holds the secret itself)"
            )
        digests = tuple(bytes.fromhex(known.removeprefix("sha256:")) for known in self.secrets)
        object.__setattr__(self, "_digests", digests)

    def within(self, surroundings: Surroundings) -> Self:  # noqa: ARG002 - it needs nothing
        """Ready as it is."""
        return self

    async def authenticate(self, presented: Presented, client: Client) -> None:
        """Compare in constant time, every secret every time."""
        right = False
        for id, secret in presented.candidates:
            digest = sha256(secret.encode()).digest()
            for known in self._digests:
                right |= hmac.compare_digest(digest, known) and id == client.id
        if not right:
            raise InvalidClient(detail=f"wrong id or secret for client {client.id!r}")
