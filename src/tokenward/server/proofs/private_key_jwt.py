"""A signature that only the client can make: private_key_jwt (RFC 7523 §2.2).

We know the public key. Nothing that passes over the wire can be used a second time or elsewhere.
"""

from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from tokenward.jose.jws import InvalidToken, UnknownKey, header_of
from tokenward.jose.jwt import verify
from tokenward.jose.keys import ALGORITHMS, KeySet
from tokenward.oauth.errors import TemporarilyUnavailable
from tokenward.oauth.presented import ASSERTION, Presented
from tokenward.remote.discovery import check_url
from tokenward.remote.fetch import RemoteError
from tokenward.remote.keysets import RemoteKeys
from tokenward.server import assertions
from tokenward.server.assertions import Surroundings
from tokenward.server.model import Client


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateKeyJwt:
    """Settings of a client that signs assertions; either its keys or where they are."""

    methods: ClassVar[frozenset[str]] = frozenset({ASSERTION})
    name: ClassVar[str] = "private_key_jwt"

    keys: KeySet | None = None
    """Its public keys: a JWKS, or PEM texts."""

    jwks_uri: str = ""
    """Where it publishes them; then it can change them by itself."""

    algorithms: frozenset[str] = frozenset({"ES256", "PS256", "RS256", "EdDSA", "Ed25519"})
    """What it may sign with."""

    audience: tuple[str, ...] = ()
    """What its `aud` may be besides the issuer's exact URL, such as the URL of the token endpoint
    for clients that write that. Each is one more place whose assertions are good here."""

    _keys: RemoteKeys | None = field(default=None, init=False, repr=False, compare=False)
    _surroundings: Surroundings | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if (self.keys is None) == (not self.jwks_uri):
            raise ValueError("keys: either keys or jwks_uri is needed, and not both")
        if self.keys is not None and not self.keys.keys:
            raise ValueError("keys: there is none")
        if self.jwks_uri:
            try:
                check_url(self.jwks_uri)
            except ValueError as exc:
                raise ValueError(f"jwks_uri: {exc}") from None
        if not self.algorithms or (unknown := self.algorithms - ALGORITHMS):
            known = ", ".join(sorted(ALGORITHMS))
            said = ", ".join(sorted(unknown)) if self.algorithms else "none"
            raise ValueError(f"algorithms: {said}: not one of {known}")
        if not all(self.audience):
            raise ValueError("audience: one of them is empty")

    def within(self, surroundings: Surroundings) -> Self:
        """The same, ready to work."""
        ready = replace(self)
        keys = RemoteKeys(jwks_uri=self.jwks_uri, fixed=self.keys, clock=surroundings.clock)
        object.__setattr__(ready, "_keys", keys)
        object.__setattr__(ready, "_surroundings", surroundings)
        return ready

    async def authenticate(self, presented: Presented, client: Client) -> str:
        """Verify the assertion, then see that it has not been used before."""
        surroundings, keys = self._surroundings, self._keys
        if surroundings is None or keys is None:
            raise RuntimeError("this proof does not work yet")
        issuer = surroundings.issuers.get(presented.issuer)
        if issuer is None:
            raise assertions.refused(client, "presented where no issuer of ours is")
        expected = assertions.expected(client, issuer, self.audience, self.algorithms)
        assertion = presented.candidates[0][1]
        try:
            try:
                claims = verify(assertion, keys.current, expected, now=surroundings.clock())
            except UnknownKey:
                await keys.aload(unknown=True)
                claims = verify(assertion, keys.current, expected, now=surroundings.clock())
        except InvalidToken as exc:
            raise assertions.refused(client, str(exc)) from None
        except RemoteError as exc:
            raise TemporarilyUnavailable(
                "the keys of this client cannot be had just now",
                detail=f"client {client.id!r}: {exc.reason}",
            ) from None
        keys.arenew()
        await assertions.spend(claims, client, surroundings)
        return header_of(assertion).kid or ""
