"""A token for a signed statement: who we are, or for whom we speak (RFC 7523 §2.1).

What we sign is good for a minute and for that server alone. It may also be the caller's own token
that goes there: that is what Entra calls on-behalf-of.
"""

from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from tokenward.client.flows import TokenEndpoint
from tokenward.oauth.errors import TargetNotAllowed
from tokenward.oauth.messages import AccessToken
from tokenward.oauth.scope import NOTHING
from tokenward.remote.flow import Flow
from tokenward.server.model import Authorization
from tokenward.server.registration import Registration, digest


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtBearer(Registration):
    """``[tokens.<name>] upstream = "jwt_bearer"``; raises ``ValueError`` for nonsense."""

    subject: Literal["ours", "shown"] = "ours"
    """Which assertion is shown there: `ours`, which we sign; or `shown`, the caller's own token."""

    scope_in: Literal["form", "claim"] = "form"
    """Where the scope is asked for: in the `form`, or in a `claim` of what we sign."""

    def __post_init__(self) -> None:
        Registration.__post_init__(self)
        if self.subject == "shown" and self.scope_in == "claim":
            raise ValueError("scope_in: only what we sign can have a claim of ours")

    @property
    def forwards(self) -> bool:
        """Whether callers' own tokens go there."""
        return self.subject == "shown"

    @property
    def signs_grant(self) -> bool:
        """Whether the assertion is one that we sign."""
        return self.subject == "ours"

    def flow(self, authorization: Authorization, *, now: float) -> Flow[AccessToken]:
        """Show an assertion."""
        scope = authorization.scope
        claims: dict[str, str] = {}
        if self.scope_in == "claim":
            claims, scope = {"scope": str(scope)}, NOTHING
        shown = authorization.grant.shown.subject_token
        ask = partial(
            TokenEndpoint.jwt_bearer,
            assertion=shown if self.forwards else self.signed(now=now, **claims),
            scope=scope,
            audience=self.audience,
            resource=self.resource,
            now=now,
        )
        token = yield from self.asked(ask, now=now)
        return token if token.scope else replace(token, scope=authorization.scope)

    def shared_by(self, authorization: Authorization) -> Hashable:
        """The scope; and the token that goes there, by its SHA-256, if it is the caller's."""
        scope, shown = authorization.scope.tokens, authorization.grant.shown
        if not self.forwards:
            return scope
        if not shown:
            raise TargetNotAllowed("this token is given for a token of somebody's own")
        return scope, digest(shown.subject_token)
