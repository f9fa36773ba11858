"""Tokens as a Textile Hub makes them: the issuer is a key, and so is whoever a token speaks of.

Law of this module: ``iss`` is the key that signs, written as libp2p writes it, so that a token can
never name an issuer that another key speaks for. What such a token cannot say (who acts, which
certificate it is bound to) is refused, not left out.
"""

import re
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from math import isfinite
from typing import Annotated, ClassVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tokenward.jose import keystrings
from tokenward.jose.algorithms import UnusableKey
from tokenward.jose.held import HeldKey, OurKey
from tokenward.oauth.errors import InvalidRequest, OAuthError
from tokenward.server.model import Authorization
from tokenward.server.profiles import AUTHORIZATION, JWKS, TOKEN, Keys
from tokenward.server.values import Within


@dataclass(frozen=True, slots=True, kw_only=True)
class Hub:
    """``[issuers.<name>]`` with ``profile = "hub"``; nothing here can be introspected."""

    algorithm: ClassVar[str] = "Ed25519"
    typ: ClassVar[str] = "JWT"
    paths: ClassVar[Mapping[str, str]] = {
        AUTHORIZATION: "/authorize",
        TOKEN: "/token",
        JWKS: "/.well-known/jwks.json",
    }
    sockets: ClassVar[tuple[str, ...]] = (
        "/threads.pb.API/GetToken",
        "/threads.net.pb.API/GetToken",
    )
    """Where clients open a WebSocket, below the issuer's own path and below any other."""

    rotates: ClassVar[bool] = False
    """Its key is its name: whoever trusts it would not know the next one."""

    expire: bool = True
    """Whether its tokens end. The tokens of Textile's own Hub never did, and nobody can take one
    back; with `false`, those still end whose rule, or whose caller's own proof, says when."""

    challenge: Annotated[float, Within("1s", "5m")] = 60.0
    """How long whoever asks may take to sign."""

    waiting: int = 600
    """How many, in each process, may be about to sign at a time; the next have to come again."""

    grpc: str = ""
    """Where native gRPC is spoken besides, as `127.0.0.1:3006`; `0.0.0.0:3006` for everybody, with
    the certificate of `[listen]`. Every process listens there."""

    def __post_init__(self) -> None:
        if self.grpc and not _PLACE.fullmatch(self.grpc):
            raise ValueError("grpc: must be an address and a port, such as 127.0.0.1:3006")
        if self.grpc and find_spec("grpc") is None:
            raise ValueError("grpc: needs an extra: pip install 'tokenward[server,grpc]'")
        if not 0 < self.waiting <= MOST_WAITING:
            raise ValueError(f"waiting: must be between 1 and {MOST_WAITING}")

    def claims(self, authorization: Authorization) -> dict[str, object]:
        """Who; the signer knows the rest. ``exp`` is ``None`` where there is to be none."""
        grant = authorization.grant
        if grant.certificate or grant.actor or "act" in grant.caller.claims:
            raise InvalidRequest("A token of this issuer can be neither bound nor delegated")
        claims: dict[str, object] = {"sub": grant.caller.subject}
        if not (self.expire or isfinite(authorization.lifetime)):
            proved = min(grant.caller.expires_at, grant.actor.expires_at)
            if not isfinite(proved):
                claims["exp"] = None
        return claims

    def spoken(self, error: OAuthError) -> OAuthError:
        """At its token endpoint, the standard's own words."""
        return error

    def signer(self, keys: Keys) -> "HubSigner":
        """Who signs for this issuer."""
        return HubSigner(keys)


MOST_WAITING = 10_000
_PLACE = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}")


@dataclass(frozen=True, slots=True)
class HubSigner:
    """Signs as go-threads does: a header of two members, and the key itself as the issuer."""

    keys: Keys
    _current: dict[str, tuple[OurKey, str]] = field(default_factory=dict, init=False, repr=False)
    """The key that signs, without its id, and its name; by its id."""

    def sign(self, claims: Mapping[str, object], *, typ: str) -> str | Awaitable[str]:
        """The claims that a Hub's token has, in their order, and ``exp`` if there is to be one."""
        key, name = self._signing()
        said = {"iat": claims["iat"], "iss": name, "sub": claims["sub"]}
        if claims["exp"] is not None:
            said["exp"] = claims["exp"]
        return key.sign(said, typ=typ)

    def _signing(self) -> tuple[OurKey, str]:
        key = self.keys.keys[0]
        if key.kid not in self._current:
            self._current.clear()
            self._current[key.kid] = _nameless(key), name_of(key)
        return self._current[key.kid]


def name_of(key: OurKey) -> str:
    """The public half as libp2p writes it; raises ``UnusableKey`` unless it is Ed25519."""
    public = key.verifying_key().public
    if not isinstance(public, Ed25519PublicKey):
        raise UnusableKey("a hub signs with Ed25519")
    return keystrings.written(keystrings.ED25519, public.public_bytes_raw())


def _nameless(key: OurKey) -> OurKey:
    """The same key, whose headers have no ``kid``."""
    if isinstance(key, HeldKey):
        return replace(key, public=replace(key.public, kid=None))
    return replace(key, kid="")
