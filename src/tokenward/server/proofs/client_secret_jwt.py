"""A secret that both sides know and neither sends: client_secret_jwt (OpenID Connect Core §9).

The server has to know the secret itself, where for others its hash is enough, so an issuer accepts
this only if its settings say so. It is here for clients that cannot sign with a key of their own.
"""

import hmac
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import ClassVar, Self

from tokenward.jose.jws import InvalidToken, load_object, parts
from tokenward.oauth.presented import ASSERTION, Presented
from tokenward.server import assertions
from tokenward.server.assertions import Surroundings
from tokenward.server.model import Client

SHORTEST = 32
"""Bytes of a secret for HS256 (RFC 7518 §3.2: "the same size as the hash output")."""

_HASHES = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSecretJwt:
    """Settings of a client that signs assertions with its secret."""

    methods: ClassVar[frozenset[str]] = frozenset({ASSERTION})
    name: ClassVar[str] = "client_secret_jwt"

    secrets: tuple[str, ...] = field(repr=False)
    """The secrets themselves, each from a variable such as `${NIGHTLY_SECRET}`; all are valid."""

    algorithm: str = "HS256"
    """The one it signs with: `HS256`, `HS384` or `HS512`."""

    audience: tuple[str, ...] = ()
    """What its `aud` may be besides the issuer's exact URL."""

    _surroundings: Surroundings | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.secrets:
            raise ValueError("secrets: at least one is needed")
        if self.algorithm not in _HASHES:
            raise ValueError(f"algorithm: must be one of {', '.join(_HASHES)}")
        if any(len(secret.encode()) < SHORTEST for secret in self.secrets):
            raise ValueError(
                f"secrets: one is shorter than {SHORTEST} bytes; make one with: tokenward hash"
            )
        if not all(self.audience):
            raise ValueError("audience: one of them is empty")

    def within(self, surroundings: Surroundings) -> Self:
        """The same, ready to work."""
        ready = replace(self)
        object.__setattr__(ready, "_surroundings", surroundings)
        return ready

    async def authenticate(self, presented: Presented, client: Client) -> str:
        """Verify the assertion, then see that it has not been used before."""
        surroundings = self._surroundings
        if surroundings is None:
            raise RuntimeError("this proof does not work yet")
        issuer = surroundings.issuers.get(presented.issuer)
        if issuer is None or presented.issuer not in surroundings.secrets_may_sign:
            raise assertions.refused(client, "this issuer does not accept client_secret_jwt")
        expected = assertions.expected(client, issuer, self.audience)
        try:
            header, payload, signed, signature = parts(presented.candidates[0][1])
            if header.alg != self.algorithm or header.kind not in assertions.TYPES:
                raise InvalidToken("header: another alg or typ")  # noqa: TRY301 - told below
            right = ""
            for secret in self.secrets:
                made = hmac.digest(secret.encode(), signed, _HASHES[self.algorithm])
                if hmac.compare_digest(made, signature):
                    right = sha256(secret.encode()).hexdigest()[:8]
            if not right:
                raise InvalidToken("the signature does not match")  # noqa: TRY301 - told below
            claims = load_object(payload)
            expected.check(claims, now=surroundings.clock())
        except (InvalidToken, ValueError) as exc:
            raise assertions.refused(client, str(exc)) from None
        await assertions.spend(claims, client, surroundings)
        return right
