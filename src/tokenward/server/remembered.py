"""What is remembered of a question to an upstream: a token and its age, or why there is none.

Law of this module: ages are told by two clocks, the wall's and one that only runs forward, and
whichever says that more time has passed is believed.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from tokenward.oauth.errors import OAuthError, TemporarilyUnavailable
from tokenward.oauth.messages import AccessToken
from tokenward.oauth.scope import Scope
from tokenward.server.patience import LONGEST_PAUSE

SHORTEST_LIFE = 5.0
"""Seconds a token must have left to be of any use to whoever gets it."""

LONGEST_MEMORY = 86_400.0
"""Seconds after which a token is asked for anew, however long its upstream says it lives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A token, and when it was asked for by either clock."""

    token: AccessToken
    wall: float
    steady: float

    def to_json(self) -> dict[str, object]:
        """All of it but the age by a clock that no other process has; seal it."""
        token = self.token
        return {
            "asked": self.wall,
            "token": token.value,
            "expires_at": token.expires_at,
            "scope": token.scope.text,
            "token_type": token.token_type,
            "types": sorted(token.types),
        }

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Self:
        """What ``to_json`` made; raises ``KeyError`` and ``ValueError`` for anything else."""
        token = AccessToken(
            value=said["token"],
            expires_at=float(said["expires_at"]),
            scope=Scope.parse(said["scope"]),
            token_type=said["token_type"],
            types=frozenset(said["types"]),
        )
        return cls(token=token, wall=float(said["asked"]), steady=0.0)


@dataclass(slots=True, kw_only=True)
class Held:
    """A token in memory, and until which age it is good for what."""

    token: AccessToken
    wall: float
    steady: float
    life: float
    margin: float
    stale: float
    renew: float
    failed: float = -math.inf
    """When a question for its successor last failed, by the clock that only runs forward."""

    @classmethod
    def of(cls, asked: Asked, *, fresh: float, early: float) -> "Held":
        """With ``fresh`` and ``early`` as a broker has them."""
        life = asked.token.expires_at - asked.wall
        kept = min(life, LONGEST_MEMORY)
        margin = min(max(fresh, SHORTEST_LIFE), kept / 2)
        stale = kept - margin
        return cls(
            token=asked.token,
            wall=asked.wall,
            steady=asked.steady,
            life=life,
            margin=margin,
            stale=stale,
            renew=stale - min(early, kept / 4),
        )

    def age(self, wall: float, steady: float) -> float:
        """Seconds since it was asked for, at this time by either clock."""
        return max(wall - self.wall, steady - self.steady)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why there is no token: told to everybody who waited, and not remembered."""

    detail: str = field(repr=False)
    retry_after: float = 0.0
    asked: bool = True
    """Whether anybody was asked at all."""

    error: Callable[[], OAuthError] | None = field(default=None, repr=False)
    """What callers hear where it is no use to come again, made for each."""

    def told(self) -> OAuthError:
        """An error of one's own: an exception that a crowd raises grows a long tail."""
        if self.error is not None:
            return self.error()
        seconds = math.ceil(min(self.retry_after, LONGEST_PAUSE)) or 5
        return TemporarilyUnavailable(
            "the upstream gave no token", detail=self.detail, retry_after=seconds
        )
