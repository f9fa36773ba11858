"""One error, three voices: for OAuth clients, for those who came with a token, for plain readers.

All of them say the description, which is meant for the caller, and never the detail.
"""

import orjson

from tokenward.oauth.errors import (
    AccessDenied,
    InteractionRequired,
    InvalidClient,
    InvalidGrant,
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
    OAuthError,
    TemporarilyUnavailable,
    UnauthorizedClient,
)
from tokenward.server.http import JSON, NO_STORE, TEXT, Answer

Pairs = tuple[tuple[bytes, bytes], ...]

REALM = "tokenward"

_BASIC = (b"www-authenticate", f'Basic realm="{REALM}"'.encode())
_BARE = f'Bearer realm="{REALM}"'


def json(error: OAuthError) -> Answer:
    """The error response of RFC 6749 §5.2."""
    headers = (JSON, *NO_STORE, *_retry(error))
    if error.status == InvalidClient.status:
        # RFC 6749 §5.2: MUST include the "WWW-Authenticate" response header field
        headers = (*headers, _BASIC)
    return Answer(error.status, headers, orjson.dumps(error.to_json()))


def bearer(error: OAuthError, *, presented: bool = False) -> Answer:
    """The answer of a resource that a bearer token opens (RFC 6750 §3).

    ``presented`` says whether there was a token at all: without one, a faulty request is told
    which scheme to use and nothing else (RFC 6750 §3.1).
    """
    status, challenge = _challenge(error, presented=presented)
    headers = (JSON, *NO_STORE, *_retry(error), *challenge)
    return Answer(status, headers, orjson.dumps(error.to_json()))


def text(error: OAuthError, *, presented: bool = False) -> Answer:
    """What ``bearer`` answers, in words.

    The iTwin mobile client takes the second word of the body for a JWT whatever the status, and
    crashes if there is none: the second word is always ``token:``.
    """
    status, challenge = _challenge(error, presented=presented)
    headers = (TEXT, *NO_STORE, *_retry(error), *challenge)
    return Answer(status, headers, f"No token: {error.description}".encode())


def _challenge(error: OAuthError, *, presented: bool) -> tuple[int, Pairs]:
    """Status and WWW-Authenticate (RFC 6750 §3.1)."""
    match error:
        case TemporarilyUnavailable():
            return error.status, ()
        case InvalidRequest() if not presented and error.status == InvalidRequest.status:
            return 401, ((b"www-authenticate", _BARE.encode()),)
        case InvalidGrant() | InvalidClient():
            status, code = 401, "invalid_token"
        case InvalidTarget() | InvalidScope() | UnauthorizedClient() | AccessDenied():
            status, code = 403, "insufficient_scope"
        case InteractionRequired():
            status, code = 403, error.error
        case _:
            status, code = error.status, "invalid_request"
    # OAuthError sees to it that a description needs no escape in a quoted-string.
    said = f'{_BARE}, error="{code}", error_description="{error.description}"'
    return status, ((b"www-authenticate", said.encode()),)


def _retry(error: OAuthError) -> Pairs:
    if isinstance(error, TemporarilyUnavailable):
        return ((b"retry-after", str(error.retry_after).encode()),)
    return ()
