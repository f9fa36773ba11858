"""A token of a Textile Hub's, for a key: one that we were given, or one that callers keep.

With a key of ours everybody who may have the token shares it: it speaks of that key. Where callers
sign, each gets their own, by two requests, and it is never shared: see ``server/passing.py``.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Annotated, Literal

from tokenward.jose.identity import PrivateKey
from tokenward.oauth.messages import AccessToken
from tokenward.oauth.scope import Scope
from tokenward.remote.flow import Flow
from tokenward.remote.hub.carrier import Carrier, identity, question
from tokenward.remote.hub.exchange import Hub
from tokenward.remote.hub.token import read
from tokenward.server.model import Authorization
from tokenward.server.values import Within


@dataclass(frozen=True, slots=True, kw_only=True)
class TextileHub:
    """``[tokens.<name>] upstream = "textile_hub"``; raises ``ValueError`` for nonsense."""

    url: str
    """The Hub's address: `https://…`, and `http://…` on this machine alone."""

    transport: Literal["websocket", "grpc"] = "websocket"
    """How it is asked: through its WebSocket proxy, as browsers do, or by native gRPC."""

    key: str = ""
    """Our user-group key there; a `threadsd` without a Hub wants none."""

    secret: str = field(default="", repr=False)
    """The key's secret, as `"${NAME}"`, if it has one."""

    signature: Literal["ours", "callers"] = "ours"
    """Who signs: `ours`, `private_key`; or `callers`, each with the key whose token they want."""

    private_key: str = field(default="", repr=False)
    """The identity whose tokens these are, as `"${NAME}"`: a libp2p string, or PEM."""

    lifetime: Annotated[float, Within("1m", "24h")] = 3_600.0
    """How long a token is used that does not say itself when it ends, as a Hub's never did."""

    _hub: Hub = field(init=False, repr=False, compare=False)
    _key: PrivateKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        hub = Hub(url=self.url, native=self.transport == "grpc", key=self.key, secret=self.secret)
        object.__setattr__(self, "_hub", hub)
        if self.signature == "ours":
            object.__setattr__(self, "_key", identity(self.private_key))
        elif self.private_key:
            raise ValueError('private_key: is given, but with signature = "callers" they sign')

    @property
    def passes(self) -> Hub | None:
        """Whose challenges go on to callers, if they do."""
        return self._hub if self.signature == "callers" else None

    def check_scopes(self, scopes: Scope) -> None:
        """Its tokens have none; raises ``ValueError``."""
        if scopes:
            raise ValueError("are not for a Hub: its tokens say who, and nothing else")

    def carrier(self) -> Carrier:
        """The way there."""
        return Carrier(self._hub)

    def flow(self, authorization: Authorization, *, now: float) -> Flow[AccessToken]:  # noqa: ARG002
        """Ask for our key, and sign what the Hub wants to see signed."""
        said = yield question(self._hub, self._key.public.text, self._key.sign)
        return read(said.text, key=self._key.public, lifetime=self.lifetime, now=now)

    def shared_by(self, authorization: Authorization) -> Hashable:  # noqa: ARG002
        """The key: the token speaks of nobody else."""
        return self._key.public.text
