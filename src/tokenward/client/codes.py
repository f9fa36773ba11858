"""Authorization codes: what a person has agreed to in a browser, redeemed for what they agreed to.

Law of this module: a code is shown with the proof that it was we who asked (PKCE, RFC 7636), and
nobody but the token endpoint is shown either.
"""

from base64 import urlsafe_b64encode
from hashlib import sha256

from tokenward.client.flows import TokenEndpoint
from tokenward.client.lasting import Lasting
from tokenward.remote.flow import Flow

S256 = "S256"


def challenge(verifier: str) -> str:
    """What is shown at the beginning of what only we can show in the end (RFC 7636 §4.2)."""
    return urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def redeem(
    endpoint: TokenEndpoint, code: str, *, redirect_uri: str, verifier: str, now: float
) -> Flow[Lasting]:
    """Show a code (RFC 6749 §4.1.3, RFC 7636 §4.5); raises ``TokenError``.

    Its scope is empty if the answer does not tell it: then it is what the person was asked for.
    """
    here = yield from endpoint.located()
    form = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", redirect_uri),
        ("code_verifier", verifier),
    ]
    return Lasting.parse((yield from here.answered(form, now=now)), now=now)
