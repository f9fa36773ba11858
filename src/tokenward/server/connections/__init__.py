"""A person connects an account that they have elsewhere, once, in the browser, for one app.

    link -> click -> (they agree, over there) -> return -> code -> connection

The app begins with its person's token and gets a link. The page behind it says who wants what from
whom, and for which person; a click leads to the other server. What comes back belongs to the
browser that clicked. The app then gets a code, and only with that code *and* its person's token
does a connection come of it.

Law of this package: link, return and code are good once, for minutes; each is kept under its hash,
and sealed. The person who agrees is told for whom, and nothing is usable before the app has shown
that the person at its end is the one who began. So whoever sends a link of theirs to somebody else
never gets that person's account, and nobody is given an account of a stranger's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from tokenward.oauth.scope import Scope
from tokenward.server.offline import Status, Whose

if TYPE_CHECKING:  # a server without connections needs none of them
    import httpx2

    from tokenward.client.lasting import Lasting
    from tokenward.remote.flow import Flow


@runtime_checkable
class Connectable(Protocol):
    """An upstream whose tokens are of accounts that people connect in the browser."""

    @property
    def called(self) -> str:
        """What people call it."""
        ...

    def asked_in_browser(
        self, scope: Scope, *, redirect_uri: str, state: str, verifier: str, now: float
    ) -> "Flow[str]":
        """The address where a person is asked to agree (RFC 6749 §4.1.1, RFC 7636 §4.3)."""
        ...

    def fault_of_issuer(self, said: str | None, *, now: float) -> "Flow[str]":
        """Why an answer with this ``iss`` is another server's, ``""`` if it may be its own."""
        ...

    def redeemed(
        self, code: str, *, redirect_uri: str, verifier: str, now: float
    ) -> "Flow[Lasting]":
        """What the person has agreed to; raises ``RemoteError``."""
        ...


def connectable(upstream: object) -> Connectable | None:
    """The upstream, if people connect accounts to it."""
    return upstream if isinstance(upstream, Connectable) else None


class Kept(Protocol):
    """Where connections are kept, and fresh tokens come from (``offline.people``)."""

    async def put(self, whose: Whose, given: "Lasting", *, scope: Scope, account: str = "") -> None:
        """Keep what was given, instead of whatever was there; ``ValueError`` for what does not
        last."""
        ...

    async def remove(self, whose: Whose) -> str | None:
        """End it, here at once and over there if they let us; ``None`` if there was none."""
        ...

    async def status(self, whose: Whose) -> Status | None:
        """How it is about it; ``None`` if there is none."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """What people can connect to: one token of the configuration."""

    name: str
    """The token's, in the configuration."""

    upstream: Connectable
    http: "httpx2.AsyncClient" = field(repr=False)
    """The way there."""

    scopes: Mapping[str, str] = field(default_factory=dict)
    """What its scopes mean."""

    names_scopes: bool = True
    """Whether it calls scopes as we do when it answers."""
