"""Refresh tokens: what earns an access token again and again, until somebody ends it.

Law of this module: what a server gave is never lost because of what stood beside it. An answer may
spend the refresh token that was shown, so a new one counts even where the access token is of no
use; and an answer without one means that the old one stays (RFC 6749 §6).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from tokenward.client.flows import TokenEndpoint
from tokenward.oauth.messages import LONGEST_TOKEN, AccessToken
from tokenward.oauth.scope import NOTHING, Scope
from tokenward.remote.flow import Flow

REFRESH_TOKEN = "refresh_token"

# RFC 6749 §A.17: refresh-token = 1*VSCHAR
WRITTEN = re.compile(r"[\x20-\x7E]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lasting:
    """What a token endpoint gave to whoever may come again."""

    token: AccessToken | None
    refresh_token: str = field(default="", repr=False)
    """The one to show the next time; ``""`` if it gave none."""

    fault: str = ""
    """Why there is no token, if there is none."""

    @classmethod
    def parse(
        cls, answer: Mapping[str, object], *, now: float, asked: Scope = NOTHING
    ) -> "Lasting":
        """Read a token response (RFC 6749 §5.1) for all that it is worth."""
        given = answer.get(REFRESH_TOKEN)
        good = isinstance(given, str) and len(given) <= LONGEST_TOKEN and WRITTEN.fullmatch(given)
        kept = str(given) if good else ""
        try:
            token = AccessToken.parse(answer, now=now, asked=asked)
        except ValueError as fault:
            return cls(token=None, refresh_token=kept, fault=str(fault))
        return cls(token=token, refresh_token=kept)


def refresh(
    endpoint: TokenEndpoint,
    refresh_token: str,
    *,
    scope: Scope = NOTHING,
    audience: str = "",
    resource: str = "",
    now: float,
) -> Flow[Lasting]:
    """Show a refresh token (RFC 6749 §6); raises ``TokenError``.

    With ``invalid_grant`` it is over. After any other error, or none at all, the answer may have
    been lost: the same refresh token is the one to show again.
    """
    here = yield from endpoint.located()
    form = [
        ("grant_type", REFRESH_TOKEN),
        (REFRESH_TOKEN, refresh_token),
        ("audience", audience),
        ("resource", resource),
        ("scope", str(scope)),
    ]
    answer = yield from here.answered(form, now=now)
    return Lasting.parse(answer, now=now, asked=scope)


def revoke(
    endpoint: TokenEndpoint, token: str, *, hint: str = REFRESH_TOKEN, now: float
) -> Flow[bool]:
    """End a token where it came from (RFC 7009); raises ``TokenError``. ``False``: they have no
    endpoint for that."""
    here = yield from endpoint.located()
    if not here.revocation_url:
        return False
    form = [("token", token), ("token_type_hint", hint)]
    yield from here.answered(form, to=here.revocation_url, now=now)
    return True
