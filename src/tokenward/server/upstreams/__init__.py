"""Whose tokens?

An upstream is a frozen dataclass whose fields are its settings in ``[tokens.<name>]`` and whose
``flow`` is the conversation that ends in a token. It does no I/O: it yields requests and is sent
responses. Cache, early refresh, one question for a crowd, deadlines, retries and errors are the
broker's and live once, in ``server/broker.py``.

To add one, write one file here and name it in ``server/plugins.py``.

What not every upstream has to say, it says by an attribute or a method of that name:

* ``carrier()``: what carries its conversation, if it speaks no HTTP;
* ``caution``: what whoever configures it is warned of;
* ``check_scopes(scopes)``: raises ``ValueError`` if it has no tokens for such scopes;
* ``forwards``: true if it needs the very token that the caller showed us (``Grant.shown``);
* ``refreshed`` and ``revoked``: see ``Lasts``, for one whose right to ask is a refresh token;
* ``passes``: the Hub whose challenges whoever the token is for answers, see ``passing``;
* ``identity``: the certificate that its server wants to see, and its key;
* ``signs_as``: which issuer of ours signs what it sends (``""`` for the only one there is), and
  ``signed_by(issuer)``: the same upstream with that issuer's signature.
"""

from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable

import httpx2

from tokenward.client.lasting import Lasting
from tokenward.oauth.messages import AccessToken
from tokenward.oauth.scope import Scope
from tokenward.remote.clients import Identity
from tokenward.remote.flow import Flow
from tokenward.server.model import Authorization

Carrier: TypeAlias = httpx2.AsyncBaseTransport
"""Takes requests and brings answers, whatever they look like on their way."""


class Upstream(Protocol):
    """Somebody else's authorization server, and what we are to it."""

    def flow(self, authorization: Authorization, *, now: float) -> Flow[AccessToken]:
        """The conversation: yields ``httpx2.Request``, is sent ``httpx2.Response``.

        Raises ``ValueError`` or a ``remote.RemoteError`` for an answer that is no token.
        """
        ...

    def shared_by(self, authorization: Authorization) -> Hashable:
        """All authorizations that may share one token have the same answer.

        Raises ``OAuthError`` for one that can have no token at all. Tokens and secrets are in it
        as their SHA-256 alone.
        """
        ...


@runtime_checkable
class Lasts(Protocol):
    """An upstream that is shown a refresh token, kept by us (``server/offline``). It is not asked
    by its ``flow``."""

    @property
    def refresh_token(self) -> str:
        """The one to begin with; ``""`` if each person connects an account of their own."""
        ...

    def refreshed(self, refresh_token: str, scope: Scope, *, now: float) -> Flow[Lasting]:
        """The conversation in which it is shown; raises ``RemoteError``."""
        ...

    def revoked(self, refresh_token: str, *, now: float) -> Flow[bool]:
        """The one in which it is ended; ``False`` if that cannot be said there."""
        ...


class Signer(Protocol):
    """The key of an issuer of ours that signs now."""

    def sign(self, claims: Mapping[str, object], *, typ: str) -> str | Awaitable[str]:
        """The claims as a compact JWS; later, if somebody else holds the key."""
        ...


class OurIssuer(NamedTuple):
    """An issuer of ours, to those who believe what it signs."""

    url: str
    signer: Signer

    def sign(self, claims: Mapping[str, object]) -> str:
        """The claims as a compact JWS; raises ``ValueError`` where that would take a while."""
        signed = self.signer.sign(claims, typ="JWT")
        if not isinstance(signed, str):
            raise ValueError("this key signs elsewhere")  # noqa: TRY004 - configured so, not typed
        return signed


def forwards(upstream: Upstream | None) -> bool:
    """Whether callers' own tokens go on to it."""
    return bool(getattr(upstream, "forwards", False))


def carrier_for(upstream: Upstream) -> Carrier | None:
    """What carries its conversation, if it speaks no HTTP."""
    carrier: Callable[[], Carrier] | None = getattr(upstream, "carrier", None)
    return None if carrier is None else carrier()


def passes(upstream: Upstream | None) -> bool:
    """Whether callers answer its challenges themselves."""
    return bool(getattr(upstream, "passes", None))


def identity_for(upstream: Upstream) -> Identity | None:
    """The certificate that is shown to it, if one is."""
    found = getattr(upstream, "identity", None)
    return found if isinstance(found, Identity) else None


def signs_as(upstream: Upstream | None) -> str | None:
    """The issuer of ours that signs what it is sent; ``None`` if none does."""
    found = getattr(upstream, "signs_as", None)
    return found if isinstance(found, str) else None
