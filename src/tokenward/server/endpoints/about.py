"""A client asks about a token: the steps that introspection and revocation have in common."""

from tokenward.oauth.errors import InvalidClient, InvalidRequest
from tokenward.oauth.presented import NONE, Presented
from tokenward.server.audit import Event
from tokenward.server.endpoints.token import form
from tokenward.server.http import Received
from tokenward.server.model import Client
from tokenward.server.registry import Registry


async def asked_about(
    received: Received, registry: Registry, event: Event, *, issuer: str, public: bool
) -> tuple[Client, str, bytes]:
    """Who asks, about which token (RFC 7009 §2.1, RFC 7662 §2.1), and its SHA-256.

    ``issuer`` is the name of the one that is asked, ``public`` says whether a client without a
    secret may. Raises ``InvalidClient``, and ``InvalidRequest`` where a parameter is repeated or
    the token is missing.
    """
    parameters: dict[str, str] = {}
    for name, value in form(received):
        if name in parameters:
            raise InvalidRequest("a parameter is repeated")
        if value:
            parameters[name] = value
    presented = Presented.parse(
        received.header(b"authorization"),
        parameters,
        certificate=received.certificate,
        issuer=issuer,
    )
    if not presented or (presented.method == NONE and not public):
        raise InvalidClient("this needs client authentication")
    client, event.proved = await registry.authenticate(presented, received.address)
    event.client = client
    registry.limits.mind_client(client, received.address)
    if not (token := parameters.get("token", "")):
        raise InvalidRequest("token is required")
    return client, token, event.shown(token)
