"""How do ours look?

A profile is the dialect of one issuer: the paths of its endpoints, the algorithm it signs with,
and the claims of its access tokens beyond those that every token of ours has (``iss aud exp iat
jti``, which the mint writes).

To add one, write a file with a class that keeps this contract and name it in
``server/plugins.py``.
"""

from collections.abc import Mapping
from typing import ClassVar, Protocol

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
    """From the role of an endpoint to its path under the issuer's own."""

    def claims(self, authorization: Authorization) -> dict[str, object]:
        """Who, for whom and how much, in this dialect; may replace what the mint writes."""
        ...

    def spoken(self, error: OAuthError) -> OAuthError:
        """The error as this dialect says it; the same one where it has no words of its own."""
        ...
