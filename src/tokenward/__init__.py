"""tokenward: a token server, a client library and a verifier library.

The names that programs need, each loaded when it is first used::

    from tokenward import TokenAuth, Verifier, get_token

What is not here is in ``tokenward.client`` (getting tokens), ``tokenward.verifier`` (believing
them) and ``tokenward.oauth`` (the language of both).
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenward.client import (
        Credentials,
        InsecureURL,
        KeyIdentity,
        TokenAuth,
        TokenCache,
        TokenEndpoint,
        TokenError,
        aget_token,
        get_token,
    )
    from tokenward.client.accounts import Account, Accounts
    from tokenward.client.ambient.auth import ambient_auth
    from tokenward.client.named import atoken_for, requires_token, token_for
    from tokenward.oauth.errors import OAuthError
    from tokenward.oauth.messages import AccessToken
    from tokenward.oauth.scope import Scope
    from tokenward.verifier import (
        BearerMiddleware,
        Claims,
        InsufficientScope,
        InvalidToken,
        KeysUnavailable,
        Verifier,
        require,
    )

__version__ = "0.1.0"

__all__ = [
    "AccessToken",
    "Account",
    "Accounts",
    "BearerMiddleware",
    "Claims",
    "Credentials",
    "InsecureURL",
    "InsufficientScope",
    "InvalidToken",
    "KeyIdentity",
    "KeysUnavailable",
    "OAuthError",
    "Scope",
    "TokenAuth",
    "TokenCache",
    "TokenEndpoint",
    "TokenError",
    "Verifier",
    "__version__",
    "aget_token",
    "ambient_auth",
    "atoken_for",
    "get_token",
    "require",
    "requires_token",
    "token_for",
]

_HOMES = {
    **dict.fromkeys(
        (
            "Credentials",
            "InsecureURL",
            "KeyIdentity",
            "TokenAuth",
            "TokenCache",
            "TokenEndpoint",
            "TokenError",
            "aget_token",
            "get_token",
        ),
        "tokenward.client",
    ),
    **dict.fromkeys(
        (
            "BearerMiddleware",
            "Claims",
            "InsufficientScope",
            "InvalidToken",
            "KeysUnavailable",
            "Verifier",
            "require",
        ),
        "tokenward.verifier",
    ),
    **dict.fromkeys(("atoken_for", "requires_token", "token_for"), "tokenward.client.named"),
    **dict.fromkeys(("Account", "Accounts"), "tokenward.client.accounts"),
    "ambient_auth": "tokenward.client.ambient.auth",
    "AccessToken": "tokenward.oauth.messages",
    "OAuthError": "tokenward.oauth.errors",
    "Scope": "tokenward.oauth.scope",
}


def __getattr__(name: str) -> object:
    """A name of ``__all__``, from where it lives (PEP 562); importing this alone costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
