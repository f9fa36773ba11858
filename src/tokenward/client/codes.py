"""Authorization codes: what a person has agreed to in a browser, redeemed for what they agreed to.

Law of this module: a code is shown with the proof that it was we who asked (PKCE, RFC 7636), and
nobody but the token endpoint is shown either.
"""

from base64 import urlsafe_b64encode
from dataclasses import replace
from hashlib import sha256

from tokenward.client.flows import TokenEndpoint
from tokenward.client.lasting import REFRESH_TOKEN, Lasting
from tokenward.oauth.messages import AccessToken
from tokenward.oauth.scope import Scope
from tokenward.remote.flow import Flow

S256 = "S256"

LOOKED_AT = 3_600.0
"""Seconds after which a token that does not end is handed out anew: it may have been ended."""

_ENDLESS = "access_token "
"""Stands before an access token that is kept in the place of a refresh token; no refresh token
begins so with a platform that has any."""


def challenge(verifier: str) -> str:
    """What is shown at the beginning of what only we can show in the end (RFC 7636 §4.2)."""
    return urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def redeem(
    endpoint: TokenEndpoint, code: str, *, redirect_uri: str, verifier: str, now: float
) -> Flow[Lasting]:
    """Show a code (RFC 6749 §4.1.3, RFC 7636 §4.5); raises ``TokenError``.

    Its scope is empty if the answer does not tell it: then it is what the person was asked for.
    Some platforms give access tokens that do not end, and nothing else (``expires_in`` is not
    there): those last by themselves.
    """
    here = yield from endpoint.located()
    form = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", redirect_uri),
        ("code_verifier", verifier),
    ]
    answer = yield from here.answered(form, now=now)
    given = Lasting.parse(answer, now=now)
    if given.token is None or given.refresh_token or answer.get("expires_in") is not None:
        return given
    return replace(given, refresh_token=_ENDLESS + given.token.value)


def is_endless(kept: str) -> bool:
    """Whether an access token that does not end is kept in the place of a refresh token."""
    return kept.startswith(_ENDLESS)


def endless(kept: str, scope: Scope, *, now: float) -> Lasting:
    """The access token itself, which nobody has to be asked for."""
    value = kept.removeprefix(_ENDLESS)
    return Lasting(token=AccessToken(value=value, expires_at=now + LOOKED_AT, scope=scope))


def what_is_over(kept: str) -> tuple[str, str]:
    """What to revoke, and of which kind it is (RFC 7009 §2.1)."""
    if is_endless(kept):
        return kept.removeprefix(_ENDLESS), "access_token"
    return kept, REFRESH_TOKEN
