"""What we are to somebody else's token endpoint: where it is, who we are there, and how we show it.

Law of this module: a secret goes to that server alone, and a signature is for it alone. What makes
no sense is refused when it is read, with the name of the setting.
"""

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Literal, Self, TypeVar

from tokenward.client.credentials import ASSERTION_LIFETIME, Credentials
from tokenward.client.flows import TokenEndpoint
from tokenward.jose.keys import SigningKey
from tokenward.jose.registered import registered_key
from tokenward.oauth.presented import ASSERTION, BASIC, JWT_BEARER_ASSERTION, NONE, POST
from tokenward.remote.clients import Identity
from tokenward.remote.discovery import check_url
from tokenward.remote.fetch import RemoteError
from tokenward.remote.flow import Flow
from tokenward.server.upstreams import OurIssuer

REMEMBERED = 3_600.0
"""Seconds for which a discovered endpoint is not looked up again."""

TLS = "tls_client_auth"
METHODS = (BASIC, POST, ASSERTION, TLS, NONE)

# Parameters that have settings of their own, or that nobody may say twice (RFC 6749 §3.2).
_OURS = re.compile(
    r"grant_type|scope|audience|resource|assertion|client_(id|secret|assertion(_type)?)"
    r"|(subject|actor)_token(_type)?|requested_token_type|refresh_token|token(_type_hint)?"
)
_CONTROL = re.compile(r"[\x00-\x1F\x7F]")
# RFC 3986 §4.3: absolute-URI = scheme ":" hier-part [ "?" query ]
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[\x21\x22\x24-\x7E]+")

T = TypeVar("T")

