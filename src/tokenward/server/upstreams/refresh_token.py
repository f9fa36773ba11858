"""A token from a refresh token that somebody got once, and that is kept and renewed here.

Each answer may bring another refresh token, which takes the place of the one that was shown (RFC
6749 §6). What is newest is in the store; the configured one is where it begins.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from functools import partial

from tokenward.client.flows import TokenEndpoint
from tokenward.client.lasting import WRITTEN, Lasting, refresh, revoke
from tokenward.oauth.messages import AccessToken
from tokenward.oauth.scope import Scope
from tokenward.remote.discovery import check_url
from tokenward.remote.fetch import RemoteError
from tokenward.remote.flow import Flow
from tokenward.server.model import Authorization
from tokenward.server.registration import Registration


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshToken(Registration):
    """``[tokens.<name>] upstream = "refresh_token"``; raises ``ValueError`` for nonsense."""

    client_id: str
    """Who we are there: whom the refresh token was given to."""

    refresh_token: str = field(repr=False)
    """The first one, as `"${NAME}"`. Those that follow are kept in the store, sealed; another one
    here takes the place of all of them."""

    revocation_endpoint: str = ""
    """Where tokens are revoked, where there is no metadata that says so."""

    def __post_init__(self) -> None:
        Registration.__post_init__(self)
        if not self.client_id:
            raise ValueError("client_id is missing")
        if not WRITTEN.fullmatch(self.refresh_token):
            raise ValueError("refresh_token: is empty, or has characters that none has")
        if self.revocation_endpoint:
            try:
                check_url(self.revocation_endpoint)
            except ValueError as fault:
                raise ValueError(f"revocation_endpoint {fault}") from None

    def refreshed(self, refresh_token: str, scope: Scope, *, now: float) -> Flow[Lasting]:
        """Show the one that is newest."""
        ask = partial(
            refresh,
            refresh_token=refresh_token,
            scope=scope,
            audience=self.audience,
            resource=self.resource,
            now=now,
        )
        return self.asked(ask, now=now)

    def revoked(self, refresh_token: str, *, now: float) -> Flow[bool]:
        """Tell them that it is over; whether there is anywhere to tell."""

        def ask(here: TokenEndpoint) -> Flow[bool]:
            url = self.revocation_endpoint or here.revocation_url
            return revoke(replace(here, revocation_url=url), refresh_token, now=now)

        return self.asked(ask, now=now)

    def flow(self, authorization: Authorization, *, now: float) -> Flow[AccessToken]:  # noqa: ARG002
        """Only whoever keeps what comes of it may ask."""
        yield from ()
        raise RemoteError("a refresh token is shown by the running server alone, which keeps it")

    def shared_by(self, authorization: Authorization) -> Hashable:
        """The scope: it speaks of whoever the refresh token is of."""
        return authorization.scope.tokens
