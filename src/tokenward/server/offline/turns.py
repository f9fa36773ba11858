"""Whose turn it is to show a refresh token, and how what came of it is kept whatever happens."""

import asyncio
import logging
from dataclasses import dataclass, field, fields, is_dataclass, replace
from hashlib import sha256
from http import HTTPStatus
from typing import NamedTuple

from tokenward.oauth.messages import AccessToken
from tokenward.oauth.scope import Scope
from tokenward.remote.fetch import RemoteError
from tokenward.server.offline import Whose
from tokenward.server.offline.kept import Kept
from tokenward.server.offline.safe import Safe, Seen
from tokenward.server.sharing import canonical
from tokenward.server.stores import StoreUnavailable
from tokenward.server.upstreams import Lasts

TO_ANSWER = 2.0
"""Seconds that the store has for one question of ours."""

TO_KEEP = 60.0
"""Seconds for which we try to keep an answer while the store is away."""

MARGIN = 1.0
"""Seconds of a lease that must be left to begin a question."""

SKEW = 60.0
"""Seconds by which the clock of whoever asked may be ahead of ours."""

_log = logging.getLogger("tokenward.server")


class Overtaken(Exception):
    """The grant was removed, or another process went on with it: no fault of the platform's."""


class Wanted(NamedTuple):
    """An access token from one stored grant: a broker's key for it."""

    whose: Whose
    id: str
    """Of the very grant; ``""`` for the one of all, whichever it is now."""

    scope: Scope
    good_for: str


@dataclass(slots=True, kw_only=True)
class Turn:
    """A lease, and the grant as it is seen while we hold it."""

    place: str
    number: int
    ends: float
    """By the wall's clock."""

    seen: Seen = field(repr=False)
    lost: bool = False
    asking: "asyncio.Task[AccessToken] | None" = None
    renewing: "asyncio.Task[None] | None" = None

    def is_over(self, now: float) -> bool:
        """Whether it is too late to begin a question."""
        return self.lost or now > self.ends - MARGIN


def is_over(fault: RemoteError) -> bool:
    """Whether the platform has said for certain that the grant has ended (RFC 6749 §5.2).

    What an error page says, or a server in trouble, is not for certain.
    """
    certain = HTTPStatus.BAD_REQUEST <= fault.status < HTTPStatus.INTERNAL_SERVER_ERROR
    return fault.code == "invalid_grant" and certain and not fault.transient


def settings_of(upstream: Lasts) -> str:
    """All of them but the configured refresh token, as a hash: what comes of another configured
    one goes with its grant."""
    settings: object = upstream  # any class may be one
    named = fields(settings) if is_dataclass(settings) else ()
    names = [it.name for it in named if it.init and it.name != "refresh_token"]
    try:
        return hashed([(name, getattr(upstream, name)) for name in names])
    except TypeError:  # a plug-in's own settings
        return hashed(type(upstream).__qualname__)


def hashed(it: object) -> str:
    """What something is called in all processes; ``TypeError`` where that is not known."""
    return sha256(canonical(it)).hexdigest()


async def saved(safe: Safe, turn: Turn, kept: Kept) -> bool:
    """Keep what came of a question; ``False`` if it is no longer ours to keep.

    What was asked for in a later turn counts more, and so does whoever removed the grant or put
    another in its place. While the store is away it is tried again: the refresh token that was
    shown may be spent. Raises ``StoreUnavailable`` if that takes too long.
    """
    loop = asyncio.get_running_loop()
    kept, give_up, pause = replace(kept, turn=turn.number), loop.time() + TO_KEEP, 0.05
    while True:
        try:
            async with asyncio.timeout(TO_ANSWER):
                changed = await safe.change(turn.seen, kept)
                there = changed or await safe.look(kept.whose)
        except (StoreUnavailable, TimeoutError) as away:
            if loop.time() > give_up:
                _log.error(
                    "tokens.%s: the store is away, and a new refresh token is lost",
                    kept.whose.token,
                )
                raise StoreUnavailable("a refresh token could not be kept") from away
            await asyncio.sleep(pause)
            pause = min(2 * pause, 1.0)
            continue
        if there is None or there.kept.id != kept.id or there.kept.turn > turn.number:
            return False
        turn.seen = there
        if there.kept == kept:  # perhaps since the last try, whose answer was lost
            return True
