"""What an application's server says to Textile's clients: a date, and who signs it.

``{"key": …, "msg": …, "sig": …}``, which those clients call UserAuth: a user-group key, the moment
at which this ends, and the signature of the key's secret over that moment. Nobody is asked for it.
Whoever has seen it speaks for the application until then; the secret stays here.
"""

import hmac
import re
from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated, ClassVar

from tokenward.jose import multibase
from tokenward.jose.jws import dump_object
from tokenward.oauth.messages import AccessToken
from tokenward.oauth.scope import Scope
from tokenward.remote.flow import Flow
from tokenward.server.model import Authorization
from tokenward.server.values import Within

_ALL = object()
_BASE32 = re.compile(r"b[a-z2-7]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class TextileUserauth:
    """``[tokens.<name>] upstream = "textile_userauth"``; raises ``ValueError`` for nonsense."""

    key: str
    """The user-group key, at a hub of ours or at a real one. It is no secret."""

    secret: str = field(repr=False)
    """The key's secret, as `"${NAME}"`."""

    lifetime: Annotated[float, Within("1m", "1h")] = 300.0
    """How long what is signed is good for, to whoever has seen it. What is handed out may have
    been signed a while ago, and is good for half of that at least."""

    user_auth: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name in ("key", "secret"):
            if not _is_base32(getattr(self, name)):
                raise ValueError(
                    f"{name}: must be base32 with a b before it: only the letters a to z and the "
                    "digits 2 to 7, and none of them missing"
                )

    def check_scopes(self, scopes: Scope) -> None:
        """It has none; raises ``ValueError``."""
        if scopes:
            raise ValueError("are not for a signature of Textile's: it says when it ends, no more")

    def flow(self, authorization: Authorization, *, now: float) -> Flow[AccessToken]:  # noqa: ARG002
        """Nobody is asked."""
        yield from ()
        ends = datetime.fromtimestamp(now + self.lifetime, UTC)
        message = ends.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        mark = hmac.digest(multibase.decode(self.secret), message.encode(), sha256)
        said = {"key": self.key, "msg": message, "sig": multibase.encode(mark)}
        return AccessToken(value=dump_object(said).decode(), expires_at=now + self.lifetime)

    def shared_by(self, authorization: Authorization) -> Hashable:  # noqa: ARG002
        """It names nobody, so there is one for all; each process signs its own."""
        return _ALL


def _is_base32(text: str) -> bool:
    try:
        return bool(_BASE32.fullmatch(text) and multibase.decode(text))
    except ValueError:
        return False
