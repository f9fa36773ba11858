"""A key that never changes, for platforms that have nothing better.

Whoever may have this token gets the key itself, and can do with it what we can, for as long as
nobody changes it there and here. A platform that gives tokens deserves another upstream.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from tokenward.oauth.messages import AccessToken
from tokenward.oauth.scope import Scope
from tokenward.remote.flow import Flow
from tokenward.server.model import Authorization
from tokenward.server.values import Within

_ALL = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Static:
    """``[tokens.<name>] upstream = "static"``; raises ``ValueError`` for nonsense."""

    secret: str = field(repr=False)
    """The key, as `"${NAME}"`. Whoever may have the token gets it as it is."""

    lifetime: Annotated[float, Within("1m", "24h")] = 3_600.0
    """How long callers are told it is good for: then they ask again, and hear of a new key."""

    caution: ClassVar[str] = (
        "hands out the key itself: it cannot be narrowed, and is good for ever wherever it goes"
    )

    def __post_init__(self) -> None:
        try:
            self._told(now=0.0)
        except ValueError:
            raise ValueError("secret: must be printable ASCII without blanks") from None

    def check_scopes(self, scopes: Scope) -> None:
        """Nobody's key becomes a lesser one because we say so; raises ``ValueError``."""
        if scopes:
            raise ValueError("are not for a key that never changes: it cannot be narrowed")

    def flow(self, authorization: Authorization, *, now: float) -> Flow[AccessToken]:  # noqa: ARG002
        """Nobody is asked."""
        yield from ()
        return self._told(now=now)

    def shared_by(self, authorization: Authorization) -> Hashable:  # noqa: ARG002
        """There is one for all; and no name for it by which processes could share it."""
        return _ALL

    def _told(self, *, now: float) -> AccessToken:
        answer = {"access_token": self.secret, "expires_in": int(self.lifetime)}
        return AccessToken.parse(answer, now=now)
