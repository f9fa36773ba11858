"""Who we are, if the program does not say: TOKENWARD_ISSUER, _CLIENT_ID and _CLIENT_SECRET.

Law of this module: what the environment says about one issuer or client is never told to, or
mixed with, another one that the program names.
"""

import os
from collections.abc import Mapping

from tokenward.client.credentials import ANONYMOUS, Credentials, Method
from tokenward.client.flows import TokenEndpoint
from tokenward.jose.keys import SigningKey
from tokenward.oauth.presented import NONE

ISSUER = "TOKENWARD_ISSUER"
CLIENT_ID = "TOKENWARD_CLIENT_ID"
CLIENT_SECRET = "TOKENWARD_CLIENT_SECRET"


def token_endpoint(
    address: str,
    client_id: str,
    client_secret: str,
    *,
    method: Method = "client_secret_basic",
    key: SigningKey | str | bytes | None = None,
    allow_http: bool = False,
    needs_client: bool = True,
    environ: Mapping[str, str] = os.environ,
) -> TokenEndpoint:
    """The endpoint and client named, completed from the environment.

    The environment's client is used only with the environment's issuer (or if it names none), its
    secret only with its client, and never beside a key. Raises ``ValueError`` that says what is
    missing.
    """
    said = environ.get(ISSUER, "")
    if not address and not said:
        raise ValueError(f"no issuer: give the address of one, or set {ISSUER}")
    ours = environ if not address or not said or address == said else {}
    client_id = client_id or ours.get(CLIENT_ID, "")
    if key is not None:
        if not client_id:
            raise ValueError(f"no client_id: give one, or set {CLIENT_ID}{_why(environ, ours)}")
        credentials = Credentials(
            client_id=client_id,
            client_secret=client_secret,
            method="private_key_jwt",
            key=key if isinstance(key, SigningKey) else SigningKey.from_pem(key),
        )
        return TokenEndpoint.at(address or said, credentials, allow_http=allow_http)
    if not client_secret and method != NONE and ours.get(CLIENT_ID, client_id) == client_id:
        client_secret = ours.get(CLIENT_SECRET, "")
    if needs_client and not client_id:
        raise ValueError(f"no client_id: give one, or set {CLIENT_ID}{_why(environ, ours)}")
    if needs_client and not client_secret:
        raise ValueError(f"no client_secret: give one, or set {CLIENT_SECRET}{_why(environ, ours)}")
    if client_secret and not client_id:
        raise ValueError("a client_secret without a client_id")
    if not client_id:
        credentials = ANONYMOUS
    else:
        credentials = Credentials(
            client_id=client_id,
            client_secret=client_secret,
            method=method if client_secret else "none",
        )
    return TokenEndpoint.at(address or said, credentials, allow_http=allow_http)


def _why(environ: Mapping[str, str], ours: Mapping[str, str]) -> str:
    return "" if ours is environ else f" with {ISSUER} (the one set now is of another issuer)"
