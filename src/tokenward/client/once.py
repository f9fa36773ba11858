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
    subject_token: str = "",
    scope: str = "",
    audience: Several = "",
    resource: Several = "",
    **options: Unpack[Options],
) -> AccessToken:
    """One token, in one line; the same one as long as it is good.

    Settings and errors are those of ``TokenAuth.client_credentials``, or, with a
    ``subject_token``, of ``TokenAuth.exchange``; and ``TokenError`` when there is no token to be
    had. ``str(token)`` is the token itself.
    """
    who = issuer_or_token_url, client_id, client_secret, subject_token
    return _auth(*who, scope=scope, audience=audience, resource=resource, **options).token()


async def aget_token(
    issuer_or_token_url: str | TokenEndpoint = "",
    client_id: str = "",
    client_secret: str = "",
    *,
    subject_token: str = "",
    scope: str = "",
    audience: Several = "",
    resource: Several = "",
    **options: Unpack[Options],
) -> AccessToken:
    """As ``get_token``, for tasks."""
    who = issuer_or_token_url, client_id, client_secret, subject_token
    auth = _auth(*who, scope=scope, audience=audience, resource=resource, **options)
    return await auth.atoken()


def _auth(
    where: str | TokenEndpoint,
    client_id: str,
    client_secret: str,
    subject_token: str,
    *,
    scope: str,
    audience: Several,
    resource: Several,
    **options: Unpack[Options],
) -> TokenAuth:
    if not subject_token:
        return TokenAuth.client_credentials(
            where,
            client_id,
            client_secret,
            scope=scope,
            audience=audience,
            resource=resource,
            **options,
        )
    return TokenAuth.exchange(
        where,
        subject_token=subject_token,
        client_id=client_id,
        client_secret=client_secret,
        scope=scope,
        audience=audience,
        resource=resource,
        **options,
    )
