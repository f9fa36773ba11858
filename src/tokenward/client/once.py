"""One token, in one line: for scripts, and for whatever sends it by other means than httpx2."""

from typing import Unpack

from tokenward.client.auth import Options, TokenAuth
from tokenward.client.flows import Several, TokenEndpoint
from tokenward.oauth.messages import AccessToken


def get_token(
    issuer_or_token_url: str | TokenEndpoint = "",
    client_id: str = "",
    client_secret: str = "",
    *,
    scope: str = "",
    audience: Several = "",
    resource: Several = "",
    **options: Unpack[Options],
) -> AccessToken:
    """One token, in one line; the same one as long as it is good.

    Settings and errors are those of ``TokenAuth.client_credentials``, and ``TokenError`` when
    there is none to be had. ``str(token)`` is the token itself.
    """
    return TokenAuth.client_credentials(
        issuer_or_token_url,
        client_id,
        client_secret,
        scope=scope,
        audience=audience,
        resource=resource,
        **options,
    ).token()


async def aget_token(
    issuer_or_token_url: str | TokenEndpoint = "",
    client_id: str = "",
    client_secret: str = "",
    *,
    scope: str = "",
    audience: Several = "",
    resource: Several = "",
    **options: Unpack[Options],
) -> AccessToken:
    """As ``get_token``, for tasks."""
    return await TokenAuth.client_credentials(
        issuer_or_token_url,
        client_id,
        client_secret,
        scope=scope,
        audience=audience,
        resource=resource,
        **options,
    ).atoken()
