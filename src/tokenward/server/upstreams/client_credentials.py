"""A token for our own client id and secret, which go to that server alone (RFC 6749 §4.4).

Whoever asks for the same scope shares the token: it speaks of us, not of them.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from functools import partial

from tokenward.client.flows import TokenEndpoint
from tokenward.oauth.messages import AccessToken
from tokenward.oauth.presented import NONE
from tokenward.remote.flow import Flow
from tokenward.server.model import Authorization
from tokenward.server.registration import Registration


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCredentials(Registration):
    """``[tokens.<name>] upstream = "client_credentials"``; raises ``ValueError`` for nonsense."""

    client_id: str
    """Who we are there."""

    def __post_init__(self) -> None:
        Registration.__post_init__(self)
        if self.method == NONE:  # RFC 6749 §4.4: confidential clients only
            if not self.client_id:
                raise ValueError("client_id is missing")
            raise ValueError("auth: none is for nobody: anybody could ask for this token")

    def flow(self, authorization: Authorization, *, now: float) -> Flow[AccessToken]:
        """Ask as ourselves."""
        ask = partial(
            TokenEndpoint.client_credentials,
            scope=authorization.scope,
            audience=self.audience,
            resource=self.resource,
            now=now,
        )
        return self.asked(ask, now=now)

    def shared_by(self, authorization: Authorization) -> Hashable:
        """The scope, to the letter; nothing else of a request reaches the upstream."""
        return authorization.scope.tokens
