"""What every place has to know: whom it may ask, how often, and whom a token is meant for."""

import ipaddress
from collections.abc import Callable

import httpx2

from tokenward.client.ambient import Found, NotHere
from tokenward.client.errors import TokenError
from tokenward.jose.jws import InvalidToken, load_object, parse
from tokenward.remote.discovery import is_loopback
from tokenward.remote.fetch import RemoteError, json_object
from tokenward.remote.flow import Flow

_NEAR = (
    ipaddress.ip_network("169.254.0.0/16"),  # nobody routes it
    ipaddress.ip_network("fe80::/10"),
    ipaddress.ip_network("fd00:ec2::/32"),  # where AWS has its metadata in IPv6
)


def answered(ask: Callable[[], httpx2.Request]) -> Flow[httpx2.Response]:
    """The answer with status 200; raises ``RemoteError``. Asked once more at once if it may help.

    Servers of metadata answer 404, 429 and 5xx while a machine starts; whoever has longer to wait
    waits where patience is kept, and that is not in a flow.
    """
    try:
        return _good((yield ask()))
    except RemoteError as fault:
        if not fault.transient:
            raise
    return _good((yield ask()))


def _good(response: httpx2.Response) -> httpx2.Response:
    if response.status_code != 200:  # noqa: PLR2004
        json_object(response)
    return response


def near(url: str, variable: str) -> str:
    """A URL that leads no further than to this machine's own platform; raises ``TokenError``.

    What is asked there is asked over plain http, and with what proves that we may ask: a variable
    must not be able to send that to somebody else.
    """
    try:
        host = httpx2.URL(url).host
    except httpx2.InvalidURL:
        host = ""
    if is_loopback(host) or _is_link_local(host):
        return url
    raise TokenError(
        f"{variable} names no server of this machine or link, and nobody else is asked for an"
        " identity over plain http"
    )


def _is_link_local(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return any(address in network for network in _NEAR)


def meant_for(audience: str, token: str, where: str) -> Found:
    """The token if it says that it is meant for this audience; nobody verifies it here.

    A token that is meant for somebody else is worth something there, and the server that it would
    be shown to could use it. Raises ``TokenError`` if it is no token that says so at all.
    """
    try:
        said = load_object(parse(token).payload).get("aud")
    except (InvalidToken, ValueError):
        raise TokenError(f"{where} holds no signed token (a JWT)") from None
    named = [said] if isinstance(said, str) else said
    if isinstance(named, list) and audience in named:
        return token
    return NotHere(
        why=f"{where} holds a token that is meant for {_shown(named)}, so it stays there",
        remedy=f"have it made for {audience}, or say whom it is for (identity_audience=)",
    )


def _shown(audiences: object) -> str:
    """Names of audiences are no secrets, but they may be anything."""
    if not isinstance(audiences, list) or not audiences:
        return "nobody in particular"
    return " and ".join(repr(name)[:120] for name in audiences[:3])
