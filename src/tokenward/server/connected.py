"""For which app has which person connected an account? A connection is of those three, and no more.

Law of this module: a consent is given to one app. Who proves to be a client is that client; whoever
proves nothing about themselves is told apart by the tokens they show, of whom it is written there
for which app they were made. So nobody rides on what a person agreed to for somebody else.
"""

from hashlib import sha256

from tokenward.jose.jws import encode
from tokenward.server.model import Authorization, Grant

# Who a token was made for: OpenID Connect Core 1.0 §2, RFC 9068 §2.2, Okta and Entra.
_MADE_FOR = ("azp", "client_id", "cid", "appid")


def app_of(grant: Grant) -> tuple[str, ...]:
    """Which app asks, as far as anybody has proved it.

    A public client says only its name (RFC 6749 §2.1), and ``getToken`` not even that: then it is
    who vouches for the person, and the app that the person's token was made for.
    """
    client, actor = grant.client, grant.actor
    if client and not client.public:
        return "client", client.id, actor.subject
    return "public", client.id, grant.caller.name, made_for(grant), actor.subject


def made_for(grant: Grant) -> str:
    """The app that the person's token was made for, ``""`` if it does not say."""
    found = (grant.caller.claims.get(name) for name in _MADE_FOR)
    return next((one for one in found if isinstance(one, str) and one), "")


def place(grant: Grant, token: str) -> str:
    """Where the connection of this app's to that token is kept, for the person the grant is of.

    Nobody can read from it who they are.
    """
    parts = (token, grant.caller.subject, *app_of(grant))
    # Each part with its length, so that no two lists of parts can be read as one text.
    said = "".join(f"{len(part)}:{part}" for part in parts)
    return encode(sha256(said.encode()).digest())


def place_of(authorization: Authorization) -> str:
    """Where the connection is that this token is fetched with."""
    return place(authorization.grant, authorization.token)
