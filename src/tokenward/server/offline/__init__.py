"""What do we fetch for those who are not there?

A stored grant is a refresh token of somebody else's platform, kept sealed, from which access
tokens are made for as long as the platform lets us. There is one that the operator configured for
all who may have the token, or one for each person and app: whoever connected an account. ``safe``
keeps them, ``refreshing`` shows them to the platform, ``people`` finds the one of whoever asks.

Law: one process at a time shows a refresh token, and what came of it is kept before anybody gets
anything. An answer that was lost costs nothing that we know of: the same refresh token is shown
again. Only the platform's own ``invalid_grant`` ends a grant, and then for good.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple, Self

from tokenward.oauth.scope import NOTHING, Scope
from tokenward.server.connected import app_of
from tokenward.server.model import Grant

SHELF = "grants/"
"""What the places of all stored grants begin with."""


class Whose(NamedTuple):
    """Whose grant it is: of one person, for one app, and good for one token."""

    token: str
    """The name of its table."""

    subject: str = ""
    """The person, as their tokens call them here; ``""`` for the one of all."""

    app: tuple[str, ...] = ()
    """What ``connected.app_of`` says of the app."""

    @classmethod
    def of(cls, grant: Grant, token: str) -> Self:
        """Whose it is if this grant leads to that token."""
        return cls(token, grant.caller.subject, app_of(grant))

    @property
    def place(self) -> str:
        """Where it is kept. Nobody reads from it who they are."""
        if not self.subject:
            return f"{SHELF}-/{self.token}"
        return f"{places_of(self.subject)}{self.token}/{_mark(*self.app)}"


def places_of(subject: str) -> str:
    """What the places of all that this person has connected begin with."""
    return f"{SHELF}{_mark(subject)}/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What there is to say about a stored grant."""

    whose: Whose
    account: str
    """Whose account it is there, in words that the person knows; ``""`` if nobody said."""

    scope: Scope = NOTHING
    """What may be asked for with it; nothing if nobody said."""

    since: float
    """When it was put here, in seconds since the epoch."""

    refreshed: float
    """When it last gave a token."""

    ended: float = 0.0
    """When the platform said that it is over; 0 while it has not."""


def _mark(*parts: str) -> str:
    # Each part with its length, so that no two lists of parts can be read as one text.
    said = "".join(f"{len(part)}:{part}" for part in parts)
    return sha256(said.encode()).hexdigest()
