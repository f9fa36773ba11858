"""Audited requests for tokens, as they are when they end."""

import math

from tokenward.oauth.messages import CLIENT_CREDENTIALS, TokenRequest
from tokenward.oauth.scope import NOTHING
from tokenward.server.audit import Event
from tokenward.server.http import Received
from tokenward.server.model import Authorization, Caller, Client, Grant

REFUSED = {"error": "temporarily_unavailable"}


class Nowhere:
    async def record(self, event):
        pass


def event(token="reports", caller="nightly", client="nightly", failure=None):
    """Empty names are what was never known."""
    asks = Client(id=client, grant_types=frozenset({CLIENT_CREDENTIALS}))
    grant = Grant(
        caller=Caller(name=caller, subject="ann"), client=asks, grant_type=CLIENT_CREDENTIALS
    )
    ended = Event("token", Received("POST", "/token"), Nowhere(), lambda: 0.0)
    ended.request = TokenRequest(CLIENT_CREDENTIALS, {})
    ended.client = asks if client else None
    ended.grant = grant if caller else None
    if token:
        ended.authorization = Authorization(
            grant=grant, token=token, scope=NOTHING, lifetime=math.inf, rule="r"
        )
    ended.failure = failure
    return ended
