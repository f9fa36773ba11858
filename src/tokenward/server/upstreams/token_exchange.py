"""A token for the caller's own token: on their behalf, as far as they may go there (RFC 8693).

Their token, and that of whoever acts for them, goes to that server alone and is kept nowhere.
What comes back is theirs: nobody shares it who has not shown the same tokens.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from tokenward.client.flows import TokenEndpoint
from tokenward.oauth.errors import TargetNotAllowed
from tokenward.oauth.messages import ACCESS_TOKEN, ID_TOKEN, JWT, AccessToken
from tokenward.remote.flow import Flow
from tokenward.server.model import Authorization
from tokenward.server.registration import Registration, digest

TYPES = {"access_token": ACCESS_TOKEN, "id_token": ID_TOKEN, "jwt": JWT}
Type = Literal["access_token", "id_token", "jwt"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenExchange(Registration):
    """``[tokens.<name>] upstream = "token_exchange"``; raises ``ValueError`` for nonsense."""

    subject: Literal["shown", "ours"] = "shown"
    """Which token is exchanged: `shown`, the one that the caller showed us; or `ours`, one that
    we sign about ourselves, which everybody shares."""

    subject_token_type: Type = "access_token"
    """What that token is called there."""

    actor_token: Literal["shown", "none"] = "shown"
    """Whether the token of whoever acts for the caller goes with it, if there is one."""

    actor_token_type: Type = "access_token"
    """What that is called there."""

    requested_token_type: Type = "access_token"
    """What is asked for."""

    @property
    def forwards(self) -> bool:
        """Whether callers' own tokens go there."""
        return self.subject == "shown"

    @property
    def signs_grant(self) -> bool:
        """Whether the token exchanged is one that we sign."""
        return self.subject == "ours"

    def flow(self, authorization: Authorization, *, now: float) -> Flow[AccessToken]:
        """Show what we were shown."""
        shown = authorization.grant.shown
        actor = shown.actor_token if self.forwards and self.actor_token == "shown" else ""
        ask = partial(
            TokenEndpoint.exchange,
            subject_token=shown.subject_token if self.forwards else self.signed(now=now),
            subject_token_type=TYPES[self.subject_token_type],
            actor_token=actor,
            actor_token_type=TYPES[self.actor_token_type],
            scope=authorization.scope,
            audience=self.audience,
            resource=self.resource,
            requested_token_type=TYPES[self.requested_token_type],
            now=now,
        )
        return self.asked(ask, now=now)

    def shared_by(self, authorization: Authorization) -> Hashable:
        """The scope and the tokens shown, by their SHA-256."""
        scope, grant = authorization.scope.tokens, authorization.grant
        if not self.forwards:
            return scope
        shown, acting = grant.shown, self.actor_token == "shown"
        if not shown or (acting and grant.actor and not shown.actor_token):
            raise TargetNotAllowed("this token is given for a token of somebody's own")
        return scope, digest(shown.subject_token), digest(shown.actor_token) if acting else ""
