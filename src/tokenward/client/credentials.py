"""How we introduce ourselves to a token endpoint (RFC 6749 §2.3), and which endpoints may see it.

Law of this module: a secret goes into a header or a body, never into a URL, and never over plain
http except to this very machine. What is signed is for one server, one time and one minute.
"""

import re
import secrets
from base64 import b64encode
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote_plus

import httpx2

from tokenward.jose.keys import SigningKey
from tokenward.oauth.presented import ASSERTION, BASIC, JWT_BEARER_ASSERTION, NONE, POST
from tokenward.remote.discovery import is_loopback

Method = Literal["client_secret_basic", "client_secret_post", "private_key_jwt", "none"]
"""Names in IANA's registry of token endpoint authentication methods."""

ASSERTION_LIFETIME = 60
"""Seconds; some servers take what lives longer for a mistake."""

_SECURE, _PLAIN = frozenset({"https", "wss"}), frozenset({"http", "ws"})
_CONTROL = re.compile(r"[\x00-\x1F\x7F]")


class InsecureURL(ValueError):
    """This address must not be told a secret or a token: plain http, or credentials in the URL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """A client id with its secret or key, and how to use it; raises ``ValueError`` for nonsense.

    With ``client_secret_basic`` both halves are form-encoded before they are joined, as RFC 6749
    §2.3.1 says and many clients forget; for a server that does not decode them, use
    ``client_secret_post``. A public client has no secret and says ``none``.

    With ``private_key_jwt`` every question carries a new assertion signed with ``key`` (RFC 7523
    §2.2). It is for the issuer if that is known, and else for the token endpoint's URL; ``aud``
    says otherwise, for servers that want to read something else.
    """

    client_id: str
    client_secret: str = field(default="", repr=False)
    method: Method = "client_secret_basic"
    key: SigningKey | None = field(default=None, repr=False)
    aud: str = ""

    def __post_init__(self) -> None:
        if self.method not in (BASIC, POST, ASSERTION, NONE):
            raise ValueError(f"method is not {BASIC}, {POST}, {ASSERTION} or {NONE}")
        for name in "client_id", "client_secret":
            if _CONTROL.search(getattr(self, name)):
                raise ValueError(f"{name} contains a line break or another control character")
        if (self.key or self.aud) and self.method != ASSERTION:
            raise ValueError(f"a key or an aud, but the method is {self.method}")
        if self.client_secret and self.method in (NONE, ASSERTION):
            raise ValueError(f"a client_secret, but the method is {self.method}")
        if self.method != NONE:
            self._check_whole()

    def _check_whole(self) -> None:
        if not self.client_id:
            raise ValueError("client_id is missing")
        if self.method == ASSERTION:
            if self.key is None:
                raise ValueError("key is missing")
        elif not self.client_secret:
            raise ValueError("client_secret is missing; a public client's method is none")

    def header(self) -> dict[str, str]:
        """The Authorization header, if that is where the credentials go."""
        if self.method != BASIC:
            return {}
        halves = (quote_plus(half) for half in (self.client_id, self.client_secret))
        return {"Authorization": f"Basic {b64encode(':'.join(halves).encode()).decode()}"}

    def fields(self, to: str = "", *, now: float = 0.0) -> dict[str, str]:
        """The form's fields, if that is where the credentials go.

        An assertion is for ``to`` and for a minute from ``now``, in seconds since the epoch.
        """
        if self.method == BASIC:
            return {}
        if self.key is not None:
            said = {
                "iss": self.client_id,
                "sub": self.client_id,
                "aud": self.aud or to,
                "iat": int(now),
                "exp": int(now) + ASSERTION_LIFETIME,
                "jti": secrets.token_urlsafe(16),
            }
            return {
                "client_assertion_type": JWT_BEARER_ASSERTION,
                "client_assertion": self.key.sign(said),
            }
        return {"client_id": self.client_id, "client_secret": self.client_secret}


ANONYMOUS = Credentials(client_id="", method="none")
"""Nobody in particular: whoever exchanges a token proves itself by that token alone."""


def secure(url: httpx2.URL | str, *, allow_http: bool = False) -> None:
    """Raise ``InsecureURL`` unless this address may be told a secret (RFC 6749 §3.2).

    That is https, or plain http to a loopback address or ``localhost``; web sockets are treated
    alike. ``allow_http`` lets plain http pass everywhere: anybody on the way can then read and
    keep what is sent.
    """
    try:
        url = httpx2.URL(url)  # the very reading that will be asked, not another parser's
    except httpx2.InvalidURL:
        raise InsecureURL("not a URL") from None
    if not url.host or url.scheme not in _SECURE | _PLAIN:
        raise InsecureURL("not an https URL")
    if url.userinfo:
        raise InsecureURL(f"the URL of {url.host} contains credentials; they do not belong there")
    if url.scheme in _PLAIN and not allow_http and not is_loopback(url.host):
        raise InsecureURL(
            f"{url.host} is to be asked over plain http, where anybody can listen; "
            "use https (allow_http=True is for closed networks, and not for issuers)"
        )
