"""The accounts that people have connected: put there, looked at, used, and removed.

Law of this module: nobody gets a token of a grant that has been removed, from the moment it has;
so each request looks whether it is there.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tokenward.client.lasting import Lasting
from tokenward.oauth.messages import AccessToken
from tokenward.oauth.scope import Scope
from tokenward.remote.fetch import RemoteError
from tokenward.server.broker import Broker
from tokenward.server.model import Authorization
from tokenward.server.offline import Status, Whose
from tokenward.server.offline.refreshing import Refreshing
from tokenward.server.offline.safe import Safe

Revoked = Literal["revoked", "nowhere", "failed"]
"""Whether the platform was told: it was; it cannot be told; it did not listen, and the person had
better look at what is connected there."""

_log = logging.getLogger("tokenward.server")


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """The source of one token, from the account of whoever asks."""

    broker: Broker
    refreshing: Refreshing

    async def issue(self, authorization: Authorization) -> AccessToken:
        """Theirs; raises ``InteractionRequired`` if they have to connect their account first."""
        return await self.broker.issue(authorization, await self.refreshing.wanted(authorization))


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """What may be done with the accounts that people have connected. All of it may raise
    ``StoreUnavailable``."""

    safe: Safe
    refreshing: Mapping[str, Refreshing] = field(repr=False)
    """By the name of the token."""

    async def put(self, whose: Whose, given: Lasting, *, scope: Scope, account: str = "") -> None:
        """Keep what a platform gave to whoever has just connected an account, instead of what was
        there. ``scope``: all that may be asked for with it. Raises ``ValueError`` for what does
        not last, and ``LookupError`` for a token that has no stored grants.

        What was there is not revoked: platforms take the new one for the same.
        """
        if not given.refresh_token:
            raise ValueError("there is no refresh token in it")
        refreshing = self.refreshing[whose.token]
        await self.safe.put(
            whose,
            where=refreshing.where,
            refresh_token=given.refresh_token,
            scope=scope,
            account=account,
            token=given.token,
            good_for=refreshing.good_for(given.token.scope) if given.token else "",
        )

    async def status(self, whose: Whose) -> Status | None:
        """What there is; ``None`` also for what was connected with another registration of ours
        than we have now."""
        seen = await self.safe.look(whose)
        refreshing = self.refreshing.get(whose.token)
        if seen is None or refreshing is None or seen.kept.where != refreshing.where:
            return None
        return seen.kept.status

    async def of(self, subject: str) -> list[Status]:
        """All that this person has connected, for whichever app."""
        return await self.safe.of(subject)

    async def remove(self, whose: Whose) -> Revoked | None:
        """Forget it, and tell the platform; ``None`` if there was nothing to forget.

        It is forgotten first: whatever the platform says, nobody gets a token of it any more.
        """
        kept = await self.safe.remove(whose)
        if kept is None:
            return None
        refreshing = self.refreshing.get(whose.token)
        if not kept.refresh_token or refreshing is None or kept.where != refreshing.where:
            return "nowhere"
        try:
            return "revoked" if await refreshing.revoke(kept) else "nowhere"
        except RemoteError as error:
            _log.warning("tokens.%s: a grant was not revoked: %s", whose.token, error.reason)
            return "failed"
