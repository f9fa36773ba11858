"""What a client presents to say who it is (RFC 6749 §2.3), parsed once and believed by nobody yet.

Presenting two things at once is an error, whatever they are worth (RFC 6749 §2.3: "MUST NOT use
more than one authentication method in each request").
"""

from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping
from typing import NamedTuple, Self
from urllib.parse import unquote_plus

from tokenward.oauth.errors import InvalidClient, InvalidRequest

BASIC = "client_secret_basic"
POST = "client_secret_post"
ASSERTION = "private_key_jwt"
"""Stands for ``client_secret_jwt`` too: on the wire they differ in the assertion's ``alg`` only."""

CERTIFICATE = "tls_client_auth"
"""Stands for ``self_signed_tls_client_auth`` too, which looks the same (RFC 8705 §2)."""

NONE = "none"

JWT_BEARER_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

LONGEST_HEADER = 4_096


class Presented(NamedTuple):
    """The credentials of one request; false if there are none."""

    method: str = ""
    """The name in IANA's registry of token endpoint authentication methods, or ``""``."""

    candidates: tuple[tuple[str, str], ...] = ()
    """Id and secret, in every reading that the wire allows, the likelier first. The id of an
    assertion is ``""`` unless the form names it besides."""

    certificate: str = ""
    """In PEM, what the client showed when the connection began, whatever else it presents."""

    issuer: str = ""
    """The name of the issuer at whose endpoint it is presented."""

    @classmethod
    def parse(
        cls,
        authorization: str,
        parameters: Mapping[str, str],
        *,
        certificate: str = "",
        issuer: str = "",
    ) -> Self:
        """Read the Authorization header (``""`` if absent) and the form's parameters.

        Raises ``InvalidClient`` for a header that is not well-formed Basic or an assertion of an
        unknown kind, and ``InvalidRequest`` for more than one method or two different client ids.
        """
        method, candidates = cls._way(authorization, parameters)
        if method == NONE and certificate:
            method = CERTIFICATE
        return cls(method, candidates, certificate, issuer)

    @staticmethod
    def _way(
        authorization: str, parameters: Mapping[str, str]
    ) -> tuple[str, tuple[tuple[str, str], ...]]:
        client_id = parameters.get("client_id", "")
        secret = parameters.get("client_secret", "")
        assertion = parameters.get("client_assertion", "")
        if (authorization and (secret or assertion)) or (secret and assertion):
            raise InvalidRequest("more than one way of client authentication")
        if authorization:
            candidates = _basic(authorization)
            if client_id and client_id not in [id for id, _ in candidates]:
                raise InvalidRequest("client_id differs from the one in the Authorization header")
            return BASIC, candidates
        if secret:
            if not client_id:
                raise InvalidRequest("client_secret without client_id")
            return POST, ((client_id, secret),)
        if assertion:
            if parameters.get("client_assertion_type", "") != JWT_BEARER_ASSERTION:
                raise InvalidClient("client_assertion_type must say that it is a JWT (RFC 7523)")
            return ASSERTION, ((client_id, assertion),)
        if client_id:
            return NONE, ((client_id, ""),)
        return "", ()

    def __bool__(self) -> bool:
        return bool(self.method)

    def __repr__(self) -> str:
        return f"Presented(method={self.method!r})"  # and no secret


NOTHING_PRESENTED = Presented()


def _basic(header: str) -> tuple[tuple[str, str], ...]:
    """Id and secret, form-decoded as RFC 6749 §2.3.1 says, then raw as many clients send them."""
    scheme, _, encoded = header.partition(" ")
    encoded = encoded.lstrip(" ")  # RFC 9110 §11.4: 1*SP
    if scheme.lower() != "basic":
        raise InvalidClient("the Authorization header must use the Basic scheme")
    if len(header) > LONGEST_HEADER:
        raise InvalidClient("malformed Basic credentials")
    try:
        # RFC 7617 §2 and RFC 4648 §4: the credentials are one token68, padded as usual. Python
        # forgives padding that is too long.
        raw = a2b_base64(encoded, strict_mode=True).decode("ascii")
    except ValueError:
        raise InvalidClient("malformed Basic credentials") from None
    if b2a_base64(raw.encode(), newline=False).decode() != encoded:
        raise InvalidClient("malformed Basic credentials")
    id, colon, secret = raw.partition(":")
    # RFC 6749 App. A.1 and A.2: client-id = *VSCHAR, client-secret = *VSCHAR
    if not colon or not id or not raw.isprintable():
        raise InvalidClient("malformed Basic credentials")
    if "%" not in raw and "+" not in raw:
        return ((id, secret),)
    return (unquote_plus(id), unquote_plus(secret)), (id, secret)
