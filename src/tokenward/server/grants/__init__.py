"""By what right?

A grant type turns what the caller presents into a grant. It does not check policy, narrow scopes,
choose tokens or write responses: those are everybody's steps and happen once, in ``issuance.py``.

To add one, write a file with a class that has ``name`` (the wire's ``grant_type``) and
``redeem``, and name it in ``server/plugins.py``.
"""

from typing import ClassVar, Protocol

from tokenward.oauth.messages import TokenRequest
from tokenward.server.model import NOBODY_ELSE, Caller, Client, Grant

REMEMBER = 4_096
LONGEST_REMEMBERED = 1_024
"""Characters asked for; longer requests are read every time, so that few cannot fill memory."""

_remembered: dict[tuple[object, ...], Grant] = {}


class GrantType(Protocol):
    """One value of ``grant_type`` (RFC 6749 §4)."""

    name: ClassVar[str]

    async def redeem(self, request: TokenRequest, client: Client) -> Grant:
        """What was presented, as a grant; raises ``OAuthError`` if it is worth nothing."""
        ...


def granted(
    request: TokenRequest, client: Client, caller: Caller, actor: Caller = NOBODY_ELSE
) -> Grant:
    """What a request asks for, by the caller's right; raises ``InvalidScope``.

    The same request of the same caller is the same grant, so that what was decided about it is
    known at once.
    """
    asked = request.parameters.get("scope", "")
    # By their ids, which are nobody else's as long as the grant we remember holds them.
    who = id(caller), id(client), id(actor)
    key = who, request.grant_type, request.issuer, request.targets, asked
    if (grant := _remembered.get(key)) is not None:
        return grant
    grant = Grant(
        caller=caller,
        client=client,
        grant_type=request.grant_type,
        issuer=request.issuer,
        targets=request.targets,
        scope=request.scope,
        actor=actor,
    )
    if sum(map(len, request.targets)) + len(asked) <= LONGEST_REMEMBERED:
        if len(_remembered) >= REMEMBER:
            _remembered.clear()
        _remembered[key] = grant
    return grant
