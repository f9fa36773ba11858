"""Whose tokens?

An upstream is a frozen dataclass whose fields are its settings in ``[tokens.<name>]`` and whose
``flow`` is the conversation that ends in a token. It does no I/O: it yields requests and is sent
responses. Cache, early refresh, one question for a crowd, deadlines, retries and errors are the
broker's and live once, in ``server/broker.py``.

To add one, write one file here and name it in ``server/plugins.py``.
"""

from collections.abc import Hashable
from typing import Protocol

from tokenward.oauth.messages import AccessToken
from tokenward.remote.flow import Flow
from tokenward.server.model import Authorization


class Upstream(Protocol):
    """Somebody else's authorization server, and what we are to it."""

    def flow(self, authorization: Authorization, *, now: float) -> Flow[AccessToken]:
        """The conversation: yields ``httpx2.Request``, is sent ``httpx2.Response``.

        Raises ``ValueError`` or a ``remote.RemoteError`` for an answer that is no token.
        """
        ...

    def shared_by(self, authorization: Authorization) -> Hashable:
        """All authorizations that may share one token have the same answer."""
        ...