Ask = Callable[[TokenEndpoint], Flow[T]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """The settings that all who ask a token endpoint have; raises ``ValueError`` for nonsense."""

    issuer: str = ""
    """Where to discover the token endpoint: this or `token_endpoint`, not both."""

    token_endpoint: str = ""
    """Its token endpoint, where it has no metadata."""

    client_id: str = ""
    """Who we are there."""

    client_secret: str = field(default="", repr=False)
    """Our secret there, as `"${NAME}"`."""

    auth: (
        Literal[
            "client_secret_basic",
            "client_secret_post",
            "private_key_jwt",
            "tls_client_auth",
            "none",
        ]
        | None
    ) = None
    """How we show who we are: what fits the secret, key or certificate that is given, unless said.
    `client_secret_post` is for servers that want the secret in the form."""

    private_key: str = field(default="", repr=False)
    """Our private key there, a PEM text as `"${NAME}"`."""

    algorithm: str = ""
    """What it signs with, such as `PS256`; `RS256` or what its curve is for unless said."""

    kid: str = ""
    """What it is called there."""

    certificate: str = ""
    """Its certificate, a PEM text as `"${NAME}"`, where they know the key by that."""

    assertion: Literal["key", "self"] = "key"
    """Who signs what we sign: `key` for `private_key`, or `self` for an issuer of ours with the key
    of the day, for platforms that believe its JWKS. Then there is nothing to keep secret."""

    assertion_issuer: str = ""
    """With `assertion = "self"`: which one; `main`, or the only one there is, unless said."""

    iss: str = ""
    """Of what is signed, the `iss`: `client_id`, or with `self` our issuer's URL, unless said."""

    sub: str = ""
    """Of what is signed, the `sub`: `client_id` unless said, and where there is none, with `self`
    our issuer's URL."""

    aud: str = ""
    """Of what is signed, the `aud`: their issuer, or else their token endpoint, unless said."""

    tls_certificate: str = ""
    """A file with the certificate that we show when we connect, as PEM (`tls_client_auth`)."""

    tls_key: str = ""
    """A file with its private key, as PEM."""

    audience: str = ""
    """The API meant, for servers that want it named in this parameter."""

    resource: str = ""
    """The API meant, as RFC 8707 §2 has it: an absolute URI."""

    parameters: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What else they want to be told: `{ organization = "org_1" }`."""

    _found: dict[str, tuple[float, TokenEndpoint]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _us: TokenEndpoint = field(init=False, repr=False, compare=False)
    _key: SigningKey | None = field(default=None, init=False, repr=False, compare=False)
    _signer: OurIssuer | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_place(self)
        _check_words(self)
        _check_keys(self)
        if self.private_key:
            object.__setattr__(self, "_key", _key_of(self))
        method = self.method
        if method == ASSERTION and self.assertion == "self":
            method = NONE  # what stands for it is signed when it is sent
        credentials = Credentials(
            client_id=self.client_id,
            client_secret=self.client_secret,
            method=NONE if method == TLS else method,  # type: ignore[arg-type]
            key=self._key if method == ASSERTION else None,
            aud=self.aud if method == ASSERTION else "",
        )
        us = TokenEndpoint(
            url=self.token_endpoint,
            issuer=self.issuer,
            credentials=credentials,
            parameters=tuple(sorted(self.parameters.items())),
        )
        object.__setattr__(self, "_us", us)

    @property
    def method(self) -> str:
        """How we show who we are (IANA's token endpoint authentication methods)."""
        if self.auth:
            return self.auth
        signs = self.assertion == "self" or (self.private_key and not self.client_secret)
        if signs and not self.signs_grant:
            return ASSERTION
        if self.tls_certificate and not self.client_secret:
            return TLS
        return BASIC if self.client_secret or (self.client_id and not signs) else NONE

    @property
    def signs_grant(self) -> bool:
        """Whether a signature of ours is the right by which we ask, and not who we are."""
        return False

    @property
    def identity(self) -> Identity | None:
        """The certificate that we show when we connect."""
        return Identity(self.tls_certificate, self.tls_key) if self.tls_certificate else None

    @property
    def signs_as(self) -> str | None:
        """The issuer of ours that signs, if one does."""
        return self.assertion_issuer if self.assertion == "self" else None

    @property
    def meant_for(self) -> str:
        """The ``aud`` of what is signed."""
        return self.aud or self.issuer or self.token_endpoint

    def signed_by(self, issuer: OurIssuer) -> Self:
        """The same, with the signature of this issuer of ours."""
        signed = replace(self)
        object.__setattr__(signed, "_signer", issuer)
        return signed

    def asked(self, ask: Ask[T], *, now: float) -> Flow[T]:
        """Ask for a token, and before that, once an hour, where to ask."""
        here = self._remembered(now)
        if here is None:
            here = yield from self._us.located()
            self._found[self.issuer] = now, here
        if self.method == ASSERTION and self.assertion == "self":
            shown = (
                ("client_assertion_type", JWT_BEARER_ASSERTION),
                ("client_assertion", self.signed(now=now)),
            )
            here = replace(here, parameters=(*here.parameters, *shown))
        try:
            return (yield from ask(here))
        except RemoteError as fault:
            if not (fault.transient or fault.code):
                self._found.clear()  # that was no token endpoint: perhaps it moved
            raise

    def signed(self, *, now: float, **more: str) -> str:
        """What says who we are, good for a minute, once, and for them alone (RFC 7523 §3)."""
        ours = self._signer
        iss = self.iss or (ours.url if ours else self.client_id)
        said: dict[str, object] = {
            "iss": iss,
            "sub": self.sub or self.client_id or (iss if ours else ""),
            "aud": self.meant_for,
            "iat": int(now),
            "exp": int(now) + ASSERTION_LIFETIME,
            "jti": secrets.token_urlsafe(16),
            **more,
        }
        said = {name: value for name, value in said.items() if value}
        if ours is not None:
            return ours.sign(said)
        if self._key is None:
            raise RemoteError("nobody signs for us here: it takes the running server's own keys")
        return self._key.sign(said)

    def _remembered(self, now: float) -> TokenEndpoint | None:
        at, here = self._found.get(self.issuer, (0.0, None))
        return here if at <= now < at + REMEMBERED else None


def digest(token: str) -> str:
    """What a token is called where it must not stand itself; ``""`` for none."""
    return sha256(token.encode()).hexdigest() if token else ""


def _check_place(it: Registration) -> None:
    if bool(it.issuer) == bool(it.token_endpoint):
        raise ValueError("exactly one of issuer and token_endpoint is needed")
    try:
        parts = check_url(it.issuer or it.token_endpoint)
    except ValueError as fault:
        name = "issuer" if it.issuer else "token_endpoint"
        raise ValueError(f"{name} {fault}") from None
    if it.issuer and parts.query:
        raise ValueError("issuer must have no query")


def _check_words(it: Registration) -> None:
    for name in ("audience", "iss", "sub", "aud", "kid"):
        if _CONTROL.search(getattr(it, name)):
            raise ValueError(f"{name} contains a line break or another control character")
    if it.resource and not _ABSOLUTE.fullmatch(it.resource):
        raise ValueError("resource must be an absolute URI without a fragment")
    for name, value in it.parameters.items():
        if _OURS.fullmatch(name):
            raise ValueError(f"parameters: {name} is no other parameter: it has its own meaning")
        if not name or _CONTROL.search(name + value):
            raise ValueError("parameters: contain a control character, or no name")


def _check_keys(it: Registration) -> None:
    """What is given must be for something, and what is needed given."""
    if it.auth is not None and it.auth not in METHODS:  # a program's own, which has no types
        raise ValueError(f"auth must be {', '.join(METHODS[:-1])} or {NONE}")
    if it.client_secret and it.method in (ASSERTION, TLS, NONE):
        raise ValueError(f"client_secret: is given, but {it.method} has none")
    if it.assertion == "self" and it.private_key:
        raise ValueError(
            'private_key: is given, but with assertion = "self" an issuer of ours signs'
        )
    if it.assertion_issuer and it.assertion != "self":
        raise ValueError('assertion_issuer: is for assertion = "self"')
    _check_files(it)
    signs = it.method == ASSERTION or it.signs_grant
    if signs and it.assertion == "key" and not it.private_key:
        raise ValueError("private_key: is missing: it signs what we send")
    if it.method in (ASSERTION, TLS) and not it.client_id:
        raise ValueError("client_id is missing")
    for name in ("algorithm", "kid", "certificate"):
        if getattr(it, name) and not it.private_key:
            raise ValueError(f"{name}: is for a private_key, and there is none")


def _check_files(it: Registration) -> None:
    if bool(it.tls_certificate) is not bool(it.tls_key):
        missing = "tls_key" if it.tls_certificate else "tls_certificate"
        raise ValueError(f"{missing}: is missing: a certificate and its key belong together")
    if it.method == TLS and not it.tls_certificate:
        raise ValueError("tls_certificate: is missing: tls_client_auth shows one")
    if it.identity is not None and (fault := it.identity.fault()):
        raise ValueError(f"tls_{fault[0]}: {fault[1]}")


def _key_of(it: Registration) -> SigningKey:
    try:
        return registered_key(
            it.private_key, algorithm=it.algorithm, kid=it.kid, certificate=it.certificate
        )
    except ValueError as fault:
        raise ValueError(f"private_key: {fault}") from None
