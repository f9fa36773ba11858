"""For those who are shown a token: is it to be believed, and does it allow this?

Law of this package: jose, oauth, remote and httpx2; it knows nothing of the client or the server.
Only ``fastapi`` imports FastAPI.

    from tokenward.verifier import Verifier, require

    verifier = Verifier("https://tokens.example.com", "https://api.example.com/reports")
    claims = await verifier.averify(token)             # in an event loop: may fetch the keys
    claims = verifier.verify(token, wait=True)         # in a thread: may fetch the keys
    claims = verifier.verify(token)                    # anywhere: never waits
    require(claims, "reports:read")

What may go wrong is ``InvalidToken`` (401), of that ``KeysUnavailable`` (503) if nobody can tell
just now, and ``InsufficientScope`` (403). ``Gate`` answers a request's Authorization header with
claims or a ready refusal (RFC 6750); ``BearerMiddleware`` and ``fastapi.bearer`` put it in place.
"""

from tokenward.jose.jws import Expired, InvalidToken, UnknownKey
from tokenward.jose.jwt import Claims
from tokenward.remote.fetch import RemoteError
from tokenward.verifier.asgi import BearerMiddleware
from tokenward.verifier.bearer import Gate, Refusal
from tokenward.verifier.scopes import InsufficientScope, require, scope_of
from tokenward.verifier.verifier import KeysUnavailable, Verifier

__all__ = [
    "BearerMiddleware",
    "Claims",
    "Expired",
    "Gate",
    "InsufficientScope",
    "InvalidToken",
    "KeysUnavailable",
    "Refusal",
    "RemoteError",
    "UnknownKey",
    "Verifier",
    "require",
    "scope_of",
]
