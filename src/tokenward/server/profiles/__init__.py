"""How do ours look?

A profile is the dialect of one issuer: the paths of its endpoints, the algorithm it signs with,
and the claims of its access tokens beyond those that every token of ours has (``iss aud exp iat
jti``, which the mint writes).

To add one, write a file with a class that keeps this contract and name it in
``server/plugins.py``.
"""

from collections.abc import Awaitable, Mapping
from typing import ClassVar, Protocol, runtime_checkable

from tokenward.jose.held import OurKey
from tokenward.oauth.errors import OAuthError
from tokenward.server.model import Authorization

AUTHORIZATION = "authorization"
TOKEN = "token"
JWKS = "jwks"
INTROSPECTION = "introspection"
REVOCATION = "revocation"

CHALLENGE_PATH = "/challenge"
"""Where whoever has a key is asked about it, under an issuer of any profile."""


class Profile(Protocol):
    """The dialect of one issuer."""

    algorithm: ClassVar[str]
    """What it signs with unless ``[issuers.<name>] algorithm`` says otherwise."""

    typ: ClassVar[str]
    """The ``typ`` of its access tokens (RFC 9068 §2.1)."""

    paths: ClassVar[Mapping[str, str]]
    """From the role of an endpoint to its path under the issuer's own; without a role, it is not
    there."""

    def claims(self, authorization: Authorization) -> dict[str, object]:
        """Who, for whom and how much, in this dialect; may replace what the mint writes."""
        ...

    def spoken(self, error: OAuthError) -> OAuthError:
        """The error as this dialect says it; the same one where it has no words of its own."""
        ...


class Keys(Protocol):
    """The keys of one issuer."""

    keys: tuple[OurKey, ...]
    """The one that signs first."""


class Signer(Protocol):
    """Whoever signs for one issuer."""

    def sign(self, claims: Mapping[str, object], *, typ: str) -> str | Awaitable[str]:
        """The claims as a compact JWS (RFC 7515 §3.1); later, if somebody else holds the key."""
        ...


@runtime_checkable
class OwnHand(Protocol):
    """A profile whose tokens are not what its keys write by themselves."""

    def signer(self, keys: Keys) -> Signer:
        """Who signs instead; of the claims, it may leave out what the dialect does not have."""
        ...
