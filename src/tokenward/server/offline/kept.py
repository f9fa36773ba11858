"""A stored grant as it is kept: what is shown to the platform, and what came of it so far."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from tokenward.oauth.scope import NOTHING, Scope
from tokenward.server.offline import Status, Whose
from tokenward.server.remembered import Asked
from tokenward.server.stores import WrongStore

MOST_TOKENS = 8
"""Access tokens beside one refresh token, one for each scope; the oldest go."""

MOST_FORMER = 32
"""Configured refresh tokens that were replaced, and are remembered so as not to come back."""

_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One stored grant."""

    whose: Whose
    id: str
    """A new one each time somebody connects, so that nothing of the former one is mistaken."""

    where: str
    """The server it is of, and who we are there, as a hash."""

    refresh_token: str = field(repr=False)
    scope: Scope = NOTHING
    account: str = ""
    since: float
    refreshed: float = 0.0
    ended: float = 0.0
    turn: int = 0
    """The number of the lease under which it was last changed."""

    tokens: Mapping[str, Asked] = field(default_factory=dict, repr=False)
    """What was asked for with it, by what it is good for."""

    first: str = ""
    """The configured refresh token that it began with, as a hash."""

    former: tuple[str, ...] = ()
    """Those configured before that, which were still good when they were replaced."""

    spent: tuple[str, ...] = ()
    """Those that the platform has ended."""

    @property
    def status(self) -> Status:
        """What may be said about it."""
        return Status(
            whose=self.whose,
            account=self.account,
            scope=self.scope,
            since=self.since,
            refreshed=self.refreshed,
            ended=self.ended,
        )

    def renewed(self, refresh_token: str, good_for: str, asked: Asked | None, *, at: float) -> Self:
        """After an answer: with the new refresh token, if it had one."""
        tokens = {name: one for name, one in self.tokens.items() if one.token.expires_at > at}
        if asked is not None:
            tokens.pop(good_for, None)
            tokens[good_for] = asked
        return replace(
            self,
            refresh_token=refresh_token or self.refresh_token,
            refreshed=at if asked is not None else self.refreshed,
            tokens=dict([*tokens.items()][-MOST_TOKENS:]),
        )

    def over(self, *, at: float) -> Self:
        """After the platform has ended it: no secret is left."""
        return replace(self, refresh_token="", tokens={}, ended=at)

    def is_replaced_by(self, first: str) -> bool:
        """Whether this configured refresh token is news.

        A process that has not heard of the newest configuration must not bring back the one
        before: where the platform has spent that, showing it again may end them all.
        """
        if first == self.first or first in self.spent:
            return False
        return bool(self.ended) or first not in self.former

    def replaced(self, heir: "Kept") -> "Kept":
        """The one that takes its place, which knows what was before."""
        former, spent = self.former, self.spent
        if self.ended:
            spent = (*spent, self.first)
        else:
            former = (*former, self.first)
        former = tuple(one for one in former if one != heir.first)
        return replace(heir, former=former[-MOST_FORMER:], spent=spent[-MOST_FORMER:])


def to_bytes(kept: Kept) -> bytes:
    """All of it; seal it before a store sees it."""
    whose = kept.whose
    said = {
        "version": _VERSION,
        "whose": [whose.token, whose.subject, list(whose.app)],
        "id": kept.id,
        "where": kept.where,
        "refresh_token": kept.refresh_token,
        "scope": kept.scope.text,
        "account": kept.account,
        "since": kept.since,
        "refreshed": kept.refreshed,
        "ended": kept.ended,
        "turn": kept.turn,
        "tokens": {name: asked.to_json() for name, asked in kept.tokens.items()},
        "first": kept.first,
        "former": list(kept.former),
        "spent": list(kept.spent),
    }
    return json.dumps(said).encode()


def from_bytes(data: bytes) -> Kept:
    """What ``to_bytes`` made; raises ``WrongStore`` for what a later version made."""
    said = json.loads(data)
    if said["version"] != _VERSION:
        raise WrongStore(
            f"a stored grant is of version {said['version']}, and this tokenward knows {_VERSION}:"
            " use the newer one"
        )
    token, subject, app = said["whose"]
    return Kept(
        whose=Whose(token, subject, tuple(app)),
        id=said["id"],
        where=said["where"],
        refresh_token=said["refresh_token"],
        scope=Scope.parse(said["scope"]),
        account=said["account"],
        since=said["since"],
        refreshed=said["refreshed"],
        ended=said["ended"],
        turn=said["turn"],
        tokens={name: Asked.from_json(one) for name, one in said["tokens"].items()},
        first=said["first"],
        former=tuple(said["former"]),
        spent=tuple(said["spent"]),
    )
