"""By what right?

A grant type turns what the caller presents into a grant. It does not check policy, narrow scopes,
choose tokens or write responses: those are everybody's steps and happen once, in ``issuance.py``.

To add one, write a file with a class that has ``name`` (the wire's ``grant_type``) and
``redeem``, and name it in ``server/plugins.py``.
"""

from typing import ClassVar, Protocol

from tokenward.oauth.errors import InvalidClient
from tokenward.oauth.messages import TokenRequest
from tokenward.server.certificates import thumbprint
from tokenward.server.model import (
    NOBODY_ELSE,
    NOT_ANSWERED,
    NOTHING_SHOWN,
    Answered,
    Caller,
    Client,
    Grant,
    Shown,
)

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
    request: TokenRequest,
    client: Client,
    caller: Caller,
    actor: Caller = NOBODY_ELSE,
    shown: Shown = NOTHING_SHOWN,
) -> Grant:
    """What a request asks for, by the caller's right; raises ``InvalidScope``.

    Raises ``InvalidClient`` where a token must be bound to a certificate and none was shown.

    The same request of the same caller is the same grant, so that what was decided about it is
    known at once; unless it brings along what was ``shown``, or an answer, which are kept nowhere.
    """
    asked = request.parameters.get("scope", "")
    # By their ids, which are nobody else's as long as the grant we remember holds them.
    who = id(caller), id(client), id(actor)
    bound = _bound(request, client) if client.certificate_bound else ""
    key = who, request.grant_type, request.issuer, request.targets, asked, bound
    answered = NOT_ANSWERED
    if "auth_session" in request.parameters:
        answered = Answered(request.get("auth_session"), request.get("signature"))
    once = bool(shown or answered)
    if not once and (grant := _remembered.get(key)) is not None:
        return grant
    grant = Grant(
        caller=caller,
        client=client,
        grant_type=request.grant_type,
        issuer=request.issuer,
        targets=request.targets,
        scope=request.scope,
        actor=actor,
        certificate=bound,
        shown=shown,
        answered=answered,
    )
    if not once and sum(map(len, request.targets)) + len(asked) <= LONGEST_REMEMBERED:
        if len(_remembered) >= REMEMBER:
            _remembered.clear()
        _remembered[key] = grant
    return grant


def _bound(request: TokenRequest, client: Client) -> str:
    """What the token of this client is to be bound to (RFC 8705 §3)."""
    if not request.presented.certificate:
        raise InvalidClient(detail=f"client {client.id!r} showed no certificate to bind to")
    return thumbprint(request.presented.certificate)
