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
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self, runtime_checkable

from tokenward.oauth.scope import NOTHING, Scope
from tokenward.server.connected import app_of
from tokenward.server.model import Grant

if TYPE_CHECKING:  # a server without connections needs neither
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


class Whose(NamedTuple):
    """Whose connection: this person's, for this app, to this token."""

    token: str
    subject: str
    app: tuple[str, ...]
    """What ``connected.app_of`` says of it."""

    @classmethod
    def of(cls, grant: Grant, token: str) -> Self:
        """Whose it is if this grant leads to that token."""
        return cls(token, grant.caller.subject, app_of(grant))


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How it is about a connection; no secret is in it."""

    scope: Scope = NOTHING
    """What the person agreed to."""

    since: float
    """Seconds since the epoch."""

    over: bool = False
    """Whether the other server has ended it: the person would have to connect again."""


class Kept(Protocol):
    """Where the connections to one token are kept, and fresh tokens come from."""

    async def keep(self, whose: Whose, given: "Lasting", *, scope: Scope) -> None:
        """Keep what was given, instead of whatever was there."""
        ...

    async def forget(self, whose: Whose) -> bool:
        """End it, here at once and over there if they let us; whether there was any."""
        ...

    async def look(self, whose: Whose) -> Standing | None:
        """How it is about it; ``None`` if there is none."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """What people can connect to: one token of the configuration."""

    name: str
    """The token's, in the configuration."""

    upstream: Connectable
    kept: Kept
    scopes: Mapping[str, str] = field(default_factory=dict)
    """What its scopes mean."""
